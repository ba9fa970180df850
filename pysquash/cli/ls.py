"""`pysquash ls`: the names in an image, on standard output."""

from __future__ import annotations

import stat
import sys
import time
from functools import lru_cache

import click

from pysquash.cli.console import image_errors
from pysquash.cli.offset_option import offset_option
from pysquash.errors import printable
from pysquash.reader.image import ImagePath, SquashfsImage

__all__ = ["ls"]


@click.command(short_help="List the names in an image.")
@click.option(
    "-l", "--long", "is_long", is_flag=True, help="With mode, links, owner, size and time, as `ls -l` has them."
)
@offset_option
@click.argument("image", type=click.Path(readable=False))
@click.argument("path", default="")
def ls(image: str, path: str, is_long: bool, offset: int) -> None:
    """List IMAGE, all of it or what is at PATH and below."""
    with image_errors(image), SquashfsImage(image, offset=offset) as opened:
        for here in (opened / path).walk():
            # Not click.echo, which flushes after each line.
            sys.stdout.write(f"{_line(here) if is_long else printable(here.path)}\n")


def _line(here: ImagePath) -> str:
    status, inode = here.stat(), here.inode
    device = inode.device
    size = str(status.st_size) if device is None else f"{device[0]}, {device[1]}"
    target = f" -> {printable(inode.target)}" if stat.S_ISLNK(status.st_mode) else ""
    owner = f"{status.st_uid}:{status.st_gid}"
    mode, when = _mode_text(status.st_mode), _time_text(status.st_mtime)
    return f"{mode} {status.st_nlink:>3} {owner:<11} {size:>11} {when} {printable(here.path)}{target}"


@lru_cache
def _mode_text(mode: int) -> str:
    return stat.filemode(mode)


@lru_cache
def _time_text(mtime: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.gmtime(mtime))
