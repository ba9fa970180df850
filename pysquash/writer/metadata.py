"""Writer: cuts a stream of records into metadata blocks.

In: packed records, in order. Out: a compressed stream, and for each record the reference at which it starts.
On disk: "Metadata blocks".
Rules kept here: every block holds 8192 bytes except the last; a compressed block is smaller than that, or it is stored
raw; there is no empty block; records may straddle blocks.
Not here: the records themselves; location lists (tables).
"""

from __future__ import annotations

from collections.abc import Callable

from pysquash.format.constants import METADATA_SIZE
from pysquash.format.records import METADATA_HEADER
from pysquash.format.words import metadata_word

__all__ = ["Compress", "MetadataWriter"]

Compress = Callable[[bytes], bytes | None]
"""Compresses one block; None where it is to be stored raw."""


class MetadataWriter:
    """One metadata stream, kept in memory until its place in the image is known.

    Attributes:
        stored: The finished blocks with their headers.
        block_starts: Where in `stored` each of them starts.
        pending: Bytes not yet in a block. Hot loops append to it and call `cut` once it has METADATA_SIZE or more.
    """

    __slots__ = ("_compress", "block_starts", "pending", "stored")

    def __init__(self, compress: Compress) -> None:
        """Start an empty stream."""
        self._compress = compress
        self.stored = bytearray()
        self.block_starts: list[int] = []
        self.pending = bytearray()

    @property
    def ref(self) -> int:
        """The metadata reference of the next byte, from the stream's start."""
        return len(self.stored) << 16 | len(self.pending)

    def write(self, data: bytes) -> None:
        """Append a record."""
        self.pending += data
        if len(self.pending) >= METADATA_SIZE:
            self.cut()

    def cut(self) -> None:
        """Make blocks of all whole METADATA_SIZE bytes that are pending, so that `ref` is right again."""
        pending = self.pending
        start = 0
        while len(pending) - start >= METADATA_SIZE:
            self._store(bytes(pending[start : start + METADATA_SIZE]))
            start += METADATA_SIZE
        del pending[:start]

    def finish(self) -> None:
        """Make the last, shorter block of what is left, if anything is."""
        self.cut()
        if self.pending:
            self._store(bytes(self.pending))
            self.pending.clear()

    def _store(self, block: bytes) -> None:
        compressed = self._compress(block)
        self.block_starts.append(len(self.stored))
        chunk = block if compressed is None else compressed
        self.stored += METADATA_HEADER.pack(metadata_word(len(chunk), raw=compressed is None))
        self.stored += chunk
