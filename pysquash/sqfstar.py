"""`python -m pysquash.sqfstar` is the command `pysqfstar`: sqfstar, option for option."""

from __future__ import annotations

from typing import NoReturn

from pysquash.squashfs_tools.console import guarded

__all__ = ["main"]


def main() -> NoReturn:
    """Run `sqfstar` with the process's arguments, and exit."""
    guarded("sqfstar")


if __name__ == "__main__":
    main()
