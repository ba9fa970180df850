"""Parts: takes some paths of a source, such as the kernel and the modules of one image to go over another.

In: a source of any kind, with all its layers, and paths, each with the place where it goes. Out: one layer that has
what is there.
Rules kept here: the source's layers are merged on their own first, so that paths lead through its own symlinks, its
whiteouts hide nothing of others, and hard links from elsewhere in it come with their content; the directories above a
path are not taken, so that those of the other sources, or their symlinks, stay; what is taken twice is copied.
Not here: reading layers (layer_reader), what a source string means (sources/transport).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from pysquash.content.capture import Read
from pysquash.content.digests import Verification
from pysquash.content.spool import Spool, Spooled
from pysquash.errors import OptionTypeError, SourceError, printable
from pysquash.notices import Warn
from pysquash.options.writer import DuplicatePolicy, WriterOptions
from pysquash.packing.layer_reader import LayerReader, OpenSource
from pysquash.sources.base import Source
from pysquash.sources.files import image_path
from pysquash.sources.path_limits import check_path_limits
from pysquash.tree.entry import Entry, Kind, Segment
from pysquash.tree.follow import follow
from pysquash.tree.merge import Merge
from pysquash.tree.node import Node
from pysquash.tree.whiteouts import is_marker

__all__ = ["Part", "PartSource"]


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a source.

    Attributes:
        source: A string as `pysquash build` takes them, or a `Source` object.
        paths: What is taken of it: files, and directories with all that is in them. A path keeps its place; a pair of
            a path and a place puts it there: `("rootfs", "/")` makes a directory the root, `("/", "srv/app")` puts all
            of the source below a directory. A later one goes over an earlier one.
    """

    source: str | Source
    paths: Sequence[str | bytes | tuple[str | bytes, str | bytes]]

    def __post_init__(self) -> None:
        """Refuse a part of nothing, and a path where paths are wanted."""
        if isinstance(self.paths, str | bytes) or not self.paths:
            raise OptionTypeError(f"a part has a list of paths, not {self.paths!r}")
        for path in self.paths:
            if isinstance(path, tuple) and len(path) != 2:
                raise OptionTypeError(f"a part has paths, and pairs of a path and a place, not {path!r:.80}")


class _Move(NamedTuple):
    """What is taken.

    Attributes:
        path: Where it is in the source.
        place: Where it goes.
    """

    path: bytes
    place: bytes


class PartSource:
    """What is at some paths of a source, as a layer; a `Source`."""

    total_size = None

    def __init__(
        self,
        layers: Sequence[OpenSource],
        paths: Sequence[str | bytes | tuple[str | bytes, str | bytes]],
        *,
        name: str,
        folder: str | None,
        options: WriterOptions,
        warn: Warn,
    ) -> None:
        """Take the source's layers; they are read when the entries are asked for.

        Args:
            layers: Base first.
            paths: What is taken.
            name: What messages call the source.
            folder: Where content is kept until it is known what is needed; None for the system's choice.
            options: Every knob there is.
            warn: Takes what is noteworthy.

        Raises:
            SourceError: A path climbs, or a place is a whiteout's.
        """
        self.name = name
        self._layers = layers
        self._taken: dict[tuple[Node | None, bytes], int] = {}
        self._moves = _outermost([_move(path, options) for path in paths])
        self.duplicates: DuplicatePolicy = "error" if options.duplicates == "error" else "last"
        self._options = options
        self._spool = Spool(folder)
        self._merge = Merge(options, warn)
        self._reader = LayerReader(
            self._set_aside,
            self._spool,
            self._merge,
            options,
            verification=Verification(dataclasses.replace(options, verify=False)),
        )
        self._read: Read = lambda _size: b""

    @property
    def consumed_size(self) -> int:
        """Bytes of the source's layers, as they came."""
        return self._reader.bytes_in

    @property
    def unpacked_size(self) -> int:
        """The same after decompression."""
        return self._reader.bytes_unpacked

    def __iter__(self) -> Iterator[Entry]:
        """Yield the entries of each path, a directory before what is in it.

        Raises:
            InputError: The layers make no tree, or there is nothing at a path.
        """
        self._reader.read(self._layers)
        first_names: dict[tuple[Node, int], bytes] = {}
        for move in self._moves:
            yield from self._moved(move, first_names)

    def _moved(self, move: _Move, first_names: dict[tuple[Node, int], bytes]) -> Iterator[Entry]:
        """Yield the entries of one path.

        Args:
            move: Which, and where to.
            first_names: The first name of each inode, to which further ones are hard links; by how often the name was
                taken before.
        """
        parent, found = self._find(move)
        limits, is_moved = self._options.limits, move.path != move.place
        waiting = [(move.place, found, parent, move.path.rpartition(b"/")[2])]
        while waiting:
            place, node, parent, name = waiting.pop()
            if is_moved:  # only its depth and length are others than in the source
                check_path_limits(place, 0, place.count(b"/") + 1, limits, source=self.name)
            copy = self._count_copies(parent, name)
            # What no entry describes is implied again by what is in it, and so keeps what other sources say of it.
            if not node.implied or (place and not node.children):
                yield self._entry(place, node, copy, first_names)
            if node.children:
                below = place + b"/" if place else b""
                children = sorted(node.children.items(), reverse=True)
                waiting += [(below + child_name, child, node, child_name) for child_name, child in children]

    def _count_copies(self, parent: Node | None, name: bytes) -> int:
        """Return how often a name in a directory was taken before: a second time it is a copy, and not a hard link."""
        if len(self._moves) == 1:
            return 0
        count = self._taken.get((parent, name), 0)
        self._taken[parent, name] = count + 1
        return count

    def _find(self, move: _Move) -> tuple[Node | None, Node]:
        """Find what is at a path, and the directory that it is in.

        Raises:
            SourceError: Nothing, or it cannot be put into its place.
        """
        root, limit = self._merge.root, self._options.limits.symlink_steps
        found = follow(root, move.path, limit=limit, to_the_end=False)
        if found is None:
            raise SourceError(f"has nothing at {printable(move.path)}", source=self.name)
        if not move.place and found.kind is not Kind.DIRECTORY:
            what = found.kind.name.lower().replace("_", " ")
            hint = f" to {printable(found.target)}" if found.kind is Kind.SYMLINK else ""
            text = f"{printable(move.path)} is a {what}{hint}, and only a directory can be the root"
            raise SourceError(text, source=self.name)
        return follow(root, move.path.rpartition(b"/")[0], limit=limit) if move.path else None, found

    def read(self, size: int) -> bytes:
        """Give the next bytes of the content of the entry yielded last."""
        return self._read(size)

    def close(self) -> None:
        """Remove what was kept. Harmless when called twice."""
        self._spool.close()

    def _set_aside(self, size: int, read: Read, segments: tuple[Segment, ...] | None) -> Spooled:
        stored_size = size if segments is None else sum(length for _, length in segments)
        return self._spool.add(size, stored_size, read, segments)

    def _entry(self, path: bytes, node: Node, copy: int, first_names: dict[tuple[Node, int], bytes]) -> Entry:
        entry = Entry(path, Kind(node.kind), node.mode, node.uid, node.gid, node.mtime)
        entry.inode = (node, copy)
        first = first_names.setdefault((node, copy), path)
        if first != path:
            entry.kind, entry.target = Kind.HARD_LINK, first
            return entry
        entry.target, entry.device, entry.xattrs = node.target, node.device, node.xattrs
        if isinstance(node.data, Spooled):
            entry.size, entry.segments = node.data.size, node.data.segments
            self._read = self._spool.reader(node.data)
        return entry


def _move(given: str | bytes | tuple[str | bytes, str | bytes], options: WriterOptions) -> _Move:
    """Turn what a caller gives for a path into one.

    Raises:
        SourceError: It climbs, or its place is a whiteout's.
    """
    if not isinstance(given, tuple):
        path = image_path(given, options)
        return _Move(path, path)
    move = _Move(image_path(given[0], options), image_path(given[1], options))
    if options.whiteouts == "apply" and is_marker(move.place):
        raise SourceError("nothing can be put at the name of a whiteout", entry=move.place)
    return move


def _outermost(moves: Sequence[_Move]) -> list[_Move]:
    """Drop what another one takes to the same place, and what is there twice."""
    unique = dict.fromkeys(moves)
    return [move for move in unique if not _is_covered(move, unique)]


def _is_covered(move: _Move, moves: Collection[_Move]) -> bool:
    """Return whether one of several takes a directory above a path to that above its place."""
    path, place = move
    while path and place:
        path, _, name = path.rpartition(b"/")
        place, _, placed_name = place.rpartition(b"/")
        if name != placed_name:
            return False
        if (path, place) in moves:
            return True
    return False
