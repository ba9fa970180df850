"""Reader: the superblock.

In: an image's first 96 bytes. Out: a `Superblock` that says where everything is, as far as it can be true.
On disk: "Superblock".
Rules kept here: magic and version; a block size that is a power of two; an image that is as long as it says; inodes in
front of directories.
Not here: rules whose breaking does not keep an image from being read (fsck/superblock).
"""

from __future__ import annotations

from pysquash.errors import CorruptImageError, NotSquashfsError, UnsupportedImageError
from pysquash.format.constants import MAGIC, VERSION
from pysquash.format.records import SUPERBLOCK, Superblock
from pysquash.format.rules import Rule
from pysquash.reader.input import Input

__all__ = ["SWAPPED_MAGIC", "next_start", "read_superblock"]

_BLOCK_LOGS = range(12, 21)
SWAPPED_MAGIC = int.from_bytes(MAGIC.to_bytes(4, "little"), "big")


def read_superblock(source: Input) -> Superblock:
    """Read and check a superblock.

    Raises:
        NotSquashfsError: There is none.
        UnsupportedImageError: It is of another version.
        CorruptImageError: It contradicts itself, or the size of the file.
    """
    if source.size < SUPERBLOCK.size:
        raise NotSquashfsError(f"a file of {max(0, source.size)} bytes is too short for a superblock")
    superblock = SUPERBLOCK.unpack(source.read(0, SUPERBLOCK.size, section="superblock", rule=Rule.BYTES_USED))
    if superblock.magic == SWAPPED_MAGIC:
        raise UnsupportedImageError("a big-endian image, which is of a version before 4.0")
    if superblock.magic != MAGIC:
        raise NotSquashfsError(f"the first four bytes are {superblock.magic:#010x}, not {MAGIC:#010x}")
    version = (superblock.version_major, superblock.version_minor)
    if version != VERSION:
        raise UnsupportedImageError(f"version {version[0]}.{version[1]}, not 4.0")
    if superblock.block_log not in _BLOCK_LOGS or superblock.block_size != 1 << superblock.block_log:
        raise _corrupt(
            f"is {superblock.block_size}, and its log2 {superblock.block_log}", "block_size", Rule.BLOCK_SIZE
        )
    if superblock.bytes_used > source.size:
        raise _corrupt(f"is {superblock.bytes_used}, the file has {source.size}", "bytes_used", Rule.BYTES_USED)
    if not SUPERBLOCK.size <= superblock.inode_table_start < superblock.directory_table_start < superblock.bytes_used:
        raise _corrupt(
            f"is {superblock.inode_table_start}, with the directory table at {superblock.directory_table_start} "
            f"and the end at {superblock.bytes_used}",
            "inode_table_start",
            Rule.TABLE_ORDER,
        )
    return superblock


def next_start(superblock: Superblock, start: int) -> int:
    """Give the first byte behind `start` at which another table begins or is pointed at, or the image ends."""
    starts = (
        superblock.id_table_start,
        superblock.xattr_table_start,
        superblock.fragment_table_start,
        superblock.export_table_start,
        superblock.inode_table_start,
        superblock.directory_table_start,
        superblock.bytes_used,
    )
    return min((other for other in starts if other > start), default=start)


def _corrupt(text: str, field: str, rule: Rule) -> CorruptImageError:
    return CorruptImageError(text, section="superblock", rule=rule, field=field)
