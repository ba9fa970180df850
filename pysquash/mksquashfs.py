"""`python -m pysquash.mksquashfs` is the command `pymksquashfs`: mksquashfs, option for option."""

from __future__ import annotations

from typing import NoReturn

from pysquash.squashfs_tools.console import guarded

__all__ = ["main"]


def main() -> NoReturn:
    """Run `mksquashfs` with the process's arguments, and exit."""
    guarded("mksquashfs")


if __name__ == "__main__":
    main()
