"""Reader: removes what is in a directory of the host, however deep, without leaving the directory.

In: the descriptor of a directory. Out: the directory, empty.
Rules kept here: no symlink is followed; two further descriptors are open at most; a directory that was moved away
meanwhile is an error.
Not here: systems without directory descriptors (by_path).
"""

from __future__ import annotations

import contextlib
import os

__all__ = ["REMOVAL_COUNT", "identity", "remove_below"]

REMOVAL_COUNT = 2
"""Descriptors that `remove_below` needs at the same time."""

_DIRECTORY_FLAGS = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_NOFOLLOW", 0)


def identity(descriptor: int) -> tuple[int, int]:
    """Return device and inode number, by which a directory is known again."""
    status = os.fstat(descriptor)
    return status.st_dev, status.st_ino


class _Level:
    """A directory that is being emptied: what it is, and the directories in it that are left."""

    __slots__ = ("identity", "left")

    def __init__(self, descriptor: int) -> None:
        self.identity = identity(descriptor)
        with os.scandir(descriptor) as entries:
            found = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
        self.left = [name for name, is_directory in found if is_directory]
        for name, is_directory in found:
            if not is_directory:
                os.unlink(name, dir_fd=descriptor)


def remove_below(top: int) -> None:
    """Remove everything in a directory.

    Args:
        top: Descriptor of the directory, which stays open.

    Raises:
        OSError: Something cannot be removed; the rest stays then.
    """
    here = os.dup(top)
    try:
        levels = [_Level(here)]
        while True:
            level = levels[-1]
            if level.left:
                name = level.left[-1]
                with contextlib.suppress(OSError, NotImplementedError):  # its mode may keep its owner out
                    os.chmod(name, 0o700, dir_fd=here, follow_symlinks=False)
                below = os.open(name, _DIRECTORY_FLAGS, dir_fd=here)
                os.close(here)
                here = below
                levels.append(_Level(here))
                continue
            levels.pop()
            if not levels:
                return
            above = os.open("..", _DIRECTORY_FLAGS, dir_fd=here)
            os.close(here)
            here = above
            if identity(here) != levels[-1].identity:
                raise OSError("a directory was moved while it was removed")
            os.rmdir(levels[-1].left.pop(), dir_fd=here)
    finally:
        os.close(here)
