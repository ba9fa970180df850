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

_LARGE_SIZE = 64 << 10
"""Bytes that are asked for by themselves; for less, a whole chunk is read, of which most is needed next."""


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
        rest = self._buffer[self._position :]
        parts, have = [rest] if rest else [], len(rest)
        self._start += self._position
        self._position = 0
        for chunk in self._stream:
            parts.append(chunk)
            have += len(chunk)
            if have >= size:
                break
        # Chunks are large, and mostly the one before has been used up: then this one is taken as it is.
        self._buffer = parts[0] if len(parts) == 1 else b"".join(parts)
        return have >= size

    def _take(self, size: int) -> bytes:
        """Give the next bytes, and move on."""
        buffer, position = self._buffer, self._position
        end = position + size
        if end <= len(buffer):
            self._position = end
            return buffer[position:end]
        # What straddles chunks is joined, and the rest of the last one is left as it is. What is large is asked for as
        # it is: all blocks of a file but its first are then never copied.
        parts, missing = [buffer[position:]] if position < len(buffer) else [], end - len(buffer)
        self._start += len(buffer)
        while True:
            chunk = next(self._stream, b"") if missing < _LARGE_SIZE else self._stream.up_to(missing)
            if not chunk:
                self._buffer, self._position = b"", 0
                self._raise_ends_early(missing)
            if len(chunk) >= missing:
                self._buffer, self._position = chunk, missing
                parts.append(chunk[:missing])
                return b"".join(parts)
            parts.append(chunk)
            missing -= len(chunk)
            self._start += len(chunk)

    def _skip(self, size: int) -> None:
        """Pass over bytes without holding them."""
        end = self._position + size
        if end <= len(self._buffer):
            self._position = end
            return
        while size > len(self._buffer) - self._position:
            size -= len(self._buffer) - self._position
            self._position = len(self._buffer)
            if not self._fill(1):
                self._raise_ends_early(size)
        self._position += size
