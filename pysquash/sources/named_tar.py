"""Tar: a file that somebody names as one, and what it seems to be where it is none.

In: a layer as callers give it. Out: a `Source`, or an error that says what to write instead.
Rules kept here: nothing is guessed of what can be read as a tar; a stream of no bytes at all is none, because that is
what a failed download pipes.
Not here: reading it (tar), layers of container images, which are what their digests say (oci/verified).
"""

from __future__ import annotations

from collections.abc import Iterator

from pysquash.errors import SourceError
from pysquash.sources.tar import TarSource
from pysquash.tree.entry import Entry

__all__ = ["NamedTar", "likeness"]

_SHOWN_SIZE = 40

_MAGICS = (
    (b"hsqs", "a SquashFS image: as a source of `build` it is sqfs:PATH"),
    (b"sqsh", "a big-endian SquashFS image, which is of a version before 4.0"),
    (b"PK\3\4", "a zip archive: unpack it, and pack the folder as dir:PATH"),
    (b"PK\5\6", "a zip archive with nothing in it"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive: unpack it, and pack the folder as dir:PATH"),
    (b"Rar!\x1a\x07", "a rar archive: unpack it, and pack the folder as dir:PATH"),
    (b"\x04\x22\x4d\x18", "compressed with lz4: decompress it, as with `lz4 -dc FILE | pysquash build -`"),
    (b"\x1f\x9d", "compressed with compress: decompress it, as with `zcat FILE | pysquash build -`"),
    (b"LZIP", "compressed with lzip: decompress it, as with `lzip -dc FILE | pysquash build -`"),
    (b"\x5d\0\0", "compressed with lzma: decompress it, as with `xz -dc FILE | pysquash build -`"),
    (b"\x1f\x8b", "compressed twice, inside with gzip: decompress it once"),
    (b"\xfd7zXZ\0", "compressed twice, inside with xz: decompress it once"),
    (b"\x28\xb5\x2f\xfd", "compressed twice, inside with zstd: decompress it once"),
    (
        b"!<arch>\ndebian",
        "a Debian package: its data.tar is what can be packed, as with `dpkg-deb --fsys-tarfile FILE`",
    ),
    (b"\xed\xab\xee\xdb", "an RPM package, and no tar is in it"),
    (b"070701", "a cpio archive: unpack it, and pack the folder as dir:PATH"),
    (b"070702", "a cpio archive: unpack it, and pack the folder as dir:PATH"),
    (b"070707", "a cpio archive: unpack it, and pack the folder as dir:PATH"),
    (b"\x7fELF", "a program"),
    (b"QFI\xfb", "a disk image of QEMU"),
)


class NamedTar(TarSource):
    """A tar that a caller named; a `Source`."""

    def __iter__(self) -> Iterator[Entry]:
        """Yield the entries in the archive's order.

        Raises:
            SourceError: As for `TarSource`, or there is nothing at all.
        """
        try:
            yield from super().__iter__()
        except SourceError as error:
            guess = likeness(self.stream_head) if error.offset == 0 and error.entry is None else None
            if guess is None:
                raise
            raise SourceError(f"is no tar; it looks like {guess}", source=self.name, offset=0) from error
        if not self.unpacked_size:
            raise SourceError("is empty: a tar has at least its end", source=self.name)

    @property
    def stream_head(self) -> bytes:
        """The first bytes, decompressed."""
        return self._stream.head


def likeness(head: bytes) -> str | None:
    """Tell what bytes that are no tar look like.

    Args:
        head: The first of them, as many as there are up to 512.

    Returns:
        What completes "it looks like", or None.
    """
    for magic, text in _MAGICS:
        if head.startswith(magic):
            return text
    try:
        text = head.decode()
    except UnicodeDecodeError as error:
        if error.start < len(head) - 3:  # else a character that is cut in two
            return None
        text = head[: error.start].decode()
    if not text or not all(character.isprintable() or character in "\t\r\n\f" for character in text):
        return None
    shown = text.strip().partition("\n")[0].strip()[:_SHOWN_SIZE]
    return f"text: {shown!r}" if shown else "text, all of it blank"
