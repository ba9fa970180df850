"""Tar: the part of the stream that is in hand, and how to get on in it.

In: a layer's stream of chunks. Out: so many bytes, or a position that many further on.
Rules kept here: chunks are parsed in place, and joined only where something straddles two; what is skipped is not held.
Not here: what the bytes mean (tar).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn

from pysquash.compression.stream import LayerStream

__all__ = ["ChunkBuffer"]


class ChunkBuffer:
    """The stream's bytes from `_start`; parsing is at `_position` in them, and whoever parses moves it."""

    def __init__(self, stream: LayerStream, ends_early: Callable[[int], NoReturn]) -> None:
        """Stand at the stream's start.

        Args:
            stream: The chunks.
            ends_early: Raises the error for a stream that ends so many bytes early.
        """
        self._stream = stream
        self._raise_ends_early = ends_early
        self._buffer = b""
        self._start = 0
        self._position = 0

    @property
    def consumed_size(self) -> int:
        """Bytes taken from the layer so far, as they came."""
        return self._stream.consumed_size

    @property
    def unpacked_size(self) -> int:
        """Bytes of the layer so far, decompressed."""
        return self._stream.unpacked_size

    @property
    def total_size(self) -> int | None:
        """Bytes that the layer has in all, as they come, or None where that cannot be known."""
        return self._stream.total_size

    def close(self) -> None:
        """Stop reading. Harmless when called twice."""
        self._stream.close()

    def _fill(self, size: int) -> bool:
        """Have at least `size` bytes from the position on in the buffer; False where the stream ends before."""
        parts = [self._buffer[self._position :]]
        have = len(parts[0])
        self._start += self._position
        self._position = 0
        for chunk in self._stream:
            parts.append(chunk)
            have += len(chunk)
            if have >= size:
                break
        self._buffer = b"".join(parts)
        return have >= size

    def _take(self, size: int) -> bytes:
        """Give the next bytes, and move on."""
        position, end = self._position, self._position + size
        if end > len(self._buffer):
            if not self._fill(size):
                self._raise_ends_early(size - len(self._buffer))
            position, end = 0, size
        self._position = end
        return self._buffer[position:end]

    def _skip(self, size: int) -> None:
        """Pass over bytes without holding them."""
        while size > len(self._buffer) - self._position:
            size -= len(self._buffer) - self._position
            self._position = len(self._buffer)
            if not self._fill(1):
                self._raise_ends_early(size)
        self._position += size
