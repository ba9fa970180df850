"""Reader: tables that are found through a location list: fragments, exports, ids, xattr ids.

In: where the superblock points, and how many rows there are. Out: rows, each read when it is asked for.
On disk: "Fragment table", "Export table", "Id table", "Xattr id table".
Rules kept here: every block but the last holds 8192 bytes; all blocks lie in front of their list; few are kept in
memory.
Not here: what a row says.
"""

from __future__ import annotations

from typing import Generic, NamedTuple, TypeVar

from pysquash.compression.base import CompressorSettings
from pysquash.errors import CorruptImageError
from pysquash.format.codec import Codec
from pysquash.format.constants import METADATA_SIZE
from pysquash.format.records import TABLE_LOCATION
from pysquash.reader.cache import Cache
from pysquash.reader.input import Input
from pysquash.reader.metadata import read_block

__all__ = ["Table"]

Row = TypeVar("Row", bound=NamedTuple)

_KEPT_COUNT = 64


class Table(Generic[Row]):
    """One table.

    Attributes:
        section: What errors name.
        row_count: Rows that there are to be.
        list_start: Absolute byte of the location list.
        block_count: Metadata blocks, and so locations in the list.
    """

    def __init__(
        self,
        source: Input,
        settings: CompressorSettings,
        codec: Codec[Row],
        list_start: int,
        row_count: int,
        *,
        section: str,
    ) -> None:
        """Take the table's place, and see that its list is inside the image. The rows are read when asked for.

        Args:
            source: The image.
            settings: Its compressor.
            codec: What a row is; its size divides 8192, so no row straddles blocks.
            list_start: Absolute byte of the location list.
            row_count: How many rows the superblock, or the table's header, says there are.
            section: What errors name.

        Raises:
            CorruptImageError: The list ends behind the image.
        """
        self._source = source
        self._settings = settings
        self._codec = codec
        self.section = section
        self.row_count = row_count
        self.list_start = list_start
        self.block_count = -(-row_count * codec.size // METADATA_SIZE)
        self._kept: Cache[int, bytes] = Cache(_KEPT_COUNT)
        list_size = self.block_count * TABLE_LOCATION.size
        if row_count and list_start + list_size > source.size:
            raise CorruptImageError(
                f"{row_count} rows need a location list of {list_size} bytes, the file has {source.size}",
                section=section,
                offset=list_start,
            )

    def __getitem__(self, index: int) -> Row:
        """Give a row.

        Raises:
            CorruptImageError: There is none, or its block is damaged.
        """
        if not 0 <= index < self.row_count:
            raise CorruptImageError(f"row {index} of {self.row_count}", section=self.section)
        block_index, offset = divmod(index * self._codec.size, METADATA_SIZE)
        return self._codec.unpack(self.block(block_index), offset)

    def location(self, block_index: int) -> int:
        """Give the absolute byte at which a metadata block of the table starts."""
        at = self.list_start + block_index * TABLE_LOCATION.size
        return TABLE_LOCATION.unpack(self._source.read(at, TABLE_LOCATION.size, section=self.section)).value

    def block(self, block_index: int) -> bytes:
        """Give a metadata block of rows, uncompressed.

        Raises:
            CorruptImageError: It is missing, damaged, or of another size.
        """
        block = self._kept.get(block_index)
        if block is None:
            start = self.location(block_index)
            if start >= self.list_start:
                raise CorruptImageError(
                    f"block {block_index} starts at {start}, behind the list",
                    section=self.section,
                    offset=self.list_start,
                )
            block, _ = read_block(self._source, self._settings, start, section=self.section)
            wanted = min(METADATA_SIZE, self.row_count * self._codec.size - block_index * METADATA_SIZE)
            if len(block) != wanted:
                raise CorruptImageError(
                    f"block {block_index} holds {len(block)} bytes, not {wanted}", section=self.section, offset=start
                )
            self._kept.put(block_index, block)
        return block
