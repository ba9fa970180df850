r"""Sort file: priorities of paths, in the form that mksquashfs's -sort reads.

In: a file with a path and a number in each line. Out: what `WriterOptions.sort_priorities` takes.
Rules kept here: a backslash takes the next character as it is; what starts with `#` is no path; `DIR/*` is DIR.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from pysquash.errors import OptionError, printable

__all__ = ["read_sort_file"]

_LINE = re.compile(rb"((?:[^\\\s]|\\.)+)\s+([+-]?[0-9]{1,9})\s*", re.DOTALL)


def read_sort_file(path: str | os.PathLike[str]) -> dict[bytes, int]:
    """Read a sort file.

    Raises:
        OptionError: A line is not a path and a number.
        OSError: The file cannot be read.
    """
    priorities = {}
    for number, text in enumerate(Path(path).read_bytes().split(b"\n"), 1):
        line = text.strip()
        if not line or line.startswith(b"#"):
            continue
        match = _LINE.fullmatch(line)
        if match is None:
            raise OptionError(f"{os.fspath(path)}: line {number} is not a path and a number: {printable(line[:80])}")
        name = re.sub(rb"\\(.)", rb"\1", match[1], flags=re.DOTALL)
        priorities[name.removesuffix(b"/*")] = int(match[2])
    return priorities
