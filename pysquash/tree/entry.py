"""Entries: what a source yields, one object for each name in a layer.

In: a source's own headers. Out: `Entry`, with names and numbers already checked and normalised by the source.
Not here: what the merged tree holds (tree/node), and where an entry lands in it (tree/merge).
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

__all__ = ["HIGHEST_MTIME", "Entry", "Kind", "Segment", "Xattrs"]

HIGHEST_MTIME = 0xFFFF_FFFF
"""The latest time an inode holds, in seconds since 1970: a u32, so 2106-02-07T06:28:15Z."""

Segment = tuple[int, int]
"""A run of stored bytes in a sparse file: (start in the file, length), both in bytes."""

Xattrs = tuple[tuple[bytes, bytes], ...]
"""Extended attributes as (full name with its prefix, value), names unique."""


class Kind(enum.IntEnum):
    """What a name stands for. 1 to 7 are SquashFS's basic inode types; a hard link is a name only, so it has none."""

    HARD_LINK = 0
    DIRECTORY = 1
    FILE = 2
    SYMLINK = 3
    BLOCK_DEVICE = 4
    CHARACTER_DEVICE = 5
    FIFO = 6
    SOCKET = 7


@dataclass(slots=True)
class Entry:
    """One name in one layer.

    Attributes:
        path: Relative to the image's root, b"" is the root. Components are neither empty nor "." nor "..", hold no NUL
            and are at most 255 bytes. Whiteout markers (`.wh.*`) are ordinary names here.
        kind: What the name stands for.
        mode: Permission bits, 0 to 0o7777; never a file-type bit.
        uid: Owner, 0 to 2^32-1.
        gid: Group, 0 to 2^32-1.
        mtime: Seconds since 1970, 0 to 2^32-1.
        size: Bytes in a regular file, holes included; 0 for all other kinds.
        target: For a symlink its target, as is, 1 to 4095 bytes. For a hard link the path it links to, in the form
            of `path`.
        device: For a block or character device (major, minor): 0 to 4095, 0 to 2^20-1.
        xattrs: Extended attributes in the order of the source; only names that SquashFS can hold.
        segments: None for a file without holes; else the stored runs in ascending order, not touching or overlapping,
            not reaching past size. The source then delivers these bytes only, one run after the other.
        offset: Byte in the source's uncompressed stream where the entry's first header starts; 0 where that means
            nothing.
        inode: What stands for the entry's inode, where a source knows it. A hard link with the same one leads to this
            entry, even if another one has taken its path since. None for most sources: links lead to paths.
        data: Left to whoever stores the file's bytes: where they went. Sources leave it None.
    """

    path: bytes
    kind: Kind
    mode: int = 0o755
    uid: int = 0
    gid: int = 0
    mtime: int = 0
    size: int = 0
    target: bytes = b""
    device: tuple[int, int] | None = None
    xattrs: Xattrs = ()
    segments: tuple[Segment, ...] | None = None
    offset: int = 0
    data: object | None = None
    inode: object | None = None

    @property
    def stored_size(self) -> int:
        """How many bytes of content the source delivers for this entry: its size without the holes."""
        if self.segments is None:
            return self.size
        return sum(length for _, length in self.segments)
