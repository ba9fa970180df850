"""Reader: turns an image into a pax tar, which GNU tar and `pysquash build` both take.

In: a path in an image. Out: a tar with all that is there and below, streamed.
Source: POSIX.1-2001 pax; extended attributes as SCHILY.xattr records, as GNU tar, star and bsdtar have them.
Rules kept here: names that are not UTF-8 and values of any bytes are kept; large files with holes are sparse; what
comes out, packed again, is the same tree.
Not here: what an image's names are as entries (entries).
"""

from __future__ import annotations

import io
import itertools
import tarfile
from collections.abc import Iterator
from typing import TYPE_CHECKING, BinaryIO

from pysquash.errors import UnsupportedImageError, printable
from pysquash.reader.entries import image_entries, stored_content
from pysquash.tree.entry import Entry, Kind, Segment

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
            info = _described(entry)
            if entry.kind is not Kind.FILE:
                archive.addfile(info)
                continue
            pieces = stored_content(entry, here)
            if entry.segments is not None:
                sparse_map = _make_sparse(info, entry, entry.segments)
                pieces = itertools.chain([sparse_map], pieces)
            archive.addfile(info, io.BufferedReader(_Content(pieces)))
    return left_out


def _make_sparse(info: tarfile.TarInfo, entry: Entry, segments: tuple[Segment, ...]) -> bytes:
    """Make a member a sparse one: GNU's form 1.0, which puts a map of the stored runs in front of them.

    Returns:
        The map: a count, and then start and size of each run, one number on a line, padded to whole blocks.
    """
    if not segments or sum(segments[-1]) != entry.size:
        segments = (*segments, (entry.size, 0))  # how GNU tar knows of a hole at the end
    lines = [len(segments), *itertools.chain.from_iterable(segments)]
    sparse_map = "".join(f"{number}\n" for number in lines).encode("ascii")
    sparse_map += bytes(-len(sparse_map) % tarfile.BLOCKSIZE)
    info.pax_headers = {
        **info.pax_headers,
        "GNU.sparse.major": "1",
        "GNU.sparse.minor": "0",
        "GNU.sparse.name": info.name,
        "GNU.sparse.realsize": str(entry.size),
    }
    folder, _, name = info.name.rpartition("/")
    info.name = f"{folder or '.'}/GNUSparseFile.0/{name}"  # for who does not know of it
    info.size = len(sparse_map) + entry.stored_size
    return sparse_map


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
