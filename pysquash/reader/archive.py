"""Reader: turns an image into a pax tar, which GNU tar and `pysquash build` both take.

In: a path in an image. Out: a tar with all that is there and below, streamed.
Source: POSIX.1-2001 pax; extended attributes as SCHILY.xattr records, as GNU tar, star and bsdtar have them.
Rules kept here: names that are not UTF-8 and values of any bytes are kept; what comes out, packed again, is the same
tree.
Not here: what an image's names are as entries (entries).
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from typing import TYPE_CHECKING, BinaryIO

from pysquash.errors import UnsupportedImageError, printable
from pysquash.reader.entries import image_entries
from pysquash.tree.entry import Entry, Kind

if TYPE_CHECKING:  # image makes use of this module, and this one of its paths
    from pysquash.reader.image import ImagePath

__all__ = ["to_tar"]

_TYPES = {
    Kind.DIRECTORY: tarfile.DIRTYPE,
    Kind.FILE: tarfile.REGTYPE,
    Kind.SYMLINK: tarfile.SYMTYPE,
    Kind.HARD_LINK: tarfile.LNKTYPE,
    Kind.BLOCK_DEVICE: tarfile.BLKTYPE,
    Kind.CHARACTER_DEVICE: tarfile.CHRTYPE,
    Kind.FIFO: tarfile.FIFOTYPE,
}


def to_tar(root: ImagePath, output: BinaryIO) -> list[str]:
    """Write a path of an image, and all below it, as a tar.

    Args:
        root: Where to begin; names in the tar are those in the image.
        output: Any binary file that can be written to, a pipe as well.

    Returns:
        What a tar cannot hold and was left out, a line each: sockets.

    Raises:
        ImageError: The image is damaged.
        OSError: The output cannot be written.
    """
    left_out = []
    with tarfile.open(
        fileobj=output, mode="w|", format=tarfile.PAX_FORMAT, encoding="utf-8", errors="surrogateescape"
    ) as archive:
        for entry, here in image_entries(root):
            if entry.kind not in _TYPES:
                left_out.append(f"{printable(entry.path)}: a tar cannot hold a {entry.kind.name.lower()}")
                continue
            content = io.BufferedReader(_Content(here.blocks())) if entry.kind is Kind.FILE else None
            archive.addfile(_described(entry), content)
    return left_out


def _described(entry: Entry) -> tarfile.TarInfo:
    info = tarfile.TarInfo(_text(entry.path) or ".")
    info.type, info.mode, info.size = _TYPES[entry.kind], entry.mode, entry.size
    info.uid, info.gid, info.mtime = entry.uid, entry.gid, entry.mtime
    info.linkname = _text(entry.target)
    if entry.device is not None:
        info.devmajor, info.devminor = entry.device
        if max(entry.device) > 0o7777777:
            raise UnsupportedImageError(f"{printable(entry.path)}: a tar cannot hold device {entry.device}")
    info.pax_headers = {f"SCHILY.xattr.{_text(name)}": _text(value) for name, value in entry.xattrs}
    return info


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")


class _Content(io.RawIOBase):
    """A file's blocks as a raw file."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        super().__init__()
        self._blocks = blocks
        self._rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        if not self._rest:
            self._rest = next(self._blocks, b"")
        size = min(len(buffer), len(self._rest))
        buffer[:size] = self._rest[:size]
        self._rest = self._rest[size:]
        return size
