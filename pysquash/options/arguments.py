"""Arguments: refuses those of the wrong type with a hint, before they make a riddle somewhere inside.

Out: `OptionTypeError`s, which are `OptionError` and `TypeError`.
Not here: ranges of values (writer), layers (compression/stream).
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any, TypeVar

from pysquash.errors import OptionTypeError
from pysquash.options.writer import WriterOptions

__all__ = ["checked_files", "checked_list", "checked_options", "checked_progress"]

_Item = TypeVar("_Item")
_File = TypeVar("_File", bound=tuple[Any, ...])


def checked_options(options: WriterOptions | None) -> WriterOptions:
    """Take the options, or the default ones.

    Raises:
        OptionTypeError: They are something else.
    """
    if options is None:
        return WriterOptions()
    if not isinstance(options, WriterOptions):
        raise OptionTypeError(f"options are a pysquash.WriterOptions(...), not {options!r:.80}")
    return options


def checked_list(items: Iterable[_Item], what: str) -> list[_Item]:
    """Take several of something.

    Args:
        items: One after the other.
        what: What errors call them, in the plural.

    Raises:
        OptionTypeError: It is a single one, or cannot be gone through.
    """
    if isinstance(items, str | bytes | bytearray | memoryview | os.PathLike) or hasattr(items, "read"):
        shown = repr(items)
        raise OptionTypeError(f"{what} are a list, as [{shown if len(shown) < 60 else '...'}], not a single one")
    if not isinstance(items, Iterable):
        raise OptionTypeError(f"{what} are a list, not {items!r:.80}")
    return list(items)


def checked_files(files: Iterable[_File], what: str, shape: str = "(name, content, attributes)") -> list[_File]:
    """Take what is added, each of several parts with its name first and its attributes last.

    Raises:
        OptionTypeError: It is no list, or one of them has other parts.
    """
    rows = checked_list(files, what)
    for row in rows:
        if not isinstance(row, tuple | list) or len(row) != shape.count(",") + 1 or not hasattr(row[-1], "keys"):
            raise OptionTypeError(f"each of {what} is {shape}, with {{}} for no attributes, not {row!r:.80}")
        if not isinstance(row[0], str | bytes):
            raise OptionTypeError(f"each of {what} is {shape}, with a name that is text or bytes, not {row[0]!r:.80}")
    return rows


def checked_progress(progress: Any) -> None:
    """Refuse what cannot be called.

    Raises:
        OptionTypeError: It cannot.
    """
    if progress is not None and not callable(progress):
        raise OptionTypeError(f"progress is called with (stage, done, total), and {progress!r:.80} cannot be called")
