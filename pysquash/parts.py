"""Parts: takes some paths of a source, such as the kernel and the modules of one image to go over another.

In: a source of any kind, with all its layers, and paths. Out: one layer that has what is there.
Rules kept here: the source's layers are merged on their own first, so that paths lead through its own symlinks, its
whiteouts hide nothing of others, and hard links from elsewhere in it come with their content; the directories above a
path are not taken, so that those of the other sources, or their symlinks, stay.
Not here: reading layers (reading), what a source string means (sources/transport).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pysquash.errors import OptionTypeError, SourceError, printable
from pysquash.notices import Warn
from pysquash.options import WriterOptions
from pysquash.reading import LayerReader, OpenSource, Read
from pysquash.sources.base import Source
from pysquash.sources.files import image_path
from pysquash.spool import Spool, Spooled
from pysquash.tree.entry import Entry, Kind, Segment
from pysquash.tree.follow import follow
from pysquash.tree.merge import Merge
from pysquash.tree.node import Node
from pysquash.verification import Verification

__all__ = ["Part", "PartSource"]


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a source.

    Attributes:
        source: A string as `pysquash build` takes them, or a `Source` object.
        paths: What is taken of it: files, and directories with all that is in them.
    """

    source: str | Source
    paths: Sequence[str | bytes]

    def __post_init__(self) -> None:
        """Refuse a part of nothing, and a path where paths are wanted."""
        if isinstance(self.paths, str | bytes) or not self.paths:
            raise OptionTypeError(f"a part has a list of paths, not {self.paths!r}")


class PartSource:
    """What is at some paths of a source, as a layer; a `Source`."""

    total_size = None
    duplicates = None

    def __init__(
        self,
        layers: Sequence[OpenSource],
        paths: Sequence[str | bytes],
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
            SourceError: A path climbs.
        """
        self.name = name
        self._layers = layers
        self._paths = _outermost({image_path(path, options) for path in paths})
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
        first_names: dict[Node, bytes] = {}
        for path in self._paths:
            found = follow(self._merge.root, path, limit=self._options.limits.symlink_steps, to_the_end=False)
            if found is None:
                raise SourceError(f"has nothing at {printable(path)}", source=self.name)
            waiting = [(path, found)]
            while waiting:
                place, node = waiting.pop()
                # What no entry describes is implied again by what is in it, and so keeps what other sources say of it.
                if not node.implied or (place and not node.children):
                    yield self._entry(place, node, first_names)
                below = place + b"/" if place else b""
                waiting += [
                    (below + name, child) for name, child in sorted((node.children or {}).items(), reverse=True)
                ]

    def read(self, size: int) -> bytes:
        """Give the next bytes of the content of the entry yielded last."""
        return self._read(size)

    def close(self) -> None:
        """Remove what was kept. Harmless when called twice."""
        self._spool.close()

    def _set_aside(self, size: int, read: Read, segments: tuple[Segment, ...] | None) -> Spooled:
        stored_size = size if segments is None else sum(length for _, length in segments)
        return self._spool.add(size, stored_size, read, segments)

    def _entry(self, path: bytes, node: Node, first_names: dict[Node, bytes]) -> Entry:
        entry = Entry(path, Kind(node.kind), node.mode, node.uid, node.gid, node.mtime)
        first = first_names.setdefault(node, path)
        if first != path:
            entry.kind, entry.target = Kind.HARD_LINK, first
            return entry
        entry.target, entry.device, entry.xattrs = node.target, node.device, node.xattrs
        if isinstance(node.data, Spooled):
            entry.size, entry.segments = node.data.size, node.data.segments
            self._read = self._spool.reader(node.data)
        return entry


def _outermost(paths: set[bytes]) -> list[bytes]:
    """Drop the paths that are below others, and sort the rest."""
    return sorted(
        path
        for path in paths
        if path == b"" or (b"" not in paths and not any(path[:end] in paths for end in _slashes(path)))
    )


def _slashes(path: bytes) -> Iterator[int]:
    end = path.find(b"/")
    while end >= 0:
        yield end
        end = path.find(b"/", end + 1)
