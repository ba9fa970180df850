"""Reader: inodes, basic and extended ones made equal.

In: a metadata reference. Out: an `Inode`.
On disk: "Inode table".
Rules kept here: a type is 1 to 14; a symlink's target is at most 64 KiB.
Not here: names (directories), content and block lists (data).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pysquash.errors import CorruptImageError
from pysquash.format.codec import Codec, joined_unpack
from pysquash.format.constants import EXTENDED, NO_FRAGMENT, NO_XATTRS, InodeType
from pysquash.format.records import (
    BASIC_DEVICE,
    BASIC_DIRECTORY,
    BASIC_FILE,
    BASIC_IPC,
    BASIC_SYMLINK,
    DATA_WORD,
    EXTENDED_DEVICE,
    EXTENDED_DIRECTORY,
    EXTENDED_FILE,
    EXTENDED_IPC,
    INODE_HEADER,
    XATTR_INDEX,
)
from pysquash.format.rules import Rule
from pysquash.format.words import split_device_number
from pysquash.reader.metadata import Cursor, MetadataReader
from pysquash.tree.entry import Kind

__all__ = ["BODIES", "Inode", "Place", "read_inode"]

Place = tuple[int, int]
"""Where a `Cursor` of the inode table goes on: a metadata block's start, and the byte inside the uncompressed block."""

_TARGET_LIMIT = 65536
"""Bytes of a symlink's target. Linux follows at most 4095; unsquashfs takes 65535."""

_SIZE_LIMIT = 2**63 - 1
"""Bytes of a file: there are no positions behind, on any system."""


@dataclass(slots=True)
class Inode:
    """What an inode says, whatever its type.

    Attributes:
        ref: Its own metadata reference, from the inode table's start.
        type: 1 to 14.
        kind: The kind that the basic and the extended type share.
        mode: As stored: permission bits, and whatever else a tool has put there.
        uid_index: Row of the id table.
        gid_index: Row of the id table.
        mtime: Seconds since 1970.
        number: The inode number.
        nlink: Names; 1 for a basic file, which does not say.
        xattr_index: Row of the xattr id table, or NO_XATTRS.
        size: Bytes of a file, of a symlink's target; 0 for all else.
        target: A symlink's.
        device: (major, minor) of a device.
        blocks_start: Absolute byte of a file's first data block.
        block_count: DATA_WORDs in a file's block list.
        rows_place: Where a file's block list, or a directory's index, starts.
        fragment_index: Row of the fragment table, or NO_FRAGMENT.
        fragment_offset: Byte of the tail in the uncompressed fragment block.
        sparse: Bytes in holes, as the inode says.
        listing_block_start: Metadata block of a directory's listing.
        listing_offset: Byte of it in that block.
        listing_size: Bytes of it, without the 3 that the inode adds; less than 0 is as empty as 0, to Linux too.
        index_count: Rows of a directory's index.
        parent_number: Inode number of a directory's parent.
    """

    ref: int
    type: InodeType
    kind: Kind
    mode: int
    uid_index: int
    gid_index: int
    mtime: int
    number: int
    nlink: int = 1
    xattr_index: int = NO_XATTRS
    size: int = 0
    target: bytes = b""
    device: tuple[int, int] | None = None
    blocks_start: int = 0
    block_count: int = 0
    rows_place: Place = (0, 0)
    fragment_index: int = NO_FRAGMENT
    fragment_offset: int = 0
    sparse: int = 0
    listing_block_start: int = 0
    listing_offset: int = 0
    listing_size: int = 0
    index_count: int = 0
    parent_number: int = 0

    @property
    def is_extended(self) -> bool:
        """Tell whether the inode is of the extended type."""
        return self.type > EXTENDED

    @property
    def stored_size(self) -> int:
        """The bytes of the inode table that it takes, but for a directory's index."""
        behind_target = XATTR_INDEX.size if self.type is InodeType.EXTENDED_SYMLINK else 0
        return _LAYOUTS[self.type][-1] + len(self.target) + behind_target + self.block_count * DATA_WORD.size


BODIES: dict[InodeType, Codec[Any]] = {
    InodeType.BASIC_DIRECTORY: BASIC_DIRECTORY,
    InodeType.BASIC_FILE: BASIC_FILE,
    InodeType.BASIC_SYMLINK: BASIC_SYMLINK,
    InodeType.BASIC_BLOCK_DEVICE: BASIC_DEVICE,
    InodeType.BASIC_CHARACTER_DEVICE: BASIC_DEVICE,
    InodeType.BASIC_FIFO: BASIC_IPC,
    InodeType.BASIC_SOCKET: BASIC_IPC,
    InodeType.EXTENDED_DIRECTORY: EXTENDED_DIRECTORY,
    InodeType.EXTENDED_FILE: EXTENDED_FILE,
    InodeType.EXTENDED_SYMLINK: BASIC_SYMLINK,  # the same body; what is more follows the target
    InodeType.EXTENDED_BLOCK_DEVICE: EXTENDED_DEVICE,
    InodeType.EXTENDED_CHARACTER_DEVICE: EXTENDED_DEVICE,
    InodeType.EXTENDED_FIFO: EXTENDED_IPC,
    InodeType.EXTENDED_SOCKET: EXTENDED_IPC,
}

# By type number: the type, its kind, and how header and body are unpacked in one call of struct, once an inode.
_Layout = tuple[InodeType, Kind, Callable[[Any, int], tuple[Any, ...]], int]
_LAYOUTS: dict[int, _Layout] = {
    kind.value: (kind, Kind((kind - 1) % EXTENDED + 1), *joined_unpack(INODE_HEADER, body))
    for kind, body in BODIES.items()
}


def read_inode(table: MetadataReader, ref: int, block_size: int) -> Inode:
    """Read one inode.

    Args:
        table: The inode table.
        ref: Metadata reference from the table's start.
        block_size: Bytes in a data block.

    Raises:
        CorruptImageError: There is no inode, or none that makes sense.
    """
    cursor = Cursor(table, ref >> 16, ref & 0xFFFF)  # split_metadata_ref, written out: once an inode
    data, offset = cursor.peek(2)
    type_number = data[offset] | data[offset + 1] << 8
    layout = _LAYOUTS.get(type_number)
    if layout is None:
        raise _corrupt(f"type is {type_number}, not 1 to 14", ref, "type", Rule.INODE_TYPE)
    inode_type, kind, unpack, size = layout
    data, offset = cursor.peek(size)
    fields = unpack(data, offset)
    cursor.skip(size)
    inode = Inode(ref, inode_type, kind, *fields[1:6])
    body = fields[6:]
    if inode_type is InodeType.BASIC_FILE:
        inode.blocks_start, inode.fragment_index, inode.fragment_offset, inode.size = body
        _count_blocks(inode, cursor, block_size)
    elif inode_type is InodeType.BASIC_DIRECTORY:
        inode.listing_block_start, inode.nlink, stored_size, inode.listing_offset, inode.parent_number = body
        inode.listing_size = stored_size - 3
    elif inode_type is InodeType.EXTENDED_DIRECTORY:
        inode.nlink, stored_size, inode.listing_block_start, inode.parent_number = body[:4]
        inode.index_count, inode.listing_offset, inode.xattr_index = body[4:]
        inode.listing_size = stored_size - 3
        inode.rows_place = cursor.place
    elif kind is Kind.SYMLINK:
        inode.nlink, inode.size = body
        _read_target(inode, cursor)
    elif inode_type is InodeType.EXTENDED_FILE:
        inode.blocks_start, inode.size, inode.sparse, inode.nlink = body[:4]
        inode.fragment_index, inode.fragment_offset, inode.xattr_index = body[4:]
        _count_blocks(inode, cursor, block_size)
    else:
        inode.nlink = body[0]
        if kind in (Kind.BLOCK_DEVICE, Kind.CHARACTER_DEVICE):
            inode.device = split_device_number(body[1])
        if inode_type > EXTENDED:
            inode.xattr_index = body[-1]
    return inode


def _count_blocks(inode: Inode, cursor: Cursor, block_size: int) -> None:
    """Note how many blocks a file has, and where their list is: all of it, or all but a tail in a fragment."""
    size = inode.size
    if size > _SIZE_LIMIT:
        raise _corrupt(f"a file of {size} bytes", inode.ref, "size", Rule.BLOCK_LIST)
    inode.block_count = size // block_size if inode.fragment_index != NO_FRAGMENT else -(-size // block_size)
    inode.rows_place = cursor.place


def _read_target(inode: Inode, cursor: Cursor) -> None:
    if inode.size > _TARGET_LIMIT:
        raise _corrupt(f"a symlink's target of {inode.size} bytes", inode.ref, "target_size", Rule.SYMLINK_TARGET)
    inode.target = cursor.read(inode.size)
    if inode.type is InodeType.EXTENDED_SYMLINK:
        inode.xattr_index = XATTR_INDEX.unpack(cursor.read(XATTR_INDEX.size)).value


def _corrupt(text: str, ref: int, field: str, rule: Rule) -> CorruptImageError:
    return CorruptImageError(f"{text} (metadata reference {ref:#x})", section="inode table", rule=rule, field=field)
