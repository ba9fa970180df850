r"""Sort file: priorities of paths, in the form that mksquashfs's -sort reads.

In: a file with a path and a number in each line. Out: these, or what `WriterOptions.sort_priorities` takes.
Rules kept here: a backslash takes the next character as it is; what starts with `#` is no path; priorities are -32768
to 32767. For `WriterOptions`, `DIR/*` is DIR.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from pysquash.errors import OptionError, printable

__all__ = ["read_sort_file", "read_sort_lines"]

_LINE = re.compile(rb"((?:[^\\\s\0]|\\[^\0])+)\s+([+-]?[0-9]{1,9})\s*", re.DOTALL)
_LOWEST, _HIGHEST = -32768, 32767


def read_sort_file(path: str | os.PathLike[str]) -> dict[bytes, int]:
    """Read a sort file of paths in the image.

    Raises:
        OptionError: A line is not a path and a priority.
        OSError: The file cannot be read.
    """
    return {name.removesuffix(b"/*"): priority for name, priority in read_sort_lines(path)}


def read_sort_lines(path: str | os.PathLike[str]) -> Iterator[tuple[bytes, int]]:
    """Yield the paths of a sort file with their priorities, in its order.

    Raises:
        OptionError: A line is not a path and a priority.
        OSError: The file cannot be read.
    """
    for number, text in enumerate(Path(path).read_bytes().split(b"\n"), 1):
        line = text.strip()
        if not line or line.startswith(b"#"):
            continue
        match = _LINE.fullmatch(line)
        if match is None or not _LOWEST <= int(match[2]) <= _HIGHEST:
            wanted = f"a path and a number, {_LOWEST} to {_HIGHEST}"
            raise OptionError(f"{os.fspath(path)}: line {number} is not {wanted}: {printable(line[:80])}")
        yield re.sub(rb"\\(.)", rb"\1", match[1], flags=re.DOTALL), int(match[2])
