"""Host xattrs: reads the extended attributes of what is in a directory tree on the host.

In: an open file or directory, or a name in an open directory. Out: names and values.
Rules kept here: no symlink is followed; what is read is of what was looked at, or it is an error. Linux reads the
attributes of what cannot be opened (symlinks, devices, FIFOs, sockets) by path only: /proc makes one of a descriptor.
Without /proc, as in a chroot, it is the path itself, and what it leads to is compared before and after.
Not here: what becomes of attributes that an image cannot hold (directory).
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable

from pysquash.format.constants import XATTR_PREFIXES

__all__ = ["HostXattrs", "RawXattrs"]

RawXattrs = list[tuple[bytes, bytes | None]]
"""Names and values; None for the value of an attribute that an image cannot hold."""

_HAS_XATTRS = sys.platform == "linux"


class HostXattrs:
    """Reads extended attributes; on systems other than Linux, and where a file system has none, there are none."""

    def __init__(self) -> None:
        """Look for /proc when it is needed."""
        self._has_proc: bool | None = None

    def of_open(self, descriptor: int) -> RawXattrs:
        """Read those of an open file or directory.

        Raises:
            OSError: They cannot be read.
        """
        return _read(descriptor) if _HAS_XATTRS else []

    def of_name(
        self, name: bytes, descriptor: int | None, directory: bytes, check: Callable[[os.stat_result], object]
    ) -> RawXattrs:
        """Read those of a name in a directory.

        Args:
            name: The name.
            descriptor: The directory's, or None where the host has no such things.
            directory: The directory's path.
            check: Raises an error of what is not what was looked at.

        Raises:
            OSError: They cannot be read; also where there is no /proc and the path is too long.
        """
        if not _HAS_XATTRS:
            return []
        if descriptor is not None and self._finds_in_proc(descriptor):
            return _read(b"/proc/self/fd/%d/%b" % (descriptor, name))
        path = os.path.join(directory, name)
        check(os.lstat(path))
        found = _read(path)
        check(os.lstat(path))
        return found

    def _finds_in_proc(self, descriptor: int) -> bool:
        if self._has_proc is None:
            try:
                self._has_proc = os.path.samestat(os.stat(f"/proc/self/fd/{descriptor}"), os.fstat(descriptor))
            except OSError:
                self._has_proc = False
        return self._has_proc


def _read(place: int | bytes) -> RawXattrs:
    is_path = isinstance(place, bytes)  # Python takes `follow_symlinks` for paths only
    try:
        names = os.listxattr(place, follow_symlinks=False) if is_path else os.listxattr(place)
    except OSError as error:
        if error.errno == errno.ENOTSUP:
            return []
        raise
    found: RawXattrs = []
    for text in names:
        name = os.fsencode(text)
        if not name.startswith(XATTR_PREFIXES):
            found.append((name, None))
            continue
        try:
            value = os.getxattr(place, text, follow_symlinks=False) if is_path else os.getxattr(place, text)
        except OSError as error:
            if error.errno == errno.ENODATA:  # it was removed since it was listed
                continue
            raise
        found.append((name, value))
    return found
