"""Format: every structure of SquashFS 4.0, declared once.

Out: for each structure a construct layout (unit, range and origin in each field's text), a NamedTuple with the same
names, and the `Codec` made of both. All integers are little-endian. What follows a structure with a size of its own
(names, block lists, targets) is said in the structure's text and written by the module that owns it.
Rules kept here: no field list of the format exists anywhere else.
Not here: bits inside one number (words); which values are legal together (writer/*, reader/check).
"""

from __future__ import annotations

from typing import NamedTuple

from construct import Int16sl, Int16ul, Int32ul, Int64ul, Struct

from pysquash.format.codec import Codec

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

    magic: int
    inode_count: int
    mkfs_time: int
    block_size: int
    fragment_count: int
    compressor: int
    block_log: int
    flags: int
    id_count: int
    version_major: int
    version_minor: int
    root_ref: int
    bytes_used: int
    id_table_start: int
    xattr_table_start: int
    inode_table_start: int
    directory_table_start: int
    fragment_table_start: int
    export_table_start: int


SUPERBLOCK = Codec(
    Struct(
        "magic" / Int32ul * "0x73717368, the characters hsqs",
        "inode_count" / Int32ul * "inodes in the inode table; also the highest inode number",
        "mkfs_time" / Int32ul * "when the image was made, seconds since 1970",
        "block_size" / Int32ul * "bytes in a data block: a power of two, 4096 to 1 MiB",
        "fragment_count" / Int32ul * "rows of the fragment table",
        "compressor" / Int16ul * "1 gzip, 2 lzma, 3 lzo, 4 xz, 5 lz4, 6 zstd",
        "block_log" / Int16ul * "log2 of block_size, 12 to 20",
        "flags" / Int16ul * "see SuperblockFlag",
        "id_count" / Int16ul * "rows of the id table, 1 to 65535",
        "version_major" / Int16ul * "4",
        "version_minor" / Int16ul * "0",
        "root_ref" / Int64ul * "metadata reference of the root directory's inode, from inode_table_start",
        "bytes_used" / Int64ul * "bytes of the image before padding",
        "id_table_start" / Int64ul * "absolute byte of the id table's location list",
        "xattr_table_start" / Int64ul * "absolute byte of the xattr id table's header; 2^64-1: none",
        "inode_table_start" / Int64ul * "absolute byte of the inode table's first metadata block",
        "directory_table_start" / Int64ul * "absolute byte of the directory table's first metadata block",
        "fragment_table_start" / Int64ul * "absolute byte of the fragment table's location list; 2^64-1: none",
        "export_table_start" / Int64ul * "absolute byte of the export table's location list; 2^64-1: none",
    ),
    Superblock,
    section="superblock",
)


class GzipOptions(NamedTuple):
    """Compressor options of gzip, in an uncompressed metadata block at byte 96."""

    level: int
    window_log: int
    strategies: int


GZIP_OPTIONS = Codec(
    Struct(
        "level" / Int32ul * "1 to 9; 9 when there are no options",
        "window_log" / Int16ul * "log2 of the window, 8 to 15; 15 when there are no options",
        "strategies" / Int16ul * "bit 0 default, 1 filtered, 2 huffman only, 3 run length, 4 fixed; 0 when unset",
    ),
    GzipOptions,
    section="compressor options",
)


class XzOptions(NamedTuple):
    """Compressor options of xz."""

    dictionary_size: int
    filters: int


XZ_OPTIONS = Codec(
    Struct(
        "dictionary_size" / Int32ul * "bytes: 2^n or 2^n + 2^(n+1), at most block_size; block_size when unset",
        "filters" / Int32ul * "BCJ filters tried: bit 0 x86, 1 powerpc, 2 ia64, 3 arm, 4 armthumb, 5 sparc",
    ),
    XzOptions,
    section="compressor options",
)


class Lz4Options(NamedTuple):
    """Compressor options of lz4, which an lz4 image must have."""

    version: int
    flags: int


LZ4_OPTIONS = Codec(
    Struct(
        "version" / Int32ul * "1: the legacy block format",
        "flags" / Int32ul * "bit 0: high compression",
    ),
    Lz4Options,
    section="compressor options",
)


class ZstdOptions(NamedTuple):
    """Compressor options of zstd."""

    level: int


ZSTD_OPTIONS = Codec(
    Struct("level" / Int32ul * "1 to 22; 15 when there are no options"),
    ZstdOptions,
    section="compressor options",
)


class LzoOptions(NamedTuple):
    """Compressor options of lzo."""

    algorithm: int
    level: int


LZO_OPTIONS = Codec(
    Struct(
        "algorithm" / Int32ul * "0 lzo1x_1, 1 lzo1x_1_11, 2 lzo1x_1_12, 3 lzo1x_1_15, 4 lzo1x_999",
        "level" / Int32ul * "1 to 9 for lzo1x_999, else 0",
    ),
    LzoOptions,
    section="compressor options",
)

# --- metadata blocks and tables --------------------------------------------------------------------------------------


class Word(NamedTuple):
    """A single number."""

    value: int


METADATA_HEADER = Codec(
    Struct("value" / Int16ul * "bytes that follow, 1 to 8192; bit 15: stored uncompressed"),
    Word,
    section="metadata block",
)
TABLE_LOCATION = Codec(
    Struct("value" / Int64ul * "absolute byte of one of the table's metadata blocks"),
    Word,
    section="location list",
)
ID = Codec(Struct("value" / Int32ul * "a user or group id"), Word, section="id table")
EXPORT_REF = Codec(
    Struct("value" / Int64ul * "metadata reference of the inode with this row's number, which is the row + 1"),
    Word,
    section="export table",
)
DATA_WORD = Codec(
    Struct("value" / Int32ul * "bytes of a data block on disk; bit 24: stored uncompressed; 0: a hole"),
    Word,
    section="block list",
)


class FragmentEntry(NamedTuple):
    """One row of the fragment table: one fragment block."""

    start: int
    size_word: int
    unused: int


FRAGMENT_ENTRY = Codec(
    Struct(
        "start" / Int64ul * "absolute byte of the fragment block",
        "size_word" / Int32ul * "its bytes on disk; bit 24: stored uncompressed",
        "unused" / Int32ul * "0",
    ),
    FragmentEntry,
    section="fragment table",
)

# --- inodes ----------------------------------------------------------------------------------------------------------


class InodeHeader(NamedTuple):
    """What every inode starts with; a body by its type follows."""

    type: int
    mode: int
    uid_index: int
    gid_index: int
    mtime: int
    number: int


INODE_HEADER = Codec(
    Struct(
        "type" / Int16ul * "see InodeType",
        "mode" / Int16ul * "permission bits, 0 to 0o7777; no file-type bits",
        "uid_index" / Int16ul * "row of the id table",
        "gid_index" / Int16ul * "row of the id table",
        "mtime" / Int32ul * "seconds since 1970",
        "number" / Int32ul * "inode number, 1 to inode_count",
    ),
    InodeHeader,
    section="inode table",
)


class BasicDirectory(NamedTuple):
    """A directory with a listing below 64 KiB, without xattrs and without an index."""

    listing_block_start: int
    nlink: int
    listing_size: int
    listing_offset: int
    parent_number: int


BASIC_DIRECTORY = Codec(
    Struct(
        "listing_block_start" / Int32ul * "metadata block of the listing, from directory_table_start",
        "nlink" / Int32ul * "2 + subdirectories",
        "listing_size" / Int16ul * "bytes of the listing + 3; 3 when empty",
        "listing_offset" / Int16ul * "byte of the listing inside its uncompressed metadata block",
        "parent_number" / Int32ul * "inode number of the parent; inode_count + 1 for the root",
    ),
    BasicDirectory,
    section="inode table",
)


class ExtendedDirectory(NamedTuple):
    """Any directory. `index_count` DirectoryIndex rows follow."""

    nlink: int
    listing_size: int
    listing_block_start: int
    parent_number: int
    index_count: int
    listing_offset: int
    xattr_index: int


EXTENDED_DIRECTORY = Codec(
    Struct(
        "nlink" / Int32ul * "2 + subdirectories",
        "listing_size" / Int32ul * "bytes of the listing + 3; 3 when empty",
        "listing_block_start" / Int32ul * "metadata block of the listing, from directory_table_start",
        "parent_number" / Int32ul * "inode number of the parent; inode_count + 1 for the root",
        "index_count" / Int16ul * "rows of the directory index that follow",
        "listing_offset" / Int16ul * "byte of the listing inside its uncompressed metadata block",
        "xattr_index" / Int32ul * "row of the xattr id table; 2^32-1: none",
    ),
    ExtendedDirectory,
    section="inode table",
)


class BasicFile(NamedTuple):
    """A file below 4 GiB with one link, no xattrs and no holes. Its block list of DATA_WORDs follows."""

    blocks_start: int
    fragment_index: int
    fragment_offset: int
    size: int


BASIC_FILE = Codec(
    Struct(
        "blocks_start" / Int32ul * "absolute byte of the first data block; 0 without blocks",
        "fragment_index" / Int32ul * "row of the fragment table; 2^32-1: no tail in a fragment",
        "fragment_offset" / Int32ul * "byte of the tail inside the uncompressed fragment block",
        "size" / Int32ul * "bytes in the file",
    ),
    BasicFile,
    section="inode table",
)


class ExtendedFile(NamedTuple):
    """Any file. Its block list of DATA_WORDs follows."""

    blocks_start: int
    size: int
    sparse: int
    nlink: int
    fragment_index: int
    fragment_offset: int
    xattr_index: int


EXTENDED_FILE = Codec(
    Struct(
        "blocks_start" / Int64ul * "absolute byte of the first data block; 0 without blocks",
        "size" / Int64ul * "bytes in the file, holes included",
        "sparse" / Int64ul * "bytes in holes, at most size - 1",
        "nlink" / Int32ul * "names of this inode",
        "fragment_index" / Int32ul * "row of the fragment table; 2^32-1: no tail in a fragment",
        "fragment_offset" / Int32ul * "byte of the tail inside the uncompressed fragment block",
        "xattr_index" / Int32ul * "row of the xattr id table; 2^32-1: none",
    ),
    ExtendedFile,
    section="inode table",
)


class BasicSymlink(NamedTuple):
    """A symlink, basic or extended. The target follows, and behind it an extended one's XATTR_INDEX."""

    nlink: int
    target_size: int


BASIC_SYMLINK = Codec(
    Struct(
        "nlink" / Int32ul * "names of this inode",
        "target_size" / Int32ul * "bytes of the target that follow, 1 to 4095; not NUL-terminated",
    ),
    BasicSymlink,
    section="inode table",
)
XATTR_INDEX = Codec(
    Struct("value" / Int32ul * "row of the xattr id table; 2^32-1: none"),
    Word,
    section="inode table",
)


class BasicDevice(NamedTuple):
    """A block or character device."""

    nlink: int
    device_number: int


BASIC_DEVICE = Codec(
    Struct(
        "nlink" / Int32ul * "names of this inode",
        "device_number" / Int32ul * "(major << 8) | (minor & 0xff) | ((minor & ~0xff) << 12)",
    ),
    BasicDevice,
    section="inode table",
)


class ExtendedDevice(NamedTuple):
    """A block or character device with xattrs."""

    nlink: int
    device_number: int
    xattr_index: int


EXTENDED_DEVICE = Codec(
    Struct(
        "nlink" / Int32ul * "names of this inode",
        "device_number" / Int32ul * "(major << 8) | (minor & 0xff) | ((minor & ~0xff) << 12)",
        "xattr_index" / Int32ul * "row of the xattr id table; 2^32-1: none",
    ),
    ExtendedDevice,
    section="inode table",
)


class BasicIpc(NamedTuple):
    """A fifo or socket."""

    nlink: int


BASIC_IPC = Codec(Struct("nlink" / Int32ul * "names of this inode"), BasicIpc, section="inode table")


class ExtendedIpc(NamedTuple):
    """A fifo or socket with xattrs."""

    nlink: int
    xattr_index: int


EXTENDED_IPC = Codec(
    Struct(
        "nlink" / Int32ul * "names of this inode",
        "xattr_index" / Int32ul * "row of the xattr id table; 2^32-1: none",
    ),
    ExtendedIpc,
    section="inode table",
)

# --- directories -----------------------------------------------------------------------------------------------------


class DirectoryHeader(NamedTuple):
    """What a run of directory entries shares."""

    last_index: int
    inode_block_start: int
    base_number: int


DIRECTORY_HEADER = Codec(
    Struct(
        "last_index" / Int32ul * "entries that follow, minus 1: 0 to 255",
        "inode_block_start" / Int32ul * "metadata block of all their inodes, from inode_table_start",
        "base_number" / Int32ul * "the inode number that the entries' deltas count from",
    ),
    DirectoryHeader,
    section="directory table",
)


class DirectoryEntry(NamedTuple):
    """One name in a directory. The name follows."""

    inode_offset: int
    number_delta: int
    type: int
    last_name_index: int


DIRECTORY_ENTRY = Codec(
    Struct(
        "inode_offset" / Int16ul * "byte of the inode inside its uncompressed metadata block",
        "number_delta" / Int16sl * "inode number minus the header's base_number",
        "type" / Int16ul * "the basic inode type, 1 to 7, also when the inode is extended",
        "last_name_index" / Int16ul * "bytes of the name that follow, minus 1; not NUL-terminated",
    ),
    DirectoryEntry,
    section="directory table",
)


class DirectoryIndex(NamedTuple):
    """A place in a long listing where reading may start. The name of the first entry there follows."""

    listing_position: int
    block_start: int
    last_name_index: int


DIRECTORY_INDEX = Codec(
    Struct(
        "listing_position" / Int32ul * "byte of a directory header, from the listing's start",
        "block_start" / Int32ul * "metadata block in which that header starts, from directory_table_start",
        "last_name_index" / Int32ul * "bytes of the name that follow, minus 1; not NUL-terminated",
    ),
    DirectoryIndex,
    section="inode table",
)

# --- extended attributes ---------------------------------------------------------------------------------------------


class XattrEntry(NamedTuple):
    """The key of one attribute. The name without its prefix follows, then an XATTR_VALUE and the value."""

    type: int
    name_size: int


XATTR_ENTRY = Codec(
    Struct(
        "type" / Int16ul * "0 user, 1 trusted, 2 security; | 0x100: the value is an XATTR_REF",
        "name_size" / Int16ul * "bytes of the name that follow, without its prefix",
    ),
    XattrEntry,
    section="xattr table",
)
XATTR_VALUE = Codec(Struct("value" / Int32ul * "bytes of the value that follow"), Word, section="xattr table")
XATTR_REF = Codec(
    Struct("value" / Int64ul * "metadata reference of the XATTR_VALUE meant, from the xattr table's start"),
    Word,
    section="xattr table",
)


class XattrId(NamedTuple):
    """One row of the xattr id table: the set of attributes that an inode's xattr_index names."""

    ref: int
    xattr_count: int
    size: int


XATTR_ID = Codec(
    Struct(
        "ref" / Int64ul * "metadata reference of the first key, from the xattr table's start",
        "xattr_count" / Int32ul * "attributes in the set",
        "size" / Int32ul * "sum of the full name's bytes + 1 + the value's bytes",
    ),
    XattrId,
    section="xattr id table",
)


class XattrTable(NamedTuple):
    """What xattr_table_start points at. The location list of the xattr id table follows."""

    start: int
    id_count: int
    unused: int


XATTR_TABLE = Codec(
    Struct(
        "start" / Int64ul * "absolute byte of the first metadata block of keys and values",
        "id_count" / Int32ul * "rows of the xattr id table, at least 1",
        "unused" / Int32ul * "0",
    ),
    XattrTable,
    section="xattr id table",
)

CODECS = {name: value for name, value in globals().items() if isinstance(value, Codec)}
"""Every codec by its name, for the tests that hold each equal to its layout and for the format page of the docs."""
