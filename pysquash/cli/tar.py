"""`pysquash tar`: an image as a tar."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from pysquash.cli.console import warn
from pysquash.reader.archive import to_tar
from pysquash.reader.image import SquashfsImage

__all__ = ["tar"]


@click.command()
@click.argument("image", type=click.Path(exists=True, dir_okay=False))
@click.argument("path", default="")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="The tar to write; standard output by default.")
def tar(image: str, path: str, output: Path | None) -> None:
    """Write IMAGE, all of it or what is at PATH and below, as a pax tar."""
    with SquashfsImage(image) as opened:
        root = opened / path
        if output is None:
            if sys.stdout.isatty():
                raise click.UsageError("a tar on a terminal helps nobody: use -o FILE, or a pipe")
            left_out = to_tar(root, sys.stdout.buffer)
            sys.stdout.buffer.flush()
        else:
            with output.open("wb") as file:
                left_out = to_tar(root, file)
        for line in left_out:
            warn(line)
