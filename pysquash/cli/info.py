"""`pysquash info`: what an image's superblock says."""

from __future__ import annotations

import json
import time

import click

from pysquash.cli.console import image_errors, size_text
from pysquash.cli.offset_option import offset_option
from pysquash.errors import printable
from pysquash.reader.image import SquashfsImage

__all__ = ["info"]


@click.command(short_help="Show what an image is: compressor, sizes, counts.")
@click.option("--json", "as_json", is_flag=True, help="Print the superblock's fields as JSON.")
@click.option(
    "--structures",
    is_flag=True,
    help="Print the stored structures field by field: all, or WHAT: superblock, inodes, directories, fragments, "
    "exports, ids, xattrs, an inode number, or a path such as /etc.",
)
@offset_option
@click.argument("image", type=click.Path(readable=False))
@click.argument("what", required=False)
def info(image: str, what: str | None, as_json: bool, structures: bool, offset: int) -> None:
    """Show what IMAGE is: compressor, sizes, counts, flags."""
    if what is not None and not structures:
        raise click.UsageError("WHAT requires --structures")
    if structures and as_json:
        raise click.UsageError("--structures and --json exclude each other")
    with image_errors(image), SquashfsImage(image, offset=offset) as opened:
        if structures:
            _print_structures(opened, what)
            return
        superblock = opened.superblock
        if as_json:
            click.echo(json.dumps({**superblock._asdict(), "compressor_name": opened.compressor_name}))
            return
        made = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(superblock.mkfs_time))
        rows = {
            "version": f"{superblock.version_major}.{superblock.version_minor}",
            "made": made,
            "compressor": opened.compressor_name,
            "block size": size_text(superblock.block_size),
            "size": size_text(superblock.bytes_used),
            "inodes": str(superblock.inode_count),
            "fragments": str(superblock.fragment_count),
            "owners": str(superblock.id_count),
            "flags": ", ".join(opened.flag_names) or "none",
        }
        width = max(map(len, rows))
        for name, text in rows.items():
            click.echo(f"{name:<{width}}  {text}")


def _print_structures(image: SquashfsImage, what: str | None) -> None:
    from pysquash.fsck.structures import read_structures

    for title, place, fields in read_structures(image, what):
        rows = []
        for name, value, text in fields:
            shown = (repr(printable(value)), "") if isinstance(value, bytes) else (str(value), f"{value:#x}")
            rows.append((name, *shown, text))
        widths = [max(len(row[column]) for row in rows) for column in range(3)]
        click.echo(f"{title} ({place})")
        for row in rows:
            columns = [cell.ljust(width) for cell, width in zip(row[:3], widths, strict=True)]
            click.echo(f"  {'  '.join(columns)}  {row[3]}")
