"""Reader: the directory that an image is extracted into, and that nothing leaves.

In: names in the image's order, each directory before what is in it. Out: directories, files, links and special files of
the host.
Rules kept here: every name is made relative to the descriptor of its directory, is new, and is never followed; a
directory is open while names are made in it, and nobody else may enter it until it has its attributes; what was made
is removed if something fails.
Not here: what is written, and in what order (extract); removing (removal); systems without such descriptors
(by_path).
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

from pysquash.errors import printable
from pysquash.extract.by_path import PathTree
from pysquash.extract.removal import REMOVAL_COUNT, identity, remove_below
from pysquash.extract.restore import (
    Attributes,
    NewFile,
    Shortfalls,
    link_or_not,
    named,
    open_when_possible,
    refuse_no_id,
    restore,
    set_xattrs,
)
from pysquash.tree.entry import Kind

__all__ = ["Destination", "open_destination"]

_OPEN_COUNT = 64
"""Directories that are open at the same time; those farther up are closed and opened again from below."""


class Destination(Protocol):
    """Makes names. Each path is the image's, of one that is not there yet, in a directory that is."""

    def directory(self, path: bytes, attributes: Attributes) -> None:
        """Make a directory, b"" being the destination itself; it gets its attributes when it is left."""
        ...

    def file(self, path: bytes) -> NewFile:
        """Make an empty file."""
        ...

    def symlink(self, path: bytes, target: bytes, attributes: Attributes) -> None:
        """Make a symlink."""
        ...

    def special(self, path: bytes, kind: Kind, device: tuple[int, int] | None, attributes: Attributes) -> None:
        """Make a device, a fifo or a socket."""
        ...

    def link(self, path: bytes, first: bytes) -> bool:
        """Make another name of what is at the path `first`; tell whether that was possible."""
        ...

    def leave_all(self) -> None:
        """Give the directories that are still open their attributes."""
        ...

    def remove_all(self) -> None:
        """Remove everything that was made, except the destination itself, as far as that is possible."""
        ...

    def close(self) -> None:
        """Close what is open."""
        ...


@contextlib.contextmanager
def open_destination(
    path: str | os.PathLike[str], shortfalls: Shortfalls, close_files: Callable[[], bool]
) -> Iterator[Destination]:
    """Make or open an empty directory. If the context ends with an exception, what was made is removed.

    Args:
        path: Where.
        shortfalls: Takes what the host does not allow.
        close_files: Closes files that were made, and returns whether any were open. Called where the process may open
            no more of them.

    Raises:
        FileExistsError: There is something in it, or it is something else.
        OSError: It is a symlink, or cannot be made.
    """
    place = Path(path)  # which drops a slash at the end: behind one, a symlink would be followed
    if place.is_symlink():
        raise FileExistsError(f"{place} is a symlink: nothing is extracted through it")
    is_new = False
    with contextlib.suppress(FileExistsError):
        place.mkdir(0o700)
        is_new = True
    try:
        with _open_tree(place, shortfalls, close_files) as tree:
            yield tree
    except BaseException:
        if is_new:
            with contextlib.suppress(OSError):
                place.rmdir()
        raise


@contextlib.contextmanager
def _open_tree(place: Path, shortfalls: Shortfalls, close_files: Callable[[], bool]) -> Iterator[Destination]:
    """Open a directory, which must be empty, and empty it again if the context ends with an exception."""
    if not place.is_dir():
        raise FileExistsError(f"{place} is there already, and is no directory")
    if any(place.iterdir()):
        raise FileExistsError(f"{place} is not empty")
    mode = stat.S_IMODE(place.stat().st_mode)
    tree: Destination
    if _HAS_DESCRIPTORS:
        tree = _DescriptorTree(os.open(place, _DIRECTORY_FLAGS), shortfalls, close_files)
    else:
        tree = PathTree(place, shortfalls, close_files)
    try:
        yield tree
        tree.leave_all()
    except BaseException:
        tree.remove_all()
        with contextlib.suppress(OSError):
            place.chmod(mode)
        raise
    finally:
        tree.close()


_HAS_DESCRIPTORS = {os.open, os.mkdir, os.symlink, os.link, os.chown, os.utime} <= os.supports_dir_fd
_DIRECTORY_FLAGS = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_NOFOLLOW", 0)
_SEARCH_FLAGS = _DIRECTORY_FLAGS | getattr(os, "O_PATH", 0)
"""For a directory that has its attributes already, which may not let its owner read it."""
_FILE_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)

_SPECIAL_TYPES = {
    Kind.BLOCK_DEVICE: stat.S_IFBLK,
    Kind.CHARACTER_DEVICE: stat.S_IFCHR,
    Kind.SOCKET: stat.S_IFSOCK,
}


class _Folder:
    """A directory that is being filled.

    Attributes:
        path: In the image.
        descriptor: Open, or -1 where it was closed for want of descriptors.
        identity: Device and inode number, by which it is known again.
        attributes: What it gets in the end; None for the destination until the image's root is named.
    """

    __slots__ = ("attributes", "descriptor", "identity", "path")

    def __init__(self, path: bytes, descriptor: int, attributes: Attributes | None) -> None:
        self.path = path
        self.descriptor = descriptor
        self.attributes = attributes
        self.identity = identity(descriptor)


class _DescriptorTree:
    """A `Destination` of directory descriptors: from the destination down to where names are being made."""

    def __init__(self, descriptor: int, shortfalls: Shortfalls, close_files: Callable[[], bool]) -> None:
        self._shortfalls = shortfalls
        self._close_files = close_files
        self._root = _Folder(b"", descriptor, None)
        self._stack = [self._root]
        self._spare: list[int] = []
        try:
            while len(self._spare) < REMOVAL_COUNT:
                self._spare.append(os.dup(descriptor))
        except OSError:
            self.close()
            raise
        with contextlib.suppress(OSError):
            os.chmod(descriptor, 0o700)

    def directory(self, path: bytes, attributes: Attributes) -> None:
        if not path:
            self._root.attributes = attributes
            return
        folder, name = self._enter(path)
        with named(path):
            os.mkdir(name, 0o700, dir_fd=folder)
            made = self._open(name, _DIRECTORY_FLAGS, folder)
        self._stack.append(_Folder(path, made, attributes))
        far = self._stack[-_OPEN_COUNT] if len(self._stack) > _OPEN_COUNT else self._root
        if far is not self._root and far.descriptor >= 0:
            os.close(far.descriptor)
            far.descriptor = -1

    def file(self, path: bytes) -> NewFile:
        folder, name = self._enter(path)
        with named(path):
            descriptor = self._open(name, _FILE_FLAGS, folder)
        return NewFile(descriptor, descriptor)

    def symlink(self, path: bytes, target: bytes, attributes: Attributes) -> None:
        folder, name = self._enter(path)
        with named(path):
            os.symlink(target, name, dir_fd=folder)
        self._restore_name(folder, name, path, attributes)
        if attributes.xattrs:
            place = f"/proc/self/fd/{folder}/".encode() + name
            set_xattrs(os.fsdecode(place), path, attributes, self._shortfalls, follow_symlinks=False)

    def special(self, path: bytes, kind: Kind, device: tuple[int, int] | None, attributes: Attributes) -> None:
        folder, name = self._enter(path)
        number = os.makedev(*device) if device is not None else 0
        try:
            if kind is Kind.FIFO:
                os.mkfifo(name, 0o600, dir_fd=folder)
            else:
                os.mknod(name, _SPECIAL_TYPES[kind] | 0o600, number, dir_fd=folder)
        except FileExistsError as error:
            raise FileExistsError(error.errno, error.strerror, printable(path)) from error
        except OSError as error:
            self._shortfalls.note(f"a {kind.name.lower().replace('_', ' ')}", path, error)
            return
        if not hasattr(os, "O_PATH"):
            self._restore_name(folder, name, path, attributes, attributes.mode)
            return
        # Nothing special is opened, which might wake a device up: this descriptor is of its name only.
        descriptor = self._open(name, os.O_PATH | os.O_NOFOLLOW, folder)
        try:
            restore(f"/proc/self/fd/{descriptor}", path, attributes, self._shortfalls)
        finally:
            os.close(descriptor)

    def link(self, path: bytes, first: bytes) -> bool:
        folder, name = self._enter(path)
        first_folder, _, first_name = first.rpartition(b"/")

        def make() -> None:
            with self._opened(first_folder) as descriptor:
                os.link(first_name, name, src_dir_fd=descriptor, dst_dir_fd=folder, follow_symlinks=False)

        return link_or_not(make, path, self._shortfalls)

    def leave_all(self) -> None:
        """Give the directories that are still open their attributes."""
        while len(self._stack) > 1:
            self._leave()
        if self._root.attributes is not None:
            restore(self._root.descriptor, b"", self._root.attributes, self._shortfalls)

    def remove_all(self) -> None:
        """Remove everything that was made."""
        for folder in self._stack[1:]:
            if folder.descriptor >= 0:
                os.close(folder.descriptor)
        del self._stack[1:]
        self._close_spare()
        with contextlib.suppress(OSError):
            os.chmod(self._root.descriptor, 0o700)
            remove_below(self._root.descriptor)

    def close(self) -> None:
        """Close what is open."""
        self._close_spare()
        for folder in self._stack:
            if folder.descriptor >= 0:
                os.close(folder.descriptor)
                folder.descriptor = -1

    def _close_spare(self) -> None:
        while self._spare:
            os.close(self._spare.pop())

    def _restore_name(
        self, folder: int, name: bytes, path: bytes, attributes: Attributes, mode: int | None = None
    ) -> None:
        """Give owner, mode and time to what cannot be opened."""
        try:
            refuse_no_id(attributes)
            os.chown(name, attributes.uid, attributes.gid, dir_fd=folder, follow_symlinks=False)
        except OSError as error:
            self._shortfalls.note("the owner", path, error)
        try:
            if mode is not None:
                os.chmod(name, mode & 0o777, dir_fd=folder, follow_symlinks=False)
            os.utime(name, (attributes.mtime, attributes.mtime), dir_fd=folder, follow_symlinks=False)
        except (OSError, NotImplementedError) as error:
            self._shortfalls.note("mode and time", path, error if isinstance(error, OSError) else str(error))

    def _open(self, name: str | bytes, flags: int, folder: int, in_use: _Folder | None = None) -> int:
        """Open a name in a directory; where the process may open no more, close what can be opened again later.

        Args:
            name: Relative to the directory.
            flags: As for os.open.
            folder: Descriptor of the directory: of the last one, or of what `in_use` leads to.
            in_use: A directory that must stay open, besides the destination and the last one.
        """

        def release() -> bool:
            if self._close_files():
                return True
            for far in self._stack[1:-1]:
                if far is not in_use and far.descriptor >= 0:
                    os.close(far.descriptor)
                    far.descriptor = -1
                    return True
            return False

        return open_when_possible(lambda: os.open(name, flags, 0o600, dir_fd=folder), release)

    def _enter(self, path: bytes) -> tuple[int, bytes]:
        """Leave directories until in the path's own: its descriptor, and the path's last component."""
        parent, _, name = path.rpartition(b"/")
        while self._stack[-1].path != parent:
            self._leave()
        return self._stack[-1].descriptor, name

    def _leave(self) -> None:
        folder = self._stack.pop()
        try:
            parent = self._stack[-1]
            if parent.descriptor < 0:
                parent.descriptor = self._open("..", _DIRECTORY_FLAGS, folder.descriptor)
                if identity(parent.descriptor) != parent.identity:
                    raise OSError(f"{printable(parent.path)} was moved while it was extracted")
            if folder.attributes is not None:
                restore(folder.descriptor, folder.path, folder.attributes, self._shortfalls)
        finally:
            os.close(folder.descriptor)

    @contextlib.contextmanager
    def _opened(self, path: bytes) -> Iterator[int]:
        """Open a directory that was made, from the nearest that is open."""
        for folder in reversed(self._stack):
            is_above = not folder.path or path == folder.path or path.startswith(folder.path + b"/")
            if is_above and folder.descriptor >= 0:
                break
        descriptor = folder.descriptor
        is_ours = False
        try:
            for name in path[len(folder.path) :].split(b"/"):
                if name:
                    below = self._open(name, _SEARCH_FLAGS, descriptor, in_use=folder)
                    if is_ours:
                        os.close(descriptor)
                    descriptor, is_ours = below, True
            yield descriptor
        finally:
            if is_ours:
                os.close(descriptor)
