"""Reader: tables that are found through a location list: fragments, exports, ids, xattr ids.

In: where the superblock points, and how many rows there are. Out: rows, each read when it is asked for.
On disk: "Fragment table", "Export table", "Id table", "Xattr id table".
Rules kept here: every block but the last holds 8192 bytes; all blocks lie in front of their list; few are kept in
memory.
Not here: where a table has to end (fsck); what a row says.
"""

from __future__ import annotations

from typing import Generic, NamedTuple, TypeVar

from pysquash.compression.base import CompressorSettings
from pysquash.errors import CorruptImageError
from pysquash.format.codec import Codec
from pysquash.format.constants import METADATA_SIZE
from pysquash.format.records import EXPORT_REF, FRAGMENT_ENTRY, ID, TABLE_LOCATION, XATTR_ID
from pysquash.format.rules import Rule
from pysquash.reader.cache import Cache
from pysquash.reader.input import Input
from pysquash.reader.metadata import read_block

__all__ = ["EXPORTS", "FRAGMENTS", "IDS", "XATTR_IDS", "Table", "TableKind"]

Row = TypeVar("Row", bound=NamedTuple)

_KEPT_COUNT = 64


class TableKind(Generic[Row]):
    """One of the four tables that there are.

    Attributes:
        section: What errors name.
        codec: What a row is; its size divides 8192, so no row straddles blocks.
        end_rule: Where the table ends.
        row_rule: What refers to a row.
    """

    __slots__ = ("codec", "end_rule", "row_rule", "section")

    def __init__(self, section: str, codec: Codec[Row], *, end_rule: Rule, row_rule: Rule) -> None:
        """Note what is said of it."""
        self.section = section
        self.codec = codec
        self.end_rule = end_rule
        self.row_rule = row_rule


IDS = TableKind("id table", ID, end_rule=Rule.ID_TABLE_END, row_rule=Rule.ID_INDEX)
FRAGMENTS = TableKind("fragment table", FRAGMENT_ENTRY, end_rule=Rule.FRAGMENT_TABLE_END, row_rule=Rule.FRAGMENT_INDEX)
EXPORTS = TableKind("export table", EXPORT_REF, end_rule=Rule.EXPORT_TABLE_END, row_rule=Rule.EXPORT_REF)
XATTR_IDS = TableKind("xattr id table", XATTR_ID, end_rule=Rule.XATTR_TABLE_END, row_rule=Rule.XATTR_INDEX)


class Table(Generic[Row]):
    """One table.

    Attributes:
        kind: Which one it is.
        row_count: Rows that there are to be.
        list_start: Absolute byte of the location list.
        block_count: Metadata blocks, and so locations in the list.
        list_end: Absolute byte behind the location list.
    """

    def __init__(
        self,
        source: Input,
        settings: CompressorSettings,
        kind: TableKind[Row],
        list_start: int,
        row_count: int,
    ) -> None:
        """Take the table's place, and see that its list is inside the image. The rows are read when asked for.

        Args:
            source: The image.
            settings: Its compressor.
            kind: Which table it is.
            list_start: Absolute byte of the location list.
            row_count: How many rows the superblock, or the table's header, says there are.

        Raises:
            CorruptImageError: The list ends behind the image.
        """
        self._source = source
        self._settings = settings
        self.kind = kind
        self.row_count = row_count
        self.list_start = list_start
        self.block_count = -(-row_count * kind.codec.size // METADATA_SIZE)
        self.list_end = list_start + self.block_count * TABLE_LOCATION.size
        self._kept: Cache[int, bytes] = Cache(_KEPT_COUNT)
        if row_count and self.list_end > source.size:
            raise CorruptImageError(
                f"{row_count} rows need a location list up to {self.list_end}, the file has {source.size} bytes",
                section=kind.section,
                rule=kind.end_rule,
                offset=list_start,
            )

    def __getitem__(self, index: int) -> Row:
        """Give a row.

        Raises:
            CorruptImageError: There is none, or its block is damaged.
        """
        if not 0 <= index < self.row_count:
            kind = self.kind
            raise CorruptImageError(f"row {index} of {self.row_count}", section=kind.section, rule=kind.row_rule)
        codec = self.kind.codec
        block_index, offset = divmod(index * codec.size, METADATA_SIZE)
        return codec.unpack(self.block(block_index), offset)

    def location(self, block_index: int) -> int:
        """Give the absolute byte at which a metadata block of the table starts."""
        at = self.list_start + block_index * TABLE_LOCATION.size
        packed = self._source.read(at, TABLE_LOCATION.size, section=self.kind.section, rule=self.kind.end_rule)
        return TABLE_LOCATION.unpack(packed).value

    def block_size(self, block_index: int) -> int:
        """Give the bytes that a metadata block of the table holds: 8192, and the last one the rest."""
        return min(METADATA_SIZE, self.row_count * self.kind.codec.size - block_index * METADATA_SIZE)

    def block(self, block_index: int) -> bytes:
        """Give a metadata block of rows, uncompressed.

        Raises:
            CorruptImageError: It is missing, damaged, or of another size.
        """
        block = self._kept.get(block_index)
        if block is None:
            start, section = self.location(block_index), self.kind.section
            if start >= self.list_start:
                raise CorruptImageError(
                    f"block {block_index} starts at {start}, behind the list",
                    section=section,
                    rule=Rule.LOCATION_ORDER,
                    offset=self.list_start,
                )
            block, _ = read_block(self._source, self._settings, start, section=section)
            wanted = self.block_size(block_index)
            if len(block) != wanted:
                raise CorruptImageError(
                    f"block {block_index} holds {len(block)} bytes, not {wanted}",
                    section=section,
                    rule=Rule.TABLE_BLOCK_SIZE,
                    offset=start,
                )
            self._kept.put(block_index, block)
        return block
