"""Priorities: which files' content comes first in the image.

In: names on this machine with their priorities. Out: `Priorities`, which are asked about each file.
Rules kept here: names are looked up as plain ones that are left out are; a directory's priority is for all below it
that has none of its own; the highest comes first, and 0 is that of all others.
Not here: the lines of a sort file (options/sort_file), going through directories (host_source).
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from pysquash.notices import Notice, Warn, WarningKind
from pysquash.options.sort_file import read_sort_lines

__all__ = ["Priorities", "read_priorities"]


class Priorities:
    """Priorities by device and number of what is on this machine."""

    def __init__(self, by_inode: dict[tuple[int, int], int]) -> None:
        """Take priorities."""
        self._by_inode = by_inode
        self._by_path: dict[bytes, int] = {b"": 0}

    def note_directory(self, path: bytes, status: os.stat_result) -> None:
        """Note a directory, before what is in it.

        Args:
            path: Where it is in the image.
            status: What it is on this machine.
        """
        self._by_path[path] = self.of(path, status)

    def of(self, path: bytes, status: os.stat_result) -> int:
        """Give the priority of something: its own, or that of the directory it is in."""
        own = self._by_inode.get((status.st_dev, status.st_ino))
        return self._by_path.get(path.rpartition(b"/")[0], 0) if own is None else own


def read_priorities(path: str, sources: Sequence[str], warn: Warn) -> Priorities:
    """Read a sort file.

    Args:
        path: Where it is.
        sources: Directories in which a relative name is looked for.
        warn: Takes a warning for each name that does not exist.

    Raises:
        OptionError: A line is none.
        OSError: It cannot be read.
    """
    by_inode: dict[tuple[int, int], int] = {}
    for raw, priority in read_sort_lines(path):
        name = os.fsdecode(raw)
        places = [name] if name.startswith(("/", "./", "../")) else [os.path.join(each, name) for each in sources]
        found = False
        for place in places:
            try:
                status = os.lstat(place)
            except OSError:
                continue
            by_inode[status.st_dev, status.st_ino] = priority
            found = True
        if not found:
            warn(Notice(WarningKind.OPTION_UNUSED, f"-sort: {name} not found"))
    return Priorities(by_inode)
