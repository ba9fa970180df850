"""Format: the fixed numbers of SquashFS 4.0.

Out: names for the numbers that the format document and the kernel's squashfs_fs.h fix. Structures are in records, bits
inside one number in words.
"""

from __future__ import annotations

import enum
from typing import Final

__all__ = [
    "DATA_START",
    "HEADER_ENTRY_COUNT",
    "MAGIC",
    "METADATA_SIZE",
    "NO_FRAGMENT",
    "NO_TABLE",
    "NO_XATTRS",
    "PADDING_SIZE",
    "VERSION",
    "XATTR_PREFIXES",
    "CompressorId",
    "InodeType",
    "SuperblockFlag",
]

MAGIC: Final = 0x73717368
"""The first four bytes, "hsqs", as a little-endian number."""

VERSION: Final = (4, 0)

METADATA_SIZE: Final = 8192
"""Uncompressed bytes in every metadata block but a table's last."""

DATA_START: Final = 96
"""The byte after the superblock: the compressor's options where there are any, else data."""

PADDING_SIZE: Final = 4096
"""Images end on a multiple of this: Linux's loop device serves whole sectors and pages only."""

HEADER_ENTRY_COUNT: Final = 256
"""Entries behind one directory header, at most."""

NO_TABLE: Final = 0xFFFF_FFFF_FFFF_FFFF
"""Where a table's start would stand: the image has no such table."""

NO_FRAGMENT: Final = 0xFFFF_FFFF
"""Where a fragment's index would stand: the file has no tail in a fragment."""

NO_XATTRS: Final = 0xFFFF_FFFF
"""Where a row of the xattr id table would stand: the inode has no extended attributes."""


class CompressorId(enum.IntEnum):
    """The superblock's number for each compressor."""

    GZIP = 1
    LZMA = 2
    LZO = 3
    XZ = 4
    LZ4 = 5
    ZSTD = 6


class SuperblockFlag(enum.IntFlag):
    """What the superblock says of the rest. Linux goes by the table starts and heeds few of these."""

    UNCOMPRESSED_INODES = 0x0001
    UNCOMPRESSED_DATA = 0x0002
    UNCOMPRESSED_FRAGMENTS = 0x0008
    NO_FRAGMENTS = 0x0010
    ALWAYS_FRAGMENTS = 0x0020
    DUPLICATES = 0x0040
    EXPORTABLE = 0x0080
    UNCOMPRESSED_XATTRS = 0x0100
    NO_XATTRS = 0x0200
    COMPRESSOR_OPTIONS = 0x0400
    UNCOMPRESSED_IDS = 0x0800


class InodeType(enum.IntEnum):
    """The fourteen inode types. A directory entry names the basic one also where its inode is extended."""

    BASIC_DIRECTORY = 1
    BASIC_FILE = 2
    BASIC_SYMLINK = 3
    BASIC_BLOCK_DEVICE = 4
    BASIC_CHARACTER_DEVICE = 5
    BASIC_FIFO = 6
    BASIC_SOCKET = 7
    EXTENDED_DIRECTORY = 8
    EXTENDED_FILE = 9
    EXTENDED_SYMLINK = 10
    EXTENDED_BLOCK_DEVICE = 11
    EXTENDED_CHARACTER_DEVICE = 12
    EXTENDED_FIFO = 13
    EXTENDED_SOCKET = 14


EXTENDED: Final = 7
"""What to add to a basic inode type to have the extended one."""

XATTR_PREFIXES: Final = (b"user.", b"trusted.", b"security.")
"""The name spaces an xattr can be in; the row is the number stored instead of the prefix."""
