"""Reader: patterns of paths.

In: a directory of an image, and a pattern. Out: the paths below it that match, each once.
Rules kept here: `**` stands for directories at any depth, and goes through no symlink but one that it begins at; names
that begin with a dot match like others, and a `/` at the end asks for directories, as in `pathlib`.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from pysquash.errors import CorruptImageError, ImageError, printable
from pysquash.format.rules import Rule

if TYPE_CHECKING:
    from pysquash.reader.path import ImagePath

__all__ = ["matching"]

_WILD = re.compile(r"[*?\[]")

_REPEATED_SIZE = 4 << 20
_REPEATED_RATIO = 64
"""Bytes of listings that one search may list again, through symlinks: so many, and so many times what is stored."""


def matching(root: ImagePath, pattern: str, *, is_recursive: bool = False) -> Iterator[ImagePath]:
    """Yield what matches a pattern.

    Args:
        root: Where the pattern begins.
        pattern: Components with `*`, `?` and `[...]`; `**` as a whole component.
        is_recursive: Whether the pattern begins at any depth, as behind `**`.

    Raises:
        ValueError: The pattern is empty, or begins at the image's root.
    """
    parts = [part for part in pattern.split("/") if part not in ("", ".")]
    if not parts or pattern.startswith("/"):
        raise ValueError(f"{pattern!r} is no pattern below a path")
    parts = ["**", *parts] if is_recursive else parts
    # Without these, nothing is found twice; and all that is found would have to be kept in memory.
    may_repeat = parts.count("**") > 1 or ".." in parts
    seen: set[bytes] = set()
    for found in _Search(root).matching(root, parts):
        if found.path not in seen and (not pattern.endswith("/") or found.is_dir()):
            if may_repeat:
                seen.add(found.path)
            yield found


class _Search:
    """One search, which lists no more names than there can be: see `_list`."""

    def __init__(self, root: ImagePath) -> None:
        self._limit = _REPEATED_SIZE + _REPEATED_RATIO * root.image.listings.stored_size
        self._room = self._limit
        self._places: dict[tuple[int, int], bytes] = {}

    def matching(self, here: ImagePath, parts: list[str], *, is_linked: bool = False) -> Iterator[ImagePath]:
        """Yield what matches.

        Args:
            here: Where the pattern begins.
            parts: Its components.
            is_linked: Whether one of the components before led through a symlink.
        """
        if not parts:
            yield here
            return
        part, rest = parts[0], parts[1:]
        is_linked = is_linked or here.is_symlink() or part == ".."
        if part == "**":
            while rest[:1] == ["**"]:  # which adds nothing but the same paths again
                rest = rest[1:]
            for below in _directories(here):
                yield from self.matching(below, rest, is_linked=is_linked)
        elif not _WILD.search(part):
            below = here / part
            if below.exists(follow_symlinks=False):
                yield from self.matching(below, rest, is_linked=is_linked)
        elif here.is_dir():
            is_match = re.compile(fnmatch.translate(part)).match
            for below in self._list(here, len(parts), is_linked=is_linked):
                if is_match(below.name):
                    yield from self.matching(below, rest, is_linked=is_linked)

    def _list(self, here: ImagePath, left: int, *, is_linked: bool) -> Iterator[ImagePath]:
        """List a directory, or what a symlink leads to.

        Args:
            here: The directory.
            left: Components of the pattern that are left.
            is_linked: Whether its path leads through a symlink, so that the directory may well have another.

        Raises:
            ImageError: A short image makes the search a long one, because directories are found over and over.
        """
        inode = (here.resolve() if here.is_symlink() else here).inode
        before = None
        if not is_linked:
            before = self._places.get((left, inode.ref))
            if before not in (None, here.path):
                text = f"the directory {here} is {printable(before)} as well"
                raise CorruptImageError(text, section="directory table", rule=Rule.DIRECTORY_ONCE)
            self._places[left, inode.ref] = here.path
        if is_linked or before is not None:  # several `**` may lead to one path again and again
            self._room -= max(0, inode.listing_size)
            if self._room < 0:
                raise ImageError(f"{here}: found with more than {self._limit} bytes of names that were found before")
        return here.iterdir()


def _directories(here: ImagePath) -> Iterator[ImagePath]:
    """Yield a directory, or a symlink to one, and the directories below."""
    if here.is_dir():
        inode = (here.resolve() if here.is_symlink() else here).inode
        for below in type(here)(here.image, here.path, inode.ref, inode).walk():
            if below.is_dir(follow_symlinks=False):
                yield below
