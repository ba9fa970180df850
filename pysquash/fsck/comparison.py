"""Comparison: tells how the trees of two images differ, whatever tool and options made them.

In: two images. Out: a `Difference` for each thing that is not the same.
Rules kept here: kind, content, attributes, xattrs and which names share an inode count; compressor, blocks, order and
inode numbers do not.
Not here: reading (reader).
"""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Callable
from typing import Concatenate, NamedTuple, ParamSpec, Protocol, TypeVar

from pysquash.errors import ImageError, printable
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


def diff(
    first: InputTarget, second: InputTarget, *, offset: int = 0, second_offset: int | None = None
) -> list[Difference]:
    """Compare the trees of two images.

    Args:
        first: A path or a seekable binary file.
        second: Another.
        offset: The byte in each of them at which the image starts.
        second_offset: The same for the second one, where it is another; None for `offset`.

    Returns:
        What differs, by path; [] where the trees are the same to the last byte.

    Raises:
        ImageError: One of them is no image, or is damaged; its `image` says which.
        OSError: One of them cannot be read.
    """
    names = _name(first, "the first image"), _name(second, "the second image")
    offsets = offset, offset if second_offset is None else second_offset
    with _opened(first, names[0], offsets[0]) as left, _opened(second, names[1], offsets[1]) as right:
        one, two = _Tree(left, names[0]), _Tree(right, names[1])
        contents: dict[tuple[int, int], bool] = {}  # files that have many names are compared once
        differences = []
        for path in sorted(one.refs.keys() | two.refs.keys()):
            if path not in two.refs:
                differences.append(Difference(path, "only in the first", "", ""))
                continue
            if path not in one.refs:
                differences.append(Difference(path, "only in the second", "", ""))
                continue
            ours, theirs = one.at(path), two.at(path)
            found = [
                Difference(path, what, one.shown(ours, what), two.shown(theirs, what))
                for what, mine, other in zip(_ATTRIBUTES, one.attributes(ours), two.attributes(theirs), strict=True)
                if mine != other
            ]
            is_file = ours.inode.kind is Kind.FILE
            if is_file and not any(difference.what in ("kind", "size") for difference in found):
                refs = ours.inode.ref, theirs.inode.ref
                if refs not in contents:
                    contents[refs] = _is_same_content(_Runs(ours, names[0]), _Runs(theirs, names[1]))
                if not contents[refs]:
                    found.append(Difference(path, "content", "", ""))
            differences += found
        return differences


def _name(target: InputTarget, otherwise: str) -> str:
    if isinstance(target, str | os.PathLike):
        return os.fsdecode(target)
    name = getattr(target, "name", None)
    return name if isinstance(name, str) else otherwise


def _opened(target: InputTarget, name: str, offset: int) -> SquashfsImage:
    try:
        return SquashfsImage(target, offset=offset)
    except ImageError as error:
        error.image = name
        raise


class _Named(Protocol):
    name: str


_Self = TypeVar("_Self", bound=_Named)
_Rest = ParamSpec("_Rest")
_Result = TypeVar("_Result")


def _blaming(method: Callable[Concatenate[_Self, _Rest], _Result]) -> Callable[Concatenate[_Self, _Rest], _Result]:
    """Have an error of a method say in which image it is."""

    @functools.wraps(method)
    def blaming(self: _Self, /, *arguments: _Rest.args, **keywords: _Rest.kwargs) -> _Result:
        try:
            return method(self, *arguments, **keywords)
        except ImageError as error:
            error.image = self.name
            raise

    return blaming


_PATHS_LIMIT = 512 << 20
"""Bytes of all paths in an image: all are in memory, and a short image can have a million, of 64 KiB each."""

_SHOWN_SIZE = 4096
_SHOWN_COUNT = 20
"""Characters of a text in a difference, and names of an inode in it."""

_ATTRIBUTES = ("kind", "mode", "uid", "gid", "mtime", "size", "target", "device", "xattrs", "links")


class _Described(NamedTuple):
    """A digest of what is compared, and what is shown of it."""

    digest: bytes
    text: str


class _Tree:
    """What is known of an image's names before they are compared.

    Attributes:
        name: What the image is called.
        refs: The reference of each path's inode.
    """

    def __init__(self, image: SquashfsImage, name: str) -> None:
        self.name = name
        self._image = image
        self._xattrs: dict[int, _Described] = {}
        self.refs: dict[bytes, int] = {}
        self._links: dict[int, _Described] = {}
        self._walk()

    @_blaming
    def _walk(self) -> None:
        names: dict[int, list[bytes]] = {}  # of inodes that say they have several
        left = _PATHS_LIMIT
        for here in self._image.root.walk():
            left -= len(here.path)
            if left < 0:
                raise ImageError(f"the paths of an image take more than {_PATHS_LIMIT} bytes")
            inode = here.inode
            self.refs[here.path] = inode.ref
            if inode.kind is not Kind.DIRECTORY and inode.nlink > 1:
                names.setdefault(inode.ref, []).append(here.path)
        self._links = {ref: _links(paths) for ref, paths in names.items()}

    @_blaming
    def at(self, path: bytes) -> ImagePath:
        """Give a path that is there."""
        return ImagePath(self._image, path, self.refs[path])

    @_blaming
    def attributes(self, here: ImagePath) -> tuple[object, ...]:
        """Give what is compared but the content: a value for each of _ATTRIBUTES."""
        status, inode = here.stat(), here.inode
        links = self._links.get(inode.ref)
        # An inode that says it has several names may have one all the same.
        names = here.path if links is None or not links.digest else links.digest
        return (
            inode.kind,
            status.st_mode & 0o7777,
            status.st_uid,
            status.st_gid,
            status.st_mtime,
            inode.size,
            inode.target,
            inode.device,
            self._xattrs_of(here).digest,
            None if inode.kind is Kind.DIRECTORY else names,
        )

    @_blaming
    def shown(self, here: ImagePath, what: str) -> str:
        """Give the text of one of them."""
        status, inode = here.stat(), here.inode
        if what == "xattrs":
            return self._xattrs_of(here).text
        if what == "links":
            links = self._links.get(inode.ref)
            alone = "" if inode.kind is Kind.DIRECTORY else printable(here.path)[:_SHOWN_SIZE]
            return alone if links is None else links.text
        return {
            "kind": inode.kind.name.lower().replace("_", " "),
            "mode": f"{status.st_mode & 0o7777:04o}",
            "uid": str(status.st_uid),
            "gid": str(status.st_gid),
            "mtime": str(status.st_mtime),
            "size": str(inode.size),
            "target": printable(inode.target[:_SHOWN_SIZE]) if inode.target else "none",
            "device": "none" if inode.device is None else f"{inode.device[0]}, {inode.device[1]}",
        }[what]

    def _xattrs_of(self, here: ImagePath) -> _Described:
        """Describe the attributes; each set is read once, since many inodes may have the same."""
        index = here.inode.xattr_index
        if index not in self._xattrs:
            digest, shown, size = hashlib.sha256(), [], 0
            for name, value in sorted(here.xattrs.items()):
                digest.update(b"%d %d " % (len(name), len(value)) + name + value)
                if size < _SHOWN_SIZE:
                    shown.append(f"{printable(name)}={value[:_SHOWN_SIZE]!r}")
                    size += len(shown[-1])
            self._xattrs[index] = _Described(digest.digest(), ", ".join(shown)[:_SHOWN_SIZE] or "none")
        return self._xattrs[index]


def _links(paths: list[bytes]) -> _Described:
    """Describe the names of an inode, once for all of them; the digest is empty for a single one."""
    names = sorted(set(paths))
    text = ", ".join([printable(name)[:_SHOWN_SIZE] for name in names[:_SHOWN_COUNT]])[:_SHOWN_SIZE]
    if len(names) == 1:
        return _Described(b"", text)
    digest = hashlib.sha256()
    for name in names:
        digest.update(name + b"\0")
    more = f" and {len(names) - _SHOWN_COUNT} more" if len(names) > _SHOWN_COUNT else ""
    return _Described(digest.digest(), text + more)


class _Runs:
    """A file as blocks and holes, taken in lengths that another file's cuts determine."""

    def __init__(self, here: ImagePath, name: str) -> None:
        self.name = name
        self._data, self._inode = here.filesystem.data, here.inode
        self._extents = self._data.extents(self._inode)
        self._block: bytes | None = None
        self._taken = 0
        self.left = 0

    @_blaming
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


def _is_same_content(first: _Runs, second: _Runs) -> bool:
    """Compare two files of one size, whose blocks may be cut differently, and whose holes may be elsewhere."""
    while length := min(first.refill(), second.refill()):
        mine, theirs = first.take(length), second.take(length)
        if mine is None or theirs is None:  # a hole against a hole, or against zeros
            if any(mine or theirs or b""):
                return False
        elif mine != theirs:
            return False
    return True
