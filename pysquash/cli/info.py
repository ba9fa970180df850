"""`pysquash info`: what an image's superblock says."""

from __future__ import annotations

import json
import time

import click

from pysquash.cli.console import image_errors, size_text
from pysquash.cli.offset_option import offset_option
from pysquash.reader.image import SquashfsImage

__all__ = ["info"]


@click.command(short_help="Show what an image is: compressor, sizes, counts.")
@click.option("--json", "as_json", is_flag=True, help="Print the superblock's fields as JSON.")
@offset_option
@click.argument("image", type=click.Path(readable=False))
def info(image: str, as_json: bool, offset: int) -> None:
    """Show what IMAGE is: compressor, sizes, counts, flags."""
    with image_errors(image), SquashfsImage(image, offset=offset) as opened:
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
