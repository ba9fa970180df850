"""Reader: the content of files.

In: a file's inode. Out: its extents, where its bytes are; the bytes, block by block.
On disk: "Data blocks and fragments", "Fragment table".
Rules kept here: every block decompresses to block_size except a file's last; a tail lies inside its fragment block; a
block list is read as it is needed, however long it claims to be; few fragment blocks are kept in memory.
Not here: reading at any position (file).
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterator
from typing import NamedTuple

from pysquash.compression.base import CompressorSettings, block_decoder
from pysquash.errors import CorruptImageError
from pysquash.format.constants import NO_FRAGMENT
from pysquash.format.records import DATA_WORD, FragmentEntry
from pysquash.format.rules import Rule
from pysquash.format.words import DATA_RAW, split_data_word
from pysquash.reader.cache import Cache
from pysquash.reader.inodes import Inode, Place
from pysquash.reader.input import Input
from pysquash.reader.metadata import Cursor, MetadataReader
from pysquash.reader.tables import Table

__all__ = ["CHUNK_COUNT", "DataReader", "Extent", "Resume", "WordChunk"]

CHUNK_COUNT = 2048
"""Words of a block list that are read together: one metadata block of them."""

_RUNS_COUNT = 16
"""Files with holes of which the runs between are kept: a million names may lead to one list of a million holes."""

_KEPT_SIZE = 8 << 20
"""Bytes of fragment blocks that are kept: files next to each other share them."""


class Extent(NamedTuple):
    """A run of a file's bytes: one data block, a tail, or a hole of any size.

    Attributes:
        position: First byte in the file.
        size: Bytes in the file.
        start: Absolute byte of the data block in the image; 0 for a hole and a tail.
        word: The block's DATA_WORD; 0 for a hole; -1 for a tail in a fragment.
    """

    position: int
    size: int
    start: int
    word: int

    @property
    def is_hole(self) -> bool:
        """Tell whether nothing is stored."""
        return not self.word


_TAIL = -1


class Resume(NamedTuple):
    """Where a block list goes on.

    Attributes:
        first: Index of the next block.
        start: Absolute byte at which that block is stored.
        place: Where its DATA_WORD is.
    """

    first: int
    start: int
    place: Place


class WordChunk(NamedTuple):
    """A part of a block list.

    Attributes:
        first: Index of the first block.
        start: Absolute byte at which that block is stored.
        words: DATA_WORDs of this block and the next ones, at most CHUNK_COUNT.
        end: Where the list goes on.
    """

    first: int
    start: int
    words: array[int]
    end: Resume


class DataReader:
    """The data area and the fragment table of an image."""

    def __init__(
        self,
        source: Input,
        settings: CompressorSettings,
        block_size: int,
        inodes: MetadataReader,
        fragments: Table[FragmentEntry] | None,
    ) -> None:
        """Take where things are.

        Args:
            source: The image.
            settings: Its compressor.
            block_size: Bytes in a data block.
            inodes: The inode table, which holds the block lists.
            fragments: The fragment table, if there is one.
        """
        self._source = source
        self._settings = settings
        self._inodes = inodes
        self._fragments = fragments
        self._kept: Cache[int, bytes] = Cache(max(4, _KEPT_SIZE // block_size))
        self._runs: Cache[int, tuple[tuple[int, int], ...]] = Cache(_RUNS_COUNT)
        self.block_size = block_size

    # --- where a file's bytes are ------------------------------------------------------------------------------------

    def words(self, inode: Inode, at: Resume | None = None) -> WordChunk:
        """Read a part of a file's block list.

        Args:
            inode: The file's.
            at: The end of the part before; None for the first one.

        Raises:
            CorruptImageError: The inode table ends within the list.
        """
        first, start, place = at or (0, inode.blocks_start, inode.rows_place)
        cursor = Cursor(self._inodes, *place)
        words = array("I", cursor.read(min(CHUNK_COUNT, inode.block_count - first) * DATA_WORD.size))
        if sys.byteorder == "big":
            words.byteswap()
        end = start + sum([word & ~DATA_RAW for word in words])
        return WordChunk(first, start, words, Resume(first + len(words), end, cursor.place))

    def extents(self, inode: Inode) -> Iterator[Extent]:
        """Yield where a file's bytes are, in order; holes side by side are one extent.

        Raises:
            CorruptImageError: The block list is cut short, or does not hold all of the file.
        """
        size, block_size = inode.size, self.block_size
        hole_start = -1
        at: Resume | None = None
        first = 0
        while first < inode.block_count:
            chunk = self.words(inode, at)
            start, at = chunk.start, chunk.end
            if not any(chunk.words):  # a large hole: a thousand blocks at a time
                hole_start = first * block_size if hole_start < 0 else hole_start
                first += len(chunk.words)
                continue
            for index, word in enumerate(chunk.words, first):
                position = index * block_size
                if not word:
                    hole_start = position if hole_start < 0 else hole_start
                    continue
                if hole_start >= 0:
                    yield Extent(hole_start, position - hole_start, 0, 0)
                    hole_start = -1
                yield Extent(position, min(block_size, size - position), start, word)
                start += word & ~DATA_RAW
            first += len(chunk.words)
        end = min(first * block_size, size)
        if hole_start >= 0:
            yield Extent(hole_start, end - hole_start, 0, 0)
        if end < size:
            if inode.fragment_index == NO_FRAGMENT:
                text = f"{size - end} bytes are in no block"
                raise CorruptImageError(text, section="inode table", rule=Rule.BLOCK_LIST, field="fragment_index")
            yield Extent(end, size - end, 0, _TAIL)

    # --- the bytes ---------------------------------------------------------------------------------------------------

    def blocks(self, inode: Inode) -> Iterator[bytes]:
        """Yield a file's content in pieces of block_size, the last one maybe shorter.

        Raises:
            CorruptImageError: A block is missing, damaged, or of another size.
        """
        zeros = b""
        for extent in self.extents(inode):
            if not extent.is_hole:
                yield self.read_extent(inode, extent)
                continue
            zeros = zeros or bytes(self.block_size)
            for _ in range(extent.size // self.block_size):
                yield zeros
            if extent.size % self.block_size:
                yield zeros[: extent.size % self.block_size]

    def stored_blocks(self, inode: Inode) -> Iterator[bytes]:
        """Yield the pieces of a file's content that are stored, without those in holes.

        Raises:
            CorruptImageError: As for `blocks`.
        """
        return (self.read_extent(inode, extent) for extent in self.extents(inode) if not extent.is_hole)

    def stored_runs(self, inode: Inode, count_limit: int) -> tuple[tuple[int, int], ...] | None:
        """Find where a file's stored pieces are: (first byte, size) for each run of them.

        Args:
            inode: The file's.
            count_limit: Runs that the caller has room for.

        Returns:
            The runs; None where there are more than that, or the file has no holes.
        """
        kept = self._runs.get(inode.ref)
        if kept is not None and len(kept) <= count_limit:
            return kept
        runs: list[tuple[int, int]] = []
        has_holes = False
        for extent in self.extents(inode):
            if extent.is_hole:
                has_holes = True
            elif runs and sum(runs[-1]) == extent.position:
                runs[-1] = (runs[-1][0], runs[-1][1] + extent.size)
            elif len(runs) == count_limit:
                return None
            else:
                runs.append((extent.position, extent.size))
        if not has_holes:
            return None
        self._runs.put(inode.ref, tuple(runs))
        return tuple(runs)

    def read_extent(self, inode: Inode, extent: Extent) -> bytes:
        """Give the bytes of a data block or a tail; any thread may ask.

        Raises:
            CorruptImageError: It is missing, damaged, or of another size.
        """
        if extent.word == _TAIL:
            return self.tail(inode, extent.size)
        plain = self.block(extent.start, extent.word)
        if len(plain) != extent.size:
            text = f"a block holds {len(plain)} bytes, not {extent.size}"
            raise CorruptImageError(text, section="data", rule=Rule.DATA_LENGTH, offset=extent.start)
        return plain

    def stored_block(self, start: int, word: int, rule: Rule = Rule.DATA_SIZE) -> tuple[bytes, bool]:
        """Give a data or fragment block as it is stored, and whether that is raw.

        Args:
            start: Absolute byte in the image.
            word: Its DATA_WORD.
            rule: What its size has to keep.
        """
        size, is_raw = split_data_word(word)
        if not 1 <= size <= self.block_size:
            raise CorruptImageError(f"a block of {size} bytes", section="data", rule=rule, offset=start)
        return self._source.read(start, size, section="data", rule=Rule.DATA_RANGE), is_raw

    def block(self, start: int, word: int, rule: Rule = Rule.DATA_SIZE) -> bytes:
        """Give a data or fragment block, of whatever size up to block_size.

        Args:
            start: Absolute byte in the image.
            word: Its DATA_WORD.
            rule: What its stored size has to keep.
        """
        stored, is_raw = self.stored_block(start, word, rule)
        if is_raw:
            return stored
        try:
            return block_decoder(self._settings).decompress(stored, self.block_size)
        except ValueError as error:
            text = f"cannot be decompressed: {error}"
            raise CorruptImageError(text, section="data", rule=Rule.DECOMPRESSION, offset=start) from error

    def tail(self, inode: Inode, size: int) -> bytes:
        """Give the tail of a file, out of its fragment block."""
        offset = inode.fragment_offset
        block = self.fragment(inode.fragment_index)
        if offset + size > len(block):
            raise CorruptImageError(
                f"a tail of {size} bytes at {offset} in a fragment block of {len(block)}",
                section="inode table",
                rule=Rule.FRAGMENT_RANGE,
                field="fragment_offset",
            )
        return block[offset : offset + size]

    def fragment(self, index: int) -> bytes:
        """Give a fragment block."""
        block = self._kept.get(index)
        if block is None:
            if self._fragments is None:
                text = f"fragment {index}, and there is no table"
                raise CorruptImageError(text, section="inode table", rule=Rule.FRAGMENT_INDEX, field="fragment_index")
            row = self._fragments[index]
            block = self.block(row.start, row.size_word, Rule.FRAGMENT_SIZE)
            self._kept.put(index, block)
        return block
