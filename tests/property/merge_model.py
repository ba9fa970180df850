"""The obvious model of a merge: a dict from place to inode, to which layers are applied from the base up.

Written to be read, and to share nothing with what it judges: every question is answered by looking through the whole
tree. docs/merging.md says the same in words.
"""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["Inode", "Item", "Layers", "Model", "ModelError", "apply_layers"]

SYMLINK_STEPS = 255


@dataclass(frozen=True)
class Item:
    """One entry of a layer. Its attributes follow from its serial number, so that every entry can be told apart."""

    kind: str  # directory, file, symlink, link, fifo, whiteout (of path), opaque (path)
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

    @property
    def is_marker(self) -> bool:
        return self.kind in ("whiteout", "opaque")


Layers = list[list[Item]]
Place = tuple[str, ...]


class ModelError(Exception):
    """The layers make no tree."""


@dataclass(eq=False)
class Inode:
    """What one or more places stand for."""

    kind: str
    item: Item | None  # None: a directory that no entry described
    displaced: Model = field(default_factory=dict)  # of a link that waits for its target: what was there and below


Model = dict[Place, Inode]


@dataclass
class _Merger:
    duplicates: str
    parent_symlinks: str
    lenient: bool
    tree: Model = field(default_factory=lambda: {(): Inode("directory", None)})
    described: set[Place] = field(default_factory=set)  # places that an entry of this layer made
    waiting: list[Inode] = field(default_factory=list)

    # --- a layer ---

    def apply(self, layer: list[Item]) -> None:
        seen = self.hide(layer)
        for item in layer:
            if not item.is_marker:
                self.put(item, seen.get(item.serial))
        self.make_waiting_links()
        self.described, self.waiting = set(), []

    def hide(self, layer: list[Item]) -> dict[int, Inode]:
        """Apply all markers, and give what links that stand before them saw and would not find any more."""
        replaced = {place_of(item.path) for item in layer if not item.is_marker and item.kind != "symlink"}
        seen: dict[int, Inode] = {}
        for item in layer:
            place = place_of(item.path)
            if item.kind == "link":
                found = self.look_up_quietly(place_of(item.target))
                if found is not None:
                    seen[item.serial] = found
            elif item.kind == "whiteout":
                parent = self.follow(place[:-1], replaced)
                if parent is not None:
                    self.unlink((*parent, place[-1]))
            elif item.kind == "opaque":
                hidden = self.follow(place, replaced)
                if hidden is not None:
                    for other in self.below(hidden):
                        del self.tree[other]
        links = {item.serial: place_of(item.target) for item in layer if item.kind == "link"}
        return {
            serial: inode
            for serial, inode in seen.items()
            if inode.kind != "directory" and self.look_up_quietly(links[serial]) is None
        }

    # --- an entry ---

    def put(self, item: Item, seen: Inode | None) -> None:
        place = place_of(item.path)
        if place:
            place = (*self.make_directory(place[:-1]), place[-1])
        elif item.kind != "directory":
            raise ModelError("the root is something else")
        old = self.tree.get(place)
        inode = Inode(item.kind, item)
        if item.kind == "link":
            target = self.look_up(place_of(item.target)) or seen
            if target is not None and target.kind == "directory":
                raise ModelError("link to a directory")
            if target is not None and target is old:
                self.described.add(place)
                return
            if target is not None and target.kind != "link":
                inode = target
        if not self.may_put(place, old, inode):
            return
        if inode.kind == "link":
            inode.displaced = {other: self.tree[other] for other in [place, *self.below(place)] if other in self.tree}
            self.waiting.append(inode)
        if old is None or old.kind != "directory" or inode.kind != "directory":
            self.unlink(place)
        self.tree[place] = inode
        self.described.add(place)

    def may_put(self, place: Place, old: Inode | None, new: Inode) -> bool:
        """Decide about a name that this layer has already."""
        if old is None:
            return True
        is_other = (old.kind == "directory") != (new.kind == "directory")
        is_below = new.kind != "directory" and any(other in self.described for other in self.below(place))
        if place in self.described or is_below:
            if self.duplicates == "error":
                raise ModelError("twice")
            return is_other or self.duplicates == "last"
        return True

    def make_waiting_links(self) -> None:
        found = {id(inode): self.end_of(inode) for inode in self.waiting}
        if not self.lenient and None in found.values():
            raise ModelError("link to nothing")
        if any(inode is not None and inode.kind == "directory" for inode in found.values()):
            raise ModelError("link to a directory")
        while links := [place for place, inode in self.tree.items() if inode.kind == "link"]:
            for place in links:
                link = self.tree.pop(place)
                target = found[id(link)]
                self.tree.update(link.displaced if target is None else {place: target})

    def end_of(self, link: Inode) -> Inode | None:
        """Follow waiting links from one to the next."""
        inode: Inode | None = link
        for _ in range(len(self.waiting) + 1):
            if inode is None or inode.kind != "link":
                return inode
            assert inode.item is not None
            inode = self.look_up(place_of(inode.item.target))
        return None

    # --- places ---

    def make_directory(self, path: Place) -> Place:
        """Give the place of a directory, making what is missing and replacing what is in the way."""
        return self.walk(path, is_made=True, not_followed=set()) or ()

    def follow(self, path: Place, not_followed: set[Place]) -> Place | None:
        """Give the place of a directory that is there."""
        return self.walk(path, is_made=False, not_followed=not_followed)

    def look_up(self, path: Place) -> Inode | None:
        parent = self.follow(path[:-1], set())
        return None if parent is None else self.tree.get((*parent, *path[-1:]))

    def look_up_quietly(self, path: Place) -> Inode | None:
        try:
            return self.look_up(path)
        except ModelError:
            return None

    def walk(self, path: Place, *, is_made: bool, not_followed: set[Place]) -> Place | None:
        left: list[tuple[str, Place | None]] = [(name, path[: row + 1]) for row, name in enumerate(path)]
        place: Place = ()
        steps = 0
        while left:
            name, as_written = left.pop(0)
            if name in ("", "."):
                continue
            if name == "..":
                place = place[:-1]
                continue
            here = (*place, name)
            inode = self.tree.get(here)
            if inode is not None and inode.kind == "symlink" and self.parent_symlinks != "replace":
                if as_written in not_followed:
                    return None
                steps += 1
                if self.parent_symlinks == "error" or steps > SYMLINK_STEPS:
                    raise ModelError("symlinks")
                assert inode.item is not None
                if inode.item.target.startswith("/"):
                    place = ()
                left = [(each, None) for each in inode.item.target.split("/")] + left
                continue
            if inode is None or inode.kind != "directory":
                if not is_made:
                    return None
                if inode is not None and here in self.described and inode.kind != "symlink":
                    raise ModelError("a file of the same layer is in the way")
                self.unlink(here)
                self.tree[here] = Inode("directory", None)
            place = here
        return place

    def below(self, place: Place) -> list[Place]:
        return [other for other in self.tree if other[: len(place)] == place and other != place]

    def unlink(self, place: Place) -> None:
        for other in [place, *self.below(place)]:
            self.tree.pop(other, None)
            self.described.discard(other)


def apply_layers(layers: Layers, *, duplicates: str, parent_symlinks: str = "follow", lenient: bool = False) -> Model:
    """Apply layers base first, and give what is where.

    Raises:
        ModelError: They make no tree.
    """
    merger = _Merger(duplicates, parent_symlinks, lenient)
    for layer in layers:
        merger.apply(layer)
    return merger.tree


def place_of(path: str) -> Place:
    return tuple(path.split("/")) if path else ()
