r"""Additions: what the options of `pysquash build` say that add to a tree, leave things out or change owners.

In: DEST=SRC[,mode=,uid=,gid=] and the like. Out: what `pysquash.build` takes.
Rules kept here: a comma belongs to the name unless an attribute follows it, an "=" ends the first name, and digits
behind a colon at the end of a directory's are its mode; `\,`, `\=` and `\:` are these characters wherever they stand.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from pysquash.edits.additions import AddedDirectory
from pysquash.errors import InputError, OptionError
from pysquash.options.writer import WriterOptions
from pysquash.packing.subtree import Part
from pysquash.sources.files import AddedFile, AddedSymlink, Attributes, Content, image_path

if TYPE_CHECKING:
    from pysquash.edits.overrides import Overrides
    from pysquash.edits.owners import Owners

__all__ = [
    "PartPath",
    "as_usage_error",
    "image_name",
    "parse_directory",
    "parse_file",
    "parse_overrides",
    "parse_owners",
    "parse_parts",
    "parse_symlink",
    "part_path",
]

PartPath = str | tuple[str, str]

_ATTRIBUTE = re.compile(r"(?<!\\),(mode|uid|gid)=([^,]*)\Z", re.DOTALL)
_DIRECTORY_MODE = re.compile(r"(?<!\\):([0-9]+)\Z")
_HIGHEST_ID = 0xFFFF_FFFF


def parse_file(text: str) -> AddedFile:
    """Take DEST=SRC[,mode=OCTAL][,uid=N][,gid=N]."""
    name, path, attributes = _pair(text, "DEST=SRC")
    return image_name(name), _content(Path(path)), attributes


def parse_symlink(text: str) -> AddedSymlink:
    """Take DEST=TARGET[,uid=N][,gid=N]."""
    name, target, attributes = _pair(text, "DEST=TARGET")
    return image_name(name), target, attributes


def parse_directory(text: str) -> AddedDirectory:
    """Take DIR[:MODE][,uid=N][,gid=N]."""
    rest, attributes = _split_attributes(text)
    mode = _DIRECTORY_MODE.search(rest)
    if mode is not None:
        if not re.fullmatch("[0-7]{3,4}", mode[1]):
            hint = f"{rest[: mode.start()]}\\:{mode[1]}"
            raise click.BadParameter(f"{text!r}: mode {mode[1]} is not three or four octal digits; {hint} is a name")
        rest, attributes = rest[: mode.start()], {"mode": int(mode[1], 8), **attributes}
    if not rest:
        raise click.BadParameter(f"{text!r} is not DIR[:MODE]")
    return image_name(_unescaped(rest)), attributes


def image_name(text: str) -> str:
    """Take a name in an image; it is not seen until the image is made, and then the option would not be named."""
    try:
        image_path(text, WriterOptions())
    except InputError as error:
        raise click.BadParameter(str(error)) from None
    return text


def part_path(text: str) -> PartPath:
    """Take PATH[:NEW]: a path, or a pair of a path and its place."""
    parts = re.split(r"(?<!\\):", text)
    if len(parts) > 2 or not all(parts):
        raise click.BadParameter(f"{text!r} is not PATH[:NEW]; a colon in a name is \\:, and the root is /")
    names = [image_name(_unescaped(part)) for part in parts]
    return names[0] if len(names) == 1 else (names[0], names[1])


def parse_parts(pairs: Iterable[tuple[str, PartPath]]) -> list[Part]:
    """Take (SOURCE, PATH) pairs; a source that is named more than once is read once, where it was named first."""
    paths: dict[str, list[PartPath]] = {}
    for source, path in pairs:
        paths.setdefault(source, []).append(path)
    return [Part(source, each) for source, each in paths.items()]


def parse_owners(users: Sequence[str], groups: Sequence[str], everything: str | None) -> Owners | None:
    """Take FROM:TO:COUNT for users and for groups, and UID:GID for everything; None where there is none of it."""
    if not users and not groups and everything is None:
        return None
    from pysquash.edits.owners import IdRange, Owners

    with as_usage_error():
        return Owners(
            users=[IdRange(*_numbers(text, 3, "FROM:TO:COUNT", "--map-users")) for text in users],
            groups=[IdRange(*_numbers(text, 3, "FROM:TO:COUNT", "--map-groups")) for text in groups],
            everything=None
            if everything is None
            else cast(tuple[int, int], _numbers(everything, 2, "UID:GID", "--owner")),
        )


def parse_overrides(
    *, owners: Mapping[str, str | None], modes: Mapping[str, str | None], times: Mapping[str, str | None]
) -> Overrides | None:
    """Take UID:GID, octal permissions and seconds by their options' names; None where there is none of it."""
    values: dict[str, Any] = {}
    for option, text in owners.items():
        if text is not None:
            what = option[2:].partition("-")[0]
            values[f"{what}_uid"], values[f"{what}_gid"] = _numbers(text, 2, "UID:GID", option)
    for option, text in modes.items():
        if text is not None:
            if not re.fullmatch("[0-7]{1,5}", text):
                raise click.BadParameter(f"{text!r} is not octal, 0 to 7777", param_hint=option)
            values[option[2:].replace("-", "_")] = int(text, 8)
    for option, text in times.items():
        if text is not None:
            values[option[2:].replace("-", "_")] = _numbers(text, 1, "SECONDS", option)[0]
    if not values:
        return None
    from pysquash.edits.overrides import Overrides

    with as_usage_error():
        return Overrides(**values)


@contextmanager
def as_usage_error() -> Iterator[None]:
    """Turn an option that is none into wrong usage."""
    try:
        yield
    except OptionError as error:
        raise click.UsageError(str(error)) from None


def _pair(text: str, shape: str) -> tuple[str, str, Attributes]:
    """Split NAME=VALUE and the attributes behind it."""
    rest, attributes = _split_attributes(text)
    parts = re.split(r"(?<!\\)=", rest, maxsplit=1)
    if len(parts) != 2 or not parts[0] or not parts[1]:
        raise click.BadParameter(f"{text!r} is not {shape}")
    return _unescaped(parts[0]), _unescaped(parts[1]), attributes


def _split_attributes(text: str) -> tuple[str, Attributes]:
    rest, attributes = text, Attributes()
    while (found := _ATTRIBUTE.search(rest)) is not None:
        name, value = found[1], found[2]
        if name in attributes:
            raise click.BadParameter(f"{text!r} has {name} twice")
        if name == "mode":
            if not re.fullmatch("[0-7]{1,5}", value) or int(value, 8) > 0o7777:
                raise click.BadParameter(f"{text!r}: mode is octal, 0 to 7777, not {value!r}")
            attributes["mode"] = int(value, 8)
        else:
            if not re.fullmatch("[0-9]{1,10}", value) or int(value) > _HIGHEST_ID:
                raise click.BadParameter(f"{text!r}: {name} is a number, 0 to {_HIGHEST_ID}, not {value!r}")
            attributes["uid" if name == "uid" else "gid"] = int(value)
        rest = rest[: found.start()]
    return rest, attributes


def _unescaped(text: str) -> str:
    return re.sub(r"\\([,=:])", r"\1", text)


def _content(path: Path) -> Content:
    """Read what has no size beforehand, as /dev/stdin or a shell's <(...); all else is read when its turn comes."""
    kind = stat.S_IFMT(path.stat().st_mode) if path.exists() else 0
    if kind in (stat.S_IFIFO, stat.S_IFCHR):
        return path.read_bytes()
    return path


def _numbers(text: str, count: int, shape: str, option: str) -> list[int]:
    parts = text.split(":")
    if len(parts) != count or not all(re.fullmatch("[0-9]{1,10}", part) for part in parts):
        raise click.BadParameter(f"{text!r} is not {shape}", param_hint=option)
    return [int(part) for part in parts]
