"""OCI: blobs kept on the disk by their digests, as a layout keeps them.

In: verified blobs. Out: the same, verified again. The files are DIR/blobs/ALGORITHM/HEX.
Rules kept here: a blob has its name only when all of it is there and was right, and appears at once, so processes may
share a cache; what is damaged or not a regular file is removed and counts as missing; what is made here is only for
its owner: layers may hold secrets.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
import stat
from io import BufferedReader
from pathlib import Path
from typing import BinaryIO

from pysquash.host.atomic import AtomicFile
from pysquash.sources.oci.digests import Digest
from pysquash.sources.oci.layout import blob_path

__all__ = ["BlobCache", "PartialBlob"]

_DIRECTORY_MODE, _FILE_MODE = 0o700, 0o600


class PartialBlob:
    """A blob on its way into a cache.

    Attributes:
        file: Where to write and read it.
    """

    def __init__(self, target: Path) -> None:
        """Make the file, for a place in a directory that exists."""
        # Not synced: a blob is verified whenever it is read.
        self._atomic = AtomicFile(os.fspath(target), mode=_FILE_MODE, is_synced=False)
        self.file = self._atomic.file

    def keep(self) -> None:
        """Close the file and give it its name, if that can be. Only for bytes that were verified."""
        with contextlib.suppress(OSError):  # as on Windows, where another process may be reading the same blob
            self._atomic.commit()
        self._atomic.discard()

    def drop(self) -> None:
        """Close the file and remove it."""
        self._atomic.discard()


class BlobCache:
    """A directory of blobs."""

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        """Take a directory; it is made when the first blob comes."""
        self._folder = Path(folder)

    def find(self, digest: Digest, size: int) -> BinaryIO | None:
        """Open a blob that is there and right; None where there is none.

        Raises:
            OSError: It cannot be read.
        """
        place = self._place(digest)
        try:
            file = _open_regular(place)
        except FileNotFoundError:
            return None
        if file is not None:
            try:
                if os.fstat(file.fileno()).st_size == size:
                    found = hashlib.file_digest(file, digest.algorithm)
                    if found.hexdigest() == digest.encoded:
                        return file
            except BaseException:
                file.close()
                raise
            file.close()
        _remove(place)
        return None

    def begin(self, digest: Digest) -> PartialBlob:
        """Begin to keep a blob.

        Raises:
            OSError: The directory cannot be written to.
        """
        target = self._place(digest)
        self._folder.mkdir(parents=True, exist_ok=True, mode=_DIRECTORY_MODE)
        target.parent.parent.mkdir(exist_ok=True, mode=_DIRECTORY_MODE)  # parents=True would give it the default mode
        target.parent.mkdir(exist_ok=True, mode=_DIRECTORY_MODE)
        return PartialBlob(target)

    def _place(self, digest: Digest) -> Path:
        return self._folder.joinpath(*blob_path(digest).split("/"))


def _open_regular(path: Path) -> BufferedReader | None:
    """Open a file without waiting; None where it is not a regular one. Opening a named pipe would wait for a writer."""
    try:
        mode = path.stat().st_mode
    except OSError as error:
        if error.errno == errno.ELOOP:
            return None
        raise
    if not stat.S_ISREG(mode):
        return None
    file = open(path, "rb", opener=lambda name, flags: os.open(name, flags | getattr(os, "O_NONBLOCK", 0)))  # noqa: SIM115
    if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        return file
    file.close()  # it was replaced in between
    return None


def _remove(path: Path) -> None:
    """Remove whatever has the name of a blob, as far as that is possible."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
        return
    with contextlib.suppress(FileNotFoundError, PermissionError):
        path.unlink()
