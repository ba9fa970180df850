"""The command line: the only place that reads the environment and the clock, prints, and maps errors to exit codes.

`main` is the command `pysquash`; each command is in the module of its name.
Exit codes: 0 done, 1 failed or findings, 2 usage.
"""

from __future__ import annotations

import click

from pysquash import __version__
from pysquash.cli.build import build
from pysquash.cli.cat import cat
from pysquash.cli.check import check
from pysquash.cli.console import guarded
from pysquash.cli.diff import diff
from pysquash.cli.extract import extract
from pysquash.cli.info import info
from pysquash.cli.ls import ls
from pysquash.cli.stat import stat
from pysquash.cli.tar import tar

__all__ = ["main"]


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="pysquash")
def commands() -> None:
    """Turn container layers into SquashFS images, and look into such images."""


for command in (build, ls, cat, stat, extract, tar, check, diff, info):
    commands.add_command(command)


def main() -> None:
    """Run the command that the process was called with, and exit."""
    guarded(commands)
