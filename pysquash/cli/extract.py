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
@click.option("--no-devices", is_flag=True, help="Make no block and character devices.")
@click.option(
    "--no-setuid", is_flag=True, help="Restore no set-user-ID and set-group-ID bits, and no file capabilities."
)
@click.option("--no-xattrs", is_flag=True, help="Restore no extended attributes.")
@click.option("-q", "--quiet", is_flag=True, help="Do not say what could not be restored.")
@offset_option
@click.argument("image", type=click.Path(readable=False))
@click.argument("paths", nargs=-1, metavar="[PATH]...")
def extract(
    image: str,
    paths: tuple[str, ...],
    directory: Path,
    no_devices: bool,
    no_setuid: bool,
    no_xattrs: bool,
    quiet: bool,
    offset: int,
) -> None:
    """Write IMAGE, all of it or what is at each PATH and below, into a directory.

    Nothing is written outside of it. If extraction fails, everything that it made is removed.

    As root, this restores whatever the image has: owners, set-user-ID and set-group-ID bits, devices, and extended
    attributes with file capabilities and security labels. For an image of unknown origin, use --no-devices,
    --no-setuid and --no-xattrs. Other users restore modes, times, user.* attributes and what else they may; a warning
    names the rest.
    """
    with image_errors(image), SquashfsImage(image, offset=offset) as opened:
        lines = opened.extract(directory, paths, devices=not no_devices, setuid=not no_setuid, xattrs=not no_xattrs)
        for line in lines:
            if not quiet:
                warn(line)
