"""Reader: the structures of an image, field by field.

In: an open image. Out: its superblock, tables and inodes as they are stored, parsed by construct, each field with its
text.
Rules kept here: structures are read one by one, in bounded memory; rows and sets that share their bytes are refused
where reading them all would take longer than the image is large.
Not here: whether what is stored makes sense (fsck), the declarations (format/records). Imports construct, so only
`pysquash info --structures` imports this module.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, NamedTuple

from pysquash.errors import CorruptImageError, OptionError
from pysquash.format.codec import Codec
from pysquash.format.constants import DATA_START, NO_XATTRS, CompressorId, InodeType, SuperblockFlag
from pysquash.format.layouts import LAYOUTS
from pysquash.format.records import (
    CODECS,
    DATA_WORD,
    DIRECTORY_ENTRY,
    DIRECTORY_HEADER,
    DIRECTORY_INDEX,
    GZIP_OPTIONS,
    INODE_HEADER,
    LZ4_OPTIONS,
    LZO_OPTIONS,
    METADATA_HEADER,
    SUPERBLOCK,
    XATTR_ENTRY,
    XATTR_INDEX,
    XATTR_TABLE,
    XATTR_VALUE,
    XZ_OPTIONS,
    ZSTD_OPTIONS,
)
from pysquash.format.rules import Rule
from pysquash.format.words import metadata_ref, split_metadata_ref
from pysquash.reader.directories import read_index
from pysquash.reader.image import SquashfsImage
from pysquash.reader.inodes import BODIES, Inode
from pysquash.reader.metadata import Cursor, MetadataReader
from pysquash.reader.tables import Table
from pysquash.reader.xattrs import VALUE_LIMIT, XattrReader
from pysquash.tree.entry import Kind

__all__ = ["PARTS", "Field", "Structure", "read_structures"]

PARTS = ("superblock", "inodes", "directories", "fragments", "exports", "ids", "xattrs")
"""What `read_structures` reads by name."""

_OPTIONS: dict[int, Codec[Any]] = {
    CompressorId.GZIP: GZIP_OPTIONS,
    CompressorId.LZO: LZO_OPTIONS,
    CompressorId.XZ: XZ_OPTIONS,
    CompressorId.LZ4: LZ4_OPTIONS,
    CompressorId.ZSTD: ZSTD_OPTIONS,
}
_LAYOUTS = {codec: LAYOUTS[name] for name, codec in CODECS.items()}

_WORD_COUNT = 1024
"""DATA_WORDs of a block list that are read at once."""

_XATTR_ROOM = 128 << 10
"""Bytes of sets that no image is refused for."""


class Field(NamedTuple):
    """One field: its name, what is stored, and what that means."""

    name: str
    value: int | bytes
    text: str


class Structure(NamedTuple):
    """One structure.

    Attributes:
        title: What it is.
        place: Where it is stored.
        fields: In the order in which they are stored.
    """

    title: str
    place: str
    fields: list[Field]


def read_structures(image: SquashfsImage, what: str | None = None) -> Iterator[Structure]:
    """Yield the structures of an image, or some of them.

    Args:
        image: An open image.
        what: One of PARTS, an inode's number, or a path; None for all parts.

    Raises:
        CorruptImageError: A structure cannot be read.
        OptionError: No inode has the number.
        PathNotFoundError: The image has no such path.
    """
    readers = {
        "superblock": _superblock,
        "inodes": _all_inodes,
        "directories": _all_listings,
        "fragments": _fragments,
        "exports": _exports,
        "ids": _ids,
        "xattrs": _xattrs,
    }
    if what is None:
        for part in PARTS:
            yield from readers[part](image)
    elif what in readers:
        yield from readers[what](image)
    else:
        inode = _numbered(image, int(what)) if what.isascii() and what.isdigit() else (image / what).inode
        yield from _inode(image, inode)
        if inode.kind is Kind.DIRECTORY:
            yield from _listing(image, inode)
        if inode.xattr_index != NO_XATTRS and image.xattr_table is not None:
            yield from _xattr_set(image.xattr_table, inode.xattr_index)


def _parse(codec: Codec[Any], data: bytes, *, value_name: str = "value") -> list[Field]:
    """Parse one record with construct. A record of a single number gets `value_name`."""
    layout = _LAYOUTS[codec]
    values = layout.parse(data)
    return [
        Field(value_name if field.name == "value" else field.name, int(values[field.name]), str(field.docs))
        for field in layout.subcons
    ]


def _take(codec: Codec[Any], cursor: Cursor, *, value_name: str = "value") -> list[Field]:
    return _parse(codec, cursor.read(codec.size), value_name=value_name)


def _superblock(image: SquashfsImage) -> Iterator[Structure]:
    superblock, source = image.superblock, image.source
    stored = source.read(0, SUPERBLOCK.size, section="superblock", rule=Rule.BYTES_USED)
    yield Structure("superblock", "byte 0", _parse(SUPERBLOCK, stored))
    codec = _OPTIONS.get(superblock.compressor)
    if codec is not None and superblock.flags & SuperblockFlag.COMPRESSOR_OPTIONS:
        section, rule = "compressor options", Rule.COMPRESSOR_OPTIONS
        stored = source.read(DATA_START, METADATA_HEADER.size + codec.size, section=section, rule=rule)
        fields = _parse(METADATA_HEADER, stored[: METADATA_HEADER.size], value_name="metadata_header")
        yield Structure(section, f"byte {DATA_START}", fields + _parse(codec, stored[METADATA_HEADER.size :]))


def _walk(image: SquashfsImage) -> Iterator[Inode]:
    """Yield all inodes in the order in which they are stored, one after the other from the table's start."""
    cursor = Cursor(image.inodes, 0, 0)
    for _ in range(image.superblock.inode_count):
        start, offset = cursor.place
        block, next_start = image.inodes.block(start)
        if offset == len(block):
            start, offset = next_start, 0
        inode = image.read_inode(metadata_ref(start, offset))
        cursor.skip(inode.stored_size)
        for row in read_index(image.inodes, inode):
            cursor.skip(DIRECTORY_INDEX.size + len(row.name))
        yield inode


def _numbered(image: SquashfsImage, number: int) -> Inode:
    if 1 <= number <= image.superblock.inode_count:
        if image.exports is not None:
            return image.read_inode(image.exports[number - 1].value)
        for inode in _walk(image):
            if inode.number == number:
                return inode
    raise OptionError(f"inode {number} not found: the image has {image.superblock.inode_count} inodes")


def _all_inodes(image: SquashfsImage) -> Iterator[Structure]:
    for inode in _walk(image):
        yield from _inode(image, inode)


def _all_listings(image: SquashfsImage) -> Iterator[Structure]:
    for inode in _walk(image):
        if inode.kind is Kind.DIRECTORY:
            yield from _listing(image, inode)


def _inode(image: SquashfsImage, inode: Inode) -> Iterator[Structure]:
    """Yield an inode, and what follows it: blocks of a file, or the index of a directory."""
    cursor = Cursor(image.inodes, *split_metadata_ref(inode.ref))
    fields = _take(INODE_HEADER, cursor) + _take(BODIES[inode.type], cursor)
    if inode.kind is Kind.SYMLINK:
        fields.append(Field("target", cursor.read(inode.size), "target_size bytes"))
        if inode.type is InodeType.EXTENDED_SYMLINK:
            fields += _take(XATTR_INDEX, cursor, value_name="xattr_index")
    name = f"inode {inode.number}"
    words = inode.type.name.lower().replace("_", " ")
    yield Structure(f"{name}: {words}", f"metadata reference {inode.ref:#x} in the inode table", fields)
    for first in range(0, inode.block_count, _WORD_COUNT):
        last = min(first + _WORD_COUNT, inode.block_count)
        data = cursor.read((last - first) * DATA_WORD.size)
        rows: list[Field] = []
        for row in range(first, last):
            at = (row - first) * DATA_WORD.size
            rows += _parse(DATA_WORD, data[at : at + DATA_WORD.size], value_name=f"block {row}")
        yield Structure(f"{name}: block list", f"blocks {first} to {last - 1} of {inode.block_count}", rows)
    for number, index_row in enumerate(read_index(image.inodes, inode)):
        fields = _take(DIRECTORY_INDEX, cursor)
        fields.append(Field("name", cursor.read(len(index_row.name)), "first name after the directory header"))
        yield Structure(f"{name}: directory index", f"row {number} of {inode.index_count}", fields)


def _listing(image: SquashfsImage, inode: Inode) -> Iterator[Structure]:
    """Yield the headers and entries of a directory."""
    title = f"directory of inode {inode.number}"
    cursor: Cursor | None = None
    position, left = 0, 0
    for name in image.names(inode):  # which refuses what is too long to read
        if cursor is None:
            cursor = Cursor(image.listings, inode.listing_block_start, inode.listing_offset)
        if not left:
            data = cursor.read(DIRECTORY_HEADER.size)
            yield Structure(f"{title}: header", f"byte {position} of the listing", _parse(DIRECTORY_HEADER, data))
            left = DIRECTORY_HEADER.unpack(data).last_index + 1
            position += len(data)
        fields = _take(DIRECTORY_ENTRY, cursor)
        fields.append(Field("name", cursor.read(len(name.name)), "last_name_index + 1 bytes"))
        yield Structure(f"{title}: entry", f"byte {position} of the listing", fields)
        position += DIRECTORY_ENTRY.size + len(name.name)
        left -= 1


def _rows(table: Table[Any], *, value_name: str = "value") -> Iterator[Structure]:
    """Yield the rows of a table. Two blocks cannot be one: few bytes would then be many rows."""
    codec, section = table.kind.codec, table.kind.section
    index, last_start = 0, -1
    for block_index in range(table.block_count):
        start = table.location(block_index)
        if start <= last_start:
            text = f"block {block_index} starts at {start}, not after {last_start}"
            raise CorruptImageError(text, section=section, rule=Rule.LOCATION_ORDER, offset=table.list_start)
        last_start = start
        block = table.block(block_index)
        for offset in range(0, len(block), codec.size):
            fields = _parse(codec, block[offset : offset + codec.size], value_name=value_name)
            yield Structure(section, f"row {index} of {table.row_count}", fields)
            index += 1


def _fragments(image: SquashfsImage) -> Iterator[Structure]:
    if image.fragments is not None:
        yield from _rows(image.fragments)


def _exports(image: SquashfsImage) -> Iterator[Structure]:
    if image.exports is not None:
        yield from _rows(image.exports, value_name="inode_ref")


def _ids(image: SquashfsImage) -> Iterator[Structure]:
    yield from _rows(image.ids, value_name="id")


def _xattrs(image: SquashfsImage) -> Iterator[Structure]:
    table = image.xattr_table
    if table is None:
        return
    start = image.superblock.xattr_table_start
    stored = image.source.read(start, XATTR_TABLE.size, section="xattr id table", rule=Rule.XATTR_TABLE_END)
    yield Structure("xattr id table", f"byte {start}", _parse(XATTR_TABLE, stored))
    room = max(_uncompressed_size(table.stream), _XATTR_ROOM)
    for index, row in enumerate(_rows(table.rows)):
        yield row
        for structure in _xattr_set(table, index):
            room -= XATTR_ENTRY.size + XATTR_VALUE.size
            room -= sum(len(field.value) for field in structure.fields if isinstance(field.value, bytes))
            if room < 0:
                text = "sets are larger than their table"
                raise CorruptImageError(text, section="xattr table", rule=Rule.XATTR_OVERLAP, field="ref")
            yield structure


def _uncompressed_size(stream: MetadataReader) -> int:
    """Count the bytes of a table, as far as its blocks can be read."""
    size = start = 0
    with contextlib.suppress(CorruptImageError):
        while start < stream.stored_size:
            block, start = stream.block(start)
            size += len(block)
    return size


def _xattr_set(table: XattrReader, index: int) -> Iterator[Structure]:
    """Yield the attributes of one row of the xattr id table. References to values elsewhere are not followed."""
    row = table.rows[index]
    cursor = Cursor(table.stream, *split_metadata_ref(row.ref))
    for number in range(row.xattr_count):
        data = cursor.read(XATTR_ENTRY.size)
        fields = _parse(XATTR_ENTRY, data)
        name = cursor.read(XATTR_ENTRY.unpack(data).name_size)
        fields.append(Field("name", name, "name_size bytes, without the prefix"))
        data = cursor.read(XATTR_VALUE.size)
        fields += _parse(XATTR_VALUE, data, value_name="value_size")
        size = XATTR_VALUE.unpack(data).value
        if size > VALUE_LIMIT:
            text = f"a value of {size} bytes"
            raise CorruptImageError(text, section="xattr table", rule=Rule.XATTR_VALUE, field="value")
        fields.append(Field("value", cursor.read(size), "value_size bytes"))
        yield Structure(f"xattr set {index}", f"attribute {number} of {row.xattr_count}", fields)
