"""Layering: one image for each layer, to be stacked with overlayfs where they are used.

In: sources, base first. Out: a folder with an image for each, whose stack shows the tree that one image of all would
hold.
The way there: layers are merged one after the other as for one image (tree/merge), and each image gets what its layer
changed: what is new, a whiteout for what is gone (the character device 0:0), `overlay.opaque` on a directory of which
nothing is left.
Rules kept here: a directory that an image has for what is in it has the merged tree's attributes, because overlayfs
shows the topmost ones; hard links cannot cross images, so where the names of an inode change, all of them are in the
image, with its content; images appear all together or not at all.
Not here: one image of all layers (pack).
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Literal, NamedTuple

from pysquash.content.digests import Verification
from pysquash.edits.invalid_owners import report_invalid_owners
from pysquash.errors import LimitError, OptionError
from pysquash.host.atomic import AtomicDirectory
from pysquash.host.output_guard import OwnFiles
from pysquash.notices import WarningGroup, Warnings
from pysquash.options.writer import WriterOptions
from pysquash.packing.entry_limits import EntryLimits
from pysquash.packing.pack import OpenSource
from pysquash.reader.entries import StoredContent
from pysquash.reader.image import SquashfsImage
from pysquash.sources.base import Source
from pysquash.sources.files import FilesSource
from pysquash.tree.entry import Entry, Kind
from pysquash.tree.merge import Merge
from pysquash.tree.node import Node
from pysquash.writer.image import ImageWriter
from pysquash.writer.output import Output

__all__ = ["LayerImages", "OverlayXattrs", "pack_layers"]

OverlayXattrs = Literal["trusted", "user"]
"""The name space of overlayfs's attributes: "user" is for mounts with the option userxattr."""


class LayerImages(NamedTuple):
    """What was written.

    Attributes:
        paths: The images, base first: as lowerdir of a mount, overlayfs wants them the other way round.
        warnings: One group for each kind of warning.
    """

    paths: list[Path]
    warnings: tuple[WarningGroup, ...]


def pack_layers(
    layers: Sequence[OpenSource],
    folder: str | os.PathLike[str],
    *,
    xattrs: OverlayXattrs,
    options: WriterOptions,
    warnings: Warnings,
    own_files: OwnFiles | None = None,
) -> LayerImages:
    """Write an image for each layer.

    Args:
        layers: Base first.
        folder: Where to: a folder that is empty or does not exist yet.
        xattrs: The name space of overlayfs's attributes.
        options: Every knob there is.
        warnings: Collects what was noteworthy.
        own_files: Told of the folder, which may be in one that is a layer.

    Returns:
        The images; one that is empty if there are no layers.

    Raises:
        InputError: A layer is malformed, the layers do not make a tree, or a limit is exceeded; there are no images.
        OSError: A file cannot be read, or an image not be written.
    """
    limit = options.limits.layer_count
    if len(layers) > limit:
        raise LimitError("the number of layers", len(layers), limit, name="layer_count")
    if xattrs not in ("trusted", "user"):
        raise OptionError(f"overlay attributes are trusted or user, not {xattrs!r}")
    if options.is_sorted:
        raise OptionError("an image of each layer has its contents in the order of the layer, and in no other")
    target = Path(folder)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise FileExistsError(f"{target} is there already, and is not an empty folder")
    place = Path(os.path.realpath(target))  # a symlink keeps pointing at the folder
    if not place.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, f"directory {place.parent} does not exist", os.fspath(target))
    try:
        directory = AtomicDirectory(place)
    except OSError as error:  # which names what nobody asked for
        raise OSError(error.errno, error.strerror, os.fspath(target)) from None
    own_files = own_files or OwnFiles()
    try:
        own_files.add(directory.path.stat(), None)
        if target.exists():
            own_files.add(target.stat(), None)
        layering = _Layering(directory.path, xattrs, options, warnings)
        empty = partial(FilesSource, (), options)  # a container image may have no layers: its root is empty
        names = [layering.add(number, opens).name for number, opens in enumerate(layers or [empty])]
        directory.commit()
    except BaseException:
        directory.discard()
        raise
    return LayerImages([target / name for name in names], warnings.groups())


class _Folder(NamedTuple):
    """What a directory was before a layer: what it said, and its names."""

    attributes: tuple[object, ...]
    names: dict[bytes, Node]


class _Snapshot(NamedTuple):
    """The tree before a layer.

    Attributes:
        folders: Each directory, by its node.
        links: The paths of each inode that has several.
    """

    folders: dict[Node, _Folder]
    links: dict[Node, list[bytes]]


class _Origin(NamedTuple):
    """Where an inode's content is: the image, and a path in it."""

    image: Path
    path: bytes


class _Layering:
    """The state of `pack_layers`."""

    def __init__(self, folder: Path, xattrs: OverlayXattrs, options: WriterOptions, warnings: Warnings) -> None:
        self._folder = folder
        self._opaque = (f"{xattrs}.overlay.opaque".encode(), b"y")
        self._options = options
        self._warnings = warnings
        self._merge = Merge(options, warnings)
        self._origins: dict[Node, _Origin] = {}
        self._before = _Snapshot({}, {})
        self._entry_limits = EntryLimits(options)
        self._entry_count = 0
        self._content_size = 0
        self._bytes_in = self._bytes_unpacked = 0

    def add(self, number: int, open_layer: OpenSource) -> Path:
        """Write the image of the next layer."""
        path = self._folder / f"{number:03}.squashfs"
        merge, options = self._merge, self._options
        verification = Verification(options)
        with Output(path) as output, ImageWriter(output, options) as image:
            with closing(open_layer()) as source:
                entries = list(self._stored(source, image, verification))
                self._bytes_in += source.consumed_size
                self._bytes_unpacked += source.unpacked_size
                what = "the layers' compression ratio"
                options.limits.check_ratio(what, self._bytes_unpacked, self._bytes_in, source=source.name)
                merge.begin_layer(source=source.name, entries=entries, duplicates=source.duplicates)
            for entry in entries:
                merge.put(entry)
            merge.end_layer()
            now = _snapshot(merge.root)
            root = self._difference(now, path, image, verification)
            if image.finish(root, own_xattrs=[self._opaque[0]]).has_invalid_owner:
                report_invalid_owners(root, options, self._warnings)
            verification.verify(output, root)
            output.keep()
        self._before = now
        return path

    def _stored(self, source: Source, image: ImageWriter, verification: Verification) -> Iterator[Entry]:
        """Yield a layer's entries with their content stored in the layer's image."""
        limits = self._options.limits
        for entry in source:
            self._entry_count += 1
            count = self._entry_count + self._merge.implicit_count
            if count > limits.entry_count:
                what = "the number of entries"
                raise LimitError(what, count, limits.entry_count, where=source.name, name="entry_count")
            self._entry_limits.count(entry, source.name)
            if entry.kind is Kind.FILE:
                self._content_size += self._entry_limits.content_size(entry)
                if self._content_size > limits.total_size:
                    what = "the layers' uncompressed size"
                    raise LimitError(what, self._content_size, limits.total_size, where=source.name, name="total_size")
                read, watched = verification.watch(entry.size, source.read, entry.segments)
                entry.data = image.data.store(entry.size, read, entry.segments)
                verification.note(entry.data, watched)
            yield entry

    def _difference(self, now: _Snapshot, path: Path, image: ImageWriter, verification: Verification) -> Node:
        """Make the tree of what is not as it was before."""
        before = self._before
        # Inodes whose names are others than before: all of their names go into this image.
        regrouped = {
            node for node in now.links.keys() | before.links.keys() if now.links.get(node) != before.links.get(node)
        }
        copies: dict[Node, Node] = {}
        changes = _Changes(self._merge.root, self._opaque)
        waiting = [b""]
        while waiting:
            here = waiting.pop()
            node = changes.originals[here]
            was = before.folders.get(node)
            old_names = was.names if was is not None else {}
            if was is None or was.attributes != _attributes(node):
                changes.directory(here)
            for name, child in node.names.items():
                below, old = here + b"/" + name if here else name, old_names.get(name)
                if child.children is not None:
                    changes.originals[below] = child
                    waiting.append(below)
                    if old is not None and old is not child and old.children is not None:
                        changes.make_opaque(below)  # what the other one had is not to be seen in it
                elif old is not child or child in regrouped:
                    if child not in copies:
                        copies[child] = self._copied(child, below, path, image, verification)
                    changes.directory(here).names[name] = copies[child]
            gone = [name for name in old_names if name not in node.names]
            if here and gone and len(gone) == len(old_names):  # overlayfs never takes the root for opaque
                changes.make_opaque(here)
            else:
                for name in gone:
                    whiteout = Entry(b"", Kind.CHARACTER_DEVICE, 0, mtime=node.mtime, device=(0, 0))
                    changes.directory(here).names[name] = Node(whiteout)
        return changes.root

    def _copied(
        self, node: Node, path: bytes, image_path: Path, image: ImageWriter, verification: Verification
    ) -> Node:
        """Give an inode for this image, with its content from below if it is not of this layer."""
        copy = _copy(node)
        origin = self._origins.setdefault(node, _Origin(image_path, path))
        if node.kind is Kind.FILE and origin.image != image_path:
            with SquashfsImage(origin.image) as below:
                content = StoredContent(below / origin.path)
                read, watched = verification.watch(content.size, content.read, content.segments)
                copy.data = image.data.store(content.size, read, content.segments)
            verification.note(copy.data, watched)
        return copy


class _Changes:
    """The tree of an image: directories are made as something is to be in them.

    Attributes:
        root: Its root.
        originals: The merged tree's directories, by path; all of those above come first.
    """

    def __init__(self, root: Node, opaque: tuple[bytes, bytes]) -> None:
        self.root = _copy(root)
        self.originals = {b"": root}
        self._made = {b"": self.root}
        self._opaque = opaque

    def directory(self, path: bytes) -> Node:
        """Give a directory, made with those above it if need be."""
        missing = []
        while path not in self._made:
            missing.append(path)
            path = path.rpartition(b"/")[0]
        node = self._made[path]
        for each in reversed(missing):
            below = self._made[each] = _copy(self.originals[each])
            node.names[each.rpartition(b"/")[2]] = below
            node = below
        return node

    def make_opaque(self, path: bytes) -> None:
        """Have a directory show nothing of what lower images have in its place."""
        node = self.directory(path)
        if self._opaque not in node.xattrs:
            node.xattrs = (*node.xattrs, self._opaque)


def _copy(node: Node) -> Node:
    """Make a node of the same attributes; a directory without names."""
    return Node(
        Entry(
            b"",
            node.kind,
            node.mode,
            node.uid,
            node.gid,
            node.mtime,
            target=node.target,
            device=node.device,
            xattrs=node.xattrs,
            data=node.data,
        )
    )


def _attributes(node: Node) -> tuple[object, ...]:
    return node.mode, node.uid, node.gid, node.mtime, node.xattrs


def _snapshot(root: Node) -> _Snapshot:
    """Note what a tree is, before it changes."""
    folders: dict[Node, _Folder] = {}
    paths: dict[Node, list[bytes]] = {}
    waiting = [(b"", root)]
    while waiting:
        path, node = waiting.pop()
        folders[node] = _Folder(_attributes(node), dict(node.names))
        for name, child in node.names.items():
            below = path + b"/" + name if path else name
            if child.children is not None:
                waiting.append((below, child))
            else:
                paths.setdefault(child, []).append(below)
    return _Snapshot(folders, {node: sorted(names) for node, names in paths.items() if len(names) > 1})
