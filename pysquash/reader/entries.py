"""Reader: what an image's names are as entries, such as every source yields.

In: a path in an image. Out: an entry for it and for each name below it, with the path that has its content.
Rules kept here: a directory comes before what is in it; further names of an inode are hard links to the first; a large
file with holes is sparse.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pysquash.tree.entry import Entry, Kind

if TYPE_CHECKING:  # image makes use of this module, and this one of its paths
    from pysquash.reader.image import ImagePath

__all__ = ["image_entries", "stored_content"]

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
        if inode.kind is not Kind.DIRECTORY and status.st_nlink > 1:
            first = first_names.setdefault(inode.ref, here.path)
            if first != here.path:
                entry.kind, entry.target, entry.device = Kind.HARD_LINK, first, None
                yield entry, here
                continue
        if inode.kind is Kind.FILE:
            entry.size = inode.size
            if inode.size >= _SPARSE_SIZE:  # in a smaller file, holes are not worth the look
                entry.segments = root.image.data.stored_runs(inode, _RUN_LIMIT)
        entry.xattrs = tuple(here.xattrs.items())
        yield entry, here


def stored_content(entry: Entry, here: ImagePath) -> Iterator[bytes]:
    """Yield the content of an entry's file: all of it, or of a sparse one what is stored.

    Args:
        entry: From `image_entries`.
        here: What came with it.

    Raises:
        ImageError: The image is damaged.
    """
    data = here.image.data
    return data.blocks(here.inode) if entry.segments is None else data.stored_blocks(here.inode)
