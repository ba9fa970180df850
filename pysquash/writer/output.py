"""Writer: the file that the image is written to, which appears whole or not at all.

In: a path, or a seekable binary file that the caller owns. Out: an `Output` with a position counted from the image's
start.
Rules kept here: a path gets its file at the end, and none on any error; what that would destroy, as a device, is
refused.
Not here: temporary files (host/atomic); signals (program/guard); what is written (image).
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import stat
from collections.abc import Iterator
from types import TracebackType
from typing import BinaryIO, NoReturn, Self

from pysquash.errors import OptionError, OptionTypeError
from pysquash.host.atomic import AtomicFile
from pysquash.host.output_guard import OwnFiles
from pysquash.host.threads import start_thread

__all__ = ["Output", "OutputTarget"]

OutputTarget = str | os.PathLike[str] | BinaryIO


class Output:
    """Where an image is written: a context that keeps the result or leaves nothing.

    Attributes:
        position: The next byte to be written, from the image's start.
    """

    def __init__(self, target: OutputTarget, own_files: OwnFiles | None = None) -> None:
        """Open a new file for the target, or take the caller's file from where it stands.

        Args:
            target: A path, or a seekable binary file.
            own_files: Told of the new file, and of what has the target's name already.

        Raises:
            OSError: The folder is missing or not writable, or the target is a directory.
            OptionError: The target is a device, a pipe or a socket, or a file object that cannot seek, or neither.
            OptionTypeError: It is a file of text, or something else altogether.
        """
        own_files = own_files or OwnFiles()
        self.position = 0
        self._is_kept = False
        self._is_written = False
        self._name: str | None = None
        self._sync: _Sync | None = None
        self._path: str | None = None
        self._atomic: AtomicFile | None = None
        if isinstance(target, str | os.PathLike):
            name = os.fspath(target)
            status = _checked_status(name)
            self._name = name
            self._path = os.path.realpath(name)  # a symlink keeps pointing at the image
            self._atomic = _atomic_file(self._path, name)
            self._file = self._atomic.file
            self._base = 0
            own_files.add(os.fstat(self._file.fileno()), None)
            if status is not None:
                own_files.add(status, name)
        else:
            if isinstance(target, io.TextIOBase) or not hasattr(target, "seek"):
                shown = "a file of text: open it with 'w+b'" if hasattr(target, "read") else f"{target!r:.80}"
                raise OptionTypeError(f"the output is a path or a seekable binary file, not {shown}")
            try:
                self._base = target.seek(0, io.SEEK_CUR)
            except OSError as error:
                if error.errno not in (None, errno.ESPIPE):  # a full disk, at last
                    raise
                raise OptionError("the output must be a path or a seekable binary file") from error
            self._file = target
            own_files.add_open(target)

    @property
    def folder(self) -> str | None:
        """The folder that the image will be in, or None where only the caller knows."""
        return None if self._path is None else os.path.dirname(self._path)

    def write(self, data: bytes | bytearray) -> None:
        """Write at the position, and move it."""
        self._is_written = True
        try:
            self._file.write(data)
        except OSError as error:
            self._raise_named(error)
        self.position += len(data)

    def seek(self, position: int) -> None:
        """Move to another place; what was written behind it is written over or cut off."""
        with self._errors():  # of what has been held back
            self._file.seek(self._base + position)
        self.position = position

    @property
    def is_readable(self) -> bool:
        """Tell whether `read_back` works: always for a path, else where the caller's file is readable."""
        if self._path is not None:
            return True
        readable = getattr(self._file, "readable", None)
        return bool(readable is not None and readable())

    def read_back(self, position: int, size: int) -> bytes:
        """Read what was written, and stay where the position is."""
        with self._errors():
            self._file.seek(self._base + position)
            data = self._file.read(size)
            self._file.seek(self._base + self.position)
        return data

    def overwrite(self, position: int, data: bytes) -> None:
        """Write over what stands elsewhere, and stay where the position is."""
        with self._errors():
            self._file.seek(self._base + position)
            self._file.write(data)
            self._file.seek(self._base + self.position)

    @contextlib.contextmanager
    def reopened(self) -> Iterator[tuple[BinaryIO, int]]:
        """Open what was written for reading, before it is kept.

        Yields:
            A file, and the byte in it at which the image starts.

        Raises:
            OptionError: The caller's file cannot be read from.
        """
        if not self.is_readable:
            raise OptionError("an output that is to be verified must be readable")
        self._cut()
        yield self._file, self._base
        self._file.seek(self._base + self.position)

    def begin_sync(self) -> None:
        """Have what was written so far synced on another thread, so that `keep` has less to wait for."""
        if self._atomic is not None:
            with self._errors():
                self._file.flush()
            self._sync = _Sync(self._file.fileno())

    def keep(self) -> None:
        """Cut the file at the position and, for a path, sync it and give it its name."""
        self._cut()
        self._is_kept = True
        if self._atomic is None:
            return
        with self._errors():
            if self._sync is not None:
                self._sync.finish()
            self._atomic.commit()
        self._atomic = None

    def _cut(self) -> None:
        with self._errors():
            self._file.truncate(self._base + self.position)
            self._file.flush()

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self._raise_named(error)

    def _raise_named(self, error: OSError) -> NoReturn:
        """Have an error of the system name what the caller wanted written, not a temporary file or nothing at all."""
        if self._name is None or error.errno is None:
            raise error
        raise OSError(error.errno, error.strerror, self._name) from error

    def discard(self) -> None:
        """Remove the temporary file, or cut the caller's file off where it stood. Harmless after `keep`.

        A caller's file of which nothing was written over stays as it is.
        """
        if self._path is None:
            if self._is_kept or not self._is_written:
                return
            with contextlib.suppress(OSError, ValueError):
                self._file.seek(self._base)
                self._file.truncate()
        elif self._atomic is not None:
            try:
                if self._sync is not None:
                    self._sync.join()
            finally:
                self._atomic.discard()
                self._atomic = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self.discard()


class _Sync:
    """One fsync on a thread; without one there is nothing to wait for, and `keep` syncs all."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._error: OSError | None = None
        self._thread = start_thread(self._run, "pysquash-sync")

    def _run(self) -> None:
        try:
            os.fsync(self._descriptor)
        except OSError as error:
            self._error = error

    def join(self) -> None:
        """Wait for it."""
        if self._thread is not None:
            self._thread.join()

    def finish(self) -> None:
        """Wait for it. Raise what it met: Linux tells a failed write only to the first who asks."""
        self.join()
        if self._error is not None:
            raise self._error


_KINDS = {
    stat.S_IFBLK: "block device",
    stat.S_IFCHR: "character device",
    stat.S_IFIFO: "pipe",
    stat.S_IFSOCK: "socket",
}


def _checked_status(name: str) -> os.stat_result | None:
    """Look at what has the output's name already; None where nothing has."""
    try:
        status = os.stat(name)
    except FileNotFoundError:
        if name.endswith((os.sep, os.altsep or os.sep)):
            raise IsADirectoryError(errno.EISDIR, "ends like the name of a directory", name) from None
        return None
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, "is a directory, and an output is a file", name)
    kind = _KINDS.get(stat.S_IFMT(status.st_mode))
    if kind is not None:
        raise OptionError(
            f"{name}: is a {kind}; an image is written to a file beside it, which then takes its name: "
            "write to a file, and copy that"
        )
    return status


def _atomic_file(path: str, target: str) -> AtomicFile:
    """Make the file for `path`, which the caller calls `target`."""
    try:
        return AtomicFile(path)
    except OSError as error:  # which names what nobody asked for
        directory = os.path.dirname(path)
        text = error.strerror if os.path.isdir(directory) else f"directory {directory} does not exist"
        raise OSError(error.errno, text, target) from None
