"""Writer: writes the names of each directory.

In: a directory's sorted children, whose inodes are written. Out: the directory table, and for each directory where its
listing is.
On disk: "Directory table", "Directory index".
Rules kept here: a header covers at most 256 entries, one block of the inode table, and inode numbers within an int16
of its own; an entry has the basic type also where the inode is extended; an index row names a header that starts in
another metadata block than the row before.
Not here: the order of names and inode numbers (inodes).
"""

from __future__ import annotations

from array import array
from typing import NamedTuple

from pysquash.format.constants import HEADER_ENTRY_COUNT, METADATA_SIZE
from pysquash.format.records import DIRECTORY_ENTRY, DIRECTORY_HEADER, DIRECTORY_INDEX
from pysquash.tree.node import Node
from pysquash.writer.metadata import Compress, MetadataWriter

__all__ = ["DirectoryWriter", "Listing"]

_DELTA_MAX = 0x7FFF
_INDEX_COUNT_MAX = 0xFFFF


class Listing(NamedTuple):
    """Where a directory's names are.

    Attributes:
        block_start: Metadata block in which the listing starts, from the directory table's start.
        offset: Its first byte inside that uncompressed block.
        size: Bytes of the listing; 0 for an empty directory.
        index_rows: Packed rows of the directory index, each with its name; none for a listing of one metadata block.
    """

    block_start: int
    offset: int
    size: int
    index_rows: list[bytes]


class DirectoryWriter:
    """The directory table being made."""

    def __init__(self, compress: Compress, refs: array[int]) -> None:
        """Start empty.

        Args:
            compress: Compresses a metadata block.
            refs: Each inode's reference, by its number, once it is written.
        """
        self._refs = refs
        self.stream = MetadataWriter(compress)

    def write(self, children: dict[bytes, Node]) -> Listing:
        """Write one directory's listing.

        Args:
            children: Sorted by name; every node has its number, and its inode is written.
        """
        stream, refs, pack = self.stream, self._refs, DIRECTORY_ENTRY.pack
        first_block, first_offset = len(stream.stored), len(stream.pending)
        size, indexed_block = 0, first_block
        index_rows: list[bytes] = []
        rows = iter(children.items())
        row = next(rows, None)
        while row is not None:
            # One turn of this loop is one header and the entries it can cover.
            first_name, first_node = row
            base_number = first_node.number
            run_block = refs[base_number] >> 16
            entries: list[bytes] = []
            while row is not None and len(entries) < 2 * HEADER_ENTRY_COUNT:
                name, node = row
                number = node.number
                ref, delta = refs[number], number - base_number
                if ref >> 16 != run_block or not -_DELTA_MAX - 1 <= delta <= _DELTA_MAX:
                    break
                entries += (pack(ref & 0xFFFF, delta, node.kind, len(name) - 1), name)
                row = next(rows, None)
            block_start = len(stream.stored)
            if block_start != indexed_block and len(index_rows) < _INDEX_COUNT_MAX:
                indexed_block = block_start
                index_rows.append(DIRECTORY_INDEX.pack(size, block_start, len(first_name) - 1) + first_name)
            run = DIRECTORY_HEADER.pack(len(entries) // 2 - 1, run_block, base_number) + b"".join(entries)
            stream.write(run)
            size += len(run)
        # A short listing that happens to straddle two blocks is read at once: no index, and the inode stays basic.
        return Listing(first_block, first_offset, size, index_rows if size > METADATA_SIZE else [])
