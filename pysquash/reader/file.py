"""Reader: a file in an image, open for reading at any position.

In: a file's inode. Out: `ContentFile`, a raw binary file.
Rules kept here: one block is in memory, and one part of the block list; a hole is read without memory of its own.
Not here: decompression (data), text (path).
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from pysquash.format.words import DATA_RAW
from pysquash.reader.data import CHUNK_COUNT, DataReader, Extent, Resume, WordChunk
from pysquash.reader.inodes import Inode

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

__all__ = ["ContentFile"]


class ContentFile(io.RawIOBase):
    """A file's content, as a raw file; wrap it in `io.BufferedReader` for small reads."""

    def __init__(self, data: DataReader, inode: Inode, name: str) -> None:
        """Stand at the first byte.

        Args:
            data: The image's data area.
            inode: A regular file's.
            name: What `name` says.
        """
        super().__init__()
        self._data = data
        self._inode = inode
        self._position = 0
        self.name = name
        # The block that was read last, the part of the block list that it is in, and where each part before ends, so
        # that going back is cheap.
        self._block: tuple[int, bytes] = (-1, b"")
        self._chunk: WordChunk | None = None
        self._ends: list[Resume] = []

    @property
    def mode(self) -> str:
        """Always "rb"."""
        return "rb"

    def readable(self) -> bool:
        """Tell True."""
        return True

    def seekable(self) -> bool:
        """Tell True."""
        return True

    def tell(self) -> int:
        """Give the position of the next byte."""
        self._check_open()
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Go to a position, behind the end as well.

        Raises:
            ValueError: It is before the first byte, or `whence` is none.
        """
        self._check_open()
        bases = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._inode.size}
        if whence not in bases:
            raise ValueError(f"whence must be 0, 1 or 2, not {whence}")
        if bases[whence] + offset < 0:
            raise ValueError(f"the position would be {bases[whence] + offset}")
        self._position = bases[whence] + offset
        return self._position

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Read into a buffer what the block at the position has of it.

        Raises:
            CorruptImageError: The block is missing or damaged.
        """
        self._check_open()
        target = memoryview(buffer).cast("B")
        left = self._inode.size - self._position
        if left <= 0 or not len(target):
            return 0
        index, offset = divmod(self._position, self._data.block_size)
        block = self._read_block(index)
        size = min(len(target), len(block) - offset)
        target[:size] = block[offset : offset + size]
        self._position += size
        return size

    def _read_block(self, index: int) -> bytes:
        if self._block[0] != index:
            inode, block_size = self._inode, self._data.block_size
            position = index * block_size
            size = min(block_size, inode.size - position)
            if index >= inode.block_count:
                block = self._data.tail(inode, size)
            else:
                start, word = self._find(index)
                block = self._data.read_extent(inode, Extent(position, size, start, word)) if word else bytes(size)
            self._block = (index, block)
        return self._block[1]

    def _find(self, index: int) -> tuple[int, int]:
        """Find where a block is stored: its start and its DATA_WORD."""
        row, offset = divmod(index, CHUNK_COUNT)
        if self._chunk is None or self._chunk.first != row * CHUNK_COUNT:
            while len(self._ends) < row:
                self._ends.append(self._data.words(self._inode, self._ends[-1] if self._ends else None).end)
            self._chunk = self._data.words(self._inode, self._ends[row - 1] if row else None)
        words = self._chunk.words
        return self._chunk.start + sum([word & ~DATA_RAW for word in words[:offset]]), words[offset]

    def _check_open(self) -> None:
        if self.closed:
            raise ValueError("I/O operation on closed file")
