"""`pysquash stat`: all that an image says of one path."""

from __future__ import annotations

import stat as modes
import time

import click

from pysquash.cli.console import image_errors
from pysquash.cli.offset_option import offset_option
from pysquash.errors import printable
from pysquash.reader.image import SquashfsImage

__all__ = ["stat"]


@click.command(short_help="Show all attributes of one path in an image.")
@offset_option
@click.argument("image", type=click.Path(readable=False))
@click.argument("path")
def stat(image: str, path: str, offset: int) -> None:
    """Show the attributes of PATH in IMAGE, a symlink's own and not those of where it leads."""
    with image_errors(image), SquashfsImage(image, offset=offset) as opened:
        here = opened / path
        status, inode = here.stat(), here.inode
        rows = {
            "path": printable(here.path),
            "kind": inode.kind.name.lower().replace("_", " "),
            "inode": f"{status.st_ino}, type {inode.type.name.lower().replace('_', ' ')}",
            "mode": f"{modes.S_IMODE(status.st_mode):04o} {modes.filemode(status.st_mode)}",
            "owner": f"{status.st_uid}:{status.st_gid}",
            "links": str(status.st_nlink),
            "mtime": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(status.st_mtime)),
            "size": str(status.st_size),
        }
        if inode.device is not None:
            rows["device"] = f"{inode.device[0]}, {inode.device[1]}"
        if here.is_symlink():
            rows["target"] = printable(inode.target)
        rows |= {printable(name): printable(value) if value else "" for name, value in here.xattrs.items()}
        width = max(map(len, rows))
        for name, text in rows.items():
            click.echo(f"{name:<{width}}  {text}")
