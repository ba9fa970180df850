r"""Patterns: shell patterns and POSIX regular expressions for one name, as Python can match them.

In: the text of a pattern. Out: what tells of a name whether it matches.
Rules kept here: `*` and `?` and a set match no dot at a name's start; ?() *() +() @() are known, and !(), which matches
whatever its alternatives do not, a leading dot as well; a set that is not closed is an ordinary bracket; a backslash at
the end matches nothing. A regular expression may match any part of a name.
Not here: what a regular expression says (posix_expression), paths, and what is left out (excludes).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from pysquash.errors import OptionError
from pysquash.squashfs_tools.posix_expression import bracket_expression, posix_expression

__all__ = ["Matches", "regular_pattern", "shell_pattern"]

Matches = Callable[[str], bool]
"""Tells of a name whether it matches."""

_EXTENDED = re.compile(r"[?*+@!]\(")
_DEEPEST = 50
_NO_LEADING_DOT = r"(?!\A\.)"


def regular_pattern(text: str) -> Matches:
    """Take a POSIX extended regular expression.

    Raises:
        OptionError: It is none.
    """
    search = re.compile(posix_expression(text), re.DOTALL).search
    return lambda name: search(name) is not None


def shell_pattern(text: str) -> Matches:
    """Take a shell pattern.

    Raises:
        OptionError: It has a set that is none.
    """
    sequence, _ = _Parser(text).sequence(0, "")
    if not _EXTENDED.search(text):
        fullmatch = re.compile(_expression(sequence), re.DOTALL).fullmatch
        return lambda name: fullmatch(name) is not None
    return lambda name: len(name) in _ends(sequence, name, {0})


class _Group:
    """?(...) and its like: how often, and its alternatives."""

    __slots__ = ("choices", "sign")

    def __init__(self, sign: str, choices: list[list[_Part]]) -> None:
        self.sign = sign
        self.choices = choices


_Part = str | re.Pattern[str] | _Group
"""`*`; one character, `?` or a set, as an expression; or a group."""


def _expression(sequence: Sequence[_Part]) -> str:
    """Make one expression of parts that are no groups.

    What is between two `*` is found as early as it can be and never looked for again, or many of them take forever.
    """
    runs = [""]
    for part in sequence:
        if isinstance(part, re.Pattern):
            runs[-1] += part.pattern
        else:
            runs.append("")
    first, *between = runs
    if not between:
        return first
    *between, last = between
    return first + "".join(f"{_NO_LEADING_DOT}(?>.*?{run})" for run in between) + f"{_NO_LEADING_DOT}.*{last}"


class _Parser:
    """A pattern being read."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._depth = 0

    def sequence(self, position: int, ends: str) -> tuple[list[_Part], int]:
        """Read parts up to the end, or to one of `ends`."""
        text, parts = self._text, list[_Part]()
        while position < len(text) and text[position] not in ends:
            letter = text[position]
            if _EXTENDED.match(text, position) and (group := self._group(position)) is not None:
                part, position = group
                parts.append(part)
                continue
            if letter == "*":
                parts.append("*")
            elif letter == "[":
                start, (position, expression) = position, bracket_expression(text, position, is_shell=True)
                if ends and position == start + 1:  # a group with a bracket that is not closed is not closed either
                    return parts, len(text)
                guard = "" if expression == r"\[" else _NO_LEADING_DOT
                parts.append(self._compiled(guard + expression))
                continue
            elif letter == "?":
                parts.append(self._compiled(_NO_LEADING_DOT + "."))
            else:
                position += letter == "\\"
                parts.append(self._compiled(re.escape(text[position]) if position < len(text) else "(?!)"))
            position += 1
        return parts, position

    def _group(self, position: int) -> tuple[_Group, int] | None:
        """Read ?(a|b) and its like; None where it is not closed, and so is not one."""
        sign, position = self._text[position], position + 1
        self._depth += 1
        if self._depth > _DEEPEST:
            raise OptionError(f"the pattern {self._text!r} has groups in one another more than {_DEEPEST} times")
        choices: list[list[_Part]] = []
        while position < len(self._text) and (not choices or self._text[position] == "|"):
            sequence, position = self.sequence(position + 1, "|)")
            choices.append(sequence)
        self._depth -= 1
        return (_Group(sign, choices), position + 1) if position < len(self._text) else None

    def _compiled(self, expression: str) -> re.Pattern[str]:
        try:
            return re.compile(expression, re.DOTALL)
        except re.error as error:
            raise OptionError(f"the pattern {self._text!r} has a set that is none: {error}") from None


def _ends(sequence: Sequence[_Part], name: str, starts: set[int]) -> set[int]:
    """Tell where a sequence of parts can end that begins at any of some places."""
    for part in sequence:
        if not starts:
            break
        if isinstance(part, _Group):
            starts = _group_ends(part, name, starts)
        elif isinstance(part, re.Pattern):
            starts = {start + 1 for start in starts if part.match(name, start)}
        else:
            keeps_dot = 0 in starts and name.startswith(".")
            rest = starts - {0} if keeps_dot else starts
            starts = ({0} if keeps_dot else set()) | (set(range(min(rest), len(name) + 1)) if rest else set())
    return starts


def _group_ends(group: _Group, name: str, starts: set[int]) -> set[int]:
    """The same for a group."""

    def once(places: set[int]) -> set[int]:
        return {end for choice in group.choices for end in _ends(choice, name, places)}

    if group.sign == "!":
        return {end for start in starts for end in set(range(start, len(name) + 1)) - once({start})}
    ends = once(starts)
    if group.sign in "*+":
        new = ends
        while new:
            new = once(new) - ends
            ends |= new
    return ends | starts if group.sign in "?*" else ends
