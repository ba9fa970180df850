"""Visibility: tells, while layers are read topmost first, which files an upper layer hides.

In: the entries of the layers read so far. Out: for a lower layer's file, whether it seems hidden; and once its layer is
read, whether it is hidden for certain.
Rules kept here: what seems hidden is only set aside, never lost, because the tree decides in the end: a symlinked
parent may carry a file elsewhere, and a hard link may keep its content alive. So `hides` may err, and costs space or
time when it does, but no content. `certainly_hidden` never errs, and keeps silent where it cannot know.
Not here: the tree (tree/merge); setting aside (spool).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from pysquash.options import WriterOptions
from pysquash.tree.entry import Entry, Kind
from pysquash.tree.whiteouts import WHITEOUT_PREFIX, hidden_by, is_marker

__all__ = ["Visibility"]

# Names of their own, because looking a member up in an enum takes longer than most of what is done with it.
_DIRECTORY, _FILE, _SYMLINK, _HARD_LINK = Kind.DIRECTORY, Kind.FILE, Kind.SYMLINK, Kind.HARD_LINK


class Visibility:
    """The names that the layers read so far take from those below them."""

    def __init__(self, options: WriterOptions) -> None:
        """Start above the topmost layer, where nothing is hidden."""
        self._applies_whiteouts = options.whiteouts == "apply"
        self._follows_symlinks = options.parent_symlinks == "follow"
        self._is_lenient = options.lenient
        self._taken: set[bytes] = set()  # every name of an upper layer, and every directory on the way to one
        self._covering: set[bytes] = set()  # whatever hides all below it: whiteouts, opaque directories, files
        self._whited_out: set[bytes] = set()
        self._linked: set[bytes] = set()  # last components of what the hard links of upper layers lead to
        self._known: dict[bytes, bool] = {}

    @property
    def hides_anything(self) -> bool:
        """Tell whether there is an entry above the layer being read."""
        return bool(self._taken or self._covering)

    def hides(self, path: bytes) -> bool:
        """Tell whether a file of the layer being read seems hidden by those above it."""
        return path in self._taken or path in self._whited_out or self._is_covered(path.rpartition(b"/")[0])

    def add_layer(self, entries: Iterable[Entry]) -> None:
        """Take in a layer that was read, before the one below it is."""
        taken, covering = self._taken, self._covering
        last_parent = None
        for entry in entries:
            path = entry.path
            if self._applies_whiteouts and WHITEOUT_PREFIX in path and is_marker(path):
                self._add_marker(path)
                continue
            taken.add(path)
            if entry.kind is not _DIRECTORY:
                covering.add(path)
                if entry.kind is _HARD_LINK:
                    self._linked.add(_last(entry.target))
            parent = path.rpartition(b"/")[0]
            if parent != last_parent:
                last_parent = parent
                while parent and parent not in taken:
                    taken.add(parent)
                    parent = parent.rpartition(b"/")[0]
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
            directory = directory + b"/" + name if directory else name
            self._whited_out.add(directory)
        self._covering.add(directory)

    def _is_covered(self, directory: bytes) -> bool:
        """Tell whether a directory or one above it is covered. Files come by the directory, so the answer is kept."""
        covered = self._known.get(directory)
        if covered is None:
            covered, above = directory in self._covering, directory
            while above and not covered:
                above = above.rpartition(b"/")[0]
                covered = above in self._covering
            self._known[directory] = covered
        return covered


def _last(path: bytes) -> bytes:
    return path.rpartition(b"/")[2]
