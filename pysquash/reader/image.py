"""Reader: an image, open for reading.

In: a path or a seekable binary file. Out: `SquashfsImage`, from whose root paths lead everywhere.
Not here: what the image holds (filesystem), paths (path), files of the host (extract/extract), tars (archive).
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import BinaryIO

from pysquash.extract.extract import extract
from pysquash.reader.archive import to_tar
from pysquash.reader.filesystem import Filesystem
from pysquash.reader.path import ImagePath, Stat

__all__ = ["ImagePath", "SquashfsImage", "Stat"]


class SquashfsImage(Filesystem):
    """An image, open for reading; a context manager."""

    @property
    def root(self) -> ImagePath:
        """The root directory.

        Raises:
            CorruptImageError: There is no inode where it should be, or that of something else.
        """
        return ImagePath.root_of(self)

    def __truediv__(self, name: str | bytes | os.PathLike[str]) -> ImagePath:
        """Give a path in the image: `image / "etc" / "passwd"`."""
        return self.root / name

    def to_tar(self, output: BinaryIO) -> list[str]:
        """Write the whole image as a pax tar.

        Args:
            output: Any binary file that can be written to, a pipe as well.

        Returns:
            What a tar cannot hold and was left out, a line each: sockets.
        """
        return to_tar(self.root, output)

    def extract(
        self,
        destination: str | os.PathLike[str],
        paths: Iterable[str | bytes | os.PathLike[str]] = (),
        *,
        devices: bool = True,
        setuid: bool = True,
        xattrs: bool = True,
    ) -> list[str]:
        """Write the image, or some of its paths, into a directory of the host; see `reader.extract.extract`.

        As root, this restores owners, devices, set-ID bits and capabilities. Switch them off for an image of unknown
        origin. If extraction fails, everything that it made is removed.

        Args:
            destination: A directory that is empty or does not exist yet.
            paths: What to extract; everything by default.
            devices: Whether to make block and character devices.
            setuid: Whether to restore set-user-ID and set-group-ID bits, and file capabilities (security.capability).
            xattrs: Whether to restore extended attributes.

        Returns:
            What could not be restored, a line each.
        """
        return extract(self.root, destination, paths, devices=devices, setuid=setuid, xattrs=xattrs)
