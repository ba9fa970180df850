"""Fsck: the tree: names, and the inodes that they lead to.

In: the root's reference. Out: the number of each inode that was found.
On disk: "Directory table", "Directory index".
Rules kept here: each directory is read once, and listings do not overlap, so walking ends in any image.
Not here: what can be said of one inode by itself (inodes).
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from typing import NamedTuple

from pysquash.errors import CorruptImageError, printable
from pysquash.format.constants import EXTENDED, InodeType
from pysquash.format.records import DIRECTORY_INDEX
from pysquash.format.rules import KERNEL, UNSQUASHFS, Rule
from pysquash.fsck.findings import Findings
from pysquash.fsck.inodes import InodeChecker
from pysquash.fsck.metadata import UNREAD_RULES, Chain
from pysquash.reader.directories import Name, read_index, read_names
from pysquash.reader.inodes import Inode
from pysquash.reader.metadata import MetadataReader
from pysquash.tree.entry import Kind

__all__ = ["TreeChecker"]

_SECTION = "directory table"
_NAME_LIMIT = 255
_DEPTH_LIMIT = 4096
_PATH_LIMIT = 65536
_PATHS_SIZE = 64 << 20
"""Bytes of paths that are kept for findings, which may have to be made when all is known. Further ones have no path."""
_KEPT_COUNT = 10_000
"""Findings that wait until all is known. What further ones would depend on is taken to be the worse."""
_SHOWN_SIZE = 300
_BASIC_TYPES = range(1, EXTENDED + 1)


class _Directory(NamedTuple):
    """A directory that waits to be read. Those of one directory share what `folder` is: long paths take much memory."""

    inode: Inode
    folder: bytes
    name: bytes
    depth: int


class _Links(NamedTuple):
    """An inode that says it has several names, or none, and the first one."""

    inode: Inode
    path: bytes | None


class TreeChecker:
    """The directories of an image.

    Attributes:
        numbers: The reference of each inode that was found, by its number.
        is_whole: Whether every name could be followed.
    """

    def __init__(
        self, inode_count: int, listings: MetadataReader, chain: Chain, inodes: InodeChecker, findings: Findings
    ) -> None:
        """Take where names are.

        Args:
            inode_count: What the superblock says.
            listings: The directory table.
            chain: Its blocks.
            inodes: Reads and checks inodes.
            findings: Takes what is wrong.
        """
        self._inode_count = inode_count
        self._listings = listings
        self._chain = chain
        self._inodes = inodes
        self._findings = findings
        self._room = chain.size
        self._paths_room = _PATHS_SIZE
        # Every inode that was met: number << 3 | kind, by its reference. How many names it has, where that is not one.
        self._met: dict[int, int] = {}
        self._name_counts: dict[int, int] = {}
        self._links: dict[int, _Links] = {}
        self._beyond: list[tuple[int, bytes | None, int]] = []
        self._misnumbered: list[tuple[Name, Inode, bytes | None, str]] = []
        # How many entries of an inode say another number.
        self._misnumbered_counts: Counter[int] = Counter()
        self._listed: list[tuple[int, int, bytes | None]] = []
        self.numbers: dict[int, int] = {}
        self.is_whole = True

    def walk(self, root_ref: int) -> None:
        """Read all directories from the root down, and check what can be said when that is done."""
        root = self._inodes.read(root_ref, b"")
        if root is None:
            self.is_whole = False
            return
        if root.kind is not Kind.DIRECTORY:
            text = f"leads to a {root.kind.name.lower()}"
            self._findings.add(Rule.ROOT, text, section="superblock", field="root_ref")
            self.is_whole = False
            return
        self._meet(root, b"", root.number)
        waiting = [_Directory(root, b"", b"", 0)]
        while waiting:
            here = waiting.pop()
            waiting += reversed(self._read_directory(here))
        self.is_whole = self.is_whole and not self._inodes.unread_count
        self._check_counts(root)
        self._check_overlaps()

    # --- one directory -----------------------------------------------------------------------------------------------

    def _read_directory(self, here: _Directory) -> list[_Directory]:
        """Read a directory's names, and give the directories among them that are to be read."""
        inode, path = here.inode, _joined(here.folder, here.name)
        below: list[_Directory] = []
        subdirectory_count = 0
        faults: list[CorruptImageError] = []
        try:
            self._take_listing(inode, path)
            names: dict[bytes, int] = {}
            last = b""
            for name in read_names(self._listings, inode, faults=faults):
                self._check_name(name.name, last, inode, path)
                last = name.name
                names[last] = name.ref
                kind, directory = self._follow(name, inode, path, here.depth)
                subdirectory_count += kind == Kind.DIRECTORY
                if directory is not None:
                    below.append(directory)
            for fault in faults:
                self._add_listing_end(fault.text, inode, path, ())
            self._check_index(inode, path, names)
        except CorruptImageError as error:
            self.is_whole = False
            self._chain.is_needed = True
            if faults:
                self._add_listing_end(f"{faults[-1].text}: {error.text}", inode, path, None)
            elif self._chain.is_whole or error.rule not in UNREAD_RULES:
                self._findings.add_error(error, offset=self._listing_offset(inode), path=path)
            return below
        # tar2sqfs 1.2 counts all names.
        if inode.nlink not in (subdirectory_count + 2, len(names) + 2):
            text = f"is {inode.nlink}, there are {subdirectory_count} subdirectories"
            self._add(Rule.NLINK, text, inode, path, "nlink")
        return below

    def _add_listing_end(self, text: str, inode: Inode, path: bytes, refused_by: tuple[str, ...] | None) -> None:
        offset = self._listing_offset(inode)
        self._findings.add(Rule.LISTING_END, text, section=_SECTION, offset=offset, path=path, refused_by=refused_by)

    def _take_listing(self, inode: Inode, path: bytes) -> None:
        """See that a listing lies inside the table, and count its room.

        Raises:
            CorruptImageError: It does not, or there is no room for it, because listings overlap.
        """
        size = inode.listing_size
        if size <= 0:
            return
        position = self._chain.position(inode.listing_block_start, inode.listing_offset)
        if position is None:
            if not self._chain.is_whole:
                raise _error("starts in a block that cannot be read", Rule.METADATA_SIZE)
            text = f"starts at byte {inode.listing_offset} of block {inode.listing_block_start}, where nothing is"
            raise _error(text, Rule.METADATA_REF)
        if position + size > self._chain.size:
            self._listed.append((position, self._chain.size, self._kept_path(path)))
            raise _error(f"{size} bytes from {position} on end behind the table of {self._chain.size}", Rule.LISTING)
        self._listed.append((position, position + size, self._kept_path(path)))
        self._room -= size
        if self._room < 0:
            text = f"listings take more than the {self._chain.size} bytes of the table"
            raise _error(text, Rule.LISTING_OVERLAP)

    def _check_name(self, name: bytes, last: bytes, inode: Inode, path: bytes) -> None:
        if name > last and len(name) <= _NAME_LIMIT:
            return
        refused_by = None
        if len(name) > _NAME_LIMIT:  # by one: Linux lists such a name and looks it up
            rule, text = Rule.NAME_SIZE, f"{printable(name)[:40]!r}... has {len(name)} bytes"
            refused_by = (UNSQUASHFS,)
        elif name == last:
            rule, text = Rule.NAME_UNIQUE, f"{printable(name)!r} is there twice"
        else:
            rule, text = Rule.NAME_ORDER, f"{printable(name)!r} is behind {printable(last)!r}"
        self._findings.add(
            rule,
            text,
            section=_SECTION,
            offset=self._listing_offset(inode),
            field="name",
            path=path,
            refused_by=refused_by,
        )

    def _follow(self, name: Name, parent: Inode, folder: bytes, depth: int) -> tuple[int, _Directory | None]:
        """Check an entry against its inode, and the inode if it was not met before.

        Returns:
            The kind of the inode, as far as it is known, and the directory that is to be read.
        """
        known = self._met.get(name.ref)
        if known is not None:
            number, kind = known >> 3, known & 7
            self._check_entry(name, number, kind, parent, folder)
            if kind == Kind.DIRECTORY:
                self._add_entry(Rule.DIRECTORY_ONCE, "is a directory that has another name", name, parent, folder)
                self.is_whole = False
            else:
                self._name_counts[name.ref] = self._name_counts.get(name.ref, 1) + 1
            return kind, None
        path = _joined(folder, name.name)
        inode = self._inodes.read(name.ref, path)
        if inode is None:
            return name.type, None
        self._check_entry(name, inode.number, inode.kind, parent, folder)
        self._meet(inode, path, name.number)
        if inode.kind is not Kind.DIRECTORY:
            if inode.nlink != 1:
                self._links[name.ref] = _Links(inode, self._kept_path(path))
            return inode.kind, None
        if inode.parent_number != parent.number:
            text = f"is {inode.parent_number}, the directory above is {parent.number}"
            self._add(Rule.PARENT_NUMBER, text, inode, path, "parent_number")
        if depth >= _DEPTH_LIMIT or len(path) > _PATH_LIMIT:
            text = f"is inside more than {_DEPTH_LIMIT} others"
            if depth < _DEPTH_LIMIT:
                text = f"has a path of {len(path)} bytes"
            self._add_entry(Rule.DEPTH, text, name, parent, folder)
            self.is_whole = False
            return inode.kind, None
        return inode.kind, _Directory(inode, folder, name.name, depth + 1)

    def _kept_path(self, path: bytes) -> bytes | None:
        """Give a path that may be kept for long, as far as there is room for all of those."""
        self._paths_room -= len(path)
        return path if self._paths_room >= 0 else None

    def _check_entry(self, name: Name, number: int, kind: int, parent: Inode, folder: bytes) -> None:
        if name.type != kind:
            # unsquashfs asks an entry for one thing only, whether it is a directory; Linux shows its type to programs.
            refused_by: tuple[str, ...] = (KERNEL,)
            if name.type == 0:
                refused_by = ()  # to Linux, a type that the directory does not know
            if Kind.DIRECTORY in (name.type, kind):
                refused_by = (*refused_by, UNSQUASHFS)
            text = f"{printable(name.name)!r} says {name.type}, its inode is of type {kind}"
            rule = Rule.ENTRY_KIND if name.type in _BASIC_TYPES else Rule.ENTRY_TYPE
            self._add_entry(rule, text, name, parent, folder, "type", refused_by)
        if name.number != number:
            self._misnumbered_counts[name.ref] += 1
            text = f"{printable(name.name)!r} says {name.number}, its inode is {number}"
            if len(self._misnumbered) < _KEPT_COUNT:
                self._misnumbered.append((name, parent, self._kept_path(folder), text))
            else:
                self._add_entry(Rule.ENTRY_NUMBER, text, name, parent, folder, "number_delta")

    def _meet(self, inode: Inode, path: bytes, entry_number: int) -> None:
        """Note an inode, and see that its number is its own; `entry_number` is what its directory entry says."""
        number = inode.number
        self._met[inode.ref] = number << 3 | inode.kind
        if number < 1:
            self._add(Rule.INODE_NUMBER, "is 0", inode, path, "number")
        elif number in self.numbers:
            other = self.numbers[number]
            is_known_to_linux = entry_number == number and other not in self._misnumbered_counts
            refused_by: tuple[str, ...] = (KERNEL,) if is_known_to_linux else ()
            other_kind = self._met[other] & 7
            if Kind.DIRECTORY not in (inode.kind, other_kind):
                refused_by = (KERNEL, UNSQUASHFS)  # two names of one number are hard links
            elif inode.kind == other_kind:
                refused_by = (*refused_by, UNSQUASHFS)  # a directory of a number met before is a loop to it
            text = f"{number} is another inode's as well"
            self._add(Rule.INODE_NUMBER_UNIQUE, text, inode, path, "number", refused_by)
        else:
            if number > self._inode_count and len(self._beyond) < _KEPT_COUNT:
                self._beyond.append((number, self._kept_path(path), self._inodes.offset(inode.ref)))
            self.numbers[number] = inode.ref

    def _check_index(self, inode: Inode, path: bytes, names: dict[bytes, int]) -> None:
        """Check that each row of a directory's index leads to where its name stands."""
        if inode.index_count and inode.listing_size <= 0:
            text = f"an index of {inode.index_count} rows, for an empty listing"
            self._add(Rule.DIRECTORY_INDEX, text, inode, path, "index_count", ())
            return
        start = self._chain.position(inode.listing_block_start, inode.listing_offset)
        ordered: list[bytes] = []
        last = 0
        for row in read_index(self._inodes.table, inode):
            if start is None or not self._inodes.take_room(DIRECTORY_INDEX.size + len(row.name)):
                return
            ordered = ordered or sorted(names)
            what = f"the row of {printable(row.name)!r} is for byte {row.position}"
            block = self._chain.block_at(start + row.position)
            first = None
            refused_by: tuple[str, ...] | None = None
            if row.position >= inode.listing_size:
                text = f"{what} of {inode.listing_size}"
            elif row.block_start != block:
                text = f"{what} of block {row.block_start}, which is in {block}"
            elif (first := self._first_name(inode, row.position, row.block_start)) not in names:
                text = f"{what}, where no header is"
            elif row.name != first:
                text = f"{what}, where {printable(first)!r} is the first"
                # Names from the row's on are looked for from there on, so none of them may be in front.
                at = bisect_left(ordered, first)
                refused_by = None if at and ordered[at - 1] >= row.name else ()
            elif row.position < last:
                text = f"{what}, behind a row for byte {last}"
                refused_by = ()  # the search stops in front of it, and is longer
            else:
                last = row.position
                continue
            self._add(Rule.DIRECTORY_INDEX, text, inode, path, "listing_position", refused_by)
            return

    def _first_name(self, inode: Inode, position: int, block_start: int) -> bytes:
        """Give the name behind the header at a place of a listing, b"" where none is."""
        try:
            return next(read_names(self._listings, inode, position, block_start)).name
        except CorruptImageError:
            return b""

    # --- all directories ---------------------------------------------------------------------------------------------

    def _check_counts(self, root: Inode) -> None:
        """Check what all names together must come to; half of them would come to something else."""
        count = len(self.numbers)
        has_count = True
        if self.is_whole:
            has_count = count == self._inode_count or count != len(self._met)
            if not has_count:
                text = f"is {self._inode_count}, {count} were found"
                # unsquashfs makes room for as many as it is told.
                refused_by = () if count < self._inode_count else None
                self._findings.add(
                    Rule.INODE_COUNT, text, section="superblock", field="inode_count", refused_by=refused_by
                )
                self._beyond = [each for each in self._beyond if each[0] > count]
            self._check_links()
        for number, path, offset in self._beyond:
            text = f"is {number}, the superblock counts {self._inode_count}"
            self._findings.add(
                Rule.INODE_NUMBER,
                text,
                section="inode table",
                offset=offset,
                field="number",
                path=path,
                refused_by=(UNSQUASHFS,),  # which makes room for so many
            )
        # tar2sqfs 1.2 says 0.
        if root.parent_number not in (0, self._inode_count + 1) and has_count and not self._beyond:
            text = f"of the root is {root.parent_number}, not {self._inode_count + 1}"
            self._add(Rule.PARENT_NUMBER, text, root, b"", "parent_number")
        for name, parent, folder, text in self._misnumbered:
            # Linux looks for the entry's number among the inodes that it has read, and keeps them by their own numbers.
            owner = self.numbers.get(name.number, name.ref)
            is_shared = owner != name.ref and self._is_named_right(owner, root.ref)
            refused_by = None if is_shared else ()
            self._add_entry(Rule.ENTRY_NUMBER, text, name, parent, folder, "number_delta", refused_by)

    def _is_named_right(self, ref: int, root_ref: int) -> bool:
        """Tell whether an entry of an inode says its number; the root has no entry, and is known by its number."""
        return ref == root_ref or self._name_counts.get(ref, 1) > self._misnumbered_counts[ref]

    def _check_links(self) -> None:
        for ref, (inode, path) in self._links.items():
            names = self._name_counts.get(ref, 1)
            if inode.nlink != names:
                self._add(Rule.NLINK, f"is {inode.nlink}, it has {names} names", inode, path, "nlink")
        for ref, names in self._name_counts.items():
            if ref in self._links:
                continue
            inode = self._inodes.again(ref)
            rule = Rule.BASIC_FILE if inode.type is InodeType.BASIC_FILE else Rule.NLINK
            text = f"inode {inode.number} has {names} names, and nlink is 1"
            self._add(rule, text, inode, None, "nlink")

    def _check_overlaps(self) -> None:
        end, before = 0, "/"
        for start, behind, path in sorted(self._listed, key=lambda listed: listed[:2]):
            if start < end:
                text = f"its listing is part of that of {before}"
                self._findings.add(Rule.LISTING_OVERLAP, text, section=_SECTION, offset=self._chain.start, path=path)
            if behind > end:
                end, before = behind, "another" if path is None else printable(path[:_SHOWN_SIZE])

    # -----------------------------------------------------------------------------------------------------------------

    def _listing_offset(self, inode: Inode) -> int:
        """Give the byte in the image at which the metadata block with a listing's start does."""
        return self._chain.start + inode.listing_block_start

    def _add(
        self,
        rule: Rule,
        text: str,
        inode: Inode,
        path: bytes | None,
        field: str,
        refused_by: tuple[str, ...] | None = None,
    ) -> None:
        self._findings.add(
            rule,
            text,
            section="inode table",
            offset=self._inodes.offset(inode.ref),
            field=field,
            path=path,
            refused_by=refused_by,
        )

    def _add_entry(
        self,
        rule: Rule,
        text: str,
        name: Name,
        parent: Inode,
        folder: bytes | None,
        field: str = "name",
        refused_by: tuple[str, ...] | None = None,
    ) -> None:
        if rule in (Rule.DIRECTORY_ONCE, Rule.DEPTH):
            text = f"{printable(name.name)!r} {text}"
        self._findings.add(
            rule,
            text,
            section=_SECTION,
            offset=self._listing_offset(parent),
            field=field,
            path=folder,
            refused_by=refused_by,
        )


def _joined(folder: bytes, name: bytes) -> bytes:
    return folder + b"/" + name if folder else name


def _error(text: str, rule: Rule) -> CorruptImageError:
    return CorruptImageError(text, section=_SECTION, rule=rule)
