"""Reader: the content of files, block by block.

In: a file's inode. Out: its bytes; holes as zeros.
On disk: "Data blocks and fragments".
Rules kept here: every block decompresses to block_size except a file's last; a tail lies inside its fragment block; few
fragment blocks are kept in memory.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator

from pysquash.compression.base import CompressorSettings, block_codec
from pysquash.errors import CorruptImageError
from pysquash.format.constants import NO_FRAGMENT
from pysquash.format.records import DATA_WORD, FRAGMENT_ENTRY
from pysquash.format.words import split_data_word
from pysquash.reader.inodes import Inode
from pysquash.reader.input import Input

__all__ = ["DataReader"]

_KEPT_COUNT = 8


class DataReader:
    """The data area and the fragment table of an image."""

    def __init__(self, source: Input, settings: CompressorSettings, block_size: int, fragment_rows: bytes) -> None:
        """Take where things are.

        Args:
            source: The image.
            settings: Its compressor.
            block_size: Bytes in a data block.
            fragment_rows: The fragment table, uncompressed.
        """
        self._source = source
        self._settings = settings
        self._block_size = block_size
        self._fragment_rows = fragment_rows
        self._kept: OrderedDict[int, bytes] = OrderedDict()

    def blocks(self, inode: Inode) -> Iterator[bytes]:
        """Yield a file's content in pieces of block_size, the last one maybe shorter.

        Raises:
            CorruptImageError: A block is missing, damaged, or of another size.
        """
        start, left = inode.blocks_start, inode.size
        for row in range(len(inode.block_words) // DATA_WORD.size):
            size, is_raw = split_data_word(DATA_WORD.unpack(inode.block_words, row * DATA_WORD.size).value)
            wanted = min(self._block_size, left)
            left -= wanted
            if size:
                yield self._block(start, size, is_raw=is_raw, wanted=wanted)
                start += size
            else:
                yield bytes(wanted)
        if left:
            yield self._tail(inode, left)

    def _block(self, start: int, size: int, *, is_raw: bool, wanted: int | None) -> bytes:
        if size > self._block_size:
            raise CorruptImageError(f"a block of {size} bytes", section="data", offset=start)
        stored = self._source.read(start, size, section="data")
        if not is_raw:
            try:
                stored = block_codec(self._settings).decompress(stored, self._block_size)
            except ValueError as error:
                raise CorruptImageError(f"cannot be decompressed: {error}", section="data", offset=start) from error
        if wanted is not None and len(stored) != wanted:
            raise CorruptImageError(f"a block holds {len(stored)} bytes, not {wanted}", section="data", offset=start)
        return stored

    def _tail(self, inode: Inode, size: int) -> bytes:
        index, offset = inode.fragment_index, inode.fragment_offset
        if index == NO_FRAGMENT:
            raise CorruptImageError(f"{size} bytes are in no block", section="inode table", field="fragment_index")
        block = self._fragment(index)
        if offset + size > len(block):
            raise CorruptImageError(
                f"a tail of {size} bytes at {offset} in a fragment block of {len(block)}",
                section="inode table",
                field="fragment_offset",
            )
        return block[offset : offset + size]

    def _fragment(self, index: int) -> bytes:
        block = self._kept.get(index)
        if block is None:
            if (index + 1) * FRAGMENT_ENTRY.size > len(self._fragment_rows):
                raise CorruptImageError(f"fragment {index} is not in the table", section="fragment table")
            row = FRAGMENT_ENTRY.unpack(self._fragment_rows, index * FRAGMENT_ENTRY.size)
            size, is_raw = split_data_word(row.size_word)
            block = self._kept[index] = self._block(row.start, size, is_raw=is_raw, wanted=None)
            while len(self._kept) > _KEPT_COUNT:
                try:
                    self._kept.popitem(last=False)
                except KeyError:  # another thread was faster
                    break
        return block
