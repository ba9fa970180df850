"""Reader: inodes, basic and extended ones made equal.

In: a metadata reference. Out: an `Inode`.
On disk: "Inode table".
Rules kept here: a type is 1 to 14; a block list has as many words as the file's size asks for.
Not here: names (directories), content (data).
"""

from __future__ import annotations

from dataclasses import dataclass

from pysquash.errors import CorruptImageError
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
    InodeHeader,
)
from pysquash.format.words import split_device_number, split_metadata_ref
from pysquash.reader.metadata import Cursor, MetadataReader
from pysquash.tree.entry import Kind

__all__ = ["Inode", "read_inode"]

_TARGET_LIMIT = 65536


@dataclass(slots=True)
class Inode:
    """What an inode says, whatever its type.

    Attributes:
        ref: Its own metadata reference, from the inode table's start.
        type: 1 to 14.
        header: What all inodes have.
        nlink: Names; 1 for a basic file, which does not say.
        xattr_index: Row of the xattr id table, or NO_XATTRS.
        size: Bytes of a file, of a symlink's target; 0 for all else.
        target: A symlink's.
        device: (major, minor) of a device.
        blocks_start: Absolute byte of a file's first data block.
        block_words: A file's block list, DATA_WORDs packed.
        fragment_index: Row of the fragment table, or NO_FRAGMENT.
        fragment_offset: Byte of the tail in the uncompressed fragment block.
        sparse: Bytes in holes, as the inode says.
        listing_block_start: Metadata block of a directory's listing.
        listing_offset: Byte of it in that block.
        listing_size: Bytes of it, without the 3 that the inode adds.
        index_count: Rows of a directory's index.
        parent_number: Inode number of a directory's parent.
    """

    ref: int
    type: InodeType
    header: InodeHeader
    nlink: int = 1
    xattr_index: int = NO_XATTRS
    size: int = 0
    target: bytes = b""
    device: tuple[int, int] | None = None
    blocks_start: int = 0
    block_words: bytes = b""
    fragment_index: int = NO_FRAGMENT
    fragment_offset: int = 0
    sparse: int = 0
    listing_block_start: int = 0
    listing_offset: int = 0
    listing_size: int = 0
    index_count: int = 0
    parent_number: int = 0

    @property
    def kind(self) -> Kind:
        """The kind that basic and extended inodes share."""
        return Kind(self.type - EXTENDED if self.type > EXTENDED else self.type)


def read_inode(table: MetadataReader, ref: int, block_size: int, image_size: int) -> Inode:
    """Read one inode.

    Args:
        table: The inode table.
        ref: Metadata reference from the table's start.
        block_size: Bytes in a data block.
        image_size: Bytes in the image; no block list is longer.

    Raises:
        CorruptImageError: There is no inode, or none that makes sense.
    """
    cursor = Cursor(table, *split_metadata_ref(ref))
    header = INODE_HEADER.unpack(cursor.read(INODE_HEADER.size))
    try:
        inode = Inode(ref, InodeType(header.type), header)
    except ValueError:
        raise _corrupt(f"type is {header.type}, not 1 to 14", ref, "type") from None
    kind, is_extended = inode.kind, header.type > EXTENDED
    if kind is Kind.FILE:
        _read_file(inode, cursor, block_size, image_size)
    elif kind is Kind.DIRECTORY:
        _read_directory(inode, cursor)
    elif kind is Kind.SYMLINK:
        symlink = BASIC_SYMLINK.unpack(cursor.read(BASIC_SYMLINK.size))
        if symlink.target_size > _TARGET_LIMIT:
            raise _corrupt(f"a symlink's target of {symlink.target_size} bytes", ref, "target_size")
        inode.nlink, inode.size = symlink.nlink, symlink.target_size
        inode.target = cursor.read(symlink.target_size)
        if is_extended:
            inode.xattr_index = XATTR_INDEX.unpack(cursor.read(XATTR_INDEX.size)).value
    elif kind in (Kind.BLOCK_DEVICE, Kind.CHARACTER_DEVICE):
        if is_extended:
            extended = EXTENDED_DEVICE.unpack(cursor.read(EXTENDED_DEVICE.size))
            inode.nlink, number, inode.xattr_index = extended
        else:
            inode.nlink, number = BASIC_DEVICE.unpack(cursor.read(BASIC_DEVICE.size))
        inode.device = split_device_number(number)
    elif is_extended:
        inode.nlink, inode.xattr_index = EXTENDED_IPC.unpack(cursor.read(EXTENDED_IPC.size))
    else:
        (inode.nlink,) = BASIC_IPC.unpack(cursor.read(BASIC_IPC.size))
    return inode


def _read_file(inode: Inode, cursor: Cursor, block_size: int, image_size: int) -> None:
    if inode.type is InodeType.BASIC_FILE:
        basic = BASIC_FILE.unpack(cursor.read(BASIC_FILE.size))
        inode.blocks_start, inode.fragment_index, inode.fragment_offset, inode.size = basic
    else:
        file = EXTENDED_FILE.unpack(cursor.read(EXTENDED_FILE.size))
        inode.blocks_start, inode.size, inode.sparse, inode.nlink = file[:4]
        inode.fragment_index, inode.fragment_offset, inode.xattr_index = file[4:]
    has_tail = inode.fragment_index != NO_FRAGMENT
    count = inode.size // block_size if has_tail else -(-inode.size // block_size)
    # A word takes four bytes of metadata, which compress at most some thousand times: more cannot be in the image.
    if count * DATA_WORD.size > max(image_size, 1 << 16) * 2048:
        raise _corrupt(f"a file of {inode.size} bytes", inode.ref, "size")
    inode.block_words = cursor.read(count * DATA_WORD.size)


def _read_directory(inode: Inode, cursor: Cursor) -> None:
    if inode.type is InodeType.BASIC_DIRECTORY:
        basic = BASIC_DIRECTORY.unpack(cursor.read(BASIC_DIRECTORY.size))
        inode.listing_block_start, inode.nlink, size, inode.listing_offset, inode.parent_number = basic
    else:
        extended = EXTENDED_DIRECTORY.unpack(cursor.read(EXTENDED_DIRECTORY.size))
        inode.nlink, size, inode.listing_block_start, inode.parent_number = extended[:4]
        inode.index_count, inode.listing_offset, inode.xattr_index = extended[4:]
    if size < 3:  # "an empty directory is 3 (0 is fatal in unsquashfs)"; Linux takes less for empty
        size = 3
    inode.listing_size = size - 3


def _corrupt(text: str, ref: int, field: str) -> CorruptImageError:
    return CorruptImageError(f"{text} (reference {ref:#x})", section="inode table", field=field)
