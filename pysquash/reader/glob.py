"""Reader: patterns of paths.

In: a directory of an image, and a pattern. Out: the paths below it that match, each once.
Rules kept here: `**` stands for directories at any depth, and goes through no symlink but one that it begins at; names
that begin with a dot match like others, and a `/` at the end asks for directories, as in `pathlib`.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterator
from typing import Generic, Protocol, Self, TypeVar

from pysquash.errors import CorruptImageError, ImageError, printable
from pysquash.format.rules import Rule
from pysquash.reader.inodes import Inode

__all__ = ["matching"]

_WILD = re.compile(r"[*?\[]")

_REPEATED_SIZE = 4 << 20
_REPEATED_RATIO = 64
"""Bytes of listings that one search may list again, through symlinks: so many, and so many times what is stored."""


class Searchable(Protocol):
    """What a search needs of a path."""

    path: bytes

    @property
    def name(self) -> str: ...
    @property
    def inode(self) -> Inode: ...
    def exists(self, *, follow_symlinks: bool = ...) -> bool: ...
    def is_dir(self, *, follow_symlinks: bool = ...) -> bool: ...
    def is_symlink(self) -> bool: ...
    def resolve(self) -> Self: ...
    def iterdir(self) -> Iterator[Self]: ...
    def walk_directories(self) -> Iterator[Self]: ...
    def __truediv__(self, name: str, /) -> Self: ...


Found = TypeVar("Found", bound=Searchable)


def matching(root: Found, pattern: str, *, stored_size: int, is_recursive: bool = False) -> Iterator[Found]:
    """Yield what matches a pattern.

    Args:
        root: Where the pattern begins.
        pattern: Components with `*`, `?` and `[...]`; `**` as a whole component.
        stored_size: Bytes of the directory table in the image.
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
    for found in _Search[Found](stored_size).matching(root, parts):
        if found.path not in seen and (not pattern.endswith("/") or found.is_dir()):
            if may_repeat:
                seen.add(found.path)
            yield found


class _Search(Generic[Found]):
    """One search, which lists no more names than there can be: see `_list`."""

    def __init__(self, stored_size: int) -> None:
        self._limit = _REPEATED_SIZE + _REPEATED_RATIO * stored_size
        self._room = self._limit
        self._places: dict[tuple[int, int], bytes] = {}

    def matching(self, here: Found, parts: list[str], *, is_linked: bool = False) -> Iterator[Found]:
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
            for below in here.walk_directories():
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

    def _list(self, here: Found, left: int, *, is_linked: bool) -> Iterator[Found]:
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
