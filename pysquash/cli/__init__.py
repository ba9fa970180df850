"""The command line: the only part that reads the environment and the clock, and prints.

`main` is the program `pysquash`; each command is in the module of its name.
"""

from pysquash.program.guard import run_guarded

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

__all__ = ["main"]


def main() -> "NoReturn":
    """Run the command that the process was called with, and exit."""
    run_guarded("pysquash", _run, usage_code=2)


def _run() -> int:
    from pysquash.cli.commands import run_command  # the guard is to be there before click is imported

    return run_command()
