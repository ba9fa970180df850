"""Visibility: tells, while layers are read topmost first, which files an upper layer hides.

In: the entries of the layers read so far. Out: for a lower layer's file, whether it seems hidden.
Rules kept here: what seems hidden is only set aside, never lost, because the tree decides in the end: a symlinked
parent may carry a file elsewhere, and a hard link may keep its content alive. So this may err, and costs space or
time when it does, but no content.
Not here: the tree (merge); setting aside (spool).
"""

from __future__ import annotations

from collections.abc import Iterable

from pysquash.options import WriterOptions
from pysquash.tree.entry import Entry, Kind
from pysquash.tree.merge import OPAQUE_MARKER, WHITEOUT_PREFIX

__all__ = ["Visibility"]


class Visibility:
    """The names that the layers read so far take from those below them."""

    def __init__(self, options: WriterOptions) -> None:
        """Start above the topmost layer, where nothing is hidden."""
        self._applies_whiteouts = options.whiteouts == "apply"
        self._taken: set[bytes] = set()  # every name of an upper layer, and every directory on the way to one
        self._covering: set[bytes] = set()  # names that hide all below them: whiteouts, opaque directories, files
        self._known: dict[bytes, bool] = {}

    def hides(self, path: bytes) -> bool:
        """Tell whether a file of the layer being read seems hidden by those above it."""
        if not self._taken and not self._covering:
            return False
        return path in self._taken or self._is_covered(path.rpartition(b"/")[0])

    def add_layer(self, entries: Iterable[Entry]) -> None:
        """Take in a layer that was read, before the one below it is."""
        taken, covering = self._taken, self._covering
        for entry in entries:
            path = entry.path
            if self._applies_whiteouts and WHITEOUT_PREFIX in path:
                parent, _, name = path.rpartition(b"/")
                if name == OPAQUE_MARKER:
                    covering.add(parent)
                    continue
                if name.startswith(WHITEOUT_PREFIX):
                    hidden = parent + b"/" + name[len(WHITEOUT_PREFIX) :] if parent else name[len(WHITEOUT_PREFIX) :]
                    taken.add(hidden)
                    covering.add(hidden)
                    continue
            taken.add(path)
            if entry.kind is not Kind.DIRECTORY:
                covering.add(path)
            parent = path.rpartition(b"/")[0]
            while parent and parent not in taken:
                taken.add(parent)
                parent = parent.rpartition(b"/")[0]
        self._known.clear()

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
