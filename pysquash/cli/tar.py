"""`pysquash tar`: an image as a tar.

Rules kept here: a file appears whole or not at all; a pipe or a device is written to as it is.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import BinaryIO, cast

import click

from pysquash.cli.console import image_errors, warn
from pysquash.cli.offset_option import offset_option
from pysquash.host.output_guard import OwnFiles
from pysquash.reader.archive import to_tar
from pysquash.reader.image import ImagePath, SquashfsImage
from pysquash.writer.output import Output

__all__ = ["tar"]


@click.command(short_help="Write an image, or a part of it, as a tar.")
@offset_option
@click.argument("image", type=click.Path(readable=False))
@click.argument("path", default="")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, readable=False),
    help="The tar to write; standard output by default, and for -.",
)
def tar(image: str, path: str, output: Path | None, offset: int) -> None:
    """Write IMAGE, all of it or what is at PATH and below, as a pax tar."""
    with image_errors(image), SquashfsImage(image, offset=offset) as opened:
        root = opened / path
        if output is None or str(output) == "-":
            if sys.stdout.isatty():
                raise click.UsageError("a tar on a terminal helps nobody: use -o FILE, or a pipe")
            left_out = to_tar(root, sys.stdout.buffer)
            sys.stdout.buffer.flush()
        else:
            left_out = _to_file(root, output, image)
        for line in left_out:
            warn(line)


def _to_file(root: ImagePath, path: Path, image: str) -> list[str]:
    if path.exists() and not path.is_file() and not path.is_dir():
        with path.open("wb") as file:
            return to_tar(root, file)
    own_files = OwnFiles()
    with Output(path, own_files) as output:
        own_files.refuse(image)
        left_out = to_tar(root, cast(BinaryIO, output))  # all that it does with a file is writing to it
        output.keep()
    return left_out
