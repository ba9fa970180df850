"""Errors: every exception that pysquash raises on purpose, and what each one carries.

Out: the class tree below. `InputError` means that what was asked for or fed in is at fault, `ImageError` that the image
that was read is. Each is also the builtin that a caller would expect (`ValueError`, `FileNotFoundError`), where there
is one: an argument of the wrong type is an `OptionError`, so that it is caught as others are, and a `TypeError`.
Rules kept here: a message says what, where, and the limit. `OSError` passes untouched; errors of struct, construct,
zstandard, zlib, bz2 and lzma never leave the package.
"""

from __future__ import annotations

__all__ = [
    "CorruptImageError",
    "ExecutorError",
    "ImageError",
    "InputError",
    "LimitError",
    "MergeError",
    "NotSquashfsError",
    "OptionError",
    "OptionTypeError",
    "PathIsDirectoryError",
    "PathNotDirectoryError",
    "PathNotFoundError",
    "SourceError",
    "SquashfsError",
    "UnsupportedEntryError",
    "UnsupportedImageError",
    "VerificationError",
    "printable",
]


def printable(path: bytes) -> str:
    """Give a path inside an image as text for a message.

    UTF-8 where it is, escapes where it is not or would not print.

    Args:
        path: Any bytes; the root `b""` is shown as `/`.
    """
    text = path.decode("utf-8", "backslashreplace") if path else "/"
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


class SquashfsError(Exception):
    """The base of all errors that pysquash raises on purpose."""


class InputError(SquashfsError):
    """What was asked for or fed in cannot become an image."""


class OptionError(InputError, ValueError):
    """An option has a value outside its range, or contradicts another one."""


class OptionTypeError(OptionError, TypeError):
    """An argument is of a type that it cannot have: a text where a list is wanted, bytes for a layer."""


class SourceError(InputError):
    """A source (a tar, a directory, an image) is malformed or cannot be represented.

    Attributes:
        source: The source's name, as given by the caller.
        entry: The entry's path as the source spells it, or None where there is none yet.
        offset: The byte in the source's uncompressed stream where the entry starts, or None.
    """

    def __init__(
        self, message: str, *, source: str = "", entry: bytes | None = None, offset: int | None = None
    ) -> None:
        where = [source] if source else []
        if entry is not None:
            where.append(printable(entry))
        if offset is not None:
            where.append(f"at byte {offset}")
        super().__init__(f"{': '.join(where)}: {message}" if where else message)
        self.source = source
        self.entry = entry
        self.offset = offset


class UnsupportedEntryError(SourceError):
    """An entry is well formed, and SquashFS or pysquash has no way to hold it."""


class MergeError(InputError):
    """The layers do not make one tree.

    Attributes:
        path: The path inside the image at which they do not.
    """

    def __init__(self, message: str, *, path: bytes) -> None:
        super().__init__(f"{printable(path)}: {message}")
        self.path = path


class LimitError(InputError, ValueError):
    """A number is past what the format can hold or what `Limits` allows.

    Attributes:
        field: What was counted or measured, with its unit.
        value: How much there was (at least).
        limit: How much there may be.
        name: The field of `Limits` that says so; "" for a limit of the format.
    """

    def __init__(self, field: str, value: int, limit: int, *, where: str = "", name: str = "") -> None:
        which = f" (--limit {name.replace('_', '-')})" if name else ""
        super().__init__(f"{where + ': ' if where else ''}{field} is {value}, the limit is {limit}{which}")
        self.field = field
        self.value = value
        self.limit = limit
        self.name = name
        self._where = where

    def without_option(self) -> LimitError:
        """Return this error for a program that has no option --limit."""
        return LimitError(self.field, self.value, self.limit, where=self._where)


class ExecutorError(SquashfsError, RuntimeError):
    """The executor that was to compress blocks did not: it is broken or shut down, or a task of it failed."""


class ImageError(SquashfsError):
    """The image that was read is not as it should be.

    Attributes:
        image: The image's name, where several are read at a time; "" otherwise.
    """

    image = ""


class NotSquashfsError(ImageError):
    """The file is no SquashFS image at all."""


class UnsupportedImageError(ImageError):
    """The image is well formed and needs something that is not here: another version, a compressor's package."""


class CorruptImageError(ImageError):
    """The image breaks a rule of the format.

    Attributes:
        text: What is wrong, without where.
        section: The part of the image: superblock, inode table, directory table, ...
        rule: The name of the rule, as in `format.rules.Rule` and as `pysquash check` has it.
        offset: The byte in the image where the offending value stands, or None.
        field: The offending field's name, or None.
    """

    def __init__(
        self, message: str, *, section: str, rule: str, offset: int | None = None, field: str | None = None
    ) -> None:
        at = f" at byte {offset}" if offset is not None else ""
        of = f", {field}" if field else ""
        super().__init__(f"{section}{at}{of}: {message}")
        self.text = message
        self.section = section
        self.rule = rule
        self.offset = offset
        self.field = field

    def in_directory(self, path: bytes) -> CorruptImageError:
        """Return the same error with the path of the directory that it was found in."""
        text = f"{self.text} in {printable(path) or '/'}"
        return CorruptImageError(text, section=self.section, rule=self.rule, offset=self.offset, field=self.field)


class VerificationError(ImageError):
    """The image that was written is not what went in.

    Attributes:
        problems: What differs, and what a check finds, a line each.
    """

    def __init__(self, problems: list[str]) -> None:
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        super().__init__(f"the image that was written is not what went in: {problems[0]}{more}")
        self.problems = problems


class PathNotFoundError(ImageError, FileNotFoundError):
    """The image has no such path."""


class PathNotDirectoryError(ImageError, NotADirectoryError):
    """What the path leads to in the image is no directory."""


class PathIsDirectoryError(ImageError, IsADirectoryError):
    """What the path leads to in the image is a directory, and a file was wanted."""
