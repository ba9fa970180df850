"""Nodes: the merged tree, one object for each inode.

In: entries that survived the merge. Out: a tree of `Node`, whose files point at data already stored.
A hard link is one Node under several names. Not here: where a path leads (tree/paths), what numbers and references the
inodes get (writer/inodes).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

from pysquash.tree.entry import Entry, Kind

__all__ = ["Node"]

_DIRECTORY = Kind.DIRECTORY  # a name of its own, because looking a member up in an enum takes longer than all else here


class Node:
    """One inode of the image.

    Attributes:
        kind: Never HARD_LINK, once a layer is at its end.
        mode: Permission bits, 0 to 0o7777.
        uid: Owner, 0 to 2^32-1.
        gid: Group, 0 to 2^32-1.
        mtime: Seconds since 1970, 0 to 2^32-1.
        xattrs: Extended attributes, in any order, names unique.
        children: A directory's names and nodes; None for every other kind.
        data: What there is of an inode besides: a file's stored data, as whoever stored it left it; a symlink's target;
            (major, minor) of a device; None for every other kind. One slot for all of them: there may be millions.
        implied: Whether no entry has described this directory so far.
        number: Inode number, from 1; 0 until the writer has numbered the tree.
        nlink: Names of this inode, or for a directory 2 and its subdirectories; 0 until then.
    """

    __slots__ = (
        "children",
        "data",
        "gid",
        "implied",
        "kind",
        "mode",
        "mtime",
        "nlink",
        "number",
        "uid",
        "xattrs",
    )

    def __init__(self, entry: Entry) -> None:
        """Make the node that an entry describes, without children.

        One argument and not one for each field: this runs for every entry there is, and takes a third of the time.
        """
        kind = entry.kind
        self.kind = kind
        self.mode = entry.mode
        self.uid = entry.uid
        self.gid = entry.gid
        self.mtime = entry.mtime
        self.xattrs = entry.xattrs
        self.children: dict[bytes, Node] | None = {} if kind is _DIRECTORY else None
        self.data: object = entry.data or entry.target or entry.device
        self.implied = False
        self.number = 0
        self.nlink = 0

    @classmethod
    def implied_directory(cls, mtime: int) -> Node:
        """Make a directory that is there only because something is in it: 0755, owned by 0:0.

        Args:
            mtime: Seconds since 1970, 0 to 2^32-1.
        """
        node = cls(Entry(b"", _DIRECTORY, 0o755, mtime=mtime))
        node.implied = True
        return node

    def describe(self, entry: Entry) -> None:
        """Give a directory all the attributes of an entry; what it had goes, its children stay."""
        self.mode = entry.mode
        self.uid = entry.uid
        self.gid = entry.gid
        self.mtime = entry.mtime
        self.xattrs = entry.xattrs
        self.implied = False

    def walk(self) -> Iterator[Node]:
        """Yield this node and all below it, a directory before what is in it, an inode once for each of its names."""
        waiting = [self]
        while waiting:
            node = waiting.pop()
            yield node
            if node.children:
                waiting += node.children.values()

    @property
    def target(self) -> bytes:
        """A symlink's target; b"" for every other kind."""
        return self.data if isinstance(self.data, bytes) else b""

    @property
    def device(self) -> tuple[int, int] | None:
        """(major, minor) of a device; None for every other kind."""
        is_device = self.kind is Kind.BLOCK_DEVICE or self.kind is Kind.CHARACTER_DEVICE
        return cast(tuple[int, int], self.data) if is_device else None

    @property
    def names(self) -> dict[bytes, Node]:
        """The children of a node that is known to be a directory."""
        if self.children is None:
            raise NotADirectoryError(f"a {self.kind.name.lower()} has no children")
        return self.children
