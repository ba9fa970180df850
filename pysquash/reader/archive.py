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
from typing import BinaryIO

from pysquash.errors import UnsupportedImageError, printable
from pysquash.reader.entries import StoredContent, image_entries
from pysquash.reader.path import ImagePath
from pysquash.tree.entry import Entry, Kind, Segment

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


_RECORD_SIZE = 64
_RECORDS_LIMIT = 1 << 20
"""Bytes of one inode's extended attributes, and of what is around each: `pysquash build` takes as many, and tarfile
copies all of them for each one more."""


def to_tar(root: ImagePath, output: BinaryIO) -> list[str]:
    """Write a path of an image, and all below it, as a tar.

    Args:
        root: Where to begin; names in the tar are those in the image.
        output: Any binary file that can be written to, a pipe as well.

    Returns:
        What a tar cannot hold and was left out, a line each: sockets, extended attributes whose names are not UTF-8 or
        have a `=`.

    Raises:
        ImageError: The image is damaged, or an inode has more than 1 MiB of extended attributes.
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
            unheld = [name for name, _ in entry.xattrs if not _is_keyword(name)]
            if unheld:
                names = ", ".join(map(printable, unheld))
                left_out.append(f"{printable(entry.path)}: a tar cannot hold the extended attributes {names}")
                entry.xattrs = tuple([each for each in entry.xattrs if each[0] not in unheld])
            size = sum([len(name) + len(value) + _RECORD_SIZE for name, value in entry.xattrs])
            if size > _RECORDS_LIMIT:
                text = f"{printable(entry.path)}: a tar cannot hold {size} bytes of extended attributes"
                raise UnsupportedImageError(text)
            info = _described(entry)
            if entry.kind is not Kind.FILE:
                archive.addfile(info)
                continue
            content = StoredContent(here)
            sparse_map = b"" if entry.segments is None else _make_sparse(info, entry, entry.segments)
            archive.addfile(info, _Member(sparse_map, content))
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


def _is_keyword(name: bytes) -> bool:
    """Tell whether a name can stand in front of a `=`, in UTF-8."""
    try:
        return "=" not in name.decode()
    except UnicodeDecodeError:
        return False


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")


class _Member(io.BytesIO):
    """What stands behind a member's header: the map of a sparse one, and the content."""

    def __init__(self, head: bytes, content: StoredContent) -> None:
        super().__init__(head)
        self._content = content

    def read(self, size: int | None = -1, /) -> bytes:
        """Give exactly so many bytes, as tarfile asks for them."""
        head = super().read(size)
        return head + self._content.read((size or 0) - len(head))
