"""Excludes: what is left out, by the three ways in which mksquashfs has it said.

In: names, shell patterns or regular expressions, and the sources. Out: `Excludes`, which is asked about each path.
Rules kept here: a plain name is looked up on this machine, in each source unless it starts with /, ./ or ../, and what
is left out is that inode, also under its other names. Patterns have a part for each component of a path, from the root
or, with "... " in front, from anywhere.
Not here: what a pattern matches (patterns), going through directories (host_source, tar_source).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence

from pysquash.errors import OptionError
from pysquash.squashfs_tools.patterns import Matches, regular_pattern, shell_pattern

__all__ = ["Excludes", "inodes_named"]

_STICKY = "... "


class Excludes:
    """What is left out. False where that is nothing."""

    def __init__(
        self, patterns: Iterable[str] = (), *, are_regular: bool = False, inodes: Iterable[tuple[int, int]] = ()
    ) -> None:
        """Take what is left out.

        Args:
            patterns: Shell patterns or regular expressions, a component each between slashes.
            are_regular: Whether they are regular expressions.
            inodes: Device and number of what is left out besides.

        Raises:
            OptionError: A pattern is none.
        """
        self._inodes = frozenset(inodes)
        self._anchored: list[list[Matches]] = []
        self._sticky: list[list[Matches]] = []
        read = regular_pattern if are_regular else shell_pattern
        for text in patterns:
            is_sticky = text.startswith(_STICKY)
            rest = text.removeprefix(_STICKY) if is_sticky else text
            if rest.startswith(("/", "./", "../")):
                raise OptionError(f"{text!r}: a pattern starts at the image's root, without /, ./ or ../")
            components = [part for part in rest.split("/") if part]
            if not components:
                continue
            (self._sticky if is_sticky else self._anchored).append([read(part) for part in components])
        self._known: dict[bytes, bool] = {b"": False}

    def __bool__(self) -> bool:
        return bool(self._inodes or self._anchored or self._sticky)

    def leaves_out_inode(self, status: os.stat_result) -> bool:
        """Tell whether something on this machine is left out by what it is."""
        return (status.st_dev, status.st_ino) in self._inodes

    def leaves_out(self, path: bytes) -> bool:
        """Tell whether a path of the image, or a directory above it, matches a pattern."""
        if not self._anchored and not self._sticky:
            return False
        known = self._known.get(path)
        if known is None:
            parent = path.rpartition(b"/")[0]
            known = self.leaves_out(parent) or self._matches(path)
            self._known[path] = known
        return known

    def _matches(self, path: bytes) -> bool:
        names = [os.fsdecode(name) for name in path.split(b"/")]
        return any(_match(row, names) for row in self._anchored) or any(
            len(row) <= len(names) and _match(row, names[-len(row) :]) for row in self._sticky
        )


def _match(row: Sequence[Matches], names: Sequence[str]) -> bool:
    return len(row) == len(names) and all(matches(name) for matches, name in zip(row, names, strict=True))


def inodes_named(names: Iterable[str], sources: Sequence[str]) -> tuple[set[tuple[int, int]], list[str]]:
    """Look plain names up.

    Args:
        names: What is left out.
        sources: Directories in which a relative name is looked for.

    Returns:
        Device and number of each that is there, and the names that are not.
    """
    found: set[tuple[int, int]] = set()
    missing: list[str] = []
    for name in names:
        places = [name] if name.startswith(("/", "./", "../")) else [os.path.join(each, name) for each in sources]
        for place in places:
            try:
                status = os.lstat(place)
            except OSError:
                missing.append(place)
            else:
                found.add((status.st_dev, status.st_ino))
    return found, missing
