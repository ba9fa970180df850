"""Format: every structure of SquashFS 4.0, declared once.

Out: for each structure a NamedTuple, whose fields say their integer and what it is (unit, range, origin), and a `Codec`
that packs it. All integers are little-endian. What follows a structure with a size of its own (names, block lists,
targets) is said in the structure's text and written by the module that owns it.
Rules kept here: no field list of the format exists anywhere else. The integers are those of construct, but nobody needs
construct to pack: `make docs` derives the packers' formats (packed_formats).
Not here: construct's layouts (layouts); bits inside one number (words); which values are legal together (writer, fsck).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, NamedTuple

from pysquash.format.codec import Codec

if TYPE_CHECKING:
    from construct import Int16sl, Int16ul, Int32ul, Int64ul

__all__ = [
    "BASIC_DEVICE",
    "BASIC_DIRECTORY",
    "BASIC_FILE",
    "BASIC_IPC",
    "BASIC_SYMLINK",
    "CODECS",
    "DATA_WORD",
    "DIRECTORY_ENTRY",
    "DIRECTORY_HEADER",
    "DIRECTORY_INDEX",
    "EXPORT_REF",
    "EXTENDED_DEVICE",
    "EXTENDED_DIRECTORY",
    "EXTENDED_FILE",
    "EXTENDED_IPC",
    "FRAGMENT_ENTRY",
    "GZIP_OPTIONS",
    "ID",
    "INODE_HEADER",
    "LZ4_OPTIONS",
    "LZO_OPTIONS",
    "METADATA_HEADER",
    "SUPERBLOCK",
    "TABLE_LOCATION",
    "XATTR_ENTRY",
    "XATTR_ID",
    "XATTR_INDEX",
    "XATTR_REF",
    "XATTR_TABLE",
    "XATTR_VALUE",
    "XZ_OPTIONS",
    "ZSTD_OPTIONS",
]

# --- superblock and compressor options -------------------------------------------------------------------------------


class Superblock(NamedTuple):
    """The first 96 bytes of an image."""

    magic: Annotated[int, Int32ul, "0x73717368, the characters hsqs"]
    inode_count: Annotated[int, Int32ul, "inodes in the inode table; also the highest inode number"]
    mkfs_time: Annotated[int, Int32ul, "when the image was made, seconds since 1970"]
    block_size: Annotated[int, Int32ul, "bytes in a data block: a power of two, 4096 to 1 MiB"]
    fragment_count: Annotated[int, Int32ul, "rows of the fragment table"]
    compressor: Annotated[int, Int16ul, "1 gzip, 2 lzma, 3 lzo, 4 xz, 5 lz4, 6 zstd"]
    block_log: Annotated[int, Int16ul, "log2 of block_size, 12 to 20"]
    flags: Annotated[int, Int16ul, "see SuperblockFlag"]
    id_count: Annotated[int, Int16ul, "rows of the id table, 1 to 65535"]
    version_major: Annotated[int, Int16ul, "4"]
    version_minor: Annotated[int, Int16ul, "0"]
    root_ref: Annotated[int, Int64ul, "metadata reference of the root directory's inode, from inode_table_start"]
    bytes_used: Annotated[int, Int64ul, "bytes of the image before padding"]
    id_table_start: Annotated[int, Int64ul, "absolute byte of the id table's location list"]
    xattr_table_start: Annotated[int, Int64ul, "absolute byte of the xattr id table's header; 2^64-1: none"]
    inode_table_start: Annotated[int, Int64ul, "absolute byte of the inode table's first metadata block"]
    directory_table_start: Annotated[int, Int64ul, "absolute byte of the directory table's first metadata block"]
    fragment_table_start: Annotated[int, Int64ul, "absolute byte of the fragment table's location list; 2^64-1: none"]
    export_table_start: Annotated[int, Int64ul, "absolute byte of the export table's location list; 2^64-1: none"]


SUPERBLOCK = Codec(Superblock, section="superblock")


class GzipOptions(NamedTuple):
    """Compressor options of gzip, in an uncompressed metadata block at byte 96."""

    level: Annotated[int, Int32ul, "1 to 9; 9 when there are no options"]
    window_log: Annotated[int, Int16ul, "log2 of the window, 8 to 15; 15 when there are no options"]
    strategies: Annotated[
        int, Int16ul, "bit 0 default, 1 filtered, 2 huffman only, 3 run length, 4 fixed; 0 when unset"
    ]


GZIP_OPTIONS = Codec(GzipOptions, section="compressor options")


class XzOptions(NamedTuple):
    """Compressor options of xz."""

    dictionary_size: Annotated[int, Int32ul, "bytes: 2^n or 2^n + 2^(n+1), at most block_size; block_size when unset"]
    filters: Annotated[int, Int32ul, "BCJ filters tried: bit 0 x86, 1 powerpc, 2 ia64, 3 arm, 4 armthumb, 5 sparc"]


XZ_OPTIONS = Codec(XzOptions, section="compressor options")


class Lz4Options(NamedTuple):
    """Compressor options of lz4, which an lz4 image must have."""

    version: Annotated[int, Int32ul, "1: the legacy block format"]
    flags: Annotated[int, Int32ul, "bit 0: high compression"]


LZ4_OPTIONS = Codec(Lz4Options, section="compressor options")


class ZstdOptions(NamedTuple):
    """Compressor options of zstd."""

    level: Annotated[int, Int32ul, "1 to 22; 15 when there are no options"]


ZSTD_OPTIONS = Codec(ZstdOptions, section="compressor options")


class LzoOptions(NamedTuple):
    """Compressor options of lzo."""

    algorithm: Annotated[int, Int32ul, "0 lzo1x_1, 1 lzo1x_1_11, 2 lzo1x_1_12, 3 lzo1x_1_15, 4 lzo1x_999"]
    level: Annotated[int, Int32ul, "1 to 9 for lzo1x_999, else 0"]


LZO_OPTIONS = Codec(LzoOptions, section="compressor options")

# --- metadata blocks and tables --------------------------------------------------------------------------------------


class MetadataHeader(NamedTuple):
    """The word before each metadata block."""

    value: Annotated[int, Int16ul, "bytes that follow, 1 to 8192; bit 15: stored uncompressed"]


METADATA_HEADER = Codec(MetadataHeader, section="metadata block")


class TableLocation(NamedTuple):
    """One row of a table's location list."""

    value: Annotated[int, Int64ul, "absolute byte of one of the table's metadata blocks"]


TABLE_LOCATION = Codec(TableLocation, section="location list")


class Id(NamedTuple):
    """One row of the id table."""

    value: Annotated[int, Int32ul, "a user or group id"]


ID = Codec(Id, section="id table")


class ExportRef(NamedTuple):
    """One row of the export table."""

    value: Annotated[int, Int64ul, "metadata reference of the inode with this row's number, which is the row + 1"]


EXPORT_REF = Codec(ExportRef, section="export table")


class DataWord(NamedTuple):
    """One row of a file's block list: one data block."""

    value: Annotated[int, Int32ul, "bytes of a data block on disk; bit 24: stored uncompressed; 0: a hole"]


DATA_WORD = Codec(DataWord, section="block list")


class FragmentEntry(NamedTuple):
    """One row of the fragment table: one fragment block."""

    start: Annotated[int, Int64ul, "absolute byte of the fragment block"]
    size_word: Annotated[int, Int32ul, "its bytes on disk; bit 24: stored uncompressed"]
    unused: Annotated[int, Int32ul, "0"]


FRAGMENT_ENTRY = Codec(FragmentEntry, section="fragment table")

# --- inodes ----------------------------------------------------------------------------------------------------------


class InodeHeader(NamedTuple):
    """What every inode starts with; a body by its type follows."""

    type: Annotated[int, Int16ul, "see InodeType"]
    mode: Annotated[int, Int16ul, "permission bits, 0 to 0o7777; no file-type bits"]
    uid_index: Annotated[int, Int16ul, "row of the id table"]
    gid_index: Annotated[int, Int16ul, "row of the id table"]
    mtime: Annotated[int, Int32ul, "seconds since 1970"]
    number: Annotated[int, Int32ul, "inode number, 1 to inode_count"]


INODE_HEADER = Codec(InodeHeader, section="inode table")


class BasicDirectory(NamedTuple):
    """A directory with a listing below 64 KiB, without xattrs and without an index."""

    listing_block_start: Annotated[int, Int32ul, "metadata block of the listing, from directory_table_start"]
    nlink: Annotated[int, Int32ul, "2 + subdirectories"]
    listing_size: Annotated[int, Int16ul, "bytes of the listing + 3; 3 when empty"]
    listing_offset: Annotated[int, Int16ul, "byte of the listing inside its uncompressed metadata block"]
    parent_number: Annotated[int, Int32ul, "inode number of the parent; inode_count + 1 for the root"]


BASIC_DIRECTORY = Codec(BasicDirectory, section="inode table")


class ExtendedDirectory(NamedTuple):
    """Any directory. `index_count` DirectoryIndex rows follow."""

    nlink: Annotated[int, Int32ul, "2 + subdirectories"]
    listing_size: Annotated[int, Int32ul, "bytes of the listing + 3; 3 when empty"]
    listing_block_start: Annotated[int, Int32ul, "metadata block of the listing, from directory_table_start"]
    parent_number: Annotated[int, Int32ul, "inode number of the parent; inode_count + 1 for the root"]
    index_count: Annotated[int, Int16ul, "rows of the directory index that follow"]
    listing_offset: Annotated[int, Int16ul, "byte of the listing inside its uncompressed metadata block"]
    xattr_index: Annotated[int, Int32ul, "row of the xattr id table; 2^32-1: none"]


EXTENDED_DIRECTORY = Codec(ExtendedDirectory, section="inode table")


class BasicFile(NamedTuple):
    """A file below 4 GiB with one link, no xattrs and no holes. Its block list of DATA_WORDs follows."""

    blocks_start: Annotated[int, Int32ul, "absolute byte of the first data block; 0 without blocks"]
    fragment_index: Annotated[int, Int32ul, "row of the fragment table; 2^32-1: no tail in a fragment"]
    fragment_offset: Annotated[int, Int32ul, "byte of the tail inside the uncompressed fragment block"]
    size: Annotated[int, Int32ul, "bytes in the file"]


BASIC_FILE = Codec(BasicFile, section="inode table")


class ExtendedFile(NamedTuple):
    """Any file. Its block list of DATA_WORDs follows."""

    blocks_start: Annotated[int, Int64ul, "absolute byte of the first data block; 0 without blocks"]
    size: Annotated[int, Int64ul, "bytes in the file, holes included"]
    sparse: Annotated[int, Int64ul, "bytes in holes, at most size - 1"]
    nlink: Annotated[int, Int32ul, "names of this inode"]
    fragment_index: Annotated[int, Int32ul, "row of the fragment table; 2^32-1: no tail in a fragment"]
    fragment_offset: Annotated[int, Int32ul, "byte of the tail inside the uncompressed fragment block"]
    xattr_index: Annotated[int, Int32ul, "row of the xattr id table; 2^32-1: none"]


EXTENDED_FILE = Codec(ExtendedFile, section="inode table")


class BasicSymlink(NamedTuple):
    """A symlink, basic or extended. The target follows, and behind it an extended one's XATTR_INDEX."""

    nlink: Annotated[int, Int32ul, "names of this inode"]
    target_size: Annotated[int, Int32ul, "bytes of the target that follow, 1 to 4095; not NUL-terminated"]


BASIC_SYMLINK = Codec(BasicSymlink, section="inode table")


class XattrIndex(NamedTuple):
    """What follows the target of an extended symlink."""

    value: Annotated[int, Int32ul, "row of the xattr id table; 2^32-1: none"]


XATTR_INDEX = Codec(XattrIndex, section="inode table")


class BasicDevice(NamedTuple):
    """A block or character device."""

    nlink: Annotated[int, Int32ul, "names of this inode"]
    device_number: Annotated[int, Int32ul, "(major << 8) | (minor & 0xff) | ((minor & ~0xff) << 12)"]


BASIC_DEVICE = Codec(BasicDevice, section="inode table")


class ExtendedDevice(NamedTuple):
    """A block or character device with xattrs."""

    nlink: Annotated[int, Int32ul, "names of this inode"]
    device_number: Annotated[int, Int32ul, "(major << 8) | (minor & 0xff) | ((minor & ~0xff) << 12)"]
    xattr_index: Annotated[int, Int32ul, "row of the xattr id table; 2^32-1: none"]


EXTENDED_DEVICE = Codec(ExtendedDevice, section="inode table")


class BasicIpc(NamedTuple):
    """A fifo or socket."""

    nlink: Annotated[int, Int32ul, "names of this inode"]


BASIC_IPC = Codec(BasicIpc, section="inode table")


class ExtendedIpc(NamedTuple):
    """A fifo or socket with xattrs."""

    nlink: Annotated[int, Int32ul, "names of this inode"]
    xattr_index: Annotated[int, Int32ul, "row of the xattr id table; 2^32-1: none"]


EXTENDED_IPC = Codec(ExtendedIpc, section="inode table")

# --- directories -----------------------------------------------------------------------------------------------------


class DirectoryHeader(NamedTuple):
    """What a run of directory entries shares."""

    last_index: Annotated[int, Int32ul, "entries that follow, minus 1: 0 to 255"]
    inode_block_start: Annotated[int, Int32ul, "metadata block of all their inodes, from inode_table_start"]
    base_number: Annotated[int, Int32ul, "the inode number that the entries' deltas count from"]


DIRECTORY_HEADER = Codec(DirectoryHeader, section="directory table")


class DirectoryEntry(NamedTuple):
    """One name in a directory. The name follows."""

    inode_offset: Annotated[int, Int16ul, "byte of the inode inside its uncompressed metadata block"]
    number_delta: Annotated[int, Int16sl, "inode number minus the header's base_number"]
    type: Annotated[int, Int16ul, "the basic inode type, 1 to 7, also when the inode is extended"]
    last_name_index: Annotated[int, Int16ul, "bytes of the name that follow, minus 1; not NUL-terminated"]


DIRECTORY_ENTRY = Codec(DirectoryEntry, section="directory table")


class DirectoryIndex(NamedTuple):
    """A place in a long listing where reading may start. The name of the first entry there follows."""

    listing_position: Annotated[int, Int32ul, "byte of a directory header, from the listing's start"]
    block_start: Annotated[int, Int32ul, "metadata block in which that header starts, from directory_table_start"]
    last_name_index: Annotated[int, Int32ul, "bytes of the name that follow, minus 1; not NUL-terminated"]


DIRECTORY_INDEX = Codec(DirectoryIndex, section="inode table")

# --- extended attributes ---------------------------------------------------------------------------------------------


class XattrEntry(NamedTuple):
    """The key of one attribute. The name without its prefix follows, then an XATTR_VALUE and the value."""

    type: Annotated[int, Int16ul, "0 user, 1 trusted, 2 security; | 0x100: the value is an XATTR_REF"]
    name_size: Annotated[int, Int16ul, "bytes of the name that follow, without its prefix"]


XATTR_ENTRY = Codec(XattrEntry, section="xattr table")


class XattrValue(NamedTuple):
    """What precedes the value of an attribute."""

    value: Annotated[int, Int32ul, "bytes of the value that follow"]


XATTR_VALUE = Codec(XattrValue, section="xattr table")


class XattrRef(NamedTuple):
    """What stands in place of a value that is stored elsewhere."""

    value: Annotated[int, Int64ul, "metadata reference of the XATTR_VALUE meant, from the xattr table's start"]


XATTR_REF = Codec(XattrRef, section="xattr table")


class XattrId(NamedTuple):
    """One row of the xattr id table: the set of attributes that an inode's xattr_index names."""

    ref: Annotated[int, Int64ul, "metadata reference of the first key, from the xattr table's start"]
    xattr_count: Annotated[int, Int32ul, "attributes in the set"]
    size: Annotated[int, Int32ul, "sum of the full name's bytes + 1 + the value's bytes"]


XATTR_ID = Codec(XattrId, section="xattr id table")


class XattrTable(NamedTuple):
    """What xattr_table_start points at. The location list of the xattr id table follows."""

    start: Annotated[int, Int64ul, "absolute byte of the first metadata block of keys and values"]
    id_count: Annotated[int, Int32ul, "rows of the xattr id table, at least 1"]
    unused: Annotated[int, Int32ul, "0"]


XATTR_TABLE = Codec(XattrTable, section="xattr id table")

CODECS = {name: value for name, value in globals().items() if isinstance(value, Codec)}
"""Every codec by its name."""
