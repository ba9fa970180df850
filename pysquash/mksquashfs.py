"""`python -m pysquash.mksquashfs` is the command `pymksquashfs`: mksquashfs, option for option."""

from pysquash.program.guard import run_guarded

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

__all__ = ["main"]


def main() -> "NoReturn":
    """Run `mksquashfs` with the process's arguments, and exit."""
    run_guarded("mksquashfs", _run)


def _run() -> int:
    from pysquash.squashfs_tools.console import run_tool  # noqa: PLC0415 - after the guard is there

    return run_tool("mksquashfs")


if __name__ == "__main__":
    main()
