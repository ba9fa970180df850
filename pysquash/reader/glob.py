"""Reader: patterns of paths.

In: a directory of an image, and a pattern. Out: the paths below it that match, each once.
Rules kept here: `**` stands for directories at any depth, and does not go through symlinks; names that begin with a dot
match like others, as in `pathlib`.
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


def matching(root: ImagePath, pattern: str) -> Iterator[ImagePath]:
    """Yield what matches a pattern.

    Args:
        root: Where the pattern begins.
        pattern: Components with `*`, `?` and `[...]`; `**` as a whole component.

    Raises:
        ValueError: The pattern is empty, or begins at the image's root.
    """
    if not pattern.strip("/.") or pattern.startswith("/"):
        raise ValueError(f"{pattern!r} is no pattern below a path")
    seen: set[bytes] = set()
    for found in _matching(root, [part for part in pattern.split("/") if part not in ("", ".")]):
        if found.path not in seen:
            seen.add(found.path)
            yield found


def _matching(here: ImagePath, parts: list[str]) -> Iterator[ImagePath]:
    if not parts:
        yield here
        return
    part, rest = parts[0], parts[1:]
    if part == "**":
        for below in here.walk() if here.is_dir(follow_symlinks=False) else ():
            if below.is_dir(follow_symlinks=False):
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
