"""Writer: numbers the inodes of a tree and writes the inode table.

In: the tree's nodes, files with their `StoredFile`, directories with their listing. Out: the inode table, in each
node its number and link count, and the reference of each inode.
On disk: "Inode table", "Export table".
Rules kept here: numbers start at 1 and have no gaps; mode holds permission bits only; an extended inode only where a
basic one cannot say it: a file with links, xattrs, holes or 64-bit numbers, a directory with a long listing, an index
or xattrs, anything else with xattrs.
Not here: where a directory's names go (directories).
"""

from __future__ import annotations

import sys
from array import array
from copy import copy
from typing import NamedTuple, cast

from pysquash.format.codec import joined_pack
from pysquash.format.constants import EXTENDED, NO_XATTRS
from pysquash.format.records import (
    BASIC_DEVICE,
    BASIC_DIRECTORY,
    BASIC_FILE,
    BASIC_IPC,
    BASIC_SYMLINK,
    EXPORT_REF,
    EXTENDED_DEVICE,
    EXTENDED_DIRECTORY,
    EXTENDED_FILE,
    EXTENDED_IPC,
    INODE_HEADER,
    XATTR_INDEX,
    BasicDevice,
    BasicDirectory,
    BasicIpc,
    BasicSymlink,
    ExtendedDevice,
    ExtendedDirectory,
    ExtendedFile,
    ExtendedIpc,
    InodeHeader,
)
from pysquash.format.words import device_number
from pysquash.tree.entry import Kind
from pysquash.tree.node import Node
from pysquash.writer.dedup import BlockRun, StoredFile
from pysquash.writer.directories import Listing
from pysquash.writer.metadata import Compress, MetadataWriter
from pysquash.writer.tables import IdTable
from pysquash.writer.xattrs import XattrWriter

__all__ = ["InodeWriter", "Numbering", "export_table", "number_inodes"]

_FILE = Kind.FILE  # a name of its own, because looking a member up in an enum takes longer than comparing with it
_U32_MAX = 0xFFFF_FFFF
_U16_MAX = 0xFFFF

# One packer for header and body of each type: an inode is one call.
_basic_directory = joined_pack(INODE_HEADER, BASIC_DIRECTORY)
_extended_directory = joined_pack(INODE_HEADER, EXTENDED_DIRECTORY)
_basic_file = joined_pack(INODE_HEADER, BASIC_FILE)
_extended_file = joined_pack(INODE_HEADER, EXTENDED_FILE)
_symlink = joined_pack(INODE_HEADER, BASIC_SYMLINK)
_basic_device = joined_pack(INODE_HEADER, BASIC_DEVICE)
_extended_device = joined_pack(INODE_HEADER, EXTENDED_DEVICE)
_basic_ipc = joined_pack(INODE_HEADER, BASIC_IPC)
_extended_ipc = joined_pack(INODE_HEADER, EXTENDED_IPC)


class Numbering(NamedTuple):
    """A tree whose inodes have their numbers.

    Attributes:
        directories: All of them, each before those below it; the root is the first.
        inode_count: Inodes in all, which is also the highest number.
        name_counts: Names of each kind, by `Kind`: further names of an inode count as HARD_LINK; the root has none.
        refs: Metadata reference of each inode from the inode table's start, by its number; -1 until it is written. An
            array takes a quarter of what numbers of their own in each node would.
    """

    directories: list[Node]
    inode_count: int
    name_counts: dict[Kind, int]
    refs: array[int]


def number_inodes(root: Node, *, hard_links: bool = True) -> Numbering:
    """Sort every directory by name, and give each inode its number and link count.

    A directory's children get consecutive numbers, so that the deltas in its listing stay small.

    Args:
        root: The tree; each directory's `children` are put in order in place.
        hard_links: Whether several names of one inode stay so; otherwise each further one gets a copy, in place.
    """
    directories = []
    root.number, root.nlink, count = 1, 2, 1
    name_counts = dict.fromkeys(Kind, 0)
    waiting = [root]
    while waiting:
        directory = waiting.pop()
        directories.append(directory)
        unsorted = directory.names
        children = directory.children = {name: unsorted[name] for name in sorted(unsorted)}
        for name, node in children.items():
            if node.children is not None:
                directory.nlink += 1
                node.nlink = 2
                waiting.append(node)
            elif node.number and hard_links:  # another name came first
                node.nlink += 1
                name_counts[Kind.HARD_LINK] += 1
                continue
            else:
                if node.number:
                    node = children[name] = copy(node)  # noqa: PLW2901 - from here on it is about that one
                node.nlink = 1
            count += 1
            node.number = count
            name_counts[node.kind] += 1
    return Numbering(directories, count, name_counts, array("q", [-1]) * (count + 1))


class InodeWriter:
    """The inode table being made."""

    def __init__(self, compress: Compress, ids: IdTable, xattrs: XattrWriter, refs: array[int]) -> None:
        """Start empty; owners and attributes go to the tables given, and where each inode is to `refs`."""
        self._refs = refs
        self.stream = MetadataWriter(compress)
        self._ids = ids
        self._xattrs = xattrs

    def write(self, node: Node) -> None:
        """Write the inode of anything but a directory, and note its reference."""
        stream = self.stream
        self._refs[node.number] = len(stream.stored) << 16 | len(
            stream.pending
        )  # stream.ref, written out: once an inode
        xattr_index = self._xattrs.index(node.xattrs) if node.xattrs else NO_XATTRS
        if node.kind is _FILE:
            self._write_file(node, cast(StoredFile, node.data), xattr_index)
            return
        is_extended = xattr_index != NO_XATTRS
        header = self._header(node, node.kind + EXTENDED if is_extended else node.kind)
        if node.kind is Kind.SYMLINK:
            record = _symlink(*header, *BasicSymlink(nlink=node.nlink, target_size=len(node.target))) + node.target
            stream.write(record + XATTR_INDEX.pack(xattr_index) if is_extended else record)
        elif node.device is not None:
            number = device_number(*node.device)
            if is_extended:
                extended = ExtendedDevice(nlink=node.nlink, device_number=number, xattr_index=xattr_index)
                stream.write(_extended_device(*header, *extended))
            else:
                stream.write(_basic_device(*header, *BasicDevice(nlink=node.nlink, device_number=number)))
        elif is_extended:
            stream.write(_extended_ipc(*header, *ExtendedIpc(nlink=node.nlink, xattr_index=xattr_index)))
        else:
            stream.write(_basic_ipc(*header, *BasicIpc(nlink=node.nlink)))

    def write_directory(self, node: Node, listing: Listing, parent_number: int) -> None:
        """Write a directory's inode, and note its reference.

        Args:
            node: The directory.
            listing: Where its names are.
            parent_number: Inode number of its parent; for the root the inode count + 1.
        """
        stream = self.stream
        self._refs[node.number] = stream.ref
        xattr_index = self._xattrs.index(node.xattrs)
        size = listing.size + 3  # the names "." and "..", which nobody stores, count 3
        if size <= _U16_MAX and xattr_index == NO_XATTRS and not listing.index_rows:
            basic = BasicDirectory(
                listing_block_start=listing.block_start,
                nlink=node.nlink,
                listing_size=size,
                listing_offset=listing.offset,
                parent_number=parent_number,
            )
            stream.write(_basic_directory(*self._header(node, Kind.DIRECTORY), *basic))
            return
        extended = ExtendedDirectory(
            nlink=node.nlink,
            listing_size=size,
            listing_block_start=listing.block_start,
            parent_number=parent_number,
            index_count=len(listing.index_rows),
            listing_offset=listing.offset,
            xattr_index=xattr_index,
        )
        stream.write(_extended_directory(*self._header(node, Kind.DIRECTORY + EXTENDED), *extended))
        stream.write(b"".join(listing.index_rows))

    def _header(self, node: Node, inode_type: int) -> InodeHeader:
        return InodeHeader(
            type=inode_type,
            mode=node.mode,
            uid_index=self._ids[node.uid],
            gid_index=self._ids[node.gid],
            mtime=node.mtime,
            number=node.number,
        )

    def _write_file(self, node: Node, data: StoredFile, xattr_index: int) -> None:
        run, size = data.run, data.size
        ids = self._ids
        start = 0 if run is None else run.start
        if (
            node.nlink == 1
            and xattr_index == NO_XATTRS
            and size <= _U32_MAX
            and start <= _U32_MAX
            and (run is None or not run.hole_size)
        ):
            # Hot path, most inodes of most images: the fields of header and body by position.
            record = _basic_file(
                _FILE,
                node.mode,
                ids[node.uid],
                ids[node.gid],
                node.mtime,
                node.number,
                start,
                data.fragment_index,
                data.fragment_offset,
                size,
            )
        else:
            # "at most size - 1": Linux counts the file's blocks from what is left.
            sparse = 0 if run is None else min(run.hole_size, size - 1)
            extended = ExtendedFile(
                blocks_start=start,
                size=size,
                sparse=sparse,
                nlink=node.nlink,
                fragment_index=data.fragment_index,
                fragment_offset=data.fragment_offset,
                xattr_index=xattr_index,
            )
            record = _extended_file(*self._header(node, Kind.FILE + EXTENDED), *extended)
        self.stream.write(record if run is None else record + _block_list(run))


def _block_list(run: BlockRun) -> bytes:
    """Pack a block list: DATA_WORDs, which an array holds already on a little-endian machine."""
    if sys.byteorder == "little":
        return run.size_words.tobytes()
    swapped = array("I", run.size_words)
    swapped.byteswap()
    return swapped.tobytes()


def export_table(numbering: Numbering) -> bytes:
    """Pack the export table: each inode's reference, in the order of the inode numbers."""
    return b"".join([EXPORT_REF.pack(ref) for ref in numbering.refs[1:]])
