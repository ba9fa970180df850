"""Readback: compares an image with the tree that it was made of, and with the digests of what went into it.

In: a tree, what is known of its files' contents, and the image. Out: what is not the same.
Not here: the digests (digests), the comparison of two images (fsck/comparison).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping

from pysquash.errors import printable
from pysquash.format.rules import Rule
from pysquash.fsck.check import check
from pysquash.options.writer import WriterOptions
from pysquash.reader.image import ImagePath, SquashfsImage
from pysquash.tree.content import Content
from pysquash.tree.entry import Kind
from pysquash.tree.node import Node
from pysquash.writer.output import Output

__all__ = ["problems_of"]

_ZEROS = bytes(1 << 20)


def problems_of(output: Output, root: Node, contents: Mapping[object, Content], options: WriterOptions) -> list[str]:
    """Read an image back.

    Args:
        output: Where it was written, all of it.
        root: The tree that was.
        contents: What each file's content was on its way in, by what stands for it in the tree.
        options: What the image was to be; who asked for one that Linux cannot mount need not be told so.

    Returns:
        What is not as it went in, or else what a check finds; a line each.
    """
    with output.reopened() as (file, offset):
        with SquashfsImage(file, offset=offset) as image:
            problems = list(_differences(root, contents, image))
        asked_for = {Rule.COMPRESSOR} if options.compressor == "lzma" else set()
        if not options.padded:
            asked_for.add(Rule.PADDING)
        return problems or [str(each) for each in check(file, offset=offset) if each.rule not in asked_for]


def _differences(root: Node, contents: Mapping[object, Content], image: SquashfsImage) -> Iterator[str]:
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
            problem = _content_difference(contents.get(node.data), here) if inode.size else ""
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


def _content_difference(content: Content | None, here: ImagePath) -> str:
    """Compare a file's content with what it was on its way in: what differs, or an empty text."""
    inode, data = here.inode, here.filesystem.data
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
