"""Layers as builders make them: a file system is changed step by step, and each step's difference becomes a layer.

The way back must give the file system again, which needs no model of how layers merge. `histories` is the strategy.
A difference is written as container engines write it: parents listed before what is in them, a whiteout for what is
gone, an opaque whiteout in a directory that is new under an old name. Where those may differ, the draw decides.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from hypothesis import strategies as st

from tests.property.merge_model import Item, Layers

__all__ = ["History", "Snapshot", "histories"]

T = TypeVar("T")
_NAMES = ["a", "b", "c", "lib"]


@dataclass(frozen=True)
class Thing:
    """One inode.

    Two are the same only if they have one identity; the serial number, which stands for the attributes, may change.
    """

    kind: str  # directory, file, symlink
    serial: int
    identity: int
    target: str = ""


Snapshot = dict[str, Thing]


@dataclass
class History:
    """What a file system was after each step, and the layers that say so."""

    snapshots: list[Snapshot] = field(default_factory=list)
    layers: Layers = field(default_factory=list)
    lists_parents: bool = True


@st.composite
def histories(draw: st.DrawFn) -> History:
    """Draw a file system's history of two to four steps."""
    return _History(lambda options: draw(st.sampled_from(options))).make()


class _History:
    def __init__(self, choose: Callable[[Sequence[T]], T]) -> None:
        self.pick: Callable[[Sequence[str]], str] = choose  # type: ignore[assignment]
        self.flip: Callable[[], bool] = lambda: self.pick(["yes", "no"]) == "yes"
        self.serial = 0

    def make(self) -> History:
        history = History(lists_parents=self.pick(["yes", "yes", "no"]) == "yes")
        before: Snapshot = {}
        for _ in range(int(self.pick("234"))):
            after = dict(before)
            for _ in range(int(self.pick("12345678"))):
                self.change(after)
            history.layers.append(self.difference(before, after, history.lists_parents))
            history.snapshots.append(after)
            before = after
        return history

    def new(self, kind: str, target: str = "") -> Thing:
        self.serial += 1
        return Thing(kind, self.serial, self.serial, target)

    def change(self, now: Snapshot) -> None:
        """Do one thing that a command in a container might do."""
        directories = ["", *sorted(path for path, thing in now.items() if thing.kind == "directory")]
        parent = self.pick(directories)
        path = f"{parent}/{self.pick(_NAMES)}" if parent else self.pick(_NAMES)
        way = self.pick(
            ["file", "file", "file", "directory", "directory", "symlink", "link", "remove", "remove", "chmod"]
        )
        if path.count("/") > 3:
            return
        if way == "chmod":
            if path in now and now[path].kind == "directory":
                now[path] = Thing("directory", self.new("").serial, now[path].identity)
            return
        if way == "link":
            files = sorted(other for other, thing in now.items() if thing.kind == "file" and other != path)
            if not files or any(other.startswith(f"{path}/") for other in files):
                return
            # An overlay copies what gets a new name, so both names are this layer's.
            other = self.pick(files)
            remove(now, path)
            now[other] = now[path] = self.new("file")
            return
        remove(now, path)
        if way == "symlink":
            now[path] = self.new("symlink", self.pick([*directories[1:], "nowhere", "/", ".."]))
        elif way != "remove":
            now[path] = self.new(way)

    def difference(self, before: Snapshot, after: Snapshot, lists_parents: bool) -> list[Item]:
        """Write a layer."""
        entries: list[Item] = []
        markers: list[Item] = []
        first_names: dict[int, str] = {}
        listed: set[str] = set()

        def is_new_directory(path: str) -> bool:
            old = before.get(path)
            return old is None or old.kind != "directory" or old.identity != after[path].identity

        def write(path: str) -> None:
            thing = after[path]
            parent = path.rpartition("/")[0]
            if parent and parent not in listed and lists_parents:
                write(parent)
            listed.add(path)
            if thing.kind == "directory":
                entries.append(Item("directory", path, thing.serial, thing.target))
                if path in before and is_new_directory(path):
                    entries.append(Item("opaque", path, 0))
            elif thing.kind == "file" and thing.serial in first_names:
                entries.append(Item("link", path, 0, first_names[thing.serial]))
            else:
                first_names[thing.serial] = path
                entries.append(Item(thing.kind, path, thing.serial, thing.target))

        for path in sorted(after):
            if before.get(path) != after[path] and path not in listed:
                write(path)
        for path in sorted(before.keys() - after.keys()):
            parent = path.rpartition("/")[0]
            if not parent or (parent in after and after[parent].kind == "directory" and not is_new_directory(parent)):
                markers.append(Item("whiteout", path, 0))
        if self.flip():
            return markers + entries
        for marker in markers:  # behind the directory that it is in, or at the end
            rows = [row for row, item in enumerate(entries) if item.path == marker.path.rpartition("/")[0]]
            entries.insert(rows[0] + 1 if rows and self.flip() else len(entries), marker)
        return entries


def remove(now: Snapshot, path: str) -> None:
    for other in [other for other in now if other == path or other.startswith(f"{path}/")]:
        del now[other]
