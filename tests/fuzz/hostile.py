"""Images that are small, and ask for as much time or memory as they can.

They are put together of the records themselves: metadata that repeats itself is compressed to a few hundredths of its
size, and padded to the same size in every block, so that it is known in advance where each block stands. Each function
says what a reader that believes the image would do.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import zstandard

from pysquash.format import records
from pysquash.format.constants import (
    DATA_START,
    MAGIC,
    METADATA_SIZE,
    NO_FRAGMENT,
    NO_TABLE,
    NO_XATTRS,
    PADDING_SIZE,
    CompressorId,
    InodeType,
)
from pysquash.format.words import DATA_RAW, XATTR_OUT_OF_LINE, metadata_ref, metadata_word

__all__ = ["HOSTILE", "SIZE"]

SIZE = 64 << 10
"""What each image may have, and makes the most of. All take a number by which to make less of it."""

HOSTILE: dict[str, Callable[[int], bytes]] = {}

_COMPRESSOR = zstandard.ZstdCompressor(level=12, write_checksum=False, write_content_size=True)


def hostile(make: Callable[[int], bytes]) -> Callable[[int], bytes]:
    HOSTILE[make.__name__.strip("_").replace("_", "-")] = make
    return make


# --- putting together ------------------------------------------------------------------------------------------------


class Stream:
    """A table of metadata blocks.

    Attributes:
        stored: The blocks as they are in the image.
        starts: Where each of them starts.
        step: Bytes from one block to the next; 0 where each is as long as it is.
    """

    def __init__(self, content: bytes, step: int = 0, *, sizes: Sequence[int] = ()) -> None:
        """Compress a stream.

        Args:
            content: All of it.
            step: What each block is padded to, header included.
            sizes: Bytes in each block, which is raw; none: full ones, compressed.
        """
        self.step = step
        self.starts = []
        parts = []
        at = end = 0
        for size in sizes or [METADATA_SIZE] * -(-len(content) // METADATA_SIZE):
            block = content[at : at + size]
            at += size
            frame = block if sizes else _COMPRESSOR.compress(block)
            is_raw = bool(sizes) or len(frame) >= len(block)
            frame = (block if is_raw else frame).ljust(0 if is_raw else step - 2, b"\0")
            parts.append(records.METADATA_HEADER.pack(metadata_word(len(frame), raw=is_raw)) + frame)
            self.starts.append(end)
            end += len(parts[-1])
        self.stored = b"".join(parts)

    def ref(self, position: int) -> int:
        """Give the reference of a byte."""
        block, offset = divmod(position, METADATA_SIZE)
        ref = metadata_ref(self.starts[block], offset)
        assert not self.step or ref == ref_at(position, self.step), "a block in front is longer than the step"
        return ref


def ref_at(position: int, step: int) -> int:
    """Give the reference of a byte in a stream that is still to be made."""
    block, offset = divmod(position, METADATA_SIZE)
    return metadata_ref(block * step, offset)


def image(
    inodes: Stream,
    listings: Stream,
    *,
    data: bytes = b"",
    fragments: tuple[Stream, int] | None = None,
    exports: Stream | None = None,
    xattrs: Stream | None = None,
    sets: tuple[Stream, int] | None = None,
    root_ref: int = 0,
    inode_count: int = 1,
    block_size: int = 4096,
) -> bytes:
    """Lay an image out.

    Args:
        inodes: The inode table.
        listings: The directory table.
        data: What is behind the superblock.
        fragments: Rows of the fragment table, and how many of them.
        exports: Rows of the export table, inode_count of them.
        xattrs: Keys and values.
        sets: Rows of the xattr id table, and how many of them.
        root_ref: The root's inode.
        inode_count: What the superblock says.
        block_size: Bytes in a data block.
    """
    output = bytearray(DATA_START) + data
    starts = {"inode": len(output)}
    output += inodes.stored
    starts["directory"] = len(output)
    output += listings.stored

    def table(name: str, rows: Stream | None, header: Callable[[int], bytes] = lambda _: b"") -> None:
        if rows is None:
            starts[name] = NO_TABLE
            return
        first = len(output)
        output.extend(rows.stored)
        starts[name] = len(output)
        output.extend(header(first))
        output.extend(b"".join([records.TABLE_LOCATION.pack(first + start) for start in rows.starts]))

    table("fragment", None if fragments is None else fragments[0])
    table("export", exports)
    table("id", Stream(records.ID.pack(0)))
    values_start = len(output)
    if xattrs is not None:
        output += xattrs.stored
    count = 0 if sets is None else sets[1]
    table("xattr", None if sets is None else sets[0], lambda _: records.XATTR_TABLE.pack(values_start, count, 0))
    superblock = records.Superblock(
        magic=MAGIC,
        inode_count=inode_count,
        mkfs_time=0,
        block_size=block_size,
        fragment_count=0 if fragments is None else fragments[1],
        compressor=CompressorId.ZSTD,
        block_log=block_size.bit_length() - 1,
        flags=0,
        id_count=1,
        version_major=4,
        version_minor=0,
        root_ref=root_ref,
        bytes_used=len(output),
        id_table_start=starts["id"],
        xattr_table_start=starts["xattr"],
        inode_table_start=starts["inode"],
        directory_table_start=starts["directory"],
        fragment_table_start=starts["fragment"],
        export_table_start=starts["export"],
    )
    output[:DATA_START] = records.SUPERBLOCK.pack(*superblock)
    return bytes(output + bytes(-len(output) % PADDING_SIZE))


def header(kind: InodeType, number: int = 1) -> bytes:
    return records.INODE_HEADER.pack(kind, 0o644, 0, 0, 0, number)


def directory(
    size: int, *, ref: int = 0, number: int = 1, index_count: int = 0, parent: int = 1, xattrs: int = NO_XATTRS
) -> bytes:
    """Make an extended directory's inode, of a listing of `size` bytes at a reference of the directory table."""
    return header(InodeType.EXTENDED_DIRECTORY, number) + records.EXTENDED_DIRECTORY.pack(
        2, size + 3, ref >> 16, parent, index_count, ref & 0xFFFF, xattrs
    )


def fifo(number: int = 2, xattrs: int = NO_XATTRS) -> bytes:
    return header(InodeType.EXTENDED_FIFO, number) + records.EXTENDED_IPC.pack(1, xattrs)


def run(ref: int, names: Sequence[tuple[bytes, int]], kind: int, number: int = 2) -> bytes:
    """Make a header and its entries: each has a name, and the byte of its inode in the block of the header."""
    entries = [records.DIRECTORY_ENTRY.pack(offset, 0, kind, len(name) - 1) + name for name, offset in names]
    return records.DIRECTORY_HEADER.pack(len(names) - 1, ref >> 16, number) + b"".join(entries)


def same_names(ref: int, kind: int, name: bytes = b"n") -> bytes:
    """Make as many entries as there is room for in a metadata block, so that each block is like the one before."""
    entry = records.DIRECTORY_ENTRY.size + len(name)
    count, left = divmod(METADATA_SIZE - 4 * records.DIRECTORY_HEADER.size, entry)
    counts = [count // 4] * 3 + [count - count // 4 * 3]
    runs = [run(ref, [(name, ref & 0xFFFF)] * each, kind) for each in counts]
    runs[-1] = run(
        ref, [(name, ref & 0xFFFF)] * (counts[-1] - 1) + [(name.ljust(len(name) + left, b"n"), ref & 0xFFFF)], kind
    )
    block = b"".join(runs)
    assert len(block) == METADATA_SIZE
    return block


# --- names -----------------------------------------------------------------------------------------------------------


def _wide(inode: bytes, kind: int, count: int) -> bytes:
    block = same_names(len(directory(0)), kind)
    return image(Stream(directory(count * METADATA_SIZE) + inode), Stream(block * count), inode_count=2)


@hostile
def _one_inode_with_a_million_names(share: int) -> bytes:
    return _wide(fifo(), InodeType.BASIC_FIFO, 1200 // share)


@hostile
def _names_of_another_number(share: int) -> bytes:
    count = 1200 // share
    block = same_names(len(directory(0)), InodeType.BASIC_FIFO)
    return image(Stream(directory(count * METADATA_SIZE) + fifo(3)), Stream(block * count), inode_count=2)


@hostile
def _names_of_nothing(share: int) -> bytes:
    count = 1200 // share
    block = same_names(len(directory(0)), InodeType.BASIC_FIFO)
    return image(Stream(directory(count * METADATA_SIZE) + bytes(20)), Stream(block * count), inode_count=2)


@hostile
def _names_of_the_root(share: int) -> bytes:
    count = 1200 // share
    return image(Stream(directory(count * METADATA_SIZE)), Stream(same_names(0, InodeType.BASIC_DIRECTORY) * count))


@hostile
def _names_of_a_long_target(share: int) -> bytes:
    count = 1000 // share
    symlink = header(InodeType.BASIC_SYMLINK, 2) + records.BASIC_SYMLINK.pack(1, 65536) + b"x" * 65536
    block = same_names(len(directory(0)), InodeType.BASIC_SYMLINK)
    return image(Stream(directory(count * METADATA_SIZE) + symlink), Stream(block * count), inode_count=2)


@hostile
def _names_of_a_file_of_holes(share: int) -> bytes:
    """Every name leads to a list of a million blocks, none of which is there."""
    count = 800 // share
    words = count * METADATA_SIZE // 4
    body = records.EXTENDED_FILE.pack(0, words << 20, words << 20, 1, NO_FRAGMENT, 0, NO_XATTRS)
    inodes = directory(count * METADATA_SIZE) + header(InodeType.EXTENDED_FILE, 2) + body + bytes(4 * words)
    block = same_names(len(directory(0)), InodeType.BASIC_FILE)
    return image(Stream(inodes), Stream(block * count), inode_count=2, block_size=1 << 20)


# --- directories -----------------------------------------------------------------------------------------------------

_PER_BLOCK = METADATA_SIZE // 40


def _directories(count: int, inode: Callable[[int], bytes]) -> bytes:
    """Make a root, which is the first, and further directories: so many in each metadata block, and none across two."""
    parts = []
    for number in range(count):
        parts.append(inode(number))
        if number % _PER_BLOCK == _PER_BLOCK - 1:
            parts.append(bytes(METADATA_SIZE - 40 * _PER_BLOCK))
    return b"".join(parts)


def _names_of_directories(count: int, step: int, first: int = 1) -> bytes:
    runs = []
    for start in range(0, count, _PER_BLOCK):
        numbers = range(max(first, start), min(count, start + _PER_BLOCK))
        names = [(f"{number:05}".encode(), 40 * (number % _PER_BLOCK)) for number in numbers]
        runs.append(run(start // _PER_BLOCK * step << 16, names, InodeType.BASIC_DIRECTORY, 1))
    return b"".join(runs)


@hostile
def _listing_of_many_directories(share: int) -> bytes:
    """Thousands of directories have one and the same listing of a million names."""
    count, step, wide = 8000 // share, 64, 800 // share
    names = _names_of_directories(count, step)
    names += bytes(-len(names) % METADATA_SIZE)
    shared = Stream(names + same_names(0, InodeType.BASIC_FIFO) * wide)
    names_size = len(_names_of_directories(count, step))
    place = shared.ref(len(names))

    def inode(number: int) -> bytes:
        if number == 0:
            return directory(names_size)
        return directory(wide * METADATA_SIZE, ref=place, number=2)

    return image(Stream(_directories(count, inode), step), shared, inode_count=count)


@hostile
def _index_of_many_directories(share: int) -> bytes:
    """Thousands of directories, and the bytes behind each of them are an index of 65535 rows.

    A row's name is what is in front of the next inode, that inode, and so on: so one row follows another.
    """
    count, step, row_size = 12000 // share, 64, 128
    per_block = METADATA_SIZE // row_size
    runs = []
    for start in range(0, count, per_block):
        numbers = range(max(1, start), min(count, start + per_block))
        names = [(f"{number:05}".encode(), row_size * (number % per_block)) for number in numbers]
        runs.append(run(start // per_block * step << 16, names, InodeType.BASIC_DIRECTORY, 1))
    listing = b"".join(runs)
    inode = directory(len(listing), number=2, index_count=65535)
    row = records.DIRECTORY_INDEX.pack(0, 0, row_size - records.DIRECTORY_INDEX.size - 1)
    return image(Stream((inode + row).ljust(row_size, b"\0") * count, step), Stream(listing), inode_count=count)


_DEPTH = 4096


def _chain(name_size: int, last: bytes, inodes_behind: bytes = b"") -> bytes:
    """Make directories inside each other, and let the last one have the listing `last`.

    Inodes have 32 bytes each, and with the longest name an entry and its header 256: so all metadata blocks are alike.
    """
    inode_step, step = 512, 200
    entry_size = records.DIRECTORY_HEADER.size + records.DIRECTORY_ENTRY.size + name_size
    names = b"".join(
        [
            run(ref_at(32 * (number + 1), inode_step), [(b"n" * name_size, 32 * (number + 1) % METADATA_SIZE)], 1, 1)
            for number in range(_DEPTH - 1)
        ]
    )
    last_place = len(names) + -len(names) % METADATA_SIZE

    def inode(place: int, size: int) -> bytes:
        ref = ref_at(place, step)
        body = records.BASIC_DIRECTORY.pack(ref >> 16, 2, size + 3, ref & 0xFFFF, 1)
        return header(InodeType.BASIC_DIRECTORY, 2) + body

    inodes = b"".join([inode(number * entry_size, entry_size) for number in range(_DEPTH - 1)])
    inodes += inode(last_place, min(len(last), 65532)) + inodes_behind
    inode_stream, listings = Stream(inodes, inode_step), Stream(names.ljust(last_place, b"\0") + last + b"\0", step)
    assert inode_stream.ref(32 * (_DEPTH - 1))
    assert listings.ref(last_place)
    return image(inode_stream, listings, inode_count=_DEPTH)


@hostile
def _deep_directories(share: int) -> bytes:
    """The longest names that four thousand directories inside each other can have."""
    return _chain(236, b"")


@hostile
def _deep_names(share: int) -> bytes:
    """At the end of a path of a million bytes, seven thousand names."""
    return _chain(236, same_names(0, InodeType.BASIC_FIFO) * 8)


@hostile
def _deep_names_of_directories(share: int) -> bytes:
    """At the end of a path of a million bytes, seven thousand directories."""
    count, per_block = 4800 // share, METADATA_SIZE // 32
    names = []
    for start in range(0, count, per_block):
        here = [(f"{place:05}".encode(), 32 * (place - start)) for place in range(start, min(count, start + per_block))]
        names.append(run(ref_at(32 * (_DEPTH + start), 512), here, InodeType.BASIC_DIRECTORY, 1))
    inode = header(InodeType.BASIC_DIRECTORY, 2) + records.BASIC_DIRECTORY.pack(0, 2, 3, 0, 1)
    return _chain(236, b"".join(names), inode * count)


# --- symlinks --------------------------------------------------------------------------------------------------------


def _maze(target: bytes, name: bytes, wide: int) -> bytes:
    """A root that is its own subdirectory `d`, and has a symlink, behind a million names."""
    size = len(directory(0))
    end = run(0, [(b"o", size + 24 + len(target)), (b"s", size), (b"x" + name, 0)], 1, 1)
    listing = same_names(size + 24 + len(target), InodeType.BASIC_FIFO) * wide + end
    inodes = directory(len(listing)) + header(InodeType.BASIC_SYMLINK, 2) + records.BASIC_SYMLINK.pack(1, len(target))
    return image(Stream(inodes + target + fifo(3)), Stream(listing), inode_count=3)


@hostile
def _symlink_through_a_million_names(share: int) -> bytes:
    """Each of two thousand components is looked up behind a million names, and then forty times more."""
    return _maze(b"x/" * 2000 + b"s", b"", 1000 // share)


@hostile
def _symlink_into_itself(share: int) -> bytes:
    """The path that the symlink leads to grows to 160,000 bytes, in steps of two."""
    return _maze(b"x/" * 2000 + b"s", b"", 0)


@hostile
def _symlinks_to_the_last_name(share: int) -> bytes:
    """A million names are symlinks to the last name of all."""
    count, size = 1000 // share, len(directory(0))
    symlink = header(InodeType.BASIC_SYMLINK, 2) + records.BASIC_SYMLINK.pack(1, 1) + b"z"
    end = run(0, [(b"z", size + len(symlink))], InodeType.BASIC_FIFO)
    listing = same_names(size, InodeType.BASIC_SYMLINK) * count + end
    return image(Stream(directory(len(listing)) + symlink + fifo(3)), Stream(listing), inode_count=3)


# --- extended attributes ---------------------------------------------------------------------------------------------


def attribute(name: bytes, value: bytes, kind: int = 1) -> bytes:
    return records.XATTR_ENTRY.pack(kind, len(name)) + name + records.XATTR_VALUE.pack(len(value)) + value


def _with_sets(values: Stream, rows: bytes, row_count: int, names: int) -> bytes:
    """Make an image whose names all have the first set."""
    listing = same_names(len(directory(0)), InodeType.BASIC_FIFO) * names
    return image(
        Stream(directory(len(listing)) + fifo(xattrs=0)),
        Stream(listing),
        xattrs=values,
        sets=(Stream(rows), row_count),
        inode_count=2,
    )


def _rows(count: int, attribute_count: int, size: int = 0) -> bytes:
    return records.XATTR_ID.pack(0, attribute_count, size) * count


@hostile
def _sets_that_end_badly(share: int) -> bytes:
    """A million rows lead to one set, whose last attribute is damaged."""
    count, rows = 60_000 // share, 500_000 // share
    values = attribute(b"", b"") * count + records.XATTR_ENTRY.pack(1, 0) + records.XATTR_VALUE.pack(1 << 20)
    return _with_sets(Stream(values), _rows(rows, count + 1), rows, 200 // share)


@hostile
def _sets_of_many_attributes(share: int) -> bytes:
    """A hundred thousand names, with sixty thousand attributes each."""
    count = 65536 // share
    return _with_sets(Stream(attribute(b"", b"") * count), _rows(1, count), 1, 900 // share)


@hostile
def _set_of_many_names(share: int) -> bytes:
    """Names, with so many attributes each that nothing keeps them in memory."""
    count = 20_000 // share
    values = b"".join([attribute(b"%04x" % number, b"") for number in range(count)])
    return _with_sets(Stream(values), _rows(1, count), 1, 300 // share)


@hostile
def _set_of_one_value(share: int) -> bytes:
    """Thousands of attributes have one value of 65536 bytes, which is stored once."""
    first = attribute(b"0000", b"\xff" * 65536)
    rest = [attribute(b"%04x" % number, records.XATTR_REF.pack(8), 1 | XATTR_OUT_OF_LINE) for number in range(1, 12000)]
    return _with_sets(Stream(first + b"".join(rest)), _rows(1, 12000), 1, 100 // share)


@hostile
def _sets_of_values_out_of_line(share: int) -> bytes:
    """Each of a hundred thousand attributes refers to another place of some long value."""
    long = records.XATTR_VALUE.pack(65536) * (3 * 65536 // 4)
    place = Stream(long)
    refs = [
        attribute(b"", records.XATTR_REF.pack(place.ref(number % 16000 * 4)), 1 | XATTR_OUT_OF_LINE)
        for number in range(16000)
    ]
    values = Stream(long + b"".join(refs))
    at = [values.ref(len(long) + 16 * 1000 * number) for number in range(16)]
    rows = b"".join([records.XATTR_ID.pack(ref, 1000, 0) for ref in at] * (400 // share))
    return _with_sets(values, rows, len(rows) // records.XATTR_ID.size, 10)


@hostile
def _value_of_tiny_blocks(share: int) -> bytes:
    """Each attribute refers to a value that is spread over thousands of metadata blocks of one byte."""
    tiny = 9000 // share
    head = records.XATTR_VALUE.pack(tiny - 4) + bytes(tiny - 4)
    refs = [attribute(b"", records.XATTR_REF.pack(0), 1 | XATTR_OUT_OF_LINE)]
    refs += [
        attribute(b"", records.XATTR_REF.pack(metadata_ref(3 * place, 0)), 1 | XATTR_OUT_OF_LINE)
        for place in range(4, 2000 // share)
    ]
    content = head + b"".join(refs)
    left = len(content) - tiny
    values = Stream(content, sizes=[1] * tiny + [METADATA_SIZE] * (left // METADATA_SIZE) + [left % METADATA_SIZE])
    first = metadata_ref(3 * tiny, 0)
    return _with_sets(values, records.XATTR_ID.pack(first, len(refs), 0) * 1000, 1000, 10)


# --- tables and data -------------------------------------------------------------------------------------------------


@hostile
def _fragments_of_nothing(share: int) -> bytes:
    """Six hundred thousand fragment blocks, none of which has a place."""
    count = 600_000 // share
    rows = Stream(records.FRAGMENT_ENTRY.pack(1 << 40, 100, 0) * count)
    return image(Stream(directory(0)), Stream(bytes(1)), fragments=(rows, count))


@hostile
def _exports_of_nothing(share: int) -> bytes:
    count = 2_000_000 // share
    return image(Stream(directory(0)), Stream(bytes(1)), exports=Stream(bytes(8 * count)), inode_count=count)


def _file(size: int, words: bytes, data: bytes = b"", block_size: int = 1 << 20, sparse: int = 0) -> bytes:
    names = run(0, [(b"f", 40)], InodeType.BASIC_FILE)
    body = records.EXTENDED_FILE.pack(DATA_START, size, sparse, 1, NO_FRAGMENT, 0, NO_XATTRS)
    inodes = directory(len(names), parent=3) + header(InodeType.EXTENDED_FILE, 2) + body + words
    return image(Stream(inodes), Stream(names), data=data, inode_count=2, block_size=block_size)


@hostile
def _file_of_zeros(share: int) -> bytes:
    """A thousand blocks, each a megabyte out of fifty bytes."""
    block = _COMPRESSOR.compress(bytes(1 << 20))
    count = 60_000 // share // len(block)
    return _file(count << 20, records.DATA_WORD.pack(len(block)) * count, block * count)


@hostile
def _file_of_holes(share: int) -> bytes:
    """Terabytes, and all of them are right."""
    count = 3_000_000 // share
    return _file(count << 20, bytes(4 * count), sparse=(count << 20) - 1)


@hostile
def _file_without_end(share: int) -> bytes:
    """The inode says 2^64 - 1 bytes, and the list of blocks goes on to the end of the table."""
    return _file(2**64 - 1, bytes(8_000_000 // share))


@hostile
def _blocks_without_size(share: int) -> bytes:
    """Three million words say that there is a block, of no bytes."""
    count = 3_000_000 // share
    return _file(count << 12, records.DATA_WORD.pack(DATA_RAW) * count, block_size=4096)


@hostile
def _blocks_of_one_byte(share: int) -> bytes:
    """Each block is the one byte behind the one before, as far as there is data; and so again for many files."""
    count, files = 30_000, 60 // share
    body = records.EXTENDED_FILE.pack(DATA_START, count << 12, 0, 1, NO_FRAGMENT, 0, NO_XATTRS)
    inode = header(InodeType.EXTENDED_FILE, 2) + body
    words = records.DATA_WORD.pack(1 | DATA_RAW) * count
    step = METADATA_SIZE * -(-(len(inode) + len(words)) // METADATA_SIZE)
    place = METADATA_SIZE  # the root has a block of its own, which is as long whatever it says

    def stream(listing_size: int) -> Stream:
        root = directory(listing_size).ljust(place, b"\0")
        return Stream(root + (inode + words).ljust(step, b"\0") * files)

    runs = [run(0, [(b"%03d" % number, 0)], InodeType.BASIC_FILE) for number in range(files)]
    inodes = stream(sum(map(len, runs)))
    refs = [inodes.ref(place + number * step) for number in range(files)]
    names = b"".join([run(ref, [(b"%03d" % number, 0)], InodeType.BASIC_FILE) for number, ref in enumerate(refs)])
    return image(inodes, Stream(names), data=bytes(range(256)) * 120, inode_count=2)
