"""`pysquash extract`: an image, or a part of it, as files of the host."""

from __future__ import annotations

from pathlib import Path

import click

from pysquash.cli.console import image_errors, warn
from pysquash.cli.offset_option import offset_option
from pysquash.reader.image import SquashfsImage

__all__ = ["extract"]


@click.command(short_help="Write an image, or a part of it, as files.")
@click.option(
    "-d",
    "--directory",
    default="squashfs-root",
    show_default=True,
    type=click.Path(path_type=Path, readable=False),
    help="Where to: a directory that is empty or does not exist yet.",
)
@click.option("-q", "--quiet", is_flag=True, help="Do not say what could not be restored.")
@offset_option
@click.argument("image", type=click.Path(readable=False))
@click.argument("paths", nargs=-1, metavar="[PATH]...")
def extract(image: str, paths: tuple[str, ...], directory: Path, quiet: bool, offset: int) -> None:
    """Write IMAGE, all of it or what is at each PATH and below, into a directory.

    Nothing is written outside of it. Modes, times, owners and extended attributes are restored as far as this user may.
    """
    with image_errors(image), SquashfsImage(image, offset=offset) as opened:
        for line in opened.extract(directory, paths):
            if not quiet:
                warn(line)
