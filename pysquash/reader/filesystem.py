"""Reader: the file system in an image: what paths are made of.

In: a path or a seekable binary file. Out: `Filesystem`: inodes, names, content, ids and attributes. It knows no paths.
Rules kept here: opening reads the superblock, and sees that each table is where there is something; all else is read
when it is asked for. Threads may read from one image at the same time.
Not here: paths (path), the image with its paths (image), each table (superblock, metadata, tables, inodes,
directories, xattrs, data).
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterator
from types import TracebackType
from typing import Self

from pysquash.compression.base import settings_for
from pysquash.errors import CorruptImageError
from pysquash.format.constants import NO_TABLE, NO_XATTRS, CompressorId, SuperblockFlag
from pysquash.format.rules import Rule
from pysquash.format.words import METADATA_REF_MASK
from pysquash.reader.data import DataReader
from pysquash.reader.directories import Name, ReadThrough, find_name, read_names
from pysquash.reader.inodes import Inode, read_inode
from pysquash.reader.input import Input, InputTarget
from pysquash.reader.metadata import MetadataReader
from pysquash.reader.superblock import next_start, read_superblock
from pysquash.reader.tables import EXPORTS, FRAGMENTS, IDS, Table
from pysquash.reader.xattrs import XattrReader
from pysquash.tree.entry import Kind

__all__ = ["Filesystem"]

_ROOM = 1 << 20
"""Bytes of listings that no image is refused for."""


class Filesystem:
    """The file system in an image, open for reading; a context manager.

    Attributes:
        source: The bytes of the image.
        superblock: As it stands in the image.
        data: The content of files.
        listings: The directory table.
        inodes: The inode table.
        ids: The id table.
        fragments: The fragment table, if there is one.
        exports: The export table, if there is one.
        xattr_table: The xattr tables, if there are any.
    """

    def __init__(self, target: InputTarget, *, offset: int = 0) -> None:
        """Open an image.

        Args:
            target: A path, or a seekable binary file, which stays open.
            offset: The byte in it at which the image starts.

        Raises:
            OSError: The file cannot be read.
            NotSquashfsError: It is no SquashFS image.
            UnsupportedImageError: It is of another version, or compressed with what is not here.
            CorruptImageError: The superblock or the place of a table cannot be true.
        """
        self.source = Input(target, offset)
        try:
            self._open()
        except BaseException:
            self.source.close()
            raise

    def _open(self) -> None:
        source = self.source
        superblock = self.superblock = read_superblock(source)
        settings = settings_for(superblock.compressor, superblock.block_size)
        inode_start, listing_start = superblock.inode_table_start, superblock.directory_table_start
        listing_end = next_start(superblock, listing_start)
        self.inodes = MetadataReader(source, settings, inode_start, listing_start, section="inode table")
        self.listings = MetadataReader(source, settings, listing_start, listing_end, section="directory table")
        self.ids = Table(source, settings, IDS, superblock.id_table_start, superblock.id_count)
        # Older tools point at an empty fragment table instead of saying that there is none.
        has_fragments = superblock.fragment_count and superblock.fragment_table_start != NO_TABLE
        self.fragments = (
            Table(source, settings, FRAGMENTS, superblock.fragment_table_start, superblock.fragment_count)
            if has_fragments
            else None
        )
        self.exports = (
            Table(source, settings, EXPORTS, superblock.export_table_start, superblock.inode_count)
            if superblock.export_table_start != NO_TABLE
            else None
        )
        has_xattrs = superblock.xattr_table_start != NO_TABLE
        self.xattr_table = XattrReader(source, settings, superblock.xattr_table_start) if has_xattrs else None
        self.data = DataReader(source, settings, superblock.block_size, self.inodes, self.fragments)
        self._read_through: ReadThrough = {}
        self._listed: set[int] = set()
        self._room = max(self.listings.size_limit, _ROOM)
        self._ids: array[int] | None = None
        self._root: Inode | None = None

    @property
    def compressor_name(self) -> str:
        """The compressor by its name."""
        return CompressorId(self.superblock.compressor).name.lower()

    @property
    def flag_names(self) -> list[str]:
        """The superblock's flags by their names."""
        return [
            flag.name.lower().replace("_", " ") for flag in SuperblockFlag if flag & self.superblock.flags and flag.name
        ]

    @property
    def root_inode(self) -> Inode:
        """The root directory's inode.

        Raises:
            CorruptImageError: There is no inode where it should be, or that of something else.
        """
        if self._root is None:
            inode = self.read_inode(self.superblock.root_ref & METADATA_REF_MASK)
            if inode.kind is not Kind.DIRECTORY:
                text = f"leads to a {inode.kind.name.lower()}, not to a directory"
                raise CorruptImageError(text, section="superblock", rule=Rule.ROOT, field="root_ref")
            self._root = inode
        return self._root

    def close(self) -> None:
        """Close the file, if we opened it."""
        self.source.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def read_inode(self, ref: int) -> Inode:
        """Read the inode at a metadata reference."""
        return read_inode(self.inodes, ref, self.superblock.block_size)

    def names(self, inode: Inode) -> Iterator[Name]:
        """Yield a directory's entries."""
        self._count_listing(inode)
        return read_names(self.listings, inode)

    def find(self, inode: Inode, name: bytes) -> Name | None:
        """Look one name up in a directory."""
        self._count_listing(inode)
        return find_name(self.listings, self.inodes, inode, name, self._read_through)

    def _count_listing(self, inode: Inode) -> None:
        """See that all directories together have no more in their listings than the table can hold.

        If they had, a short table would be long to read: thousands of directories may have one listing.

        Raises:
            CorruptImageError: They do.
        """
        if inode.ref not in self._listed:
            self._listed.add(inode.ref)
            self._room -= max(0, inode.listing_size)
            if self._room < 0:
                self._listed.discard(inode.ref)
                text = "listings are larger than their table"
                raise CorruptImageError(text, section="directory table", rule=Rule.LISTING_OVERLAP)

    def blocks(self, inode: Inode) -> Iterator[bytes]:
        """Yield a file's content block by block."""
        return self.data.blocks(inode)

    def id(self, index: int) -> int:
        """Give the user or group id of a row of the id table.

        Raises:
            CorruptImageError: There is no such row.
        """
        ids = self._ids
        if ids is None:  # at most 65535 of them, and each inode asks for two
            table = self.ids
            ids = array("I", b"".join(map(table.block, range(table.block_count))))
            if sys.byteorder == "big":
                ids.byteswap()
            self._ids = ids
        if index >= len(ids):
            raise CorruptImageError(f"row {index} of {len(ids)}", section="id table", rule=Rule.ID_INDEX)
        return ids[index]

    def xattrs(self, inode: Inode) -> dict[bytes, bytes]:
        """Give an inode's extended attributes."""
        if inode.xattr_index == NO_XATTRS or self.xattr_table is None:
            return {}
        return self.xattr_table.read(inode.xattr_index)
