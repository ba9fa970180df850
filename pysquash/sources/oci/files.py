"""OCI: the files of a layout or an archive, found by name.

In: a directory, or a tar, plain or compressed. Out: the bytes of a file in it.
Rules kept here: names come from checked digests or are looked up as they are, so none leads out of the directory; a
compressed archive is unpacked once, into a temporary file, because blobs are read in another order than they stand.
Not here: what the files mean (layout, docker_archive).
"""

from __future__ import annotations

import contextlib
import io
import os
import posixpath
import stat
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple, Protocol

from pysquash.compression.stream import LayerStream
from pysquash.errors import LimitError, SourceError
from pysquash.notices import Notice, Warn, WarningKind
from pysquash.options.limits import Limits
from pysquash.options.writer import WriterOptions
from pysquash.sources.tar import TarSource
from pysquash.tree.entry import Kind

__all__ = ["STANDARD_INPUT", "ArchiveFiles", "DirectoryFiles", "Files", "split_reference"]

STANDARD_INPUT = "-"
"""What stands for standard input in the place of an archive's path."""

_CHUNK_SIZE = 1 << 20
_LINK_STEPS = 16


class Files(Protocol):
    """Files by their names."""

    def has(self, name: str) -> bool:
        """Tell whether there is such a file."""
        ...

    def chunks(self, name: str) -> Iterator[bytes]:
        """Yield a file's bytes; SourceError where there is none."""
        ...

    def close(self) -> None:
        """Let go of what is open."""
        ...


class DirectoryFiles:
    """The files below a directory."""

    def __init__(self, path: str, *, name: str) -> None:
        """Take a directory.

        Args:
            path: Where it is.
            name: What errors call it.

        Raises:
            OSError: There is none.
        """
        self._root = Path(path)
        self._name = name
        os.listdir(self._root)  # for the system's own error, if there is one

    def has(self, name: str) -> bool:
        """Tell whether there is such a file."""
        return self._place(name).is_file()

    def chunks(self, name: str) -> Iterator[bytes]:
        """Yield a file's bytes.

        Raises:
            SourceError: There is no such file.
            OSError: It cannot be read.
        """
        place = self._place(name)
        try:
            mode = place.stat().st_mode
        except (FileNotFoundError, NotADirectoryError):
            raise SourceError(f"there is no file {name}", source=self._name) from None
        if not stat.S_ISREG(mode):  # seen before it is opened: a pipe would make us wait
            raise SourceError(f"{name} is no regular file", source=self._name)
        with place.open("rb", buffering=0) as file:
            while chunk := file.read(_CHUNK_SIZE):
                yield chunk

    def close(self) -> None:
        """Have nothing open."""

    def _place(self, name: str) -> Path:
        parts = name.split("/")
        if any(part in ("", ".", "..") or "\\" in part or ":" in part for part in parts):
            raise SourceError(f"there is no file {name!r:.120}", source=self._name)
        return self._root.joinpath(*parts)


class ArchiveFiles:
    """The files in a tar."""

    def __init__(self, path: str, *, name: str, options: WriterOptions, warn: Warn, folder: str | None = None) -> None:
        """Find out what is where.

        Args:
            path: The archive, or "-" for standard input.
            name: What errors call it.
            options: limits, strict and timeout are used.
            warn: Takes warnings.
            folder: Where a compressed archive or a pipe is unpacked; None for the system's choice.

        Raises:
            OSError: The archive cannot be read.
            SourceError: It is none.
        """
        self._name = name
        self._options = options
        self._warn = warn
        # Opening a named pipe waits for its writer, which the stream does no longer than it may.
        is_pipe = path != STANDARD_INPUT and stat.S_ISFIFO(os.stat(path).st_mode)
        self._file: BinaryIO = io.BytesIO() if is_pipe else _opened(path)
        try:
            stream = LayerStream(
                path if is_pipe else self._file,
                name=name,
                limits=options.limits,
                timeout=options.timeout,
                garbage=self._notice_garbage,
            )
            with contextlib.closing(stream):
                if stream.is_compressed or is_pipe or not self._file.seekable():
                    packed_file, self._file = self._file, _unpacked(stream, folder)
                    packed_file.close()
            self._file.seek(0)
            self._members = _read_members(self._file, name=name, limits=options.limits)
        except BaseException:
            self.close()
            raise

    def has(self, name: str) -> bool:
        """Tell whether there is such a file."""
        return self._find(name) is not None

    def chunks(self, name: str) -> Iterator[bytes]:
        """Yield a file's bytes.

        Raises:
            SourceError: There is no such file, or the archive ends within it.
            OSError: It cannot be read.
        """
        member = self._find(name)
        if member is None:
            raise SourceError(f"there is no file {name!r:.120} in it", source=self._name)
        position, left = member.start, member.size
        while left:
            self._file.seek(position)
            chunk = self._file.read(min(left, _CHUNK_SIZE))
            if not chunk:
                raise SourceError(f"the archive ends within {name}", source=self._name)
            position += len(chunk)
            left -= len(chunk)
            yield chunk

    def why_missing(self, name: str) -> str:
        """Say why `has` is False."""
        member = self._members.get(posixpath.normpath(name))
        if member is None or member.target is None:
            return "is not in it"
        return f"is a link to {member.target!r:.120}, which is not in it"

    def close(self) -> None:
        """Close the archive."""
        self._file.close()

    def _notice_garbage(self, text: str) -> None:
        if self._options.strict:
            raise SourceError(text, source=self._name)
        self._warn(Notice(WarningKind.END_OF_ARCHIVE, text, self._name))

    def _find(self, name: str) -> _Member | None:
        """Find a file, through links inside the archive: that is how Docker saves a layer that is there twice."""
        name = posixpath.normpath(name)
        for _ in range(_LINK_STEPS):
            member = self._members.get(name)
            if member is None or member.target is None:
                return member
            name = member.target
        return None


class _Member(NamedTuple):
    """A file in a tar, or a link.

    Attributes:
        start: The byte at which its content starts.
        size: How much that is.
        target: The name that it leads to, or None for a file.
    """

    start: int
    size: int
    target: str | None


class _Headers(TarSource):
    """A tar's entries, without their content being read."""

    has_xattrs = False

    def __init__(self, file: BinaryIO, *, name: str, limits: Limits) -> None:
        self._file = file
        self._size = file.seek(0, os.SEEK_END)
        file.seek(0)
        super().__init__(file, name=name, options=WriterOptions(limits=limits), warn=lambda _notice: None)
        if self._stream.is_compressed:
            self.close()
            raise SourceError("is compressed twice", source=name)

    @property
    def position(self) -> int:
        """Where the content of the entry yielded last starts."""
        return self._start + self._position

    def _skip(self, size: int) -> None:
        """Pass over bytes without reading them."""
        if size <= len(self._buffer) - self._position:
            self._position += size
            return
        end = self.position + size
        if end > self._size:
            self._raise_ends_early(end - self._size)
        self._file.seek(end)
        self._start, self._buffer, self._position = end, b"", 0


def _read_members(file: BinaryIO, *, name: str, limits: Limits) -> dict[str, _Member]:
    """Find out what is where in a tar; the last of one name counts."""
    members: dict[str, _Member] = {}
    with contextlib.closing(_Headers(file, name=name, limits=limits)) as headers:
        for count, entry in enumerate(headers, 1):
            if count > limits.entry_count:
                raise LimitError("the number of entries", count, limits.entry_count, where=name, name="entry_count")
            path, target = _text(entry.path), None
            if entry.kind is Kind.SYMLINK:
                target = posixpath.normpath(posixpath.join(posixpath.dirname(path), _text(entry.target)))
            elif entry.kind is Kind.HARD_LINK:
                target = _text(entry.target)
            elif entry.kind is not Kind.FILE or entry.segments is not None:
                continue
            members[path] = _Member(headers.position, entry.size, target)
    return members


def _text(path: bytes) -> str:
    return path.decode("utf-8", "surrogateescape")


def _opened(path: str) -> BinaryIO:
    """Open an archive, or standard input."""
    if path == STANDARD_INPUT:
        return io.FileIO(sys.stdin.fileno(), closefd=False)
    return open(path, "rb", buffering=0)


def _unpacked(stream: LayerStream, folder: str | None) -> BinaryIO:
    """Write a stream's plain bytes into a temporary file."""
    file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - closed by its taker
    try:
        for chunk in stream:
            file.write(chunk)
    except BaseException:
        file.close()
        raise
    return file


def split_reference(text: str) -> tuple[str, str]:
    """Cut PATH[:REFERENCE] in two, at the last colon in front of which there is something on the disk.

    Returns:
        The path, and the reference or "".

    Raises:
        SourceError: There is no path in it.
    """
    at = len(text) if text.partition(":")[0] != STANDARD_INPUT else 0
    while at > 0:
        if os.path.exists(text[:at]):
            return text[:at], text[at + 1 :]
        at = text.rfind(":", 0, at)
    path, _, reference = text.partition(":")
    if not path:
        raise SourceError("a path is missing in front of the reference" if reference else "a path is missing")
    return path, reference
