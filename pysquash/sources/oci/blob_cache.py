"""OCI: blobs kept on the disk by their digests, as a layout keeps them.

In: verified blobs. Out: the same, verified again. The files are DIR/blobs/ALGORITHM/HEX.
Rules kept here: a blob has its name only when all of it is there and was right, and appears at once, so processes may
share a cache; one that is damaged is removed and counts as not there.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
from pathlib import Path
from typing import BinaryIO

from pysquash.sources.oci.digests import Digest
from pysquash.sources.oci.layout import blob_path

__all__ = ["BlobCache", "PartialBlob"]


class PartialBlob:
    """A blob on its way into a cache.

    Attributes:
        file: Where to write and read it.
    """

    def __init__(self, target: Path) -> None:
        """Make the file, beside the place that it is for."""
        target.parent.mkdir(parents=True, exist_ok=True)
        self._path = target.with_name(f".{target.name[:12]}-{secrets.token_hex(8)}.part")
        self._target = target
        self.file: BinaryIO = self._path.open("x+b")

    def keep(self) -> None:
        """Close the file and give it its name, if that can be. Only for bytes that were verified."""
        self.file.close()
        with contextlib.suppress(OSError):  # as on Windows, where another process may be reading the same blob
            os.replace(self._path, self._target)
        self._path.unlink(missing_ok=True)

    def drop(self) -> None:
        """Close the file and remove it."""
        self.file.close()
        self._path.unlink(missing_ok=True)


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
            file = place.open("rb")
        except FileNotFoundError:
            return None
        try:
            if os.fstat(file.fileno()).st_size == size:
                found = hashlib.file_digest(file, digest.algorithm)
                if found.hexdigest() == digest.encoded:
                    return file
        except BaseException:
            file.close()
            raise
        file.close()
        with contextlib.suppress(FileNotFoundError, PermissionError):
            place.unlink()
        return None

    def begin(self, digest: Digest) -> PartialBlob:
        """Begin to keep a blob.

        Raises:
            OSError: The directory cannot be written to.
        """
        return PartialBlob(self._place(digest))

    def _place(self, digest: Digest) -> Path:
        return self._folder.joinpath(*blob_path(digest).split("/"))
