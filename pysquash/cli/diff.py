"""`pysquash diff`: how the trees of two images differ."""

from __future__ import annotations

import click

from pysquash.cli.console import image_errors
from pysquash.comparison import diff as compare

__all__ = ["diff"]


@click.command(short_help="Say how the trees of two images differ.")
@click.argument("first", type=click.Path(readable=False))
@click.argument("second", type=click.Path(readable=False))
def diff(first: str, second: str) -> int:
    """Print what differs between the trees of two images; exit with 1 if anything does."""
    with image_errors():
        differences = compare(first, second)
    for difference in differences:
        click.echo(str(difference))
    return 1 if differences else 0
