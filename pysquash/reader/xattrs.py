"""Reader: extended attributes.

In: an inode's row of the xattr id table. Out: full names and values.
On disk: "Xattr table".
Rules kept here: a value is at most 64 KiB; one out of line is followed once, and is itself in line.
"""

from __future__ import annotations

from pysquash.compression.base import CompressorSettings
from pysquash.errors import CorruptImageError
from pysquash.format.constants import XATTR_PREFIXES
from pysquash.format.records import XATTR_ENTRY, XATTR_ID, XATTR_REF, XATTR_TABLE, XATTR_VALUE
from pysquash.format.words import XATTR_OUT_OF_LINE, split_metadata_ref
from pysquash.reader.input import Input
from pysquash.reader.metadata import Cursor, MetadataReader
from pysquash.reader.tables import read_rows

__all__ = ["XattrReader"]

_VALUE_LIMIT = 65536
_SET_LIMIT = 65536


class XattrReader:
    """The xattr table of an image that has one."""

    def __init__(self, source: Input, settings: CompressorSettings, table_start: int) -> None:
        """Read the table's header and its rows.

        Args:
            source: The image.
            settings: Its compressor.
            table_start: What the superblock says.
        """
        section = "xattr id table"
        header = XATTR_TABLE.unpack(source.read(table_start, XATTR_TABLE.size, section=section))
        list_start = table_start + XATTR_TABLE.size
        if header.id_count * XATTR_ID.size > source.size * 2048:
            raise CorruptImageError(f"{header.id_count} rows", section=section, offset=table_start, field="id_count")
        self._rows = read_rows(source, settings, list_start, header.id_count * XATTR_ID.size, section=section)
        self._count = header.id_count
        self._stream = MetadataReader(source, settings, header.start, table_start, section="xattr table")

    def read(self, index: int) -> dict[bytes, bytes]:
        """Give the attributes of one row, full names and values.

        Raises:
            CorruptImageError: There is no such row, or it leads nowhere.
        """
        if index >= self._count:
            raise CorruptImageError(f"row {index} of {self._count}", section="xattr id table", field="xattr_index")
        row = XATTR_ID.unpack(self._rows, index * XATTR_ID.size)
        if row.xattr_count > _SET_LIMIT:
            raise CorruptImageError(f"{row.xattr_count} attributes", section="xattr id table", field="xattr_count")
        cursor = Cursor(self._stream, *split_metadata_ref(row.ref))
        found = {}
        for _ in range(row.xattr_count):
            key = XATTR_ENTRY.unpack(cursor.read(XATTR_ENTRY.size))
            prefix_number = key.type & ~XATTR_OUT_OF_LINE
            if prefix_number >= len(XATTR_PREFIXES):
                raise CorruptImageError(f"type is {key.type:#x}", section="xattr table", field="type")
            name = XATTR_PREFIXES[prefix_number] + cursor.read(key.name_size)
            value = self._value(cursor)
            if key.type & XATTR_OUT_OF_LINE:
                ref = XATTR_REF.unpack(value).value
                value = self._value(Cursor(self._stream, *split_metadata_ref(ref)))
            found[name] = value
        return found

    def _value(self, cursor: Cursor) -> bytes:
        size = XATTR_VALUE.unpack(cursor.read(XATTR_VALUE.size)).value
        if size > _VALUE_LIMIT:
            raise CorruptImageError(f"a value of {size} bytes", section="xattr table", field="value")
        return cursor.read(size)
