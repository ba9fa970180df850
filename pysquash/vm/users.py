"""Users: finds the numbers behind the user that an image's configuration names.

In: "app", "1000", "app:staff", "1000:1000" and the like, and the texts of the image's etc/passwd and etc/group.
Out: a `User`.
Source: what runc does (libcontainer/user, GetExecUser), so that a VM runs what a container would.
Rules kept here: what is a number is a number, never a name; a number needs no line in passwd, and then its group is 0;
a group that is named takes the place of passwd's, and of all supplementary ones.
Not here: where the two files are (image_config).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from pysquash.errors import SourceError

__all__ = ["User", "resolve_user"]

_HIGHEST_ID = 0x7FFF_FFFF


class User(NamedTuple):
    """Who runs the image's command.

    Attributes:
        name: Its name in passwd; "" where it has none.
        uid: 0 to 2^31-1.
        gid: 0 to 2^31-1.
        additional_gids: Supplementary groups in the order of the group file, `gid` not among them.
        home: Its home directory; "/" where passwd has none.
    """

    name: str
    uid: int
    gid: int
    additional_gids: tuple[int, ...]
    home: str


class _PasswdLine(NamedTuple):
    name: str
    uid: int
    gid: int
    home: str


class _GroupLine(NamedTuple):
    name: str
    gid: int
    members: list[str]


def resolve_user(text: str, passwd: str | None, group: str | None, *, source: str) -> User:
    """Find a user.

    Args:
        text: USER or USER:GROUP, each a name or a number; "" is user 0, ":GROUP" as well.
        passwd: The image's etc/passwd, or None where it has none.
        group: The image's etc/group, or None.
        source: What errors name.

    Raises:
        SourceError: There is no such user, no such group, or a number is too large.
    """
    user_text, colon, group_text = text.partition(":")
    if ":" in group_text or (colon and not group_text):
        raise SourceError(f"its user {text!r:.120} is not USER or USER:GROUP", source=source)
    user_text = user_text or "0"
    wanted_uid = _number(user_text, source=source)
    line = next(
        (
            each
            for each in _passwd_lines(passwd or "")
            if (each.uid == wanted_uid if wanted_uid is not None else each.name == user_text)
        ),
        None,
    )
    if line is None:
        if wanted_uid is None:
            where = "is a name, and there is no etc/passwd" if passwd is None else "is not in the image's etc/passwd"
            raise SourceError(f"its user {user_text!r:.120} {where}", source=source)
        line = _PasswdLine("", wanted_uid, 0, "/")
    gid = line.gid
    additional: list[int] = []
    groups = list(_group_lines(group or ""))
    if group_text:
        gid = _find_group(group_text, groups, is_file=group is not None, source=source)
    elif line.name:
        additional = [each.gid for each in groups if line.name in each.members]
    return User(line.name, line.uid, gid, tuple(dict.fromkeys(each for each in additional if each != gid)), line.home)


def _find_group(text: str, groups: list[_GroupLine], *, is_file: bool, source: str) -> int:
    number = _number(text, source=source)
    if number is not None:
        return number
    for line in groups:
        if line.name == text:
            return line.gid
    where = "is not in the image's etc/group" if is_file else "is a name, and there is no etc/group"
    raise SourceError(f"its user's group {text!r:.120} {where}", source=source)


def _number(text: str, *, source: str) -> int | None:
    """Take a number, or None for a name."""
    if not text.isascii() or not text.isdigit():
        return None
    if len(text) > 10 or int(text) > _HIGHEST_ID:
        raise SourceError(f"its user has the id {text:.40}, the limit is {_HIGHEST_ID}", source=source)
    return int(text)


def _fields(text: str, count: int) -> Iterator[list[str]]:
    """Yield the fields of each line that has as many as it must; others are as good as none to whoever reads them."""
    for line in text.split("\n"):
        fields = line.strip().split(":")
        if len(fields) >= count and fields[0] and not fields[0].startswith(("#", "+", "-")):
            yield fields


def _id(text: str) -> int | None:
    is_number = text.isascii() and text.isdigit() and len(text) <= 10 and int(text) <= _HIGHEST_ID
    return int(text) if is_number else None


def _passwd_lines(text: str) -> Iterator[_PasswdLine]:
    for fields in _fields(text, 4):
        uid, gid = _id(fields[2]), _id(fields[3])
        if uid is not None and gid is not None:
            yield _PasswdLine(fields[0], uid, gid, (fields[5] if len(fields) > 5 else "") or "/")


def _group_lines(text: str) -> Iterator[_GroupLine]:
    for fields in _fields(text, 3):
        gid = _id(fields[2])
        if gid is not None:
            yield _GroupLine(fields[0], gid, fields[3].split(",") if len(fields) > 3 else [])
