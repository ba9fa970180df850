"""Reader: extended attributes.

In: an inode's row of the xattr id table. Out: full names and values.
On disk: "Xattr table".
Rules kept here: a value is at most 64 KiB, as Linux has it; one out of line is followed once, and is itself in line;
attributes in a name space that the format does not have are passed over, as Linux does.
"""

from __future__ import annotations

from pysquash.compression.base import CompressorSettings
from pysquash.errors import CorruptImageError
from pysquash.format.constants import XATTR_PREFIXES
from pysquash.format.records import XATTR_ENTRY, XATTR_ID, XATTR_REF, XATTR_TABLE, XATTR_VALUE
from pysquash.format.words import XATTR_OUT_OF_LINE, split_metadata_ref
from pysquash.reader.cache import Cache
from pysquash.reader.input import Input
from pysquash.reader.metadata import Cursor, MetadataReader
from pysquash.reader.tables import Table

__all__ = ["XattrReader"]

_VALUE_LIMIT = 65536
_SET_LIMIT = 65536
_SET_SIZE_LIMIT = 64 << 20
"""Bytes of one inode's values: a thousand of the longest. What refers to a value that is held already takes nothing."""
_PREFIX_MASK = 0xFF
_KEPT_COUNT = 64
_KEPT_SIZE = 4096
"""Bytes of a set that is kept in memory: one that many inodes share, such as a label, is short."""


class XattrReader:
    """The xattr table of an image that has one."""

    def __init__(self, source: Input, settings: CompressorSettings, table_start: int) -> None:
        """Read the table's header.

        Args:
            source: The image.
            settings: Its compressor.
            table_start: What the superblock says.
        """
        section = "xattr id table"
        self.header = XATTR_TABLE.unpack(source.read(table_start, XATTR_TABLE.size, section=section))
        list_start = table_start + XATTR_TABLE.size
        self.rows = Table(source, settings, XATTR_ID, list_start, self.header.id_count, section=section)
        self.stream = MetadataReader(source, settings, self.header.start, table_start, section="xattr table")
        self._kept: Cache[int, dict[bytes, bytes]] = Cache(_KEPT_COUNT)

    def read(self, index: int) -> dict[bytes, bytes]:
        """Give the attributes of one row, full names and values.

        Raises:
            CorruptImageError: There is no such row, or it leads nowhere.
        """
        found = self._kept.get(index)
        if found is None:
            found = self._read(index)
            if sum(map(len, found.values())) < _KEPT_SIZE:
                self._kept.put(index, found)
        return dict(found)

    def _read(self, index: int) -> dict[bytes, bytes]:
        row = self.rows[index]
        if row.xattr_count > _SET_LIMIT:
            raise CorruptImageError(f"{row.xattr_count} attributes", section="xattr id table", field="xattr_count")
        cursor = Cursor(self.stream, *split_metadata_ref(row.ref))
        found = {}
        shared: dict[int, bytes] = {}  # a value that a whole set refers to is read, and held, once
        size = 0
        for _ in range(row.xattr_count):
            key = XATTR_ENTRY.unpack(cursor.read(XATTR_ENTRY.size))
            suffix = cursor.read(key.name_size)
            value = self._value(cursor)
            if key.type & XATTR_OUT_OF_LINE:
                ref = XATTR_REF.unpack(value).value
                if ref not in shared:
                    shared[ref] = self._value(Cursor(self.stream, *split_metadata_ref(ref)))
                    size += len(shared[ref])
                value = shared[ref]
            else:
                size += len(value)
            if size > _SET_SIZE_LIMIT:
                raise CorruptImageError(f"values of {size} bytes and more in one set", section="xattr table")
            prefix_number = key.type & _PREFIX_MASK
            if prefix_number < len(XATTR_PREFIXES):
                found[XATTR_PREFIXES[prefix_number] + suffix] = value
        return found

    def _value(self, cursor: Cursor) -> bytes:
        size = XATTR_VALUE.unpack(cursor.read(XATTR_VALUE.size)).value
        if size > _VALUE_LIMIT:
            raise CorruptImageError(f"a value of {size} bytes", section="xattr table", field="value")
        return cursor.read(size)
