r"""Pseudo files: reads definitions of files that are nowhere on the disk.

In: definitions, one a line: "NAME TYPE ARGUMENTS". Out: `Definition` objects.
Rules kept here: a name is in double quotes, or has `\` in front of its blanks, and so has what is linked to; what a
symlink says is as it stands; a capital type has a time in front of its mode; R has the place of its content, which is
behind the definitions of the same file; `#` starts a comment, and `\` at a line's end goes on with the next.
Not here: what a definition does to a tree (pseudo_steps).
"""

from __future__ import annotations

import base64
import binascii
import os
import re
from dataclasses import dataclass

from pysquash.errors import OptionError
from pysquash.squashfs_tools.values import parse_group, parse_octal, parse_time, parse_user

__all__ = ["Definition", "parse_default_directory", "parse_definition", "parse_definitions", "parse_xattr"]

_DATA_MARK = b"# START OF DATA - DO NOT MODIFY\n"
_DATA_START = b"#\n"
_WORD = re.compile(r'\s*(?:"((?:[^"\\]|\\.)*)"|((?!")(?:[^\s\\]|\\.)+))(?=\s|\Z)', re.DOTALL)
_LINKS = "lLhx"
_TYPES = "dmbcfsiDMBCFSIR" + _LINKS
_DEVICE = re.compile(r"([0-9]{1,5})\s+([0-9]{1,8})")
_DATA = re.compile(r"([0-9]{1,19})\s+([0-9]{1,19})(?:\s+[0-9]+)?")


@dataclass(slots=True)
class Definition:
    """One definition.

    Attributes:
        path: Where in the image, b"" for the root.
        type: As in the definition, a capital one made small unless it is L or R.
        mode: Permissions; 0 where there are none.
        uid: Owner.
        gid: Group.
        time: Seconds since 1970, or None for now.
        text: A command, a symlink's target, what is linked to, "s" or "f", or NAME=VALUE.
        device: Major and minor number of a device.
        data: R's content.
    """

    path: bytes
    type: str
    mode: int = 0
    uid: int = 0
    gid: int = 0
    time: int | None = None
    text: str = ""
    device: tuple[int, int] | None = None
    data: bytes = b""


def parse_definitions(raw: bytes, source: str) -> list[Definition]:
    """Read a file of definitions.

    Args:
        raw: All of it.
        source: What messages call it.

    Raises:
        OptionError: A definition is none.
    """
    text, mark, data = raw.partition(_DATA_MARK)
    data = data.removeprefix(_DATA_START) if mark else b""
    definitions = []
    for line in map(str.lstrip, os.fsdecode(text).replace("\\\n", "").split("\n")):
        if line and not line.startswith("#"):
            try:
                definitions.append(parse_definition(line, data))
            except OptionError as error:
                raise OptionError(f"{source}: {error}") from None
    return definitions


def parse_definition(text: str, data: bytes = b"") -> Definition:
    """Read one definition.

    Args:
        text: The definition.
        data: The content of all R definitions of its file.

    Raises:
        OptionError: It is none.
    """
    try:
        return _parsed(text, data)
    except OptionError as error:
        raise OptionError(f"the definition {text!r}: {error}") from None


def parse_default_directory(text: str) -> Definition:
    """Read what -pd says of directories that nobody defines: "d MODE UID GID" or "D TIME MODE UID GID".

    Raises:
        OptionError: It is something else.
    """
    definition = parse_definition(f"/ {text.strip()}")
    if definition.type != "d":
        raise OptionError(f"{text!r} is no default for directories: d MODE UID GID, or D TIME MODE UID GID")
    return definition


def parse_xattr(text: str) -> tuple[str, bytes]:
    """Read NAME=VALUE; a value is as it is, base64 behind 0s, hexadecimal behind 0x, with octal escapes behind 0t.

    Raises:
        OptionError: It is none.
    """
    name, equals, value = text.partition("=")
    if not equals or not name.startswith(("user.", "trusted.", "security.")) or name.endswith("."):
        raise OptionError(f"{text!r} is no attribute: NAME=VALUE, with user., trusted. or security. in front of a name")
    coding, rest = value[:2].lower(), value[2:]
    try:
        if coding == "0s":
            return name, base64.b64decode(rest, validate=True)
        if coding == "0x":
            return name, bytes.fromhex(rest)
    except (binascii.Error, ValueError) as error:
        raise OptionError(f"the value of {name}: {error}") from None
    if coding != "0t":
        return name, os.fsencode(value)
    return name, re.sub(rb"\\([0-7]{3})", lambda each: bytes([int(each[1], 8) & 0xFF]), os.fsencode(rest))


def _parsed(text: str, data: bytes) -> Definition:
    name, rest = _word(text, "a name")
    components = [part for part in os.fsencode(name).split(b"/") if part not in (b"", b".")]
    if b".." in components:
        raise OptionError("no name has '..' in it")
    kind, rest = _word(rest, "a type")
    if len(kind) != 1 or kind not in _TYPES:
        raise OptionError(f"there is no type {kind!r}, but {', '.join(_TYPES)}")
    definition = Definition(b"/".join(components), kind if kind in "LR" else kind.lower())
    if kind not in _LINKS:
        if kind.isupper():
            word, rest = _word(rest, "a time")
            time = parse_time(word)
            if time == "inode":
                raise OptionError("the time is to be a number or a date")
            definition.time = time
        word, rest = _word(rest, "permissions")
        definition.mode = parse_octal(word)
        word, rest = _word(rest, "an owner")
        definition.uid = parse_user(word)
        word, rest = _word(rest, "a group")
        definition.gid = parse_group(word)
    _finish(definition, rest, data)
    return definition


def _finish(definition: Definition, rest: str, data: bytes) -> None:
    """Take what a type has at its end."""
    kind, whole = definition.type, rest.lstrip()
    rest = rest.strip()
    if kind in "dm":
        if rest:
            raise OptionError(f"{rest!r} is too much")
    elif kind in "bc":
        numbers = _DEVICE.fullmatch(rest)
        if numbers is None or int(numbers[1]) > 0xFFF or int(numbers[2]) > 0xFFFFF:
            raise OptionError("a device has its numbers at the end, at most 4095 and 1048575")
        definition.device = int(numbers[1]), int(numbers[2])
    elif kind == "R":
        place = _DATA.fullmatch(rest)
        if place is None or int(place[1]) + int(place[2]) > len(data):
            raise OptionError("R has its content's size and start at the end, in what is behind the definitions")
        definition.data = data[int(place[2]) : int(place[2]) + int(place[1])]
    elif not rest or (kind == "i" and rest not in ("s", "f")):
        at_the_end = {"f": "a command", "s": "what the symlink says", "x": "NAME=VALUE", "i": "s or f"}
        raise OptionError(f"at the end there is to be {at_the_end.get(kind, 'what it links to')}")
    elif kind in "lLh":
        definition.text, rest = _word(rest, "what it links to")
        if rest.strip():
            raise OptionError(f"{rest.strip()!r} is too much; a name with blanks is in double quotes")
    else:
        definition.text = whole if kind == "s" else rest


def _word(text: str, what: str) -> tuple[str, str]:
    match = _WORD.match(text)
    if match is None:
        raise OptionError(f"there is to be {what}")
    return _unescaped(match[1] if match[1] is not None else match[2]), text[match.end() :]


def _unescaped(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text, flags=re.DOTALL)
