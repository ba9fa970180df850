"""Layers to try the merge on: few names, so that entries collide, replace, link to and hide each other all the time.

`layers` is the strategy and `random_layers` the same without hypothesis, for many thousands. An `Item` is one entry;
`write_tar` turns a layer of them into a tar through Python's tarfile, `entry_of` one into what a source yields.
`apply_layers`, from merge_model, is what the result must be.
"""

from __future__ import annotations

import io
import random
import tarfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from hypothesis import strategies as st

from pysquash.tree.entry import Entry, Kind
from tests.property.merge_model import Inode, Item, Layers, ModelError, apply_layers

__all__ = ["Inode", "Item", "Layers", "ModelError", "apply_layers", "entry_of", "layers", "random_layers", "write_tar"]

T = TypeVar("T")
Choose = Callable[[Sequence[T]], T]

_NAMES = ["a", "b", "c", "lib"]
_KINDS = ["directory", "directory", "file", "file", "symlink", "link", "fifo"]
_ODD_TARGETS = ["/a", "/b/c", "../a", "../../b", ".", "..", "/", "a/../b", "nowhere/at/all", "//a//b/"]


@st.composite
def layers(draw: st.DrawFn, *, inside: bool = False, whiteouts: bool = True) -> Layers:
    """Draw one to four layers.

    Args:
        draw: Hypothesis's.
        inside: Whether symlinks lead to names below their own directory only, which extraction on a host can follow.
        whiteouts: Whether there are any.
    """
    return _make(lambda options: draw(st.sampled_from(options)), inside=inside, whiteouts=whiteouts)


def random_layers(seed: int) -> Layers:
    """Give the layers of a number: the same distribution, a hundred times as fast, and nothing that shrinks."""
    return _make(random.Random(seed).choice, inside=False, whiteouts=True)


def _make(choose: Callable[[Sequence[T]], T], *, inside: bool, whiteouts: bool) -> Layers:
    pick: Callable[[Sequence[str]], str] = choose  # type: ignore[assignment]
    number: Callable[[Sequence[int]], int] = choose  # type: ignore[assignment]
    kinds = [*_KINDS, "whiteout", "whiteout", "opaque"] if whiteouts else _KINDS
    used: list[str] = []
    linkable: list[str] = []
    solid: set[str] = set()  # what this layer made that nothing can be below

    def any_path() -> str:
        """Mostly a path that something has, or one below it; so that entries meet."""
        way = pick(["new", "used", "used", "below"])
        if way == "new" or not used:
            return "/".join(pick(_NAMES) for _ in range(number([1, 1, 2, 3])))
        known = pick(used)
        return known if way == "used" or known.count("/") > 2 else f"{known}/{pick(_NAMES)}"

    def path() -> str:
        """Give a path that most often does not lead through a file of the same layer, which is an error."""
        drawn = any_path()
        for _ in range(3):
            names = drawn.split("/")
            if not any("/".join(names[:length]) in solid for length in range(1, len(names))):
                break
            drawn = any_path()
        return drawn

    made: Layers = []
    serial = 0
    for _ in range(number([1, 2, 2, 3, 3, 4])):
        layer = []
        solid.clear()
        for _ in range(number(range(9))):
            serial += 1
            kind, place, target = pick(kinds), path(), ""
            if kind == "symlink":
                way = "inside" if inside else pick(["inside", "absolute", "odd"])
                target = pick(_ODD_TARGETS) if way == "odd" else path()
                if way == "absolute":
                    target = f"/{target}"
            elif kind == "link":
                target = pick(linkable) if linkable and number(range(4)) else path()
            elif kind in ("directory", "opaque") and not inside and number(range(10)) == 0:
                place = ""
            if place:
                used.append(place)
            if kind in ("file", "fifo", "link"):
                solid.add(place)
            if kind in ("file", "fifo", "link", "symlink"):
                linkable.append(place)
            layer.append(Item(kind, place, serial, target))
        made.append(layer)
    return made


def marker_or_path(item: Item) -> str:
    """Give the name that an item has in its layer."""
    parent, _, name = item.path.rpartition("/")
    if item.kind == "whiteout":
        return f"{parent}/.wh.{name}" if parent else f".wh.{name}"
    if item.kind == "opaque":
        return f"{item.path}/.wh..wh..opq" if item.path else ".wh..wh..opq"
    return item.path


_ENTRY_KINDS = {
    "directory": Kind.DIRECTORY,
    "symlink": Kind.SYMLINK,
    "link": Kind.HARD_LINK,
    "fifo": Kind.FIFO,
}


def entry_of(item: Item) -> Entry:
    """Give the entry that a source would yield; a file's data is its item's serial number."""
    return Entry(
        marker_or_path(item).encode(),
        _ENTRY_KINDS.get(item.kind, Kind.FILE),
        item.mode,
        item.uid,
        item.uid,
        item.mtime,
        target=item.target.encode(),
        data=item.serial if item.kind == "file" else None,
    )


def write_tar(layer: Sequence[Item], path: Path) -> None:
    """Write a layer as a pax tar."""
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as archive:
        for item in layer:
            info = tarfile.TarInfo(marker_or_path(item) or "./")
            info.mode, info.uid, info.gid, info.mtime = item.mode, item.uid, item.uid, item.mtime
            if item.kind == "directory":
                info.type = tarfile.DIRTYPE
            elif item.kind == "symlink":
                info.type, info.linkname = tarfile.SYMTYPE, item.target
            elif item.kind == "link":
                info.type, info.linkname = tarfile.LNKTYPE, item.target
            elif item.kind == "fifo":
                info.type = tarfile.FIFOTYPE
            elif item.kind == "file":
                info.size = len(item.content)
                info.pax_headers = {"SCHILY.xattr.user.serial": str(item.serial)}
            archive.addfile(info, io.BytesIO(item.content if item.kind == "file" else b""))
