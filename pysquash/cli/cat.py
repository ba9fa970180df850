"""`pysquash cat`: the content of files in an image, on standard output."""

from __future__ import annotations

import sys

import click

from pysquash.reader.image import SquashfsImage

__all__ = ["cat"]


@click.command()
@click.argument("image", type=click.Path(exists=True, dir_okay=False))
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
def cat(image: str, paths: tuple[str, ...]) -> None:
    """Write the files at each PATH in IMAGE to standard output, one after the other."""
    with SquashfsImage(image) as opened:
        for path in paths:
            for block in (opened / path).blocks():
                sys.stdout.buffer.write(block)
    sys.stdout.buffer.flush()
