"""`pysquash ls`: the names in an image, on standard output."""

from __future__ import annotations

import stat
import time

import click

from pysquash.errors import printable
from pysquash.reader.image import ImagePath, SquashfsImage

__all__ = ["ls"]


@click.command()
@click.option(
    "-l", "--long", "is_long", is_flag=True, help="With mode, links, owner, size and time, as `ls -l` has them."
)
@click.argument("image", type=click.Path(exists=True, dir_okay=False))
@click.argument("path", default="")
def ls(image: str, path: str, is_long: bool) -> None:
    """List IMAGE, all of it or what is at PATH and below."""
    with SquashfsImage(image) as opened:
        for here in (opened / path).walk():
            click.echo(_line(here) if is_long else printable(here.path))


def _line(here: ImagePath) -> str:
    status = here.stat()
    when = time.strftime("%Y-%m-%d %H:%M", time.gmtime(status.st_mtime))
    device = here.inode.device
    size = str(status.st_size) if device is None else f"{device[0]}, {device[1]}"
    target = f" -> {printable(here.inode.target)}" if here.is_symlink() else ""
    owner = f"{status.st_uid}:{status.st_gid}"
    mode = stat.filemode(status.st_mode)
    return f"{mode} {status.st_nlink:>3} {owner:<11} {size:>11} {when} {printable(here.path)}{target}"
