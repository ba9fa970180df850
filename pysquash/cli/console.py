"""Console: what commands print on standard error, and what they take from the environment.

Rules kept here: data goes to standard output and messages to standard error, one line each, whatever characters names
have; NO_COLOR and SOURCE_DATE_EPOCH are respected, and the variables that say where credentials for registries are.
Not here: how commands end (program/guard, commands).
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from pysquash.errors import ImageError, printable
from pysquash.report import Progress

__all__ = [
    "byte_count",
    "image_errors",
    "output_path",
    "progress_bar",
    "size_text",
    "source_date_epoch",
    "tell",
    "warn",
]


def tell(line: str) -> None:
    """Print a line on standard error: one, whatever is in it."""
    click.echo(printable(line.encode("utf-8", "surrogateescape")), err=True)


def warn(line: str) -> None:
    """Print a warning."""
    tell(f"pysquash: warning: {line}")


@contextlib.contextmanager
def image_errors(image: str = "") -> Iterator[None]:
    """Have errors about an image begin with its name.

    Args:
        image: The name; where there are several, the errors have to say which.
    """
    try:
        yield
    except ImageError as error:
        raise _NamedImageError(f"{error.image or image}: {error}") from error


class _NamedImageError(ImageError):
    """An error that says of which image."""


def output_path(_context: click.Context, parameter: click.Parameter, path: Path | None) -> Path | None:
    """Take the name of an output that must be a file; a callback for click's options.

    Raises:
        click.BadParameter: It stands for standard output.
    """
    if path is not None and str(path) == "-":
        text = "this is written back and forth, which standard output cannot be: name a file (./- for one called -)"
        raise click.BadParameter(text, param=parameter)
    return path


def source_date_epoch() -> int:
    """Read SOURCE_DATE_EPOCH; 0 where it is not set.

    Raises:
        click.UsageError: It is not a number from 0 to 2^32-1.
    """
    text = os.environ.get("SOURCE_DATE_EPOCH", "0") or "0"
    if not text.isascii() or not text.isdigit() or int(text) > 0xFFFF_FFFF:
        raise click.UsageError(f"SOURCE_DATE_EPOCH must be 0 to 4294967295, not {text!r}")
    return int(text)


def byte_count(text: str) -> int:
    """Turn "131072", "128K", "1M", "2G" or "16T" into a number of bytes; a type for click's options.

    Raises:
        click.BadParameter: It is no such text.
    """
    number = text.strip().upper().removesuffix("IB").removesuffix("B")
    factor = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}.get(number[-1:], 1)
    digits = number[:-1] if factor > 1 else number
    if not digits.isascii() or not digits.isdigit() or len(digits) > 20:
        raise click.BadParameter(f"{text!r:.80} is not a size such as 131072, 128K or 1M")
    return int(digits) * factor


def size_text(size: int) -> str:
    """Give a number of bytes as a person reads it: 31.4 MiB."""
    amount, unit = float(size), "bytes"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if amount < 1024:
            break
        amount, unit = amount / 1024, larger
    return f"{size} bytes" if unit == "bytes" else f"{amount:.1f} {unit}"


@contextlib.contextmanager
def progress_bar(*, wanted: bool) -> Iterator[Progress | None]:
    """Show a bar on standard error, where that is a terminal and the caller wants one.

    Yields:
        What to pass as `progress`, or None.
    """
    if not wanted or not sys.stderr.isatty():
        yield None
        return
    # Imported when needed: rich costs more than all of the rest of the start-up together.
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bars

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeElapsedColumn())
    bars = Bars(*columns, console=Console(stderr=True), transient=True)
    try:
        bars.start()
    except RuntimeError:  # rich draws on a thread, and the system starts no more of them
        bars.live.auto_refresh = False
        bars.stop()
        yield None
        return
    with bars:
        task = bars.add_task("read", total=None)

        def show(stage: str, done: int, total: int | None) -> None:
            if stage == "read":
                bars.update(task, description=stage, completed=done, total=total)
            else:
                bars.update(task, description=stage)

        yield show
