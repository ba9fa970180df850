"""Nodes: the merged tree, one object for each inode.

In: entries that survived the merge. Out: a tree of `Node`, whose files point at data already stored.
A hard link is one Node under several names. Not here: where a path leads (tree/paths), what numbers and references the
inodes get (writer/inodes).
"""

from __future__ import annotations

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
        target: A symlink's target; b"" for every other kind.
        device: (major, minor) of a device; None for every other kind.
        data: A file's stored data, as whoever stored it left it in the entry; None for every other kind.
        implied: Whether no entry has described this directory so far.
        number: Inode number, from 1; 0 until the writer has numbered the tree.
        nlink: Names of this inode, or for a directory 2 and its subdirectories; 0 until then.
        inode_ref: Metadata reference of the inode from the inode table's start; -1 until it is written.
    """

    __slots__ = (
        "children",
        "data",
        "device",
        "gid",
        "implied",
        "inode_ref",
        "kind",
        "mode",
        "mtime",
        "nlink",
        "number",
        "target",
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
        self.target = entry.target
        self.device = entry.device
        self.data = entry.data
        self.implied = False
        self.number = 0
        self.nlink = 0
        self.inode_ref = -1

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

    @property
    def names(self) -> dict[bytes, Node]:
        """The children of a node that is known to be a directory."""
        if self.children is None:
            raise NotADirectoryError(f"a {self.kind.name.lower()} has no children")
        return self.children
