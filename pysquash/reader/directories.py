"""Reader: the names in a directory.

In: a directory's inode. Out: its entries, in the order in which they stand.
On disk: "Directory table".
Rules kept here: a header covers 1 to 256 entries; entries end where the listing does; a name is 1 to 256 bytes.
Not here: looking a path up (image).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from pysquash.errors import CorruptImageError
from pysquash.format.constants import HEADER_ENTRY_COUNT
from pysquash.format.records import DIRECTORY_ENTRY, DIRECTORY_HEADER
from pysquash.format.words import metadata_ref
from pysquash.reader.inodes import Inode
from pysquash.reader.metadata import Cursor, MetadataReader

__all__ = ["Name", "read_names"]

_NAME_LIMIT = 256


class Name(NamedTuple):
    """One directory entry.

    Attributes:
        name: Its bytes.
        type: The basic inode type that the entry says, 1 to 7.
        number: The inode number that the entry says.
        ref: Metadata reference of the inode, from the inode table's start.
    """

    name: bytes
    type: int
    number: int
    ref: int


def read_names(table: MetadataReader, inode: Inode) -> Iterator[Name]:
    """Yield a directory's entries.

    Args:
        table: The directory table.
        inode: A directory's.

    Raises:
        CorruptImageError: The listing is cut short, or a count or a size in it is out of range.
    """
    left = inode.listing_size
    if not left:
        return
    cursor = Cursor(table, inode.listing_block_start, inode.listing_offset)
    entry_size, unpack = DIRECTORY_ENTRY.size, DIRECTORY_ENTRY.unpack
    while left > 0:
        header = DIRECTORY_HEADER.unpack(cursor.read(DIRECTORY_HEADER.size))
        left -= DIRECTORY_HEADER.size
        if header.last_index >= HEADER_ENTRY_COUNT:
            raise _corrupt(f"a header with {header.last_index + 1} entries", "last_index")
        for _ in range(header.last_index + 1):
            offset, delta, entry_type, last_name_index = unpack(cursor.read(entry_size))
            if last_name_index >= _NAME_LIMIT:
                raise _corrupt(f"a name of {last_name_index + 1} bytes", "last_name_index")
            name = cursor.read(last_name_index + 1)
            left -= entry_size + len(name)
            if left < 0:
                raise _corrupt("the last entry reaches past the listing's end", "listing_size")
            yield Name(name, entry_type, header.base_number + delta, metadata_ref(header.inode_block_start, offset))


def _corrupt(text: str, field: str) -> CorruptImageError:
    return CorruptImageError(text, section="directory table", field=field)
