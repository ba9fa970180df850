"""Reader: the names in a directory.

In: a directory's inode. Out: its entries in the order in which they stand, or the one of a name.
On disk: "Directory table", "Directory index".
Rules kept here: a header covers 1 to 256 entries; entries end where the listing does; a name is 1 to 256 bytes, and
none that leads anywhere else: no `/`, no NUL, not `.` or `..`. Names are sorted and unique. Readers depend on
it: a name that is both a symlink and a directory leads out of the directory into which it is unpacked.
Not here: looking a path up (path).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from pysquash.errors import CorruptImageError, printable
from pysquash.format.codec import joined_unpack
from pysquash.format.constants import HEADER_ENTRY_COUNT, METADATA_SIZE
from pysquash.format.records import DIRECTORY_ENTRY, DIRECTORY_HEADER, DIRECTORY_INDEX
from pysquash.format.rules import Rule
from pysquash.reader.inodes import Inode
from pysquash.reader.metadata import Cursor, MetadataReader

__all__ = ["IndexRow", "Name", "ReadThrough", "find_name", "read_index", "read_names"]

_NAME_LIMIT = 256
"""Bytes of a name. No program can look 256 up, but Linux and unsquashfs list them."""

_NO_ENTRIES = 0xFFFF_FFFF
"""What a header that counts no entries says, since the count is stored less 1."""

_unpack_header, _ = joined_unpack(DIRECTORY_HEADER)
_unpack_entry, _ = joined_unpack(DIRECTORY_ENTRY)
_RUN_SIZE = DIRECTORY_HEADER.size + DIRECTORY_ENTRY.size + 1
"""Bytes that a header with one entry takes at least."""

_RUN_SIZE_LIMIT = DIRECTORY_HEADER.size + DIRECTORY_ENTRY.size + _NAME_LIMIT
"""Bytes that a header, or an entry and its name, can take: with so many at hand no look-up needs a check of its own."""


_NEAR_COUNT = 1024
"""Names, or rows of an index, that a look-up passes by. Between rows are 8 KiB, and in those 910 names at most."""


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


ReadThrough = dict[int, tuple[dict[bytes, Name], CorruptImageError | None]]
"""By directory: all of its names, and the error behind the last of them."""


class IndexRow(NamedTuple):
    """One row of a directory's index.

    Attributes:
        position: Byte of a header, from the listing's start.
        block_start: Metadata block in which that header starts.
        name: The first name behind the header.
    """

    position: int
    block_start: int
    name: bytes


def read_names(
    listings: MetadataReader,
    inode: Inode,
    position: int = 0,
    block_start: int | None = None,
    *,
    faults: list[CorruptImageError] | None = None,
) -> Iterator[Name]:
    """Yield a directory's entries, all of them or from one header on.

    Reads whole blocks, and unpacks in them: this runs once a name.

    Args:
        listings: The directory table.
        inode: A directory's.
        position: Byte of a header, from the listing's start.
        block_start: Metadata block in which that header starts; None for the listing's own.
        faults: Only for a check, which reports unsorted and duplicate names itself: accept these. Takes an error for a
            listing that ends within an entry.

    Raises:
        CorruptImageError: The listing is cut short, or a count, a size, a name or the order of names is invalid.
    """
    left = inode.listing_size - position
    if left <= 0:
        return
    block_start = inode.listing_block_start if block_start is None else block_start
    # All of the listing's blocks but the last are full, so its byte `position` is so far into one of them.
    offset = (inode.listing_offset + position) % METADATA_SIZE if position else inode.listing_offset
    cursor = Cursor(listings, block_start, offset)
    header_size, entry_size = DIRECTORY_HEADER.size, DIRECTORY_ENTRY.size
    unpack_entry = _unpack_entry
    buffer, at, count, last = b"", 0, 0, b""
    while left > 0 or count:
        if len(buffer) - at < _RUN_SIZE_LIMIT and len(buffer) - at < left:
            buffer, at = _refilled(cursor, buffer, at, left), 0
        if not count:
            if left < header_size:
                raise _corrupt(f"{left} bytes are left, a header is {header_size}", "listing_size")
            last_index, run_block, base_number = _unpack_header(buffer, at)
            if last_index >= HEADER_ENTRY_COUNT:
                rule = Rule.HEADER_COUNT if last_index < _NO_ENTRIES else Rule.HEADER_EMPTY
                raise _corrupt(f"a header with last_index {last_index:#x}", "last_index", rule)
            count, run_ref = last_index + 1, run_block << 16
            at += header_size
            left -= header_size
            continue
        if left <= 0:
            raise _corrupt("a header counts more entries than the listing holds", "last_index", Rule.HEADER_COUNT)
        if len(buffer) - at < entry_size:
            buffer, at = _refilled(cursor, buffer, at, entry_size), 0
        inode_offset, delta, entry_type, last_name_index = unpack_entry(buffer, at)
        at += entry_size
        end = at + last_name_index + 1
        name = buffer[at:end]
        left -= entry_size + last_name_index + 1
        if last_name_index >= _NAME_LIMIT:
            raise _corrupt(f"a name of {last_name_index + 1} bytes", "last_name_index", Rule.NAME_SIZE)
        if left < 0:  # Linux and unsquashfs read an entry to its end all the same
            if faults is not None:
                text = f"an entry ends {-left} bytes after the listing"
                faults.append(_corrupt(text, "last_name_index", Rule.LISTING_END))
            if end > len(buffer):
                buffer, at, end = _refilled(cursor, buffer, at, end - at), 0, end - at
                name = buffer[:end]
        if b"/" in name or b"\0" in name or name == b"." or name == b"..":
            raise _corrupt(f"the name {printable(name)!r}, which may not be one", "name", Rule.NAME_CHARACTERS)
        if name <= last and faults is None:
            raise _disorder(name, last)
        at, last = end, name
        count -= 1
        yield Name(name, entry_type, base_number + delta, run_ref | inode_offset)


def read_index(inodes: MetadataReader, inode: Inode) -> Iterator[IndexRow]:
    """Yield the rows of a directory's index, none for most.

    Args:
        inodes: The inode table, which holds it.
        inode: A directory's.

    Raises:
        CorruptImageError: A name is too long, there are more rows than headers, or the inode table ends.
    """
    if not inode.index_count:
        return
    if inode.index_count > max(0, inode.listing_size) // _RUN_SIZE:
        # Whatever follows the inode, it is no index; and reading it must not take longer than reading the listing.
        text = f"an index of {inode.index_count} rows, for a listing of {inode.listing_size} bytes"
        raise _corrupt(text, "index_count", Rule.DIRECTORY_INDEX)
    cursor = Cursor(inodes, *inode.rows_place)
    for _ in range(inode.index_count):
        row = DIRECTORY_INDEX.unpack(cursor.read(DIRECTORY_INDEX.size))
        if row.last_name_index >= _NAME_LIMIT:
            text = f"a name of {row.last_name_index + 1} bytes in the index"
            raise _corrupt(text, "last_name_index", Rule.DIRECTORY_INDEX)
        yield IndexRow(row.listing_position, row.block_start, cursor.read(row.last_name_index + 1))


def find_name(
    listings: MetadataReader, inodes: MetadataReader, inode: Inode, name: bytes, read_through: ReadThrough
) -> Name | None:
    """Look one name up, by the directory's index where it has one.

    Args:
        listings: The directory table.
        inodes: The inode table, which holds the index.
        inode: A directory's.
        name: What to look for.
        read_through: The same for all look-ups in an image. Takes the names of directories whose index, if there is
            one, does not lead near a name: those are read once instead of once a look-up.

    Returns:
        The entry, or None where there is none.

    Raises:
        CorruptImageError: As for `read_names` and `read_index`.
    """
    if inode.listing_size <= 0:
        return None
    known = read_through.get(inode.ref)
    if known is None and inode.index_count <= _NEAR_COUNT:
        position, block_start = 0, inode.listing_block_start
        for row in read_index(inodes, inode):  # to the last header whose first name is not behind the one looked for
            if row.name > name:
                break
            if row.position > inode.listing_size:
                text = f"an index row names byte {row.position} of {inode.listing_size}"
                raise _corrupt(text, "listing_position", Rule.DIRECTORY_INDEX)
            position, block_start = row.position, row.block_start
        entries = read_names(listings, inode, position, block_start)
        for passed, found in enumerate(entries):
            if found.name == name:
                _refuse_second(entries)
                return found
            if found.name > name:  # names are sorted by their unsigned bytes
                return None
            if passed == _NEAR_COUNT:
                break
        else:
            return None
    if known is None:
        known = read_through[inode.ref] = _all_names(listings, inode)
    names, error = known
    if error is not None and (name not in names or (error.rule == Rule.NAME_UNIQUE and name == next(reversed(names)))):
        raise error.with_traceback(None)
    return names.get(name)


def _refuse_second(entries: Iterator[Name]) -> None:
    """Read one more entry, which must not have the name of the one before.

    Raises:
        CorruptImageError: It has. Whatever else is wrong with it does not concern the name that was found.
    """
    try:
        next(entries, None)
    except CorruptImageError as error:
        if error.rule == Rule.NAME_UNIQUE:
            raise


def _all_names(listings: MetadataReader, inode: Inode) -> tuple[dict[bytes, Name], CorruptImageError | None]:
    """Read a directory's names, and what ends them too early."""
    names: dict[bytes, Name] = {}
    try:
        for each in read_names(listings, inode):
            names.setdefault(each.name, each)
    except CorruptImageError as error:
        return names, error
    return names, None


def _refilled(cursor: Cursor, buffer: bytes, at: int, left: int) -> bytes:
    """Give what is left of a buffer, and enough blocks behind it for the next header or entry."""
    parts = [buffer[at:]]
    size = len(parts[0])
    wanted = min(_RUN_SIZE_LIMIT, left)
    while size < wanted:
        parts.append(cursor.rest_of_block())
        size += len(parts[-1])
    return b"".join(parts)


def _disorder(name: bytes, last: bytes) -> CorruptImageError:
    if name == last:
        return _corrupt(f"duplicate name {printable(name)!r}", "name", Rule.NAME_UNIQUE)
    text = f"unsorted names: {printable(name)!r} after {printable(last)!r}"
    return _corrupt(text, "name", Rule.NAME_ORDER)


def _corrupt(text: str, field: str, rule: Rule = Rule.LISTING) -> CorruptImageError:
    return CorruptImageError(text, section="directory table", rule=rule, field=field)
