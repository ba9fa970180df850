"""`pysquash diff`: how the trees of two images differ."""

from __future__ import annotations

import click

from pysquash.comparison import diff as compare

__all__ = ["diff"]


@click.command()
@click.argument("first", type=click.Path(exists=True, dir_okay=False))
@click.argument("second", type=click.Path(exists=True, dir_okay=False))
def diff(first: str, second: str) -> int:
    """Print what differs between the trees of two images; exit with 1 if anything does."""
    differences = compare(first, second)
    for difference in differences:
        click.echo(str(difference))
    return 1 if differences else 0
