"""Offset option: `--offset N` of every command that reads an image."""

from __future__ import annotations

import click

from pysquash.cli.console import byte_count

__all__ = ["offset_option"]

offset_option = click.option(
    "--offset",
    type=byte_count,
    default="0",
    metavar="SIZE",
    help="Byte of the file at which the image starts, as in an AppImage.",
)
