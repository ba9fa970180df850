"""Reader: what an image's names are as entries, such as every source yields.

In: a path in an image. Out: an entry for it and for each name below it, with the path that has its content.
Rules kept here: a directory comes before what is in it; further names of an inode are hard links to the first; a large
file with holes is sparse.
"""

from __future__ import annotations

from collections.abc import Iterator

from pysquash.reader.path import ImagePath
from pysquash.tree.entry import Entry, Kind, Segment

__all__ = ["StoredContent", "image_entries"]

_SPARSE_SIZE = 1 << 20
_RUN_LIMIT = 10_000
"""Runs of stored bytes in a file; one with more has its holes filled with zeros."""


def image_entries(root: ImagePath) -> Iterator[tuple[Entry, ImagePath]]:
    """Yield an entry for each name of an image, from the root down, with the path that has its content.

    Args:
        root: Where to begin; the entries' paths are the image's own.

    Raises:
        ImageError: The image is damaged.
    """
    first_names: dict[int, bytes] = {}
    for here in root.walk():
        status, inode = here.stat(), here.inode
        entry = Entry(
            here.path,
            inode.kind,
            status.st_mode & 0o7777,
            status.st_uid,
            status.st_gid,
            status.st_mtime,
            target=inode.target,
            device=inode.device,
        )
        # A large file may be long to look through, and so it is done once, also where its inode denies its other names.
        if inode.kind is not Kind.DIRECTORY and (status.st_nlink > 1 or inode.size >= _SPARSE_SIZE):
            first = first_names.setdefault(inode.ref, here.path)
            if first != here.path:
                entry.kind, entry.target, entry.device = Kind.HARD_LINK, first, None
                yield entry, here
                continue
        if inode.kind is Kind.FILE:
            entry.size, entry.segments = inode.size, _segments(here)
        entry.xattrs = tuple(here.xattrs.items())
        yield entry, here


def _segments(here: ImagePath) -> tuple[Segment, ...] | None:
    """Find the stored runs of a large file that has holes; in a smaller one, holes are not worth the look."""
    if here.inode.size < _SPARSE_SIZE:
        return None
    return here.filesystem.data.stored_runs(here.inode, _RUN_LIMIT)


class StoredContent:
    """The content of a file: all of it, or of a sparse one what is stored.

    Attributes:
        size: Bytes in the file, holes included.
        segments: The stored runs of a sparse file, or None; the same as its entry has.
    """

    def __init__(self, here: ImagePath) -> None:
        """Stand at the first stored byte.

        Raises:
            ImageError: The image is damaged.
        """
        inode, data = here.inode, here.filesystem.data
        self.size = inode.size
        self.segments = _segments(here)
        if self.segments is None:
            self._blocks = data.blocks(inode)
        else:
            self._blocks = data.stored_blocks(inode) if self.segments else iter(())
        self._rest = b""

    def read(self, size: int) -> bytes:
        """Give the next stored bytes.

        Args:
            size: How many; fewer come at the end only.

        Raises:
            ImageError: The image is damaged.
        """
        parts, have = [self._rest], len(self._rest)
        while have < size:
            block = next(self._blocks, None)
            if block is None:
                break
            parts.append(block)
            have += len(block)
        data = parts[0] if len(parts) == 1 else b"".join(parts)
        self._rest = data[size:]
        return data[:size]
