"""Directory: turns a directory tree on the host into entries.

In: a folder. Out: a `Source`: entries in a fixed order, a directory before what is in it, names sorted by their bytes.
Rules kept here: no symlink is ever followed; what is opened is what was looked at, or it is an error; a file that
becomes shorter while it is read is an error, one that changes otherwise is a warning; further names of an inode are
hard links; what is being written is left out. Like mksquashfs it walks into other file systems. Extended attributes
and holes are taken on Linux; owners, device numbers and link counts wherever the host has them.
Not here: how extended attributes are read (host_xattrs), which names an image can hold besides (tree/merge), what
becomes of holes (writer/data).
"""

from __future__ import annotations

import errno
import os
import stat
import sys
from collections.abc import Iterator
from functools import partial
from typing import Protocol

from pysquash.errors import LimitError, SourceError, UnsupportedEntryError, printable
from pysquash.host.atomic import is_temporary
from pysquash.host.output_guard import OwnFiles
from pysquash.notices import Notice, Warn, WarningKind
from pysquash.options.writer import WriterOptions
from pysquash.sources.host_xattrs import HostXattrs
from pysquash.sources.path_limits import check_path_limits
from pysquash.tree.entry import HIGHEST_MTIME, Entry, Kind, Segment, Xattrs

__all__ = ["DirectorySource", "Folder", "Selection"]

_KINDS = {
    stat.S_IFDIR: Kind.DIRECTORY,
    stat.S_IFREG: Kind.FILE,
    stat.S_IFLNK: Kind.SYMLINK,
    stat.S_IFBLK: Kind.BLOCK_DEVICE,
    stat.S_IFCHR: Kind.CHARACTER_DEVICE,
    stat.S_IFIFO: Kind.FIFO,
    stat.S_IFSOCK: Kind.SOCKET,
}
_OPEN_FILE = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
_OPEN_DIRECTORY = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_DIRECTORY", 0)
_HAS_DESCRIPTORS = os.open in os.supports_dir_fd and os.scandir in os.supports_fd and os.readlink in os.supports_dir_fd
_MAJOR_LIMIT, _MINOR_LIMIT = 1 << 12, 1 << 20


class Selection(Protocol):
    """Says what of a directory tree is taken."""

    def takes(self, path: bytes, status: os.stat_result) -> bool:
        """Tell whether something is taken, given its path in the image; it is not opened otherwise."""
        ...

    def descends(self, path: bytes, status: os.stat_result) -> bool:
        """Tell whether what is in a directory is looked at."""
        ...


class Folder:
    """A directory being walked: an open descriptor where the host has such things, else a path.

    Attributes:
        path: Where it is in the image.
        host_path: Where it is on the host.
        descriptor: Open, or None.
        left: Names in it that are still to be visited, the next one last.
        renamed: What some of them are called in the image.
    """

    __slots__ = ("descriptor", "host_path", "left", "path", "renamed")

    def __init__(self, path: bytes, host_path: bytes, descriptor: int | None, names: list[bytes] | None = None) -> None:
        """Take an open directory.

        Args:
            path: Where it is in the image.
            host_path: Where it is on the host.
            descriptor: Open, or None where the host has no such things.
            names: What is visited of it, the last one first; None for all.
        """
        self.path = path
        self.host_path = host_path
        self.descriptor = descriptor
        self.renamed: dict[bytes, bytes] = {}
        if names is not None:
            self.left = names
            return
        with os.scandir(host_path if descriptor is None else descriptor) as found:
            self.left = sorted((os.fsencode(entry.name) for entry in found), reverse=True)

    @classmethod
    def opened(cls, path: bytes, host_path: bytes, names: list[bytes] | None = None) -> Folder:
        """Open a directory."""
        descriptor = os.open(host_path, _OPEN_DIRECTORY) if _HAS_DESCRIPTORS else None
        try:
            return cls(path, host_path, descriptor, names)
        except BaseException:
            if descriptor is not None:
                os.close(descriptor)
            raise

    def status(self) -> os.stat_result:
        """Look at the directory itself."""
        return os.fstat(self.descriptor) if self.descriptor is not None else os.stat(self.host_path)

    def name_for(self, name: bytes) -> bytes:
        """What to call a member in a system call beside `dir_fd`."""
        return name if self.descriptor is not None else os.path.join(self.host_path, name)

    def close(self) -> None:
        """Close it. Harmless when called twice."""
        if self.descriptor is not None:
            os.close(self.descriptor)
            self.descriptor = None


class DirectorySource:
    """One directory tree as a layer; a `Source`.

    Attributes:
        name: What messages call it.
        consumed_size: Bytes of content read so far.
    """

    total_size = None
    duplicates = None

    def __init__(
        self,
        path: str | bytes | os.PathLike[str],
        *,
        name: str,
        options: WriterOptions,
        warn: Warn,
        prefix: bytes = b"",
        own_files: OwnFiles | None = None,
        selection: Selection | None = None,
    ) -> None:
        """Take a folder; it is opened when the entries are asked for.

        Args:
            path: The folder; if it is a symlink, where that leads.
            name: What messages call it.
            options: strict and limits are kept here.
            warn: Takes what is noteworthy and no error.
            prefix: Where in the image the folder goes; b"" for the root.
            own_files: What is being written, and so is left out if it is in the folder.
            selection: What of it is taken; None for all.
        """
        self.name = name
        self.consumed_size = 0
        self._host_path = os.fsencode(os.path.realpath(path))
        self._options = options
        self._limits = options.limits
        self._warn = warn
        self._prefix = prefix
        self._own_files = own_files or OwnFiles()
        self._selection = selection
        self._folders: list[Folder] = []
        self._knows_all_names = True  # by the number of names that each inode says it has
        self._first_names: dict[tuple[int, int], tuple[bytes, int]] = {}  # of inodes with names still to come
        self._host_xattrs = HostXattrs()
        self._file: int | None = None
        self._entry = Entry(b"", Kind.DIRECTORY)
        self._status: os.stat_result | None = None
        self._left: list[Segment] = []

    @property
    def unpacked_size(self) -> int:
        """Bytes of content read so far."""
        return self.consumed_size

    def close(self) -> None:
        """Close what is open. Harmless when called twice."""
        self._close_file()
        while self._folders:
            self._folders.pop().close()

    def __iter__(self) -> Iterator[Entry]:
        """Yield the entries, the folder itself first.

        Raises:
            OSError: Something cannot be read.
            SourceError: Something was exchanged, or became shorter, between two looks at it.
            UnsupportedEntryError: A device number does not fit into an image.
            LimitError: A name or a path is longer than its limit.
        """
        try:
            folder = Folder.opened(self._prefix, self._host_path)
        except OSError as error:
            raise _named(error, self._host_path) from error
        self._folders.append(folder)
        yield self._described(self._prefix, folder.status(), folder, None)
        yield from self._walk()

    def _walk(self) -> Iterator[Entry]:
        """Yield what is left in the folders that are open."""
        while self._folders:
            folder = self._folders[-1]
            if not folder.left:
                self._folders.pop().close()
                continue
            name = folder.left.pop()
            try:
                entry = self._visited(folder, name)
            except OSError as error:  # relative to a descriptor, it has the last component or none
                raise _named(error, os.path.join(folder.host_path, name)) from error
            if entry is not None:
                yield entry
                self._finish_file()

    def read(self, size: int) -> bytes:
        """Give the next bytes of the content of the entry yielded last, without holes."""
        parts: list[bytes] = []
        while size and self._left:
            start, length = self._left[0]
            chunk = self._read_at(start, min(size, length))
            parts.append(chunk)
            size -= len(chunk)
            self._left[0] = (start + len(chunk), length - len(chunk))
            if length == len(chunk):
                del self._left[0]
        if size:
            raise ValueError(f"{size} bytes more than are left of this entry")
        return parts[0] if len(parts) == 1 else b"".join(parts)

    # --- one name --------------------------------------------------------------------------------------------------

    def _visited(self, folder: Folder, name: bytes) -> Entry | None:
        """Make the entry of a name in a folder, and go into it if it is one; None for what is not taken."""
        image_name = folder.renamed.get(name, name)
        path = folder.path + b"/" + image_name if folder.path else image_name
        depth = path.count(b"/") + 1
        check_path_limits(path, len(image_name), depth, self._limits, source=self.name)
        target = folder.name_for(name)
        status = os.stat(target, dir_fd=folder.descriptor, follow_symlinks=False)
        if self._own_files.holds(status):
            if self._own_files.name(status) is not None:
                self._notice(path, WarningKind.OUTPUT_SKIPPED, "is the output, and is left out")
            return None
        selection = self._selection
        if selection is not None and not selection.takes(path, status):
            return None
        if is_temporary(name, status.st_mode):
            self._notice(path, WarningKind.OUTPUT_SKIPPED, "is a temporary file of a build, and is left out")
            return None
        if stat.S_ISDIR(status.st_mode):
            descriptor = None
            if folder.descriptor is not None:
                descriptor = os.open(target, _OPEN_DIRECTORY, dir_fd=folder.descriptor)
            try:
                if descriptor is not None:
                    status = self._unchanged(path, status, os.fstat(descriptor))
                names: list[bytes] | None = None if selection is None or selection.descends(path, status) else []
                below = Folder(path, os.path.join(folder.host_path, name), descriptor, names)
            except BaseException:
                if descriptor is not None:
                    os.close(descriptor)
                raise
            self._folders.append(below)
            return self._described(path, status, below, None)
        return self._described(path, status, folder, name)

    def _described(self, path: bytes, status: os.stat_result, folder: Folder, name: bytes | None) -> Entry:
        """Make the entry of a name in a folder, or of the folder itself where there is no name."""
        kind = _KINDS.get(stat.S_IFMT(status.st_mode))
        if kind is None:
            raise UnsupportedEntryError("is of a kind that SquashFS does not have", source=self.name, entry=path)
        entry = self._entry = Entry(path, kind, stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid)
        if sys.platform == "win32":  # which makes modes up
            entry.mode = 0o755 if kind is Kind.DIRECTORY else 0o644
        entry.mtime = self._mtime(path, status)
        self._left = []
        has_more_names = status.st_nlink > 1 or not self._knows_all_names
        if name is not None and has_more_names and status.st_ino and self._is_further_name(entry, status):
            return entry
        if kind is Kind.SYMLINK and name is not None:
            entry.target = os.fsencode(os.readlink(folder.name_for(name), dir_fd=folder.descriptor))
            limit = self._limits.target_size
            if not 1 <= len(entry.target) <= limit:
                raise LimitError(
                    "symlink target size", len(entry.target), limit, where=f"{self.name}: {printable(path)}"
                )
        elif kind is Kind.BLOCK_DEVICE or kind is Kind.CHARACTER_DEVICE:
            entry.device = self._device(path, status)
        elif kind is Kind.FILE and name is not None:
            self._open(entry, status, folder, name)
        entry.xattrs = self._xattrs(path, status, folder, name)
        return entry

    def _is_further_name(self, entry: Entry, status: os.stat_result) -> bool:
        """Turn an entry into a hard link, where its inode had a name before."""
        inode = (status.st_dev, status.st_ino)
        first, left = self._first_names.pop(inode, (b"", status.st_nlink))
        if left > 2 or not first:
            self._first_names[inode] = (first or entry.path, left - 1)
        if not first:
            return False
        entry.kind, entry.target = Kind.HARD_LINK, first
        return True

    def _open(self, entry: Entry, status: os.stat_result, folder: Folder, name: bytes) -> None:
        """Open a file's content. That what was opened is what was looked at is checked before a byte is read."""
        self._file = os.open(folder.name_for(name), _OPEN_FILE, dir_fd=folder.descriptor)
        self._status = self._unchanged(entry.path, status, os.fstat(self._file))
        entry.size = self._status.st_size
        entry.mtime = self._mtime(entry.path, self._status)
        self._left = [(0, entry.size)] if entry.size else []
        if entry.size and getattr(self._status, "st_blocks", entry.size) * 512 < entry.size:
            segments = _stored_segments(self._file, entry.size)
            if segments is not None:
                entry.segments = tuple(segments)
                self._left = segments

    def _unchanged(self, path: bytes, before: os.stat_result, after: os.stat_result) -> os.stat_result:
        if (before.st_dev, before.st_ino, stat.S_IFMT(before.st_mode)) != (
            after.st_dev,
            after.st_ino,
            stat.S_IFMT(after.st_mode),
        ):
            raise SourceError("was replaced by something else while it was read", source=self.name, entry=path)
        return after

    def _read_at(self, start: int, size: int) -> bytes:
        file = self._file
        if file is None:
            raise ValueError("no file is open")
        os.lseek(file, start, os.SEEK_SET)
        chunk = os.read(file, size)
        if not chunk:
            raise SourceError(
                f"became shorter while it was read: it ends at {start}", source=self.name, entry=self._entry.path
            )
        self.consumed_size += len(chunk)
        return chunk

    def _finish_file(self) -> None:
        """Close the file that was read, and look whether it is still what it was."""
        if self._file is None:
            return
        before, after = self._status, os.fstat(self._file)
        self._close_file()
        if before is not None and (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
            self._notice(
                self._entry.path, WarningKind.FILE_CHANGED, "changed while it was read; what was read is stored"
            )

    def _close_file(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    # --- attributes ------------------------------------------------------------------------------------------------

    def _mtime(self, path: bytes, status: os.stat_result) -> int:
        seconds = status.st_mtime_ns // 1_000_000_000
        if 0 <= seconds <= HIGHEST_MTIME:
            return seconds
        kept = max(0, min(seconds, HIGHEST_MTIME))
        text = f"modification time {seconds} is outside 0 to {HIGHEST_MTIME}; {kept} is stored"
        self._notice(path, WarningKind.TIME_CLAMPED, text)
        return kept

    def _device(self, path: bytes, status: os.stat_result) -> tuple[int, int]:
        major, minor = os.major(status.st_rdev), os.minor(status.st_rdev)
        if not 0 <= major < _MAJOR_LIMIT or not 0 <= minor < _MINOR_LIMIT:
            raise UnsupportedEntryError(
                f"device {major}:{minor} is outside 0:0 to {_MAJOR_LIMIT - 1}:{_MINOR_LIMIT - 1}",
                source=self.name,
                entry=path,
            )
        return major, minor

    def _xattrs(self, path: bytes, status: os.stat_result, folder: Folder, name: bytes | None) -> Xattrs:
        """Read the attributes that an image can hold."""
        if name is None and folder.descriptor is not None:
            found = self._host_xattrs.of_open(folder.descriptor)
        elif self._file is not None:
            found = self._host_xattrs.of_open(self._file)
        else:
            check = partial(self._unchanged, path, status)
            found = self._host_xattrs.of_name(name or b".", folder.descriptor, folder.host_path, check)
        for raw, value in found:
            if value is None and self._options.wants_xattr(raw):
                notice = f"xattr {printable(raw)} cannot be stored and is dropped"
                self._notice(path, WarningKind.XATTR_DROPPED, notice)
        return tuple((raw, value) for raw, value in found if value is not None)

    def _notice(self, path: bytes, kind: WarningKind, text: str) -> None:
        if self._options.strict:
            raise SourceError(text, source=self.name, entry=path)
        self._warn(Notice(kind, text, self.name, path))


def _named(error: OSError, path: bytes) -> OSError:
    """Give an error of the system the whole path, as text."""
    return OSError(error.errno, error.strerror, os.fsdecode(path))


def _stored_segments(file: int, size: int) -> list[Segment] | None:
    """Ask the file system where a file has data; None where it cannot tell."""
    if not hasattr(os, "SEEK_DATA"):
        return None
    segments: list[Segment] = []
    position = 0
    while position < size:
        try:
            start = os.lseek(file, position, os.SEEK_DATA)
            end = os.lseek(file, start, os.SEEK_HOLE)
        except OSError as error:
            if error.errno == errno.ENXIO:  # no data behind the position
                break
            return None
        segments.append((start, min(end, size) - start))
        position = end
    return segments
