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

if TYPE_CHECKING:
    from pysquash.reader.path import ImagePath

__all__ = ["matching"]

_WILD = re.compile(r"[*?\[]")


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
    seen: set[bytes] = set()
    for found in _matching(root, ["**", *parts] if is_recursive else parts):
        if found.path not in seen and (not pattern.endswith("/") or found.is_dir()):
            seen.add(found.path)
            yield found


def _matching(here: ImagePath, parts: list[str]) -> Iterator[ImagePath]:
    if not parts:
        yield here
        return
    part, rest = parts[0], parts[1:]
    if part == "**":
        while rest[:1] == ["**"]:  # which adds nothing but the same paths again
            rest = rest[1:]
        for below in _directories(here):
            yield from _matching(below, rest)
    elif not _WILD.search(part):
        below = here / part
        if below.exists(follow_symlinks=False):
            yield from _matching(below, rest)
    elif here.is_dir():
        is_match = re.compile(fnmatch.translate(part)).match
        for below in here.iterdir():
            if is_match(below.name):
                yield from _matching(below, rest)


def _directories(here: ImagePath) -> Iterator[ImagePath]:
    """Yield a directory, or a symlink to one, and the directories below."""
    if not here.is_dir():
        return
    yield here
    for below in here.iterdir():
        if below.is_dir(follow_symlinks=False):
            yield from (deeper for deeper in below.walk() if deeper.is_dir(follow_symlinks=False))
