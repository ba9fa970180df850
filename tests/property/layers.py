"""Layers to try the merge on: few names, so that entries collide, replace, link to and hide each other all the time.

`layers` is the strategy, `write_tar` turns a layer into a tar through Python's tarfile, `apply_layers` is the obvious
model of what the result must be: a dict from path to inode, to which the layers are applied from the base up.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from hypothesis import strategies as st

__all__ = ["Inode", "Item", "Layers", "ModelError", "apply_layers", "layers", "write_tar"]

SYMLINK_STEPS = 255


@dataclass(frozen=True)
class Item:
    """One entry of a layer. Its attributes follow from its serial number, so that every entry can be told apart."""

    kind: str  # directory, file, symlink, link, fifo, whiteout, opaque
    path: str
    serial: int
    target: str = ""

    @property
    def content(self) -> bytes:
        return b"content of %d\n" % self.serial

    @property
    def mode(self) -> int:
        return 0o600 + self.serial % 0o177

    @property
    def uid(self) -> int:
        return 1000 + self.serial

    @property
    def mtime(self) -> int:
        return 1_600_000_000 + self.serial


Layers = list[list[Item]]

_names = st.sampled_from(["a", "b", "c", "lib"])
_paths = st.lists(_names, min_size=1, max_size=3).map("/".join)
_inside_targets = _paths
_any_targets = _paths | st.sampled_from(["/a", "/b/c", "../a", "../../b", ".", "..", "/", "a/../b", "nowhere/at/all"])


@st.composite
def layers(draw: st.DrawFn, *, inside: bool = False, whiteouts: bool = True) -> Layers:
    """Draw one to four layers.

    Args:
        draw: Hypothesis's.
        inside: Whether symlinks lead to names below their own directory only, which extraction on a host can follow.
        whiteouts: Whether there are any.
    """
    kinds = ["directory", "directory", "file", "file", "symlink", "link", "fifo"]
    if whiteouts:
        kinds += ["whiteout", "opaque"]
    drawn: Layers = []
    serial = 0
    for _ in range(draw(st.integers(1, 4))):
        layer = []
        for kind in draw(st.lists(st.sampled_from(kinds), max_size=8)):
            serial += 1
            target = ""
            if kind == "symlink":
                target = draw(_inside_targets if inside else _any_targets)
            elif kind == "link":
                target = draw(_paths)
            path = draw(st.just("") | _paths) if kind in ("directory", "opaque") and not inside else draw(_paths)
            layer.append(Item(kind, path, serial, target))
        drawn.append(layer)
    return drawn


def write_tar(layer: Sequence[Item], path: Path) -> None:
    """Write a layer as a pax tar."""
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as archive:
        for item in layer:
            parent, _, name = item.path.rpartition("/")
            info = tarfile.TarInfo(item.path or "./")
            info.mode, info.uid, info.gid, info.mtime = item.mode, item.uid, item.uid, item.mtime
            if item.kind == "directory":
                info.type = tarfile.DIRTYPE
            elif item.kind == "symlink":
                info.type, info.linkname = tarfile.SYMTYPE, item.target
            elif item.kind == "link":
                info.type, info.linkname = tarfile.LNKTYPE, item.target
            elif item.kind == "fifo":
                info.type = tarfile.FIFOTYPE
            elif item.kind == "whiteout":
                info.name = f"{parent}/.wh.{name}" if parent else f".wh.{name}"
            elif item.kind == "opaque":
                info.name = f"{item.path}/.wh..wh..opq" if item.path else ".wh..wh..opq"
            else:
                info.size = len(item.content)
                info.pax_headers = {"SCHILY.xattr.user.serial": str(item.serial)}
            archive.addfile(info, io.BytesIO(item.content if item.kind == "file" else b""))


# --- the model -------------------------------------------------------------------------------------------------------

Place = tuple[str, ...]


class ModelError(Exception):
    """The layers make no tree."""


@dataclass(eq=False)
class Inode:
    """What one or more places stand for."""

    kind: str
    item: Item | None  # None: a directory that no entry described


Model = dict[Place, Inode]


def apply_layers(drawn: Layers, *, duplicates: str) -> Model:
    """Apply layers base first, and give what is where."""
    tree: Model = {(): Inode("directory", None)}
    for layer in drawn:
        for item in layer:
            if item.kind in ("whiteout", "opaque"):
                _hide(tree, item)
        made: set[Place] = set()
        entries = [item for item in layer if item.kind not in ("whiteout", "opaque")]
        waiting = [item for item in entries if not _put(tree, made, item, duplicates, is_late=False)]
        while waiting:
            left = [item for item in waiting if not _put(tree, made, item, duplicates, is_late=True)]
            if len(left) == len(waiting):
                raise ModelError("links to nothing")
            waiting = left
    return tree


def _hide(tree: Model, item: Item) -> None:
    place = _place_of(item.path)
    if item.kind == "whiteout":
        parent = _follow(tree, place[:-1])
        if parent is not None:
            _unlink(tree, (*parent, place[-1]))
    else:
        hidden = _follow(tree, place)
        if hidden is not None and tree[hidden].kind == "directory":
            for other in [other for other in tree if other[: len(hidden)] == hidden and other != hidden]:
                del tree[other]


def _put(tree: Model, made: set[Place], item: Item, duplicates: str, *, is_late: bool) -> bool:
    """Put an item; False for a link whose target is not there yet."""
    place = _place_of(item.path)
    if place:
        place = (*_make_directory(tree, made, place[:-1]), place[-1])
    inode = Inode(item.kind, item)
    if item.kind == "link":
        target = _place_of(item.target)
        target_parent = _follow(tree, target[:-1])
        found = None if target_parent is None else tree.get((*target_parent, target[-1]))
        if found is None:
            return False
        if found.kind == "directory":
            raise ModelError("link to a directory")
        if tree.get(place) is found:
            made.add(place)
            return True
        inode = found
    if place in made:
        if duplicates == "error":
            raise ModelError("duplicate")
        if (duplicates == "first") != is_late:
            return True
    made.add(place)
    old = tree.get(place)
    if old is not None and old.kind == "directory" == inode.kind:
        tree[place] = inode  # its children stay
    else:
        _unlink(tree, place)
        tree[place] = inode
    return True


def _make_directory(tree: Model, made: set[Place], path: Place) -> Place:
    """Follow a path, making directories of what is missing or in the way, and give the place it leads to."""
    place = _way(tree, path, lambda place: _imply(tree, made, place))
    assert place is not None
    return place


def _follow(tree: Model, path: Place) -> Place | None:
    """Follow a path to an existing directory."""
    return _way(tree, path, lambda _place: False)


def _way(tree: Model, path: Place, make: Callable[[Place], bool]) -> Place | None:
    """Follow a path; `make` is asked for each place on it that is no directory, and None is given where it declines."""
    left, steps = list(path), 0
    place: Place = ()
    while left:
        name = left.pop(0)
        if name in ("", "."):
            continue
        if name == "..":
            place = place[:-1]
            continue
        inode = tree.get((*place, name))
        if inode is not None and inode.kind == "symlink" and inode.item is not None:
            steps += 1
            if steps > SYMLINK_STEPS:
                raise ModelError("symlinks in a circle")
            if inode.item.target.startswith("/"):
                place = ()
            left = inode.item.target.split("/") + left
            continue
        place = (*place, name)
        if (inode is None or inode.kind != "directory") and not make(place):
            return None
    return place


def _imply(tree: Model, made: set[Place], place: Place) -> bool:
    if place in made:
        raise ModelError("a file of the same layer is in the way")
    _unlink(tree, place)
    tree[place] = Inode("directory", None)
    return True


def _unlink(tree: Model, place: Place) -> None:
    for other in [other for other in tree if other[: len(place)] == place]:
        del tree[other]


def _place_of(path: str) -> Place:
    return tuple(path.split("/")) if path else ()
