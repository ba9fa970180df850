"""`python -m pysquash.sqfstar` is the command `pysqfstar`: sqfstar, option for option."""

from pysquash.program.guard import run_guarded

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

__all__ = ["main"]


def main() -> "NoReturn":
    """Run `sqfstar` with the process's arguments, and exit."""
    run_guarded("sqfstar", _run)


def _run() -> int:
    from pysquash.squashfs_tools.console import run_tool  # noqa: PLC0415 - after the guard is there

    return run_tool("sqfstar")


if __name__ == "__main__":
    main()
