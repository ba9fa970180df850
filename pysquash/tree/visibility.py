"""Visibility: tells, while layers are read topmost first, which files an upper layer hides.

In: the entries of the layers read so far. Out: for a lower layer's file, whether it seems hidden; and once its layer is
read, whether it is hidden for certain.
Rules kept here: what seems hidden is only set aside, never lost, because the tree decides in the end: a symlinked
parent may carry a file elsewhere, and a hard link may keep its content alive. So `hides` may err, and costs space or
time when it does, but no content. `certainly_hidden` never errs, and keeps silent where it cannot know.
Not here: the tree (tree/merge); setting aside (content/spool).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from pysquash.errors import LimitError, printable
from pysquash.options.writer import WriterOptions
from pysquash.tree.entry import Entry, Kind
from pysquash.tree.whiteouts import WHITEOUT_PREFIX, hidden_by, is_marker

__all__ = ["Visibility"]

# Names of their own, because looking a member up in an enum takes longer than most of what is done with it.
_DIRECTORY, _FILE, _SYMLINK, _HARD_LINK = Kind.DIRECTORY, Kind.FILE, Kind.SYMLINK, Kind.HARD_LINK

# What upper layers have at a path.
_OCCUPIED = 1  # an entry, or a directory on the way to one
_WHITED_OUT = 2
_COVERING = 4  # what hides all below it: a whiteout, an opaque directory, anything that is not a directory

_KNOWN_SIZE = 1 << 16


class _Names:
    """The names that upper layers have below one path: for each its flags, or a `_Names` if there are names below it.

    A tree and not a set of paths: the paths of all directories on the way to a deep one are long together.
    """

    __slots__ = ("flags", "names")

    def __init__(self, flags: int) -> None:
        self.flags = flags
        self.names: dict[bytes, int | _Names] = {}

    def flags_of(self, name: bytes) -> int:
        found = self.names.get(name, 0)
        return found if isinstance(found, int) else found.flags

    def add_flags(self, name: bytes, flags: int) -> None:
        found = self.names.get(name, 0)
        if isinstance(found, int):
            self.names[name] = found | flags
        else:
            found.flags |= flags


class Visibility:
    """The names with which the layers read so far hide those below them."""

    def __init__(self, options: WriterOptions) -> None:
        """Start above the topmost layer, where nothing is hidden."""
        self._applies_whiteouts = options.whiteouts == "apply"
        self._follows_symlinks = options.parent_symlinks == "follow"
        self._is_lenient = options.lenient
        self._implicit_limit = options.limits.implicit_directory_count
        self._implicit_count = 0
        self._root = _Names(0)
        self._linked: set[bytes] = set()  # last components of what the hard links of upper layers lead to
        self._known: dict[bytes, _Names | bool] = {}

    @property
    def hides_anything(self) -> bool:
        """Tell whether there is an entry above the layer being read."""
        return bool(self._root.names or self._root.flags)

    def hides(self, path: bytes) -> bool:
        """Tell whether a file of the layer being read seems hidden by those above it."""
        parent, _, name = path.rpartition(b"/")
        found = self._known.get(parent)
        if found is None:
            found = self._find(parent)
        return found if isinstance(found, bool) else bool(found.flags_of(name) & (_OCCUPIED | _WHITED_OUT))

    def add_layer(self, entries: Iterable[Entry]) -> None:
        """Take in a layer that was read, before the one below it is.

        Raises:
            LimitError: Too many directories that no entry describes.
        """
        parent, names = b"", self._root
        for entry in entries:
            path = entry.path
            if self._applies_whiteouts and WHITEOUT_PREFIX in path and is_marker(path):
                self._add_marker(path)
                continue
            above, _, name = path.rpartition(b"/")
            if above != parent:
                parent, names = above, self._names_below(above, _OCCUPIED)
            if entry.kind is _DIRECTORY:
                names.add_flags(name, _OCCUPIED)
            else:
                names.add_flags(name, _OCCUPIED | _COVERING)
                if entry.kind is _HARD_LINK:
                    self._linked.add(_last(entry.target))
        self._known.clear()

    def certainly_hidden(self, entries: Sequence[Entry]) -> Iterator[Entry]:
        """Yield the files of the layer just read whose content cannot be in the image. To be called before `add_layer`.

        A file that `hides` knows of is gone for certain when the directories on its path are real ones: then each of
        them is still the same one when the upper layer comes, which so meets the file or what is above it, or has been
        replaced and has taken the file with it. They are real ones where symlinks are not followed, or where this very
        layer lists them all, the upper ones first, and puts no symlink in their place: under their own path, or under
        any path that a symlink of a layer not read yet might lead there. (A hard link may be one to a symlink.)
        A hard link keeps content alive by naming it, and no symlink on the way to a name changes its last component.
        Where links are dropped if they lead to nothing, an upper layer's link may turn out to hide nothing.

        Args:
            entries: All of the layer.
        """
        if self._is_lenient:
            return
        linked = self._linked.union(_last(entry.target) for entry in entries if entry.kind is _HARD_LINK)
        real = {b""}
        for entry in entries:
            path, kind = entry.path, entry.kind
            parent, _, name = path.rpartition(b"/")
            is_real = parent in real or not self._follows_symlinks
            if kind is _FILE:
                if is_real and name not in linked and self.hides(path):
                    yield entry
            elif kind is _DIRECTORY:
                if is_real:
                    real.add(path)
            elif (kind is _SYMLINK or kind is _HARD_LINK) and (path in real or not is_real):
                real = {b""}

    def _add_marker(self, path: bytes) -> None:
        hidden = hidden_by(path)
        if hidden is None:
            return
        directory, name = hidden
        if name:
            self._names_below(directory, 0).add_flags(name, _WHITED_OUT | _COVERING)
        elif directory:
            parent, _, name = directory.rpartition(b"/")
            self._names_below(parent, 0).add_flags(name, _COVERING)
        else:
            self._root.flags |= _COVERING

    def _names_below(self, path: bytes, flags: int) -> _Names:
        """Return the names below a path, and give all directories on the way these flags."""
        here = self._root
        for name in path.split(b"/") if path else ():
            below = here.names.get(name, 0)
            if isinstance(below, int):
                if not below:
                    self._count_implicit(path)
                below = here.names[name] = _Names(below)
            below.flags |= flags
            here = below
        return here

    def _count_implicit(self, path: bytes) -> None:
        self._implicit_count += 1
        if self._implicit_count > self._implicit_limit:
            what = "the number of implicit parent directories"
            where = printable(path)[:200]
            raise LimitError(
                what, self._implicit_count, self._implicit_limit, where=where, name="implicit_directory_count"
            )

    def _find(self, directory: bytes) -> _Names | bool:
        """Return what upper layers have in a directory, False for nothing; True where it is covered, or one above it.

        Files come by the directory, so the answer is kept.
        """
        here: _Names | bool = self._root
        if self._root.flags & _COVERING:
            here = True
        for name in directory.split(b"/") if directory else ():
            if isinstance(here, bool):
                break
            below = here.names.get(name, 0)
            flags = below if isinstance(below, int) else below.flags
            here = bool(flags & _COVERING) if isinstance(below, int) or flags & _COVERING else below
        if len(self._known) >= _KNOWN_SIZE:
            self._known.clear()
        self._known[directory] = here
        return here


def _last(path: bytes) -> bytes:
    return path.rpartition(b"/")[2]
