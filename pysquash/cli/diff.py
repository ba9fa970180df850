"""`pysquash diff`: how the trees of two images differ."""

from __future__ import annotations

import click

from pysquash.cli.console import byte_count, image_errors
from pysquash.fsck.comparison import diff as compare

__all__ = ["diff"]


@click.command(short_help="Say how the trees of two images differ.")
@click.option(
    "--offset",
    "offsets",
    type=byte_count,
    multiple=True,
    metavar="SIZE",
    help="Byte of the files at which the images start; a second one is for the second image.",
)
@click.argument("first", type=click.Path(readable=False))
@click.argument("second", type=click.Path(readable=False))
def diff(first: str, second: str, offsets: tuple[int, ...]) -> int:
    """Print what differs between the trees of two images; exit with 1 if anything does."""
    if len(offsets) > 2:
        raise click.BadParameter("there are two images, and more offsets", param_hint="--offset")
    first_offset, second_offset = offsets[:1] or (0,), offsets[1:] or (None,)
    with image_errors():
        differences = compare(first, second, offset=first_offset[0], second_offset=second_offset[0])
    for difference in differences:
        click.echo(str(difference))
    return 1 if differences else 0
