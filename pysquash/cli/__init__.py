"""The command line: the only place that reads the environment and the clock, prints, and maps errors to exit codes.

`main` is the command `pysquash`; each command is in the module of its name, which is imported when the command is
called: all together they are most of the package.
Exit codes: 0 done, 1 failed or findings, 2 usage.
"""

from __future__ import annotations

from importlib import import_module

import click

from pysquash import __version__
from pysquash.cli.console import guarded

__all__ = ["main"]

_COMMANDS = ("build", "cat", "check", "diff", "extract", "info", "ls", "stat", "tar")


class _Commands(click.Group):
    """The commands, each imported when it is asked for."""

    def list_commands(self, _context: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, _context: click.Context, name: str) -> click.Command | None:
        if name not in _COMMANDS:
            return None
        command: click.Command = getattr(import_module(f"{__name__}.{name}"), name)
        return command


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="pysquash")
def commands() -> None:
    """Turn container layers into SquashFS images, and look into such images."""


def main() -> None:
    """Run the command that the process was called with, and exit."""
    guarded(commands)
