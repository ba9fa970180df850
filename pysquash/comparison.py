"""Comparison: tells how the trees of two images differ, whatever tool and options made them.

In: two images. Out: a `Difference` for each thing that is not the same.
Rules kept here: kind, content, attributes, xattrs and which names share an inode count; compressor, blocks, order and
inode numbers do not.
Not here: reading (reader).
"""

from __future__ import annotations

from typing import NamedTuple

from pysquash.errors import printable
from pysquash.reader.image import ImagePath, SquashfsImage
from pysquash.reader.input import InputTarget
from pysquash.tree.entry import Kind

__all__ = ["Difference", "diff"]


class Difference(NamedTuple):
    """One thing that is not the same.

    Attributes:
        path: In the image, b"" for the root.
        what: "only in the first", "only in the second", or the attribute: "kind", "mode", "uid", "gid", "mtime",
            "size", "content", "target", "device", "xattrs", "links".
        first: What the first image has, as text.
        second: What the second one has.
    """

    path: bytes
    what: str
    first: str
    second: str

    def __str__(self) -> str:
        if not self.first and not self.second:
            return f"{printable(self.path)}: {self.what}"
        return f"{printable(self.path)}: {self.what}: {self.first} against {self.second}"


def diff(first: InputTarget, second: InputTarget) -> list[Difference]:
    """Compare the trees of two images.

    Args:
        first: A path or a seekable binary file.
        second: Another.

    Returns:
        What differs, by path; [] where the trees are the same to the last byte.

    Raises:
        ImageError: One of them is no image, or is damaged.
        OSError: One of them cannot be read.
    """
    with SquashfsImage(first) as left, SquashfsImage(second) as right:
        ours = {path.path: path for path in left.root.walk()}
        theirs = {path.path: path for path in right.root.walk()}
        our_links, their_links = _links(ours), _links(theirs)
        differences = []
        for path in sorted(ours.keys() | theirs.keys()):
            if path not in theirs:
                differences.append(Difference(path, "only in the first", "", ""))
            elif path not in ours:
                differences.append(Difference(path, "only in the second", "", ""))
            else:
                one, two = _described(ours[path], our_links), _described(theirs[path], their_links)
                found = [Difference(path, what, one[what], two[what]) for what in one if one[what] != two[what]]
                if not any(difference.what in ("kind", "size") for difference in found) and not _is_same_content(
                    ours[path], theirs[path]
                ):
                    found.append(Difference(path, "content", "", ""))
                differences += found
        return differences


def _links(paths: dict[bytes, ImagePath]) -> dict[int, list[bytes]]:
    """Collect the names of each inode that has several."""
    groups: dict[int, list[bytes]] = {}
    for path, here in paths.items():
        if here.inode.kind is not Kind.DIRECTORY and here.inode.nlink > 1:
            groups.setdefault(here.inode.ref, []).append(path)
    return groups


def _described(here: ImagePath, links: dict[int, list[bytes]]) -> dict[str, str]:
    status, inode = here.stat(), here.inode
    names = sorted(links.get(inode.ref, [here.path])) if inode.kind is not Kind.DIRECTORY else []
    xattrs = sorted(here.xattrs.items())
    return {
        "kind": inode.kind.name.lower().replace("_", " "),
        "mode": f"{status.st_mode & 0o7777:04o}",
        "uid": str(status.st_uid),
        "gid": str(status.st_gid),
        "mtime": str(status.st_mtime),
        "size": str(inode.size),
        "target": printable(inode.target) if inode.target else "none",
        "device": "none" if inode.device is None else f"{inode.device[0]}, {inode.device[1]}",
        "xattrs": ", ".join(f"{printable(name)}={value!r}" for name, value in xattrs) or "none",
        "links": ", ".join(map(printable, names)),
    }


class _Runs:
    """A file as blocks and holes, taken in lengths that another file's cuts determine."""

    def __init__(self, here: ImagePath) -> None:
        self._data, self._inode = here.image.data, here.inode
        self._extents = self._data.extents(self._inode)
        self._block: bytes | None = None
        self._taken = 0
        self.left = 0

    def refill(self) -> int:
        """Give the bytes that are left of this block or hole, or else of the next one; 0 at the end."""
        if not self.left:
            extent = next(self._extents, None)
            if extent is not None:
                self._block = None if extent.is_hole else self._data.read_extent(self._inode, extent)
                self._taken, self.left = 0, extent.size
        return self.left

    def take(self, length: int) -> bytes | None:
        """Take the next bytes, None from a hole."""
        start, self._taken = self._taken, self._taken + length
        self.left -= length
        return None if self._block is None else self._block[start : self._taken]


def _is_same_content(one: ImagePath, two: ImagePath) -> bool:
    """Compare two files of one size, whose blocks may be cut differently, and whose holes may be elsewhere."""
    if one.inode.kind is not Kind.FILE:
        return True
    first, second = _Runs(one), _Runs(two)
    while length := min(first.refill(), second.refill()):
        mine, theirs = first.take(length), second.take(length)
        if mine is None or theirs is None:  # a hole against a hole, or against zeros
            if any(mine or theirs or b""):
                return False
        elif mine != theirs:
            return False
    return True
