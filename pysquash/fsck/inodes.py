"""Fsck: inodes, and what can be said of each by itself.

In: metadata references. Out: inodes that make sense, with their files' content checked.
On disk: "Inode table".
Rules kept here: inodes do not overlap, so reading all of them ends.
Not here: names, links and numbers (directories).
"""

from __future__ import annotations

from pysquash.errors import CorruptImageError
from pysquash.format.constants import NO_FRAGMENT, InodeType
from pysquash.format.records import Superblock
from pysquash.format.rules import UNSQUASHFS, Rule
from pysquash.format.words import split_metadata_ref
from pysquash.fsck.data import DataChecker
from pysquash.fsck.findings import Findings
from pysquash.fsck.metadata import UNREAD_RULES, Chain
from pysquash.fsck.xattrs import XattrChecker
from pysquash.reader.inodes import Inode, read_inode
from pysquash.reader.metadata import MetadataReader
from pysquash.tree.entry import Kind

__all__ = ["InodeChecker"]

_SECTION = "inode table"
_PERMISSION_BITS = 0o7777
_TARGET_LIMIT = 4095
_SLACK = 1 << 16
"""Bytes that inodes may share and all be checked: what else is wrong with them is worse."""


class InodeChecker:
    """The inode table of an image.

    Attributes:
        table: Reads it.
        chain: Its blocks.
        unread_count: References at which no inode could be read.
        used_ids: Rows of the id table that inodes have.
    """

    def __init__(
        self,
        superblock: Superblock,
        table: MetadataReader,
        chain: Chain,
        data: DataChecker,
        xattrs: XattrChecker,
        findings: Findings,
    ) -> None:
        """Take what inodes refer to.

        Args:
            superblock: The image's.
            table: The inode table.
            chain: Its blocks.
            data: Checks the content of files.
            xattrs: Checks extended attributes.
            findings: Takes what is wrong.
        """
        self._superblock = superblock
        self._data = data
        self._xattrs = xattrs
        self._findings = findings
        self._room = chain.size
        self.table = table
        self.chain = chain
        self.unread_count = 0
        self.used_ids: set[int] = set()

    def offset(self, ref: int) -> int:
        """Give the byte in the image at which an inode's metadata block starts."""
        return self.chain.start + split_metadata_ref(ref)[0]

    def read(self, ref: int, path: bytes) -> Inode | None:
        """Read an inode and check it; for one that was not read before.

        Args:
            ref: Metadata reference, from the table's start.
            path: The path that leads there.

        Returns:
            The inode, or None where there is none; then something was found.
        """
        inode = self._read(ref, path)
        if inode is None:
            self.unread_count += 1
        return inode

    def again(self, ref: int) -> Inode:
        """Read an inode once more, without checking it."""
        return read_inode(self.table, ref, self._superblock.block_size)

    def take_room(self, size: int) -> bool:
        """Count bytes of the table as an inode's; False where inodes overlap by too much."""
        had, self._room = self._room, self._room - size
        if had >= 0 > self._room:
            text = f"together they take more than the {self.chain.size} bytes of the table"
            self._findings.add(Rule.INODE_OVERLAP, text, section=_SECTION, offset=self.chain.start)
        return self._room >= -_SLACK

    def _read(self, ref: int, path: bytes) -> Inode | None:
        findings, chain, offset = self._findings, self.chain, self.offset(ref)
        position = chain.position(*split_metadata_ref(ref))
        if position is None:
            chain.is_needed = True
            if chain.is_whole:
                text = f"leads to {ref:#x} of the inode table, where nothing is"
                findings.add(Rule.METADATA_REF, text, section="directory table", path=path)
            return None
        try:
            inode = read_inode(self.table, ref, self._superblock.block_size)
            if position + inode.stored_size > chain.size and inode.kind is Kind.FILE:
                text = f"of {inode.block_count} blocks for {inode.size} bytes ends behind the table"
                findings.add(Rule.BLOCK_LIST, text, section=_SECTION, offset=offset, field="size", path=path)
                return None
            if not self.take_room(inode.stored_size):
                return None
            self._check(inode, path, offset)
        except CorruptImageError as error:
            chain.is_needed = True
            if chain.is_whole or error.rule not in UNREAD_RULES:
                findings.add_error(error, offset=offset, path=path)
            return None
        return inode

    def _check(self, inode: Inode, path: bytes, offset: int) -> None:
        def broken(rule: Rule, text: str, field: str, refused_by: tuple[str, ...] | None = None) -> None:
            self._findings.add(
                rule, text, section=_SECTION, offset=offset, field=field, path=path, refused_by=refused_by
            )

        if inode.mode & ~_PERMISSION_BITS:
            broken(Rule.INODE_MODE, f"is {inode.mode:#o}", "mode")
        self.used_ids |= {inode.uid_index, inode.gid_index}
        id_count = self._superblock.id_count
        if inode.uid_index >= id_count:
            broken(Rule.ID_INDEX, f"is {inode.uid_index}, there are {id_count} rows", "uid_index")
        if inode.gid_index >= id_count:
            broken(Rule.ID_INDEX, f"is {inode.gid_index}, there are {id_count} rows", "gid_index")
        self._xattrs.check_inode(inode, path, offset)
        if inode.kind is Kind.FILE:
            self._check_file(inode, path, offset)
        elif inode.kind is Kind.DIRECTORY:
            if inode.listing_size < 0:
                broken(Rule.DIRECTORY_SIZE, f"is {inode.listing_size + 3}", "listing_size")
        elif inode.kind is Kind.SYMLINK and not 1 <= inode.size <= _TARGET_LIMIT:
            # Linux shows an empty target, and the system refuses to make one.
            broken(Rule.SYMLINK_TARGET, f"is {inode.size}", "target_size", None if inode.size else (UNSQUASHFS,))
        elif inode.kind is Kind.SYMLINK and b"\0" in inode.target:
            broken(Rule.SYMLINK_TARGET, "there is a NUL in the target", "target_size")

    def _check_file(self, inode: Inode, path: bytes, offset: int) -> None:
        findings = self._findings
        if inode.fragment_index != NO_FRAGMENT and inode.size % self._superblock.block_size == 0:
            text = f"is {inode.fragment_index}, for {inode.size} bytes"
            findings.add(
                Rule.WHOLE_BLOCKS_FRAGMENT, text, section=_SECTION, offset=offset, field="fragment_index", path=path
            )
        hole_size = self._data.check_file(inode, path, offset)
        # A basic file has no count: mksquashfs 4.5 gives that type to a file that is one hole.
        if hole_size is None or inode.type is InodeType.BASIC_FILE:
            return
        # Of a file that is one hole, tar2sqfs 1.2 counts all bytes, and others all but one. mksquashfs writes 0 for a
        # file that had blocks of zeros and no holes where it was read from.
        if inode.sparse not in (0, hole_size, min(hole_size, max(0, inode.size - 1))):
            text = f"is {inode.sparse}, {hole_size} of {inode.size} bytes are in holes"
            findings.add(Rule.SPARSE, text, section=_SECTION, offset=offset, field="sparse", path=path)
