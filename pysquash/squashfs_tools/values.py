"""Values: reads what the options of mksquashfs take, and says what is wrong with what they do not.

In: text. Out: numbers, or functions for symbolic modes.
Rules kept here: users and groups are names known on this machine, or numbers; dates that are no number are read by the
program `date`, as mksquashfs has them read.
Not here: which option takes what (option_table).
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from typing import Literal

from pysquash.errors import OptionError

__all__ = [
    "ModeChange",
    "host_number",
    "parse_block_size",
    "parse_count",
    "parse_group",
    "parse_mode",
    "parse_number",
    "parse_octal",
    "parse_percent",
    "parse_size",
    "parse_time",
    "parse_user",
]

ModeChange = Callable[[int, bool], int]
"""Gives new permissions for old ones, told whether it is a directory."""

_HIGHEST = 0xFFFF_FFFF
_NUMBER = re.compile(r"\s*\+?[0-9]{1,10}")  # as C reads numbers: callers pass what wc prints
_FACTORS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
_SIZE = re.compile(r"\s*\+?([0-9]{1,19})(?:([kmg])(?:b|bytes)?)?", re.IGNORECASE)
_CLAUSE = re.compile(r"([ugoa]*)((?:[-+=](?:[rwxXst]*|[ugo]))+)")
_CHANGE = re.compile(r"([-+=])([rwxXst]*|[ugo])(?=[-+=]|\Z)")
_SHIFTS = {"u": 6, "g": 3, "o": 0}
_SPECIAL = {"u": 0o4000, "g": 0o2000, "o": 0o1000}


def parse_number(text: str) -> int:
    """Read a whole number, 0 to 2^32-1.

    Raises:
        OptionError: It is none.
    """
    if not _NUMBER.fullmatch(text) or int(text) > _HIGHEST:
        raise OptionError(f"{text!r} is no number from 0 to {_HIGHEST}")
    return int(text)


def parse_size(text: str) -> int:
    """Read a number of bytes: 4096, 128K, 1M, 1G.

    Raises:
        OptionError: It is none.
    """
    match = _SIZE.fullmatch(text)
    if match is None:
        raise OptionError(f"{text!r} is no size such as 131072, 128K or 1M")
    return int(match[1]) * _FACTORS[(match[2] or "").lower()]


def parse_block_size(text: str) -> int:
    """Read a block size: a power of two from 4K to 1M.

    Raises:
        OptionError: It is none.
    """
    size = parse_size(text)
    if not 4096 <= size <= 1 << 20 or size & (size - 1):
        raise OptionError(f"{text!r} is no power of two from 4096 to 1M")
    return size


def parse_count(text: str) -> int:
    """Read how many there are to be, 1 to 1024; more are as good as 1024.

    Raises:
        OptionError: It is no such number.
    """
    count = parse_number(text)
    if not count:
        raise OptionError("at least 1 is needed")
    return min(count, 1024)


def parse_percent(text: str) -> int:
    """Read a percentage, 1 to 99, with or without its sign.

    Raises:
        OptionError: It is none.
    """
    number = text.removesuffix("%")
    if not re.fullmatch("[0-9]{1,3}", number) or not 0 <= int(number) <= 100:
        raise OptionError(f"{text!r} is no percentage")
    return int(number)


def parse_time(text: str) -> int | Literal["inode"]:
    """Read a time: seconds since 1970, "inode", or a date as the program `date` takes it.

    Raises:
        OptionError: It is none of these, or outside of what an image can hold.
    """
    if text == "inode":
        return "inode"
    if not text.strip():  # which is this morning to `date`
        raise OptionError("a time is empty")
    if re.fullmatch("-?[0-9]+", text):
        seconds = text
    else:
        try:
            command = ["date", "-d", text, "+%s"]
            seconds = subprocess.check_output(command, stderr=subprocess.DEVNULL, text=True).strip()  # noqa: S603
        except subprocess.CalledProcessError:
            seconds = ""
        except OSError:
            raise OptionError(f"{text!r}: there is no program `date` to read it") from None
    if not re.fullmatch("[0-9]+", seconds) or int(seconds) > _HIGHEST:
        raise OptionError(f"{text!r} is no time: seconds since 1970, 0 to {_HIGHEST}, or a date")
    return int(seconds)


def parse_user(text: str) -> int:
    """Read a user: a number, or a name known here.

    Raises:
        OptionError: There is no such user.
    """
    return _owner(text, "user")


def parse_group(text: str) -> int:
    """Read a group: a number, or a name known here.

    Raises:
        OptionError: There is no such group.
    """
    return _owner(text, "group")


def parse_octal(text: str) -> int:
    """Read octal permissions, 0 to 7777.

    Raises:
        OptionError: They are none.
    """
    if not re.fullmatch("0*[0-7]{1,4}", text):
        raise OptionError(f"{text!r} are no permissions: octal, 0 to 7777")
    return int(text, 8)


def parse_mode(text: str) -> ModeChange:
    """Read permissions, octal or symbolic as chmod takes them.

    Raises:
        OptionError: They are neither.
    """
    if text[:1].isdigit():
        octal = parse_octal(text)
        return lambda _mode, _is_directory: octal
    changes: list[tuple[str, str, str]] = []
    for clause in text.split(","):
        match = _CLAUSE.fullmatch(clause)
        if match is None:
            raise OptionError(f"{text!r} are no permissions: octal, 0 to 7777, or symbolic as in u=rwx,go-w")
        changes += [(match[1] or "ugo", sign, letters) for sign, letters in _CHANGE.findall(match[2])]

    def change(mode: int, is_directory: bool) -> int:
        for who, sign, letters in changes:
            mode = _changed(mode, who, sign, letters, is_directory=is_directory)
        return mode

    return change


def _changed(mode: int, who: str, sign: str, letters: str, *, is_directory: bool) -> int:
    who = who.replace("a", "ugo")
    bits = whole = 0
    for each in set(who):
        shift = _SHIFTS[each]
        whole |= 0o7 << shift | _SPECIAL[each]
        if letters in _SHIFTS:
            bits |= (mode >> _SHIFTS[letters] & 0o7) << shift
            continue
        for letter in letters:
            if letter in "rwx":
                bits |= {"r": 4, "w": 2, "x": 1}[letter] << shift
            elif letter == "X" and (is_directory or mode & 0o111):
                bits |= 1 << shift
            elif letter == ("t" if each == "o" else "s"):
                bits |= _SPECIAL[each]
    if sign == "+":
        return mode | bits
    if sign == "-":
        return mode & ~bits
    return mode & ~whole | bits


def _owner(text: str, kind: Literal["user", "group"]) -> int:
    if _NUMBER.fullmatch(text) or re.fullmatch("[0-9]+", text):
        return parse_number(text)
    number = host_number(text, kind)
    if number is None:
        raise OptionError(f"{text!r} is no {kind}: a number from 0 to {_HIGHEST}, or a name known here")
    return number


def host_number(name: str, kind: Literal["user", "group"]) -> int | None:
    """Look a user or a group up on this machine; None where it is unknown, or where there is no such thing."""
    try:
        if kind == "user":
            import pwd  # noqa: PLC0415 - not everywhere

            return pwd.getpwnam(name).pw_uid
        import grp  # noqa: PLC0415 - not everywhere

        return grp.getgrnam(name).gr_gid
    except (ImportError, KeyError, ValueError):
        return None
