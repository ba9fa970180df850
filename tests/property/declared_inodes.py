"""Whole inodes, declared a second time: by hand, in construct, from the format document.

Nothing here comes from the package, so a mistake in its records, its writer or its reader shows.
"""

from __future__ import annotations

import io
import zlib
from typing import Any

from construct import (
    Array,
    Bytes,
    Computed,
    Const,
    Container,
    Int16ul,
    Int32ul,
    Int64ul,
    Struct,
    Switch,
    Tell,
    this,
)

__all__ = ["BASIC_TYPES", "EXTENDED_TYPES", "inode_table", "superblock_of"]

DIRECTORY, FILE, SYMLINK, BLOCK, CHARACTER, FIFO, SOCKET = BASIC_TYPES = range(1, 8)
EXTENDED_TYPES = range(8, 15)
_NONE = 0xFFFF_FFFF

_superblock = Struct(
    "magic" / Const(b"hsqs"),
    "inodes" / Int32ul,
    "made" / Int32ul,
    "block_size" / Int32ul,
    "fragments" / Int32ul,
    "compressor" / Int16ul,
    "block_log" / Int16ul,
    "flags" / Int16ul,
    "ids" / Int16ul,
    "major" / Int16ul,
    "minor" / Int16ul,
    "root" / Int64ul,
    "used" / Int64ul,
    "id_table" / Int64ul,
    "xattr_table" / Int64ul,
    "inode_table" / Int64ul,
    "directory_table" / Int64ul,
    "fragment_table" / Int64ul,
    "export_table" / Int64ul,
)


def _block_count(inode: Any) -> int:
    size, block_size = inode.size, inode._._.block_size
    return int(size // block_size if inode.fragment != _NONE else -(-size // block_size))


_index_row = Struct("position" / Int32ul, "block" / Int32ul, "last" / Int32ul, "name" / Bytes(this.last + 1))
_bodies = {
    1: Struct("block" / Int32ul, "links" / Int32ul, "size" / Int16ul, "offset" / Int16ul, "parent" / Int32ul),
    2: Struct(
        "start" / Int32ul,
        "fragment" / Int32ul,
        "tail" / Int32ul,
        "size" / Int32ul,
        "blocks" / Array(_block_count, Int32ul),
    ),
    3: Struct("links" / Int32ul, "size" / Int32ul, "target" / Bytes(this.size)),
    4: Struct("links" / Int32ul, "device" / Int32ul),
    6: Struct("links" / Int32ul),
    8: Struct(
        "links" / Int32ul,
        "size" / Int32ul,
        "block" / Int32ul,
        "parent" / Int32ul,
        "rows" / Int16ul,
        "offset" / Int16ul,
        "xattrs" / Int32ul,
        "index" / Array(this.rows, _index_row),
    ),
    9: Struct(
        "start" / Int64ul,
        "size" / Int64ul,
        "sparse" / Int64ul,
        "links" / Int32ul,
        "fragment" / Int32ul,
        "tail" / Int32ul,
        "xattrs" / Int32ul,
        "blocks" / Array(_block_count, Int32ul),
    ),
    10: Struct("links" / Int32ul, "size" / Int32ul, "target" / Bytes(this.size), "xattrs" / Int32ul),
    11: Struct("links" / Int32ul, "device" / Int32ul, "xattrs" / Int32ul),
    13: Struct("links" / Int32ul, "xattrs" / Int32ul),
}
_bodies |= {5: _bodies[4], 7: _bodies[6], 12: _bodies[11], 14: _bodies[13]}
_inode = Struct(
    "position" / Tell,
    "type" / Int16ul,
    "mode" / Int16ul,
    "uid" / Int16ul,
    "gid" / Int16ul,
    "time" / Int32ul,
    "number" / Int32ul,
    "body" / Switch(this.type, _bodies, default=Computed(None)),
    "end" / Tell,
)


def superblock_of(image: bytes) -> Container:
    """Parse the superblock."""
    parsed: Container = _superblock.parse(image)
    return parsed


def inode_table(image: bytes) -> tuple[list[Container], list[int]]:
    """Parse all inodes of an image that is compressed with zlib or not at all, to the table's last byte.

    Returns:
        The inodes, each with its byte in the uncompressed table, and where each metadata block starts in the image,
        from the table's start.
    """
    superblock = superblock_of(image)
    table, starts, at = b"", [], superblock.inode_table
    while at < superblock.directory_table:
        starts.append(at - superblock.inode_table)
        word = int.from_bytes(image[at : at + 2], "little")
        stored = image[at + 2 : at + 2 + (word & 0x7FFF)]
        table += stored if word & 0x8000 else zlib.decompress(stored)
        at += 2 + len(stored)
    assert at == superblock.directory_table
    stream, inodes = io.BytesIO(table), []
    while stream.tell() < len(table):
        inodes.append(_inode.parse_stream(stream, block_size=superblock.block_size))
    assert len(inodes) == superblock.inodes
    return inodes, starts
