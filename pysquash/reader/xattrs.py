"""Reader: extended attributes.

In: an inode's row of the xattr id table. Out: full names and values.
On disk: "Xattr table".
Rules kept here: a value is at most 64 KiB, as Linux has it; one out of line is followed once, and is itself in line;
attributes in a name space that the format does not have are passed over, as Linux does.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from pysquash.compression.base import CompressorSettings
from pysquash.errors import CorruptImageError
from pysquash.format.constants import XATTR_PREFIXES
from pysquash.format.records import XATTR_ENTRY, XATTR_REF, XATTR_TABLE, XATTR_VALUE, XattrId
from pysquash.format.rules import Rule
from pysquash.format.words import XATTR_OUT_OF_LINE, split_metadata_ref
from pysquash.reader.cache import Cache
from pysquash.reader.input import Input
from pysquash.reader.metadata import Cursor, MetadataReader
from pysquash.reader.tables import XATTR_IDS, Table

__all__ = ["VALUE_LIMIT", "Xattr", "XattrReader"]

VALUE_LIMIT = 65536
_SET_LIMIT = 65536
"""Bytes of a value, and attributes of a set, as in Linux."""
_SET_SIZE_LIMIT = 64 << 20
"""Bytes of one inode's names and values: a thousand of the longest. One value may be that of many names."""
_VALUE_SHARE = 16
_ROOM = 16 << 20
"""Bytes of sets that no image is refused for."""
_KEPT_COUNT = 64
_KEPT_SIZE = 4096
"""Bytes of a set that is kept in memory: one that many inodes share, such as a label, is short."""


class Xattr(NamedTuple):
    """One attribute as it is stored.

    Attributes:
        type: The number of its name space, and XATTR_OUT_OF_LINE.
        suffix: Its name without the name space.
        value: Its value, wherever that is.
        stored_size: Bytes that key and value take in the set itself.
        value_size: What the set says of the bytes of the value, or of the reference to it, which should be 8.
    """

    type: int
    suffix: bytes
    value: bytes
    stored_size: int
    value_size: int

    @property
    def cost(self) -> int:
        """What counts where sets must not be longer to read than their table: a value out of line is read as well."""
        return self.stored_size + (len(self.value) // _VALUE_SHARE if self.type & XATTR_OUT_OF_LINE else 0)

    @property
    def prefix(self) -> bytes | None:
        """The name space; None where the format has none of this number, which Linux passes over."""
        number = self.type & ~XATTR_OUT_OF_LINE
        return XATTR_PREFIXES[number] if number < len(XATTR_PREFIXES) else None


class XattrReader:
    """The xattr table of an image that has one.

    Attributes:
        header: What the superblock points at.
        rows: The xattr id table.
        stream: Keys and values.
    """

    def __init__(self, source: Input, settings: CompressorSettings, table_start: int) -> None:
        """Read the table's header.

        Args:
            source: The image.
            settings: Its compressor.
            table_start: What the superblock says.
        """
        packed = source.read(table_start, XATTR_TABLE.size, section=XATTR_IDS.section, rule=XATTR_IDS.end_rule)
        self.header = XATTR_TABLE.unpack(packed)
        self.rows: Table[XattrId] = Table(
            source, settings, XATTR_IDS, table_start + XATTR_TABLE.size, self.header.id_count
        )
        self.stream = MetadataReader(source, settings, self.header.start, table_start, section="xattr table")
        self._kept: Cache[int, dict[bytes, bytes]] = Cache(_KEPT_COUNT)
        self._read: set[int] = set()
        self._room = max(self.stream.size_limit, _ROOM)

    def read(self, index: int) -> dict[bytes, bytes]:
        """Give the attributes of one row, full names and values.

        Raises:
            CorruptImageError: There is no such row, or it leads nowhere; or all sets together are larger than the table
                can be, because rows share them: a short table would be long to read.
        """
        found = self._kept.get(index)
        if found is None:
            is_new = index not in self._read
            if is_new and self._room < 0:
                raise _corrupt("sets are larger than their table", "ref", Rule.XATTR_OVERLAP)
            self._read.add(index)
            found = {}
            for each in self.stored_set(index):
                if is_new:
                    self._room -= each.cost
                if each.prefix is not None:
                    found[each.prefix + each.suffix] = each.value
            if sum(map(len, found)) + sum(map(len, found.values())) < _KEPT_SIZE:
                self._kept.put(index, found)
        return dict(found)

    def stored_set(self, index: int) -> Iterator[Xattr]:
        """Yield the attributes of one row, as they are stored.

        Raises:
            CorruptImageError: There is no such row, or it leads nowhere.
        """
        row = self.rows[index]
        if row.xattr_count > _SET_LIMIT:
            raise _corrupt(f"{row.xattr_count} attributes", "xattr_count", Rule.XATTR_SET_SIZE)
        cursor = Cursor(self.stream, *split_metadata_ref(row.ref))
        shared: dict[int, bytes] = {}  # a value that a whole set refers to is read, and held, once
        held_size = 0
        for _ in range(row.xattr_count):
            key = XATTR_ENTRY.unpack(cursor.read(XATTR_ENTRY.size))
            suffix = cursor.read(key.name_size)
            is_out_of_line = key.type & XATTR_OUT_OF_LINE
            value_size = XATTR_VALUE.unpack(cursor.read(XATTR_VALUE.size)).value
            # A reference has 8 bytes, whatever its size says.
            value = cursor.read(XATTR_REF.size) if is_out_of_line else _value(cursor, value_size)
            stored_size = XATTR_ENTRY.size + len(suffix) + XATTR_VALUE.size + len(value)
            if is_out_of_line:
                ref = XATTR_REF.unpack(value).value
                if ref not in shared:
                    shared[ref] = self._value_at(ref)
                value = shared[ref]
            held_size += len(suffix) + len(value)
            if held_size > _SET_SIZE_LIMIT:
                raise _corrupt(f"{held_size} bytes and more in one set", "size", Rule.XATTR_SET_SIZE)
            yield Xattr(key.type, suffix, value, stored_size, value_size)

    def _value_at(self, ref: int) -> bytes:
        try:
            cursor = Cursor(self.stream, *split_metadata_ref(ref))
            return _value(cursor, XATTR_VALUE.unpack(cursor.read(XATTR_VALUE.size)).value)
        except CorruptImageError as error:
            raise _corrupt(f"of {ref:#x}: {error.text}", "value", Rule.XATTR_OUT_OF_LINE) from error


def _value(cursor: Cursor, size: int) -> bytes:
    if size > VALUE_LIMIT:
        raise _corrupt(f"a value of {size} bytes", "value", Rule.XATTR_VALUE)
    return cursor.read(size)


def _corrupt(text: str, field: str, rule: Rule) -> CorruptImageError:
    return CorruptImageError(text, section="xattr table", rule=rule, field=field)
