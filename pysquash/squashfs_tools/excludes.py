r"""Excludes: what is left out, by the three ways in which mksquashfs has it said.

In: names, shell patterns or regular expressions, and the sources. Out: `Excludes`, which is asked about each path.
Rules kept here: a plain name is looked up on this machine, in each source unless it starts with /, ./ or ../, and what
is left out is that inode, also under its other names. Patterns have an expression for each component of a path, from
the root or, with "... " in front, from anywhere; `*` and `?` do not match a leading dot, and ?() *() +() @() !() are
known. Regular expressions are POSIX ones, and may match any part of a component.
Not here: going through directories (host_source, tar_source).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence

from pysquash.errors import OptionError

__all__ = ["Excludes", "checked_expression", "inodes_named", "posix_expression", "shell_expression"]

_STICKY = "... "
_POSIX_CLASSES = {
    "alpha": "a-zA-Z",
    "digit": "0-9",
    "alnum": "a-zA-Z0-9",
    "upper": "A-Z",
    "lower": "a-z",
    "space": r"\s",
    "blank": r" \t",
    "punct": r"!-/:-@\[-`{-~",
    "print": " -~",
    "graph": "!-~",
    "cntrl": r"\x00-\x1f\x7f",
    "xdigit": "0-9A-Fa-f",
}


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
        self._anchored: list[list[re.Pattern[str]]] = []
        self._sticky: list[list[re.Pattern[str]]] = []
        for text in patterns:
            is_sticky = text.startswith(_STICKY)
            rest = text.removeprefix(_STICKY).strip() if is_sticky else text
            if rest.startswith(("/", "./", "../")):
                raise OptionError(f"{text!r}: a pattern starts at the image's root, without /, ./ or ../")
            components = [part for part in rest.split("/") if part]
            if not components:
                continue
            compiled = [_compiled(part, text, is_regular=are_regular) for part in components]
            (self._sticky if is_sticky else self._anchored).append(compiled)
        self._is_regular = are_regular
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
        return any(self._match(row, names) for row in self._anchored) or any(
            len(row) <= len(names) and self._match(row, names[-len(row) :]) for row in self._sticky
        )

    def _match(self, row: Sequence[re.Pattern[str]], names: Sequence[str]) -> bool:
        if len(row) != len(names):
            return False
        if self._is_regular:
            return all(pattern.search(name) for pattern, name in zip(row, names, strict=True))
        return all(pattern.fullmatch(name) for pattern, name in zip(row, names, strict=True))


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


def _compiled(part: str, text: str, *, is_regular: bool) -> re.Pattern[str]:
    expression = posix_expression(part) if is_regular else shell_expression(part)
    try:
        return re.compile(expression, re.DOTALL)
    except re.error as error:
        raise OptionError(f"the pattern {text!r} is none: {error}") from None


def posix_expression(text: str) -> str:
    """Turn a POSIX extended regular expression into one of Python's: bracket expressions are what differs."""
    out: list[str] = []
    position = 0
    while position < len(text):
        letter = text[position]
        if letter == "[":
            end, expression = _bracket(text, position)
            out.append(expression)
            position = end
            continue
        if letter == "\\" and position + 1 < len(text):
            out.append(re.escape(text[position + 1]))
            position += 2
            continue
        out.append(r"\Z" if letter == "$" else letter)
        position += 1
    return "".join(out)


def checked_expression(text: str) -> str:
    """Turn a POSIX extended regular expression into one of Python's, and see that it is one.

    Raises:
        OptionError: It is none.
    """
    expression = posix_expression(text)
    try:
        re.compile(expression)
    except re.error as error:
        raise OptionError(f"{text!r} is no regular expression: {error}") from None
    return expression


def shell_expression(text: str) -> str:
    """Turn a shell pattern for one name into a regular expression, the leading dot and extended patterns included."""
    expression, end = _shell_part(text, 0, is_start=True)
    if end < len(text):  # a bracket that nobody opened
        rest, _ = _shell_part("\\" + text[end:], 0, is_start=False)
        expression += rest
    return expression


def _shell_part(text: str, position: int, *, is_start: bool, ends: str = "") -> tuple[str, int]:
    """Turn a pattern into an expression, up to its end or to one of `ends`."""
    out: list[str] = []
    no_dot = r"(?!\.)"
    while position < len(text) and text[position] not in ends:
        letter = text[position]
        guard = no_dot if is_start else ""
        if letter in "?*+@!" and text[position + 1 : position + 2] == "(" and ")" in text[position:]:
            expression, position = _extended(text, position, is_start=is_start)
            out.append(expression)
        elif letter == "*":
            out.append(guard + ".*")
            position += 1
        elif letter == "?":
            out.append(guard + ".")
            position += 1
        elif letter == "[":
            end, expression = _bracket(text, position)
            out.append((guard if expression != r"\[" else "") + expression)
            position = end
        elif letter == "\\" and position + 1 < len(text):
            out.append(re.escape(text[position + 1]))
            position += 2
        else:
            out.append(re.escape(letter))
            position += 1
        is_start = False
    return "".join(out), position


def _extended(text: str, position: int, *, is_start: bool) -> tuple[str, int]:
    """Turn ?(a|b) and its like into an expression; `position` is at its first character."""
    sign, position = text[position], position + 2
    choices: list[str] = []
    while True:
        expression, position = _shell_part(text, position, is_start=is_start, ends="|)")
        choices.append(expression)
        if position >= len(text):
            raise OptionError(f"the pattern {text!r} has a '(' without a ')'")
        position += 1
        if text[position - 1] == ")":
            break
    group = "(?:" + "|".join(choices) + ")"
    if sign == "!":
        rest, position = _shell_part(text, position, is_start=False, ends="|)")
        # Some part of the name that the group does not match, with what is behind the group behind it: a leading dot
        # is as good as anything else.
        return f"(?!{group}{rest}\\Z).*{rest}", position
    return group + {"?": "?", "*": "*", "+": "+", "@": ""}[sign], position


def _bracket(text: str, position: int) -> tuple[int, str]:
    """Turn a bracket expression into a set; give where it ends. A bracket that is not closed is an ordinary one."""
    start = position + 1
    is_negated = text[start : start + 1] in ("!", "^")
    start += is_negated
    end, out = start, ["^" if is_negated else ""]
    while end < len(text) and (text[end] != "]" or end == start):
        if text[end : end + 2] == "[:" and (close := text.find(":]", end)) > 0:
            out.append(_POSIX_CLASSES.get(text[end + 2 : close], ""))
            end = close + 2
            continue
        if text[end] in r"\[]^&~|":
            out.append("\\" + text[end])
        else:
            out.append(text[end])
        end += 1
    if end >= len(text):
        return position + 1, r"\["
    return end + 1, "[" + "".join(out) + "]"
