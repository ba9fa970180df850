"""Atomic outputs: files and directories that get their names when they are complete.

In: a path. Out: a file or directory without a name, or under a temporary one; then the path itself.
Rules kept here: a file is synced, renamed, and its directory synced; whatever ends the process, at most a temporary
file is left, and on Linux not even that: `O_TMPFILE` makes a file without a name. A temporary name is recognized
by its form, and one that nobody holds locked by `flock` is stale: the next output of the same name removes it.
Not here: what is written (writer/output, packing/layer_images).
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
from functools import partial
from pathlib import Path
from typing import BinaryIO

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

__all__ = ["AtomicDirectory", "AtomicFile", "is_temporary"]

_SUFFIX = b".pysquash.tmp"
_TEMPORARY_NAME = re.compile(rb"\..+\.[0-9a-f]{12}\.pysquash\.tmp", re.DOTALL)
_OPEN_FILE = os.O_RDWR | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
_NO_SYNC = {errno.EINVAL, errno.EBADF, errno.ENOTSUP, errno.ENOSYS}
"""What a file system says that cannot sync directories."""


def is_temporary(name: bytes, mode: int) -> bool:
    """Tell whether something in a directory is a temporary output of ours, or was left by a process that was killed.

    Args:
        name: What it is called.
        mode: Its st_mode.
    """
    if not name.endswith(_SUFFIX) or not _TEMPORARY_NAME.fullmatch(name):
        return False
    return stat.S_ISREG(mode) or stat.S_ISDIR(mode)


class AtomicFile:
    """A new file.

    Attributes:
        file: Open for writing and reading.
    """

    def __init__(self, path: str, *, mode: int = 0o666, is_synced: bool = True) -> None:
        """Make the file.

        Args:
            path: Where it will be; a file there is overwritten.
            mode: Its permissions, of which the umask takes some, as of any new file's.
            is_synced: Whether file and directory are synced; otherwise a power failure may leave a damaged file.

        Raises:
            OSError: The directory is missing or not writable.
        """
        self._path = path
        self._directory = os.path.dirname(path) or os.curdir
        self._is_synced = is_synced
        self._temporary_path: str | None = None
        _remove_stale(path)
        file = _unnamed_file(self._directory, mode)
        if file is None:
            file, self._temporary_path = _locked_file(path, mode)
        self.file: BinaryIO = file

    def commit(self) -> None:
        """Sync the file, close it, give it its name, and sync the directory.

        Raises:
            OSError: One of that failed.
        """
        self.file.flush()
        if self._is_synced:
            os.fsync(self.file.fileno())
        if self._temporary_path is None:
            self._link()
        if os.name == "nt":  # it renames no open files; elsewhere the lock is to last until then
            self.file.close()
        if self._temporary_path is not None:
            os.replace(self._temporary_path, self._path)
            self._temporary_path = None
        self.file.close()
        if self._is_synced:
            _sync_directory(self._directory)

    def discard(self) -> None:
        """Close and remove the file. Harmless when called twice."""
        try:
            with contextlib.suppress(OSError):  # what is still buffered need not find room any more
                self.file.close()
        finally:
            if self._temporary_path is not None:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(self._temporary_path)
                self._temporary_path = None

    def _link(self) -> None:
        """Give a file without a name the right one; a temporary one for a moment, where that is taken."""
        descriptor = self.file.fileno()
        _lock(descriptor)
        source = f"/proc/self/fd/{descriptor}"  # absolute: src_dir_fd is there to have Python call linkat(2)
        try:
            os.link(source, self._path, src_dir_fd=descriptor, follow_symlinks=True)
        except FileExistsError:
            self._temporary_path = _temporary_path(self._path)
            os.link(source, self._temporary_path, src_dir_fd=descriptor, follow_symlinks=True)


class AtomicDirectory:
    """A new directory.

    Attributes:
        path: Where it is until it gets its name.
    """

    def __init__(self, path: Path) -> None:
        """Make the directory.

        Args:
            path: Where it will be: not there, or an empty directory.

        Raises:
            OSError: The directory above is missing or not writable.
        """
        self._target = path
        _remove_stale(os.fspath(path))
        self._descriptor: int | None = None
        while True:
            self.path = Path(_temporary_path(os.fspath(path)))
            self.path.mkdir()
            if fcntl is None:
                return
            self._descriptor = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
            if _lock(self._descriptor) and _is_at(self._descriptor, os.fspath(self.path)):
                return
            self._close()

    def commit(self) -> None:
        """Give it its name, and sync the directory above.

        Raises:
            OSError: One of that failed.
        """
        _sync_directory(os.fspath(self.path))
        with contextlib.suppress(FileNotFoundError):
            self._target.rmdir()
        self.path.rename(self._target)
        self._close()
        _sync_directory(os.fspath(self._target.parent))

    def discard(self) -> None:
        """Remove it, with all that is in it."""
        _remove_tree(os.fspath(self.path))
        self._close()

    def _close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def _unnamed_file(directory: str, mode: int) -> BinaryIO | None:
    """Make a file without a name; None where the system or the file system cannot, or cannot give it one later."""
    if not hasattr(os, "O_TMPFILE"):
        return None
    try:
        descriptor = os.open(directory, os.O_TMPFILE | os.O_RDWR, mode)
    except OSError:
        return None
    try:
        if _is_at(descriptor, f"/proc/self/fd/{descriptor}", follow_symlinks=True):
            return open(descriptor, "r+b")
    except BaseException:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return None


def _locked_file(path: str, mode: int) -> tuple[BinaryIO, str]:
    while True:
        temporary_path = _temporary_path(path)
        # Not tempfile.mkstemp: its files are readable by their owner only, and would stay so under the final name.
        file = open(temporary_path, "x+b", opener=partial(os.open, mode=mode))  # noqa: SIM115 - closed by commit or discard
        if _lock(file.fileno()) and _is_at(file.fileno(), temporary_path):
            return file, temporary_path
        file.close()  # another process took it for a stale one before it was locked


def _temporary_path(path: str) -> str:
    directory, name = os.path.split(path)
    # 50 characters are up to 200 bytes, of 255.
    return os.path.join(directory, f".{name[:50]}.{os.urandom(6).hex()}.pysquash.tmp")


def _lock(descriptor: int) -> bool:
    """Lock a file until it is closed, where the file system has locks. Tell whether no other process has locked it."""
    if fcntl is None:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def _is_at(descriptor: int, path: str, *, follow_symlinks: bool = False) -> bool:
    """Tell whether an open file is the one at a path."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path, follow_symlinks=follow_symlinks))
    except OSError:
        return False


def _sync_directory(directory: str) -> None:
    """Have the names in a directory survive a power failure."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    try:
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    except PermissionError:  # a file can be made in a directory that cannot be read
        return
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NO_SYNC:
            raise
    finally:
        os.close(descriptor)


# --- what killed processes left -------------------------------------------------------------------------------------


def _remove_stale(path: str) -> None:
    """Remove the temporary outputs for a path that no process holds locked."""
    directory, name = os.path.split(path)
    start = os.fsencode(f".{name[:50]}.")
    with contextlib.suppress(OSError), os.scandir(os.fsencode(directory or os.curdir)) as found:
        for entry in found:
            if entry.name.startswith(start) and len(entry.name) == len(start) + 12 + len(_SUFFIX):
                with contextlib.suppress(OSError):
                    mode = entry.stat(follow_symlinks=False).st_mode
                    if is_temporary(entry.name, mode):
                        _remove_unlocked(os.fsdecode(entry.path), is_directory=stat.S_ISDIR(mode))


def _remove_unlocked(path: str, *, is_directory: bool) -> None:
    if fcntl is None:
        if not is_directory:
            os.unlink(path)  # Windows refuses that while the file is open
        return
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW if is_directory else _OPEN_FILE)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not _is_at(descriptor, path):
            return
        if is_directory:
            _remove_tree(path)
        else:
            os.unlink(path)
    finally:
        os.close(descriptor)


def _remove_tree(path: str) -> None:
    import shutil  # noqa: PLC0415 - it imports bz2 and lzma, which few builds need

    shutil.rmtree(path, ignore_errors=True)
