"""Verification: reads an image back, and compares it with what went in.

In: the content of files on their way in, the tree that was written, and the image. Out: nothing, or an error that says
what differs.
Rules kept here: digests are taken of what sources give, before anything of ours touches it; everything else is compared
with the tree; and then the whole image is checked.
Not here: the check (fsck), the comparison of two images (comparison).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from typing import NamedTuple

from pysquash.errors import VerificationError, printable
from pysquash.fsck.check import check
from pysquash.options import WriterOptions
from pysquash.reader.image import ImagePath, SquashfsImage
from pysquash.tree.entry import Kind, Segment
from pysquash.tree.node import Node
from pysquash.writer.output import Output

__all__ = ["Verification"]

_ZEROS = bytes(1 << 20)

Read = Callable[[int], bytes]


class _Content(NamedTuple):
    """What a file's content was on its way in.

    Attributes:
        size: Bytes, holes included.
        segments: The stored runs of a sparse file; one run where all is stored.
        digest: SHA-256 of the stored bytes.
    """

    size: int
    segments: tuple[Segment, ...]
    digest: bytes


class Watched(NamedTuple):
    """A content on its way in: as `_Content`, with a digest that grows while it is read."""

    size: int
    segments: tuple[Segment, ...]
    digest: hashlib._Hash


class Verification:
    """What went into one image; does nothing unless the options ask for it."""

    def __init__(self, options: WriterOptions) -> None:
        """Remember nothing yet."""
        self._is_wanted = options.verify
        self._contents: dict[object, _Content] = {}

    def watch(self, size: int, read: Read, segments: tuple[Segment, ...] | None) -> tuple[Read, Watched | None]:
        """Take the digest of a file's content while it is read.

        Args:
            size: Bytes in the file, holes included.
            read: Gives the stored bytes.
            segments: The stored runs of a sparse file, or None.

        Returns:
            What to read with instead, and what to pass to `note` when all is read.
        """
        if not self._is_wanted:
            return read, None
        digest = hashlib.sha256()
        update = digest.update

        def watched(length: int) -> bytes:
            data = read(length)
            update(data)
            return data

        return watched, Watched(size, ((0, size),) if segments is None else segments, digest)

    def note(self, stored: object, watched: Watched | None) -> None:
        """Note what content it was that is now stored.

        Args:
            stored: What stands for it in the tree.
            watched: From `watch`.
        """
        if watched is not None:
            # Equal files share what stands for them; if unequal ones do, the digest of one will not fit.
            self._contents[stored] = _Content(watched.size, watched.segments, watched.digest.digest())

    def moved(self, before: object, after: object) -> None:
        """Note that something else stands for a content."""
        if self._is_wanted:
            self._contents[after] = self._contents[before]

    def verify(self, output: Output, root: Node) -> None:
        """Read the image back.

        Args:
            output: Where it was written, all of it.
            root: The tree that was.

        Raises:
            VerificationError: Something is not as it went in, or `check` finds something.
        """
        if not self._is_wanted:
            return
        with output.reopened() as (file, offset):
            with SquashfsImage(file, offset=offset) as image:
                differences = list(self._differences(root, image))
            findings = [] if differences else [str(finding) for finding in check(file, offset=offset)]
        if differences or findings:
            raise VerificationError(differences + findings)

    def _differences(self, root: Node, image: SquashfsImage) -> Iterator[str]:
        """Yield what is not the same in the tree and in the image."""
        refs: dict[Node, int] = {}  # inodes of several names
        waiting = [(root, image.root)]
        while waiting:
            node, here = waiting.pop()
            inode = here.inode
            if refs.setdefault(node, inode.ref) != inode.ref:
                yield f"{here}: is not the inode that it should be another name of"
            yield from _attribute_differences(node, here)
            if node.kind is Kind.FILE and inode.kind is Kind.FILE:
                problem = _content_difference(self._contents.get(node.data), here) if inode.size else ""
                if problem:
                    yield f"{here}: {problem}"
            if node.children is None or inode.kind is not Kind.DIRECTORY:
                continue
            found = {path.path.rpartition(b"/")[2]: path for path in here.iterdir()}
            for name in sorted(found.keys() ^ node.children.keys()):
                yield f"{here}: {printable(name)} is {'not in the image' if name in node.children else 'too much'}"
            waiting += [(child, found[name]) for name, child in node.children.items() if name in found]
        if len(set(refs.values())) != len(refs):
            yield "/: inodes are the same that should not be"


def _attribute_differences(node: Node, here: ImagePath) -> Iterator[str]:
    status, inode = here.stat(), here.inode
    pairs: dict[str, tuple[object, object]] = {
        "kind": (Kind(node.kind).name.lower(), inode.kind.name.lower()),
        "mode": (oct(node.mode), oct(inode.mode)),
        "owner": ((node.uid, node.gid), (status.st_uid, status.st_gid)),
        "mtime": (node.mtime, inode.mtime),
        "xattrs": (dict(node.xattrs), here.xattrs),
        "target": (node.target, inode.target),
        "device": (node.device, inode.device),
        "number of links": (node.nlink, inode.nlink),
    }
    for what, (wanted, found) in pairs.items():
        if wanted != found:
            yield f"{here}: {what} is {found}, not {wanted}"


def _content_difference(content: _Content | None, here: ImagePath) -> str:
    """Compare a file's content with what it was on its way in: what differs, or an empty text."""
    inode, data = here.inode, here.image.data
    if content is None:
        return "is not known, and has content"
    if inode.size != content.size:
        return f"size is {inode.size}, not {content.size}"
    digest = hashlib.sha256()
    segments = iter(content.segments)
    start, length = next(segments, (content.size, 0))
    for extent in data.extents(inode):
        block = b"" if extent.is_hole else data.read_extent(inode, extent)
        position, end = extent.position, extent.position + extent.size
        while position < end:
            if position < start:  # between the stored runs
                stop = min(start, end)
                if block and any(block[position - extent.position : stop - extent.position]):
                    return f"bytes {position} to {stop} are not zeros"
            else:
                stop = min(start + length, end)
                if block:
                    digest.update(block[position - extent.position : stop - extent.position])
                else:
                    for size in _pieces(stop - position):
                        digest.update(_ZEROS[:size])
            position = stop
            while position >= start + length and start < content.size:
                start, length = next(segments, (content.size, 0))
    if digest.digest() != content.digest:
        return "content is not what went in"
    return ""


def _pieces(size: int) -> Iterator[int]:
    """Cut a size into pieces of at most 1 MiB."""
    while size:
        piece = min(size, len(_ZEROS))
        yield piece
        size -= piece
