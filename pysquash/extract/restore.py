"""Reader: gives what was extracted its attributes, and keeps account of what could not be given.

In: an open file or directory of the host, and what the image says of it. Out: owner, xattrs, mode and times; lines that
say what was not allowed.
Rules kept here: the owner first, because changing it takes set-ID bits and capabilities away; set-ID bits only where
the owner is the image's; the time last.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import threading
from collections.abc import Callable, Iterator
from typing import NamedTuple

from pysquash.errors import printable

__all__ = [
    "Attributes",
    "NewFile",
    "Shortfalls",
    "link_or_not",
    "named",
    "open_when_possible",
    "refuse_no_id",
    "restore",
    "set_xattrs",
]

_SET_ID = stat.S_ISUID | stat.S_ISGID
_NO_ID = 0xFFFF_FFFF
"""What means "leave as it is" where an owner is changed, so no file can be given to it."""

_NO_LINK = frozenset([errno.EACCES, errno.EPERM, errno.EMLINK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS])
"""What says that a hard link is not possible here, though a file may be."""


class Attributes(NamedTuple):
    """What the image says of an inode.

    Attributes:
        mode: Permission bits.
        uid: Owner.
        gid: Group.
        mtime: Seconds since 1970.
        xattrs: By full name.
    """

    mode: int
    uid: int
    gid: int
    mtime: int
    xattrs: dict[bytes, bytes]


class NewFile(NamedTuple):
    """An empty file that was made.

    Attributes:
        descriptor: Open for writing.
        target: What to give attributes to: the descriptor, or the path once that is closed.
    """

    descriptor: int
    target: int | str


class Shortfalls:
    """What could not be restored, counted by what and why; any thread may add."""

    def __init__(self) -> None:
        """Start with nothing."""
        self._lock = threading.Lock()
        self._found: dict[tuple[str, str], tuple[int, bytes]] = {}

    def note(self, what: str, path: bytes, error: OSError | str) -> None:
        """Count one.

        Args:
            what: What was not done, as the start of a sentence: "the owner".
            path: Where.
            error: Why.
        """
        why = error if isinstance(error, str) else error.strerror or str(error)
        with self._lock:
            count, first = self._found.get((what, why), (0, path))
            self._found[what, why] = (count + 1, min(first, path))

    def lines(self) -> list[str]:
        """Say it, a line for each what and why."""
        return [
            f"{printable(first)}: {what} could not be restored: {why}"
            + (f" (and {count - 1} more)" if count > 1 else "")
            for (what, why), (count, first) in sorted(self._found.items())
        ]


def restore(target: int | str, path: bytes, attributes: Attributes, shortfalls: Shortfalls) -> None:
    """Give an open file or directory its attributes.

    Args:
        target: A descriptor, or a path that is sure to be no symlink.
        path: In the image, for the account.
        attributes: What the image says.
        shortfalls: Takes what is not allowed.
    """
    mode = attributes.mode
    try:
        if not hasattr(os, "chown"):
            raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
        refuse_no_id(attributes)
        os.chown(target, attributes.uid, attributes.gid)
    except OSError as error:
        shortfalls.note("the owner", path, error)
        if mode & _SET_ID:
            mode &= ~_SET_ID
            shortfalls.note("a set-ID bit", path, "it would be that of another owner")
    if attributes.xattrs:
        set_xattrs(target, path, attributes, shortfalls)
    try:
        os.chmod(target, mode)
        os.utime(target, (attributes.mtime, attributes.mtime))
    except OSError as error:
        shortfalls.note("mode and time", path, error)


def refuse_no_id(attributes: Attributes) -> None:
    """See that owner and group are what a file can belong to.

    Raises:
        OSError: They are not.
    """
    if _NO_ID in (attributes.uid, attributes.gid):
        raise OSError(errno.EINVAL, f"nothing can belong to {_NO_ID}")


def set_xattrs(
    target: int | str, path: bytes, attributes: Attributes, shortfalls: Shortfalls, *, follow_symlinks: bool = True
) -> None:
    """Set extended attributes, where the host has them."""
    if not hasattr(os, "setxattr"):
        shortfalls.note("extended attributes", path, "Python has no way to set them on this system")
        return
    for name, value in attributes.xattrs.items():
        what = f"the extended attribute {printable(name)}"
        try:
            os.setxattr(target, name, value, follow_symlinks=follow_symlinks)
        except OSError as error:
            shortfalls.note(what, path, error)
        except ValueError:  # Python's way to say that a name has a NUL
            shortfalls.note(what, path, "there are no such names")


@contextlib.contextmanager
def named(path: bytes) -> Iterator[None]:
    """Give an error of the system the whole path: relative to a descriptor, it has the last component or none."""
    try:
        yield
    except OSError as error:
        raise type(error)(error.errno, error.strerror, printable(path)) from error


def link_or_not(make: Callable[[], None], path: bytes, shortfalls: Shortfalls) -> bool:
    """Make a hard link; tell whether that was possible.

    It is not where the first name could not be made itself, where the file system has no hard links, or no more of
    them, and where the first name's directory is closed to its owner already.

    Raises:
        OSError: Something else went wrong.
    """
    try:
        with named(path):
            make()
    except FileNotFoundError:
        return False
    except OSError as error:
        if error.errno not in _NO_LINK:
            raise
        shortfalls.note("a hard link", path, error)
        return False
    return True


def open_when_possible(open_file: Callable[[], int], release: Callable[[], bool]) -> int:
    """Open a file; where too many are open, close others first.

    Args:
        open_file: Opens it, and returns the descriptor.
        release: Closes other files, and returns whether any were open.

    Raises:
        OSError: It cannot be opened, also with all others closed.
    """
    while True:
        try:
            return open_file()
        except OSError as error:
            if error.errno not in (errno.EMFILE, errno.ENFILE) or not release():
                raise
