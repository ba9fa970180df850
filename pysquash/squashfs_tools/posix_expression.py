r"""POSIX expressions: turns an extended regular expression, as the C library has it, into one of Python's.

In: text. Out: text for `re`.
Rules kept here: a backslash in brackets is a character; repetitions may be repeated; one that has nothing in front of
it, or is not closed, is an error; `)` alone is a character; \w \W \s \S \b \B \< \> \` \' are GNU's.
Not here: shell patterns (patterns), where either is matched (excludes).
"""

from __future__ import annotations

import re

from pysquash.errors import OptionError

__all__ = ["bracket_expression", "posix_expression"]

_CLASSES = {
    "alpha": "a-zA-Z",
    "digit": "0-9",
    "alnum": "a-zA-Z0-9",
    "upper": "A-Z",
    "lower": "a-z",
    "space": r" \t-\r",
    "blank": r" \t",
    "punct": r"!-/:-@\[-`{-~",
    "print": " -~",
    "graph": "!-~",
    "cntrl": r"\x00-\x1f\x7f",
    "xdigit": "0-9A-Fa-f",
}
_ESCAPES = {
    **{letter: f"\\{letter}" for letter in "wWsSbB"},
    "<": r"(?:\b(?=\w))",
    ">": r"(?:\b(?<=\w))",
    "`": r"\A",
    "'": r"\Z",
}
_INTERVAL = re.compile(r"\{([0-9]*)(?:(,)([0-9]*))?\}")
_MOST_REPETITIONS = 32767
_DEEPEST = 50
_COLLATING = re.compile(r"\[\.(.)\.\]", re.DOTALL)
_NAMED_MEMBERS = re.compile(r"\[(?::([a-y]*):|=(.)=)\]", re.DOTALL)  # fnmatch(3) takes no z
_NOTHING = "(?!)"


def posix_expression(text: str) -> str:
    """Turn a POSIX extended regular expression into one of Python's.

    Raises:
        OptionError: It is none.
    """
    expression = _Expression(text).turned()
    try:
        re.compile(expression)
    except re.error as error:
        raise OptionError(f"{text!r} is no regular expression: {error}") from None
    return expression


class _Expression:
    """An expression, being read from its front."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._depth = 0
        self._groups = 0
        self._closed: set[int] = set()

    def turned(self) -> str:
        """Turn all of it, or what is in one pair of parentheses."""
        out: list[str] = []
        while self._at < len(self._text):
            letter = self._text[self._at]
            if letter == ")" and self._depth:
                break
            if letter == "|":
                self._at += 1
                out.append("|")
                continue
            out.append(self._repeated(self._atom(letter)))
        return "".join(out)

    def _fail(self, why: str) -> OptionError:
        return OptionError(f"{self._text!r} is no regular expression: {why}")

    def _atom(self, letter: str) -> str:
        self._at += 1
        if letter in "*+?{":
            raise self._fail(f"there is nothing that {letter!r} could repeat")
        if letter == "(":
            return self._group()
        if letter == "[":
            self._at, expression = bracket_expression(self._text, self._at - 1, is_shell=False)
            return expression
        if letter == "\\":
            return self._escaped()
        if letter in "^$":
            if self._text[self._at : self._at + 1] in ("*", "+", "?", "{") and letter == "^":
                raise self._fail("'^' cannot be repeated")
            return r"\A" if letter == "^" else r"\Z"
        return "." if letter == "." else re.escape(letter)

    def _group(self) -> str:
        self._groups += 1
        number = self._groups
        self._depth += 1
        if self._depth > _DEEPEST:
            raise self._fail(f"its groups are in one another more than {_DEEPEST} times")
        inner = self.turned()
        if self._at >= len(self._text):
            raise self._fail("a '(' has no ')'")
        self._depth -= 1
        self._at += 1
        self._closed.add(number)
        return f"({inner})"

    def _escaped(self) -> str:
        letter = self._text[self._at : self._at + 1]
        self._at += 1
        if not letter:
            raise self._fail("there is nothing behind its last backslash")
        if letter in "123456789":
            if int(letter) not in self._closed:
                raise self._fail(f"there is no group {letter} in front of \\{letter}")
            return f"(?:\\{letter})"
        return _ESCAPES.get(letter) or re.escape(letter)

    def _repeated(self, atom: str) -> str:
        """Take the repetitions behind something, of which there may be several."""
        while (sign := self._text[self._at : self._at + 1]) and sign in "*+?{":
            if sign == "{":
                interval = _INTERVAL.match(self._text, self._at)
                if interval is None or not (interval[1] or interval[2]):
                    raise self._fail("a '{' is not closed, or has no numbers")
                low, high = int(interval[1] or 0), int(interval[3]) if interval[3] else None
                if high is not None and high < low:
                    raise self._fail("an interval ends before it starts")
                if max(low, high or 0) > _MOST_REPETITIONS:
                    raise self._fail(f"nothing is repeated more than {_MOST_REPETITIONS} times")
                sign = f"{{{low},{'' if high is None else high}}}" if interval[2] else f"{{{low}}}"
                self._at = interval.end()
            else:
                self._at += 1
            atom = f"(?:{atom}){sign}"
        return atom


def bracket_expression(text: str, position: int, *, is_shell: bool) -> tuple[int, str]:
    """Turn a bracket expression into a set.

    Args:
        text: An expression or a pattern.
        position: Where its bracket is.
        is_shell: Whether it is a shell pattern as fnmatch(3) of the C library has it: `!` negates, a backslash quotes,
            a range that ends before it starts is empty, and a bracket that is not closed is an ordinary character,
            unless the pattern ends inside a range, inside `[.` or after a backslash: then nothing matches.

    Returns:
        Where it ends, and the set.

    Raises:
        OptionError: The bracket expression is invalid.
    """
    at = position + 1
    is_negated = text[at : at + 1] in (("!", "^") if is_shell else ("^",))
    at += is_negated
    first, members, ends_in_range = at, list[str](), False
    while at < len(text) and (text[at] != "]" or at == first):
        if named := _NAMED_MEMBERS.match(text, at):
            members.append(re.escape(named[2]) if named[2] else _class(text, named[1]))
            at = named.end()
            continue
        if not is_shell and text[at] == "-" and at > first and text[at + 1 : at + 2] != "]":
            raise OptionError(f"{text!r} is not a regular expression: a '-' inside brackets is not part of a range")
        start = at
        low, at = _element(text, at, is_shell=is_shell)
        if not low:
            return position + 1, _NOTHING
        if text[at : at + 1] != "-" or text[at + 1 : at + 2] == "]":
            members.append(re.escape(low))
            continue
        if at + 1 == len(text):
            members.append(re.escape(low))
            ends_in_range, at = True, at + 1
            break
        high, at = _element(text, at + 1, is_shell=is_shell)
        if not high:
            return position + 1, _NOTHING
        if low <= high:
            members.append(f"{re.escape(low)}-{re.escape(high)}")
        elif not is_shell:
            raise OptionError(f"{text!r} is not a regular expression: the range {text[start:at]} is reversed")
    expression = f"[{''.join(members)}]" if members else _NOTHING
    if at < len(text):
        return at + 1, (f"[^{expression[1:]}" if members else ".") if is_negated else expression
    if not is_shell:
        raise OptionError(f"{text!r} is not a regular expression: a '[' has no ']'")
    # The C library compares the name with each member in order, and reads the rest only after a match.
    return position + 1, _NOTHING if ends_in_range and not re.match(expression, "[") else r"\["


def _class(text: str, name: str) -> str:
    members = _CLASSES.get(name)
    if members is None:
        raise OptionError(f"invalid pattern {text!r}: unknown character class [:{name}:]")
    return members


def _element(text: str, at: int, *, is_shell: bool) -> tuple[str, int]:
    """Return the character at a place inside brackets and where it ends; "" where nothing can match any more."""
    collating = _COLLATING.match(text, at)
    if collating is not None:
        return collating[1], collating.end()
    if not is_shell and text[at : at + 2] in ("[:", "[=", "[."):
        raise OptionError(f"{text!r} is not a regular expression: {text[at : at + 2]!r} is not closed, or ends a range")
    if is_shell and text[at : at + 2] == "[.":
        return "", at
    if is_shell and text[at] == "\\":
        at += 1
    return text[at : at + 1], at + 1
