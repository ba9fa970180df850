"""Reader: the directory that an image is extracted into, on systems without directory descriptors: Windows.

In, out: as destination.
Rules kept here: the destination is new or empty, and symlinks are made when all else is there, so that no path leads
through one; a name that the system would take for something else is an error.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable
from pathlib import Path

from pysquash.errors import printable
from pysquash.extract.restore import Attributes, NewFile, Shortfalls, link_or_not, open_when_possible, restore
from pysquash.tree.entry import Kind

__all__ = ["PathTree"]

_FORBIDDEN = frozenset('<>:"\\|?*').union(map(chr, range(32)))
_DEVICES = frozenset(["con", "prn", "aux", "nul", *(f"{port}{row}" for port in ("com", "lpt") for row in range(10))])
_FILE_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)


class PathTree:
    """A `Destination` of whole paths."""

    def __init__(self, root: Path, shortfalls: Shortfalls, close_files: Callable[[], bool]) -> None:
        """Take an empty directory, and what closes files that were made."""
        self._root = root
        self._shortfalls = shortfalls
        self._close_files = close_files
        self._directories: list[tuple[bytes, Attributes]] = []
        self._symlinks: dict[bytes, bytes] = {}

    def directory(self, path: bytes, attributes: Attributes) -> None:
        """Make a directory."""
        if path:
            self._place(path).mkdir()
        self._directories.append((path, attributes))

    def file(self, path: bytes) -> NewFile:
        """Make an empty file."""
        place = self._place(path)
        descriptor = open_when_possible(lambda: os.open(place, _FILE_FLAGS, 0o600), self._close_files)
        return NewFile(descriptor, str(place))

    def symlink(self, path: bytes, target: bytes, attributes: Attributes) -> None:
        """Note a symlink, to be made in the end."""
        del attributes  # a symlink's own are nothing that such a system has
        if path in self._symlinks:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), printable(path))
        self._symlinks[path] = target

    def special(self, path: bytes, kind: Kind, device: tuple[int, int] | None, attributes: Attributes) -> None:
        """Leave out what the system does not have."""
        del device, attributes
        self._shortfalls.note(f"a {kind.name.lower().replace('_', ' ')}", path, "this system has none")

    def link(self, path: bytes, first: bytes) -> bool:
        """Make another name of a file; tell whether that was possible."""
        if first in self._symlinks:
            return False
        source, place = self._place(first), self._place(path)
        return link_or_not(lambda: os.link(source, place), path, self._shortfalls)

    def leave_all(self) -> None:
        """Make the symlinks, and give the directories their attributes, the lowest first."""
        for path, target in self._symlinks.items():
            text = target.decode("utf-8", "surrogateescape").replace("/", os.sep)
            try:
                place = self._place(path)
                place.symlink_to(text, target_is_directory=(place.parent / text).is_dir())
            except OSError as error:
                self._shortfalls.note("a symlink", path, error)
        for path, attributes in reversed(self._directories):
            restore(str(self._place(path)), path, attributes, self._shortfalls)

    def remove_all(self) -> None:
        """Remove everything that was made."""
        from shutil import rmtree  # noqa: PLC0415 - it imports bz2 and lzma, which only a failure needs

        for each in self._root.iterdir():
            if each.is_dir() and not each.is_symlink():
                rmtree(each, ignore_errors=True)
            else:
                with contextlib.suppress(OSError):
                    each.unlink()

    def close(self) -> None:
        """Have nothing open."""

    def _place(self, path: bytes) -> Path:
        """Give the host's path.

        Raises:
            OSError: A name in it is none on this system.
        """
        parts = path.decode("utf-8", "surrogateescape").split("/") if path else []
        for part in parts:
            device = part.partition(".")[0].strip().lower()
            if _FORBIDDEN.intersection(part) or part.endswith((".", " ")) or device in _DEVICES:
                raise OSError(f"{printable(path)}: this system has no such names")
        return self._root.joinpath(*parts)
