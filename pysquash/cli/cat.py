"""`pysquash cat`: the content of files in an image, on standard output."""

from __future__ import annotations

import sys

import click

from pysquash.cli.console import image_errors
from pysquash.cli.offset_option import offset_option
from pysquash.reader.image import SquashfsImage

__all__ = ["cat"]


@click.command(short_help="Write files of an image to standard output.")
@offset_option
@click.argument("image", type=click.Path(readable=False))
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
def cat(image: str, paths: tuple[str, ...], offset: int) -> None:
    """Write the files at each PATH in IMAGE to standard output, one after the other."""
    with image_errors(image), SquashfsImage(image, offset=offset) as opened:
        for path in paths:
            for block in (opened / path).blocks():
                sys.stdout.buffer.write(block)
    sys.stdout.buffer.flush()
