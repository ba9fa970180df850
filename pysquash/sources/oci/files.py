"""OCI: the files of a layout or an archive, found by name.

In: a directory, or a tar, plain or compressed. Out: the bytes of a file in it.
Rules kept here: names come from checked digests or are looked up as they are, so none leads out of the directory; a
compressed archive is unpacked once, into a temporary file, because blobs are read in another order than they stand.
Not here: what the files mean (layout, docker_archive).
"""

from __future__ import annotations

import contextlib
import os
import posixpath
import stat
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Protocol

from pysquash.compression.stream import LayerStream
from pysquash.errors import SourceError
from pysquash.options import Limits

__all__ = ["ArchiveFiles", "DirectoryFiles", "Files", "split_reference"]

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
            is_file = stat.S_ISREG(place.stat().st_mode)  # before it is opened: a pipe would make us wait
        except FileNotFoundError:
            is_file = False
        if not is_file:
            raise SourceError(f"there is no file {name}", source=self._name)
        with place.open("rb", buffering=0) as file:
            while chunk := file.read(_CHUNK_SIZE):
                yield chunk

    def close(self) -> None:
        """Have nothing open."""

    def _place(self, name: str) -> Path:
        parts = name.split("/")
        if any(part in ("", ".", "..") or "\\" in part or ":" in part for part in parts) and ":" not in parts[0]:
            raise SourceError(f"there is no file {name!r:.120}", source=self._name)
        return self._root.joinpath(*parts)


class ArchiveFiles:
    """The files in a tar."""

    def __init__(self, path: str, *, name: str, limits: Limits) -> None:
        """Find out what is where.

        Args:
            path: The archive.
            name: What errors call it.
            limits: Of what may be unpacked.

        Raises:
            OSError: The archive cannot be read.
            SourceError: It is none.
        """
        self._name = name
        self._file: BinaryIO = open(path, "rb", buffering=0)  # noqa: SIM115 - closed by close
        try:
            stream = LayerStream(path, name=name, limits=limits)
            with contextlib.closing(stream):
                if stream.is_compressed:
                    self._file.close()
                    self._file = _unpacked(stream)
            self._members = self._read_members()
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
        position, left = member.offset_data, member.size
        while left:
            self._file.seek(position)
            chunk = self._file.read(min(left, _CHUNK_SIZE))
            if not chunk:
                raise SourceError(f"the archive ends within {name}", source=self._name)
            position += len(chunk)
            left -= len(chunk)
            yield chunk

    def close(self) -> None:
        """Close the archive."""
        self._file.close()

    def _read_members(self) -> dict[str, tarfile.TarInfo]:
        try:
            with tarfile.open(fileobj=self._file, mode="r:") as archive:
                return {posixpath.normpath(member.name): member for member in archive}
        except (tarfile.TarError, ValueError, EOFError) as error:
            raise SourceError(f"is no tar that can be read: {error}", source=self._name) from error

    def _find(self, name: str) -> tarfile.TarInfo | None:
        """Find a file, through links inside the archive: that is how Docker saves a layer that is there twice."""
        name = posixpath.normpath(name)
        for _ in range(_LINK_STEPS):
            member = self._members.get(name)
            if member is None or member.isfile():
                return member
            if member.issym():
                name = posixpath.normpath(posixpath.join(posixpath.dirname(name), member.linkname))
            elif member.islnk():
                name = posixpath.normpath(member.linkname)
            else:
                return None
        return None


def _unpacked(stream: LayerStream) -> BinaryIO:
    """Write a stream's plain bytes into a temporary file."""
    file = tempfile.TemporaryFile()  # noqa: SIM115 - closed by its taker
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
    """
    at = len(text)
    while at > 0:
        if os.path.exists(text[:at]):
            return text[:at], text[at + 1 :]
        at = text.rfind(":", 0, at)
    path, _, reference = text.partition(":")
    return path, reference
