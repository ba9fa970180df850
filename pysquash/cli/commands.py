"""Commands: the group of all of them, and running the one that the process was called with.

A command's module is imported when the command is called: all together they are most of the package.
Exit codes: 0 success; 1 failure, or findings; 2 usage error; 128 plus the number of a signal.
Not here: errors of ours and of the system, and signals (program/guard).
"""

from __future__ import annotations

from importlib import import_module

import click

from pysquash import __version__
from pysquash.program.tuning import tune_process

__all__ = ["commands", "run_command"]

_COMMANDS = ("build", "cat", "check", "diff", "extract", "info", "ls", "stat", "tar")


class _Commands(click.Group):
    """The commands, each imported when it is asked for."""

    def list_commands(self, _context: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, _context: click.Context, name: str) -> click.Command | None:
        if name not in _COMMANDS:
            return None
        command: click.Command = getattr(import_module(f"{__package__}.{name}"), name)
        return command


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="pysquash")
def commands() -> None:
    """Turn container layers into SquashFS images, and look into such images."""


def run_command() -> int:
    """Run the command that the process was called with, and return the exit code."""
    tune_process()
    try:
        code = commands.main(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.Abort:  # what click makes of a KeyboardInterrupt
        raise KeyboardInterrupt from None
    return code if isinstance(code, int) else 0
