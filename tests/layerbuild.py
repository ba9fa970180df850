"""Layers in a few words: entries by kind, and what they merge to as a dictionary that a test can spell out.

`merged([directory("a"), file("a/f", 1)], [whiteout("a/f")]).names` is `{"": "directory", "a": "directory"}`.
"""

from __future__ import annotations

from dataclasses import dataclass

from pysquash.options.limits import Limits
from pysquash.options.writer import DuplicatePolicy, ParentSymlinkPolicy, WhiteoutPolicy, WriterOptions
from pysquash.tree.entry import Entry, Kind, Xattrs
from pysquash.tree.merge import Merge
from pysquash.tree.node import Node
from tests.noticing import Recorder

__all__ = [
    "Merged",
    "device",
    "directory",
    "fifo",
    "file",
    "link",
    "merged",
    "opaque",
    "put_layer",
    "symlink",
    "whiteout",
]


def file(path: str, content: int = 0, mode: int = 0o644, xattrs: Xattrs = ()) -> Entry:
    """Make a file whose data is a number, to tell it apart by."""
    return Entry(path.encode(), Kind.FILE, mode, size=1, data=content, xattrs=xattrs)


def directory(
    path: str, mode: int = 0o755, *, uid: int = 0, gid: int = 0, mtime: int = 0, xattrs: Xattrs = ()
) -> Entry:
    return Entry(path.encode(), Kind.DIRECTORY, mode, uid, gid, mtime, xattrs=xattrs)


def symlink(path: str, target: str) -> Entry:
    return Entry(path.encode(), Kind.SYMLINK, 0o777, target=target.encode())


def link(path: str, target: str) -> Entry:
    return Entry(path.encode(), Kind.HARD_LINK, target=target.encode())


def fifo(path: str) -> Entry:
    return Entry(path.encode(), Kind.FIFO, 0o600)


def device(path: str, major: int = 1, minor: int = 3) -> Entry:
    return Entry(path.encode(), Kind.CHARACTER_DEVICE, 0o600, device=(major, minor))


def whiteout(path: str) -> Entry:
    parent, _, name = path.rpartition("/")
    return file(f"{parent}/.wh.{name}" if parent else f".wh.{name}")


def opaque(path: str) -> Entry:
    return file(f"{path}/.wh..wh..opq" if path else ".wh..wh..opq")


@dataclass
class Merged:
    """What layers came to."""

    merge: Merge
    warnings: list[str]

    @property
    def names(self) -> dict[str, str]:
        """Every path, sorted, and what it stands for: a kind, a file's data, a symlink's target."""
        return {path: _shown(node) for path, node in sorted(self.nodes.items())}

    @property
    def nodes(self) -> dict[str, Node]:
        found: dict[str, Node] = {}
        waiting = [("", self.merge.root)]
        while waiting:
            path, node = waiting.pop()
            found[path] = node
            below = f"{path}/" if path else ""
            waiting += [(below + name.decode(), child) for name, child in (node.children or {}).items()]
        return found

    def __getitem__(self, path: str) -> Node:
        return self.nodes[path]


def _shown(node: Node) -> str:
    if node.kind is Kind.FILE:
        return f"file {node.data}"
    if node.kind is Kind.SYMLINK:
        return f"-> {node.target.decode()}"
    return node.kind.name.lower()


def merged(
    *layers: list[Entry],
    duplicates: DuplicatePolicy = "last",
    whiteouts: WhiteoutPolicy = "apply",
    parent_symlinks: ParentSymlinkPolicy = "follow",
    lenient: bool = False,
    strict: bool = False,
    source_date_epoch: int = 0,
    limits: Limits | None = None,
) -> Merged:
    """Merge layers, base first, called layer 0, layer 1 and so on."""
    options = WriterOptions(
        duplicates=duplicates,
        whiteouts=whiteouts,
        parent_symlinks=parent_symlinks,
        lenient=lenient,
        strict=strict,
        source_date_epoch=source_date_epoch,
        limits=limits or Limits(),
    )
    warnings = Recorder()
    merge = Merge(options, warnings)
    for row, layer in enumerate(layers):
        put_layer(merge, layer, source=f"layer {row}", is_base=row == 0)
    return Merged(merge, warnings)


def put_layer(merge: Merge, layer: list[Entry], *, source: str, is_base: bool) -> None:
    merge.begin_layer(source=source, entries=None if is_base else layer)
    for entry in layer:
        merge.put(entry)
    merge.end_layer()
