"""Format: the rules that an image keeps, each with its name, and who refuses an image that breaks it.

Out: `Rule`. The reader's errors name the rule that was broken, and so do the findings of a check.
"Refuses" means that reading the whole image through it fails somewhere, or shows something else than what the image was
made of. Each rule's judges were measured on images that break just this rule, with Linux 6.18 and unsquashfs 4.5.1;
where it depends on the value, the check says which of them it is.
Not here: looking for broken rules (fsck); writing images that keep them (writer).
"""

from __future__ import annotations

import enum
from typing import Final, Self

__all__ = ["KERNEL", "UNSQUASHFS", "Rule"]

KERNEL: Final = "kernel"
UNSQUASHFS: Final = "unsquashfs"

_BOTH = (KERNEL, UNSQUASHFS)
_KERNEL = (KERNEL,)
_UNSQUASHFS = (UNSQUASHFS,)
_NEITHER = ()


class Rule(enum.StrEnum):
    """A rule: its name as text, and what is known of it.

    Attributes:
        part: The part of the image that it concerns.
        text: What has to hold.
        refused_by: KERNEL, UNSQUASHFS, both or neither.
    """

    part: str
    text: str
    refused_by: tuple[str, ...]

    def __new__(cls, name: str, part: str, text: str, refused_by: tuple[str, ...]) -> Self:
        """Make the text that stands for the rule, and note the rest beside it."""
        self = str.__new__(cls, name)
        self._value_ = name
        self.part = part
        self.text = text
        self.refused_by = refused_by
        return self

    VERSION = (
        "version",
        "superblock",
        "the version is 4.0; unsquashfs also reads versions 1.0 to 3.1, which this check does not",
        _BOTH,
    )
    COMPRESSOR = "compressor", "superblock", "the compressor is gzip, lzo, xz, lz4 or zstd; lzma is unsquashfs's", _BOTH
    BLOCK_SIZE = "block-size", "superblock", "block_size is 1 << block_log, from 4096 to 1 MiB", _BOTH
    BYTES_USED = "bytes-used", "superblock", "the file holds all of bytes_used", _BOTH
    PADDING = "padding", "superblock", "the file reaches the next multiple of 4096 behind bytes_used", _KERNEL
    TABLE_ORDER = (
        "table-order",
        "superblock",
        "the inode table, the directory table and the tables behind follow each other",
        _BOTH,
    )
    CHECK_FLAG = "check-flag", "superblock", "flag 0x4, for checksums that no writer makes, is not set", _UNSQUASHFS
    ROOT = "root", "superblock", "root_ref leads to a directory", _BOTH
    ID_COUNT = "id-count", "superblock", "id_count is at least 1", _BOTH
    ID_COUNT_PLAUSIBLE = (
        "id-count-plausible",
        "superblock",
        "id_count is at most twice the number of inodes",
        _UNSQUASHFS,
    )
    FRAGMENT_COUNT = "fragment-count", "superblock", "fragment_count is at most the number of inodes", _UNSQUASHFS
    INODE_COUNT = (
        "inode-count",
        "superblock",
        "inode_count is the number of inodes, and the last one's",
        _UNSQUASHFS,
    )

    COMPRESSOR_OPTIONS = (
        "compressor-options",
        "compressor options",
        "with the flag for them, an uncompressed metadata block with the compressor's options is at byte 96",
        _BOTH,
    )
    LZ4_OPTIONS = "lz4-options", "compressor options", "an lz4 image has options, of version 1", _BOTH
    XZ_DICTIONARY_OPTIONS = (
        "xz-dictionary-options",
        "compressor options",
        "xz's dictionary is 2^n or 2^n + 2^(n+1), from 8192 to block_size",
        _KERNEL,
    )

    XATTR_TABLE_END = "xattr-table-end", "xattr id table", "its location list ends at bytes_used", _BOTH
    XATTR_ID_COUNT = "xattr-id-count", "xattr id table", "it has a row at least: without any there is no table", _BOTH
    XATTR_TABLE_START = "xattr-table-start", "xattr id table", "keys and values are in front of the rows", _KERNEL
    ID_TABLE_END = (
        "id-table-end",
        "id table",
        "its location list ends where the xattr table starts, or at bytes_used where there is none",
        _BOTH,
    )
    EXPORT_TABLE_END = "export-table-end", "export table", "its location list ends where the id table starts", _BOTH
    FRAGMENT_TABLE_END = (
        "fragment-table-end",
        "fragment table",
        "its location list ends where the next table starts",
        _BOTH,
    )
    LOCATION_ORDER = (
        "location-order",
        "location lists",
        "locations increase by at most 8194, and the last is at most 8194 bytes in front of the list",
        _KERNEL,
    )
    TABLE_BLOCK_SIZE = (
        "table-block-size",
        "location lists",
        "every metadata block of a table holds 8192 bytes, but for the last, which holds the rest",
        _BOTH,
    )
    EXPORT_REF = "export-ref", "export table", "each row is the reference of the inode with its number", _NEITHER
    UNUSED = "unused", "tables", "unused fields, bits of references above 47 and unknown flags are 0", _NEITHER

    METADATA_SIZE = "metadata-size", "metadata blocks", "a block is stored in 1 to 8192 bytes, and holds as many", _BOTH
    METADATA_END = "metadata-end", "metadata blocks", "blocks fill their table, to the byte", _BOTH
    METADATA_FULL = (
        "metadata-full",
        "metadata blocks",
        "every block of such a table holds 8192 bytes, but for the last",
        _UNSQUASHFS,
    )
    METADATA_REF = (
        "metadata-ref",
        "metadata blocks",
        "a reference leads to the start of a block, and to a byte inside it",
        _BOTH,
    )
    RECORD = "record", "metadata blocks", "a record ends before its table does", _BOTH
    STORED_SIZE = "stored-size", "blocks", "a compressed block is smaller than what it holds", _NEITHER
    DECOMPRESSION = "decompression", "blocks", "a compressed block can be decompressed", _BOTH
    ZSTD_WINDOW = "zstd-window", "blocks", "a zstd frame's window is at most block_size, or 8192", _KERNEL
    ZSTD_TRAILING = "zstd-trailing", "blocks", "nothing follows a zstd frame in its block", _UNSQUASHFS
    XZ_CHECK = "xz-check", "blocks", "an xz stream has a check of CRC32 or none", _KERNEL
    XZ_DICTIONARY = "xz-dictionary", "blocks", "an xz stream's dictionary is at most block_size, or 8192", _KERNEL

    INODE_TYPE = "inode-type", "inodes", "the type is 1 to 14", _BOTH
    INODE_MODE = "inode-mode", "inodes", "mode has permission bits only", _KERNEL
    INODE_NUMBER = "inode-number", "inodes", "numbers are 1 to inode_count", _BOTH
    INODE_NUMBER_UNIQUE = "inode-number-unique", "inodes", "no two inodes have one number", _BOTH
    INODE_OVERLAP = "inode-overlap", "inodes", "inodes do not overlap", _NEITHER
    ID_INDEX = "id-index", "inodes", "owner and group are rows of the id table", _BOTH
    WHOLE_BLOCKS_FRAGMENT = (
        "whole-blocks-fragment",
        "inodes",
        "a file of whole blocks, or of none, has no fragment",
        _KERNEL,
    )
    BLOCK_LIST = "block-list", "inodes", "all of a file is in blocks or a fragment, and their list in the table", _BOTH
    SPARSE = "sparse", "inodes", "sparse counts the bytes in holes, or is 0", _NEITHER
    BASIC_FILE = "basic-file", "inodes", "a file with several names is of the extended type", _NEITHER
    NLINK = (
        "nlink",
        "inodes",
        "nlink counts names; for a directory 2 and its subdirectories, or all that is in it",
        _NEITHER,
    )
    SYMLINK_TARGET = "symlink-target", "inodes", "a target has 1 to 4095 bytes, none of them NUL", _BOTH
    DIRECTORY_SIZE = "directory-size", "inodes", "a directory's listing_size is 3 or more", _NEITHER
    PARENT_NUMBER = (
        "parent-number",
        "inodes",
        "parent_number is the number of the directory above; the root's is inode_count + 1, or 0",
        _NEITHER,
    )

    LISTING = "listing", "directories", "a listing is made of whole headers and entries, inside its table", _UNSQUASHFS
    LISTING_END = "listing-end", "directories", "a listing ends with the last entry of its last header", _BOTH
    LISTING_OVERLAP = "listing-overlap", "directories", "listings do not overlap", _BOTH
    HEADER_COUNT = "header-count", "directories", "a header has 1 to 256 entries, which follow it", _BOTH
    HEADER_EMPTY = "header-empty", "directories", "a header has an entry at least", _NEITHER
    NAME_SIZE = "name-size", "directories", "a name has 1 to 255 bytes", _BOTH
    NAME_CHARACTERS = "name-characters", "directories", "no name has a / or a NUL, or is . or ..", _BOTH
    NAME_ORDER = "name-order", "directories", "names are sorted by their bytes, unsigned", _BOTH
    NAME_UNIQUE = "name-unique", "directories", "no name is there twice", _BOTH
    ENTRY_TYPE = "entry-type", "directories", "an entry's type is a basic one, 1 to 7", _BOTH
    ENTRY_KIND = "entry-kind", "directories", "an entry says what its inode is", _BOTH
    ENTRY_NUMBER = "entry-number", "directories", "an entry has its inode's number", _KERNEL
    DIRECTORY_INDEX = (
        "directory-index",
        "directories",
        "the rows of an index increase, and name a header of the listing, its block, and its first name",
        _KERNEL,
    )
    DIRECTORY_ONCE = "directory-once", "directories", "a directory has one name", _BOTH
    DEPTH = (
        "depth",
        "directories",
        "at most 4096 directories are inside each other, and their paths have at most 65536 bytes",
        _UNSQUASHFS,
    )

    DATA_RANGE = "data-range", "data", "blocks are behind the superblock, and in front of the inode table", _BOTH
    DATA_SIZE = "data-size", "data", "a block is stored in 1 to block_size bytes; bit 24 is all else that is set", _BOTH
    DATA_LENGTH = "data-length", "data", "a block holds block_size bytes, and a file's last one the rest", _BOTH
    DATA_OVERLAP = "data-overlap", "data", "blocks that overlap are the same", _NEITHER
    FRAGMENT_SIZE = (
        "fragment-size",
        "data",
        "a fragment block is stored in 1 to block_size bytes; bit 24 is all else that is set",
        _BOTH,
    )
    FRAGMENT_INDEX = "fragment-index", "data", "a tail is in a row of the fragment table", _BOTH
    FRAGMENT_RANGE = "fragment-range", "data", "a tail lies inside its fragment block", _BOTH

    XATTR_INDEX = "xattr-index", "xattrs", "an inode's xattr_index is a row of the xattr id table", _BOTH
    XATTR_COUNT = "xattr-count", "xattrs", "a set has 1 attribute to as many as the table can hold", _BOTH
    XATTR_SET_SIZE = (
        "xattr-set-size",
        "xattrs",
        "a row's size is the sum of its full names, their values, and 1 for each",
        _NEITHER,
    )
    XATTR_OVERLAP = "xattr-overlap", "xattrs", "sets do not overlap", _NEITHER
    XATTR_TYPE = "xattr-type", "xattrs", "the name space is user, trusted or security", _BOTH
    XATTR_NAME = "xattr-name", "xattrs", "a name goes on behind its name space, and has 255 bytes at most", _BOTH
    XATTR_VALUE = "xattr-value", "xattrs", "a value has 65536 bytes at most", _BOTH
    XATTR_REF_SIZE = "xattr-ref-size", "xattrs", "a reference to a value out of line has 8 bytes", _KERNEL
    XATTR_OUT_OF_LINE = "xattr-out-of-line", "xattrs", "a value out of line is where its reference leads", _BOTH
    XATTR_USER = "xattr-user", "xattrs", "attributes of users are on files and directories only", _BOTH
