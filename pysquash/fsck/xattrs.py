"""Fsck: extended attributes.

In: the xattr tables. Out: what is known of each set, for the inodes that have it.
On disk: "Xattr table".
Rules kept here: every set is read, also one that no inode has; sets do not overlap, so reading all of them ends.
"""

from __future__ import annotations

from pysquash.errors import CorruptImageError, printable
from pysquash.format.constants import NO_XATTRS, XATTR_PREFIXES
from pysquash.format.records import XATTR_ENTRY, XATTR_REF, XATTR_VALUE
from pysquash.format.rules import KERNEL, Rule
from pysquash.format.words import METADATA_REF_MASK, XATTR_OUT_OF_LINE, split_metadata_ref
from pysquash.fsck.findings import Findings
from pysquash.fsck.metadata import UNREAD_RULES, XATTR_SECTION, Chain
from pysquash.reader.inodes import Inode
from pysquash.reader.xattrs import Xattr, XattrReader
from pysquash.tree.entry import Kind

__all__ = ["XattrChecker"]

_LEAST_SIZE = XATTR_ENTRY.size + XATTR_VALUE.size
_NAME_LIMIT = 255
_NUMBER_MASK = 0xFF
_USER = XATTR_PREFIXES[0]


class XattrChecker:
    """The sets of an image, checked.

    Attributes:
        used_sets: Rows of the xattr id table that inodes have.
    """

    def __init__(
        self, xattrs: XattrReader | None, chain: Chain | None, findings: Findings, *, is_missing: bool
    ) -> None:
        """Check every set.

        Args:
            xattrs: The xattr tables, if there are any that can be read.
            chain: The blocks of keys and values.
            findings: Takes what is wrong.
            is_missing: Whether there is a table, and it cannot be read.
        """
        self._findings = findings
        self._is_missing = is_missing
        self._has_user = bytearray()
        self.used_sets: set[int] = set()
        if xattrs is None or chain is None:
            return
        self._room = chain.size
        for index in range(xattrs.rows.row_count):
            self._has_user.append(0)
            try:
                self._check_set(xattrs, chain, index)
            except CorruptImageError as error:
                if error.rule == Rule.TABLE_BLOCK_SIZE:  # which is reported of the block
                    continue
                if chain.is_whole or error.rule not in UNREAD_RULES:
                    findings.add_error(error, offset=xattrs.rows.list_start)
                chain.is_needed = True
            if self._room < 0:
                text = f"the sets up to row {index} take more than the {chain.size} bytes of the table"
                findings.add(Rule.XATTR_OVERLAP, text, section=XATTR_SECTION, offset=chain.start)
                return

    def check_inode(self, inode: Inode, path: bytes, offset: int) -> None:
        """Check what an inode says of its attributes.

        Args:
            inode: Any.
            path: Its path.
            offset: The byte in the image at which its metadata block starts.
        """
        index = inode.xattr_index
        if index == NO_XATTRS or self._is_missing:
            return
        self.used_sets.add(index)
        if index >= len(self._has_user):
            text = f"is {index}, there are {len(self._has_user)} rows"
            refused_by = None if self._has_user else ()  # without a table, nobody looks
            self._findings.add(
                Rule.XATTR_INDEX,
                text,
                section="inode table",
                offset=offset,
                field="xattr_index",
                path=path,
                refused_by=refused_by,
            )
        elif self._has_user[index] and inode.kind not in (Kind.FILE, Kind.DIRECTORY):
            text = f"a {inode.kind.name.lower().replace('_', ' ')} has an attribute of users"
            self._findings.add(
                Rule.XATTR_USER, text, section="inode table", offset=offset, field="xattr_index", path=path
            )

    def _check_set(self, xattrs: XattrReader, chain: Chain, index: int) -> None:
        """Check one set, and count the room that it takes in the table."""
        findings = self._findings
        row = xattrs.rows[index]
        block_start, byte_offset = split_metadata_ref(row.ref)
        offset = xattrs.rows.location(0)
        if row.ref & ~METADATA_REF_MASK:
            text = f"row {index} is {row.ref:#x}, of which bits 48 to 63 are ignored"
            findings.add(Rule.UNUSED, text, section="xattr id table", offset=offset, field="ref")
        position = chain.position(block_start, byte_offset)
        if position is None:
            chain.is_needed = True
            if chain.is_whole:
                text = f"row {index} leads to {row.ref:#x}, where nothing is"
                findings.add(Rule.METADATA_REF, text, section="xattr id table", offset=offset, field="ref")
            return
        if not 1 <= row.xattr_count <= chain.size // _LEAST_SIZE:
            text = f"of row {index} is {row.xattr_count}, the table has {chain.size} bytes"
            findings.add(Rule.XATTR_COUNT, text, section="xattr id table", offset=offset, field="xattr_count")
            return
        size = stored_size = 0
        for number, each in enumerate(xattrs.stored_set(index), 1):
            if each.type & XATTR_OUT_OF_LINE and each.value_size != XATTR_REF.size:
                text = f"row {index} has a reference of {each.value_size} bytes"
                # Linux goes on after that many bytes, unsquashfs after 8.
                end = chain.size - XATTR_REF.size
                is_harmless = number == row.xattr_count and position + stored_size + each.value_size <= end
                findings.add(
                    Rule.XATTR_REF_SIZE,
                    text,
                    section=XATTR_SECTION,
                    offset=chain.start + block_start,
                    field="value",
                    refused_by=() if is_harmless else None,
                )
            stored_size += each.stored_size
            self._room -= each.stored_size
            prefix = each.prefix
            if prefix is None:
                text = f"row {index} has one of type {each.type:#x}"
                # unsquashfs does not look at bits above the number.
                is_masked = each.type & _NUMBER_MASK < len(XATTR_PREFIXES)
                findings.add(
                    Rule.XATTR_TYPE,
                    text,
                    section=XATTR_SECTION,
                    offset=chain.start + block_start,
                    field="type",
                    refused_by=(KERNEL,) if is_masked else None,
                )
                return
            size += len(prefix) + len(each.suffix) + 1 + len(each.value)
            self._check_name(each, prefix, index, chain.start + block_start)
            self._has_user[index] |= prefix == _USER
        # tar2sqfs 1.2 counts the bytes that keys and values take where they are stored.
        if row.size not in (size, stored_size):
            text = f"of row {index} is {row.size}, its attributes make {size}"
            findings.add(Rule.XATTR_SET_SIZE, text, section="xattr id table", offset=offset, field="size")

    def _check_name(self, each: Xattr, prefix: bytes, index: int, offset: int) -> None:
        size = len(prefix) + len(each.suffix)
        if not each.suffix or size > _NAME_LIMIT:
            text = f"row {index} has {printable(prefix + each.suffix)[:80]!r}, of {size} bytes"
            self._findings.add(Rule.XATTR_NAME, text, section=XATTR_SECTION, offset=offset, field="name_size")
