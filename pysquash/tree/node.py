"""Nodes: the merged tree, one object for each inode.

In: entries that survived the merge. Out: a tree of `Node`, whose files point at data already stored.
A hard link is one Node under several names. Not here: where a path leads (tree/merge), what numbers and references the
inodes get (writer/inodes).
"""

from __future__ import annotations

from pysquash.tree.entry import Entry, Kind, Xattrs

__all__ = ["Node"]


class Node:
    """One inode of the image.

    Attributes:
        kind: Never HARD_LINK.
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

    def __init__(
        self,
        kind: Kind,
        mode: int,
        uid: int,
        gid: int,
        mtime: int,
        *,
        xattrs: Xattrs = (),
        target: bytes = b"",
        device: tuple[int, int] | None = None,
        data: object | None = None,
        implied: bool = False,
    ) -> None:
        """Make a node without children; a directory gets an empty set of them."""
        self.kind = kind
        self.mode = mode
        self.uid = uid
        self.gid = gid
        self.mtime = mtime
        self.xattrs = xattrs
        self.children: dict[bytes, Node] | None = {} if kind is Kind.DIRECTORY else None
        self.target = target
        self.device = device
        self.data = data
        self.implied = implied
        self.number = 0
        self.nlink = 0
        self.inode_ref = -1

    @property
    def names(self) -> dict[bytes, Node]:
        """The children of a node that is known to be a directory."""
        if self.children is None:
            raise NotADirectoryError(f"a {self.kind.name.lower()} has no children")
        return self.children

    @classmethod
    def from_entry(cls, entry: Entry) -> Node:
        """Make the node that an entry of any kind but a hard link describes."""
        return cls(
            entry.kind,
            entry.mode,
            entry.uid,
            entry.gid,
            entry.mtime,
            xattrs=entry.xattrs,
            target=entry.target,
            device=entry.device,
            data=entry.data,
        )
