r"""Patterns: tells by their paths what is to be left out of a tree.

In: globs as users write them. Out: `Patterns`, which match paths.
Rules kept here: `*` is any part of one name, `?` any byte of it, `[ab]` and `[!ab]` one of a set, `**` any number of
whole names, `\` takes the next character as it is. A pattern with a "/" before its end starts at the root, any other
one is for names at any depth; with a "/" at its end it is for directories only.
Not here: that what is below a directory goes with it (tree/merge).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from pysquash.errors import OptionError, OptionTypeError

__all__ = ["Patterns"]


class Patterns:
    """Some globs. False where there are none."""

    def __init__(self, globs: Iterable[str] = ()) -> None:
        """Take globs.

        Raises:
            OptionError: One of them can match nothing, or has an open bracket.
        """
        everything: list[bytes] = []
        directories: list[bytes] = []
        tells: list[bytes] = []
        for text in globs:
            if not isinstance(text, str):
                raise OptionTypeError(f"a pattern is text, not {text!r:.80}")
            names = _names(text)
            expression = _path_expression(names, is_anchored="/" in text.rstrip("/"), text=text)
            (directories if text.endswith("/") else everything).append(expression)
            tells.append(_telling_expression(names, text))
        self._everything = _joined(everything)
        self._directories = _joined(directories)
        self._tells = re.compile(b"(?:^|/)(?:" + b"|".join(tells) + b")(?:/|$)", re.DOTALL) if tells else None

    def __bool__(self) -> bool:
        return self._tells is not None

    def match(self, path: bytes, is_directory: bool) -> bool:
        """Tell whether one of them is for this very path."""
        if self._everything is not None and self._everything.fullmatch(path):
            return True
        return is_directory and self._directories is not None and self._directories.fullmatch(path) is not None

    def may_reach(self, path: bytes) -> bool:
        """Tell whether one of them may be for a path, or for a directory above it, also where symlinks lead elsewhere.

        A symlink carries a path to a place with the same last name; so it is asked whether the last name that a pattern
        says something of is anywhere in the path. Only where the symlink itself leads below what is left out, this
        says no wrongly.
        """
        return self._tells is not None and self._tells.search(path) is not None


def _names(text: str) -> list[bytes]:
    raw = text.encode("utf-8", "surrogateescape")
    names = [name for name in raw.split(b"/") if name not in (b"", b".")]
    if not names or b".." in names or b"\0" in raw:
        raise OptionError(f"the pattern {text!r} can be for nothing in an image")
    return names


def _path_expression(names: list[bytes], *, is_anchored: bool, text: str) -> bytes:
    """Give the regular expression for a whole path."""
    expression = b"" if is_anchored else b"(?:.*/)?"
    last = len(names) - 1
    for row, name in enumerate(names):
        if name != b"**":
            expression += _name_expression(name, text) + (b"/" if row < last else b"")
        else:  # in the end at least one name, because the directory itself is not meant
            expression += b".+" if row == last else b"(?:.*/)?"
    return expression


def _telling_expression(names: list[bytes], text: str) -> bytes:
    """Give the regular expression for the last name that says anything; for any name where none does."""
    for name in reversed(names):
        if name.strip(b"*"):
            return _name_expression(name, text)
    return b"[^/]*"


def _name_expression(name: bytes, text: str) -> bytes:
    return b"".join(_name_parts(name, text))


def _name_parts(name: bytes, text: str) -> Iterator[bytes]:
    position = 0
    while position < len(name):
        letter = name[position : position + 1]
        position += 1
        if letter == b"*":
            while name[position : position + 1] == b"*":
                position += 1
            yield b"[^/]*"
        elif letter == b"?":
            yield b"[^/]"
        elif letter == b"[":
            end = name.find(b"]", position + 1 + (name[position : position + 1] in (b"!", b"^")))
            if end < 0:
                raise OptionError(f"the pattern {text!r} has a '[' without a ']'")
            yield _set_expression(name[position:end], text)
            position = end + 1
        elif letter == b"\\" and position < len(name):
            yield re.escape(name[position : position + 1])
            position += 1
        else:
            yield re.escape(letter)


def _set_expression(letters: bytes, text: str) -> bytes:
    is_negated = letters[:1] in (b"!", b"^")
    inner = re.sub(rb"([\\\[\]^&~|])", rb"\\\1", letters[is_negated:])
    expression = b"(?!/)[" + (b"^" if is_negated else b"") + inner + b"]"
    try:
        re.compile(expression)
    except re.error as error:
        raise OptionError(f"the pattern {text!r} has a set that is none: {error}") from None
    return expression


def _joined(expressions: list[bytes]) -> re.Pattern[bytes] | None:
    return re.compile(b"|".join(b"(?:" + each + b")" for each in expressions), re.DOTALL) if expressions else None
