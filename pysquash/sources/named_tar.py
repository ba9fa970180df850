"""Tar: a file that somebody names as one, and what it seems to be where it is none.

In: a layer as callers give it. Out: a `Source`, or an error that says what to write instead.
Rules kept here: nothing is guessed of what can be read as a tar; a stream of no bytes at all is none, because that is
what a failed download pipes.
Not here: reading it (tar), layers of container images, which are what their digests say (oci/verified).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NoReturn

from pysquash.compression.stream import Layer
from pysquash.errors import SourceError
from pysquash.notices import Warn
from pysquash.options.writer import WriterOptions
from pysquash.sources.saved_image import SavedImage, SavedImageNames
from pysquash.sources.tar import TarSource
from pysquash.tree.entry import Entry, Kind

__all__ = ["NamedTar", "likeness"]

_SHOWN_SIZE = 40

_DECOMPRESS = "decompress it first, for example with `{} FILE | pysquash build -`"
_UNPACK = "extract it, and pack the directory as dir:PATH"

_MAGICS = (
    (b"hsqs", "a SquashFS image: as a source of `build` it is sqfs:PATH"),
    (b"sqsh", "a big-endian SquashFS image, which is of a version before 4.0"),
    (b"PK\3\4", f"a zip archive: {_UNPACK}"),
    (b"PK\5\6", "an empty zip archive"),
    (b"7z\xbc\xaf\x27\x1c", f"a 7z archive: {_UNPACK}"),
    (b"Rar!\x1a\x07", f"a rar archive: {_UNPACK}"),
    (b"xar!", f"a xar archive: {_UNPACK}"),
    (b"MSCF", f"a cabinet archive: {_UNPACK}"),
    (b"MSWIM\0\0\0", f"a Windows image (WIM): {_UNPACK}"),
    (b"zPQ", f"a zpaq archive: {_UNPACK}"),
    (b"7kSt", f"a zpaq archive: {_UNPACK}"),
    (b"\x04\x22\x4d\x18", f"a file compressed with lz4: {_DECOMPRESS.format('lz4 -dc')}"),
    (b"\x02\x21\x4c\x18", f"a file compressed with lz4: {_DECOMPRESS.format('lz4 -dc')}"),
    (b"\x89LZO\0\r\n\x1a\n", f"a file compressed with lzop: {_DECOMPRESS.format('lzop -dc')}"),
    (b"LRZI", f"a file compressed with lrzip: {_DECOMPRESS.format('lrzcat')}"),
    (b"RZIP", "a file compressed with rzip: decompress it first, with `rzip -d FILE`"),
    (b"GRZipII", "a file compressed with grzip: decompress it first"),
    (b"LZIP", f"a file compressed with lzip: {_DECOMPRESS.format('lzip -dc')}"),
    (b"\x5d\0\0", f"a file compressed with lzma: {_DECOMPRESS.format('xz -dc')}"),
    (b"\xff\x06\0\0sNaPpY", f"a file compressed with snappy: {_DECOMPRESS.format('snzip -dc')}"),
    (b"bvx2", f"a file compressed with lzfse: {_DECOMPRESS.format('lzfse -decode -i')}"),
    (b"BZ0", "a file compressed with bzip 0.21: decompress it first"),
    (b"\x1f\x9d", f"a file compressed with compress: {_DECOMPRESS.format('zcat')}"),
    (b"\x1f\xa0", f"a file compressed with compress -H: {_DECOMPRESS.format('zcat')}"),
    (b"\x1f\x1e", f"a file compressed with pack: {_DECOMPRESS.format('zcat')}"),
    (b"\x1f\x8b", "a file compressed twice, inside with gzip: decompress it once"),
    (b"BZh", "a file compressed twice, inside with bzip2: decompress it once"),
    (b"\xfd7zXZ\0", "a file compressed twice, inside with xz: decompress it once"),
    (b"\x28\xb5\x2f\xfd", "a file compressed twice, inside with zstd: decompress it once"),
    (b"!<arch>\ndebian", "a Debian package: pack its data.tar, as with `dpkg-deb --fsys-tarfile FILE`"),
    (b"!<arch>\n", f"an ar archive: {_UNPACK}"),
    (b"\xed\xab\xee\xdb", "an RPM package: convert it, as with `rpm2archive - < FILE | pysquash build -`"),
    (b"070701", f"a cpio archive: {_UNPACK}"),
    (b"070702", f"a cpio archive: {_UNPACK}"),
    (b"070707", f"a cpio archive: {_UNPACK}"),
    (b"\xc7\x71", f"a cpio archive: {_UNPACK}"),
    (b"Salted__", "a file encrypted with OpenSSL: decrypt it first"),
    (b"age-encryption.org/", "a file encrypted with age: decrypt it first"),
    (b"LUKS\xba\xbe", "an encrypted disk (LUKS)"),
    (b"#!/usr/bin/env run-singularity\n", "a Singularity image (SIF)"),
    (b"\x7fELF", "a program"),
    (b"QFI\xfb", "a QEMU disk image"),
    (b"KDMV", "a VMware disk image"),
    (b"vhdxfile", "a Hyper-V disk image"),
    (b"conectix", "a Hyper-V disk image"),
)


class NamedTar(TarSource):
    """A tar that a caller named; a `Source`."""

    def __init__(self, layer: Layer, *, name: str, options: WriterOptions, warn: Warn, path: str | None = None) -> None:
        """Open the tar.

        Args:
            layer: As for `TarSource`.
            name: As for `TarSource`.
            options: As for `TarSource`.
            warn: As for `TarSource`.
            path: How a source string names it, to refuse a container image with the string to write instead; None to
                take whatever is in it as a root file system.
        """
        self._source_path = path
        super().__init__(layer, name=name, options=options, warn=warn)

    def __iter__(self) -> Iterator[Entry]:
        """Yield the entries in the archive's order.

        Raises:
            SourceError: As for `TarSource`, or there is nothing at all, or it is a container image.
        """
        entries = super().__iter__()
        try:
            if self._source_path is not None:
                yield from self._root_entries(entries, self._source_path)
            yield from entries
        except SourceError as error:
            guess = likeness(self.stream_head) if error.offset == 0 and error.entry is None else None
            if guess is None:
                raise
            raise SourceError(f"is not a tar archive; it looks like {guess}", source=self.name, offset=0) from error
        if not self.unpacked_size:
            raise SourceError("is empty: a tar has at least its end", source=self.name)

    def _root_entries(self, entries: Iterator[Entry], path: str) -> Iterator[Entry]:
        """Yield the entries until their names are not those of a container image."""
        names = SavedImageNames()
        for entry in entries:
            found = names.add(entry.path, is_directory=entry.kind is Kind.DIRECTORY)
            if found is not None:
                self._refuse_image(found, path)
            yield entry
            if not names.is_possible:
                return
        found = names.whole()
        if found is not None:
            self._refuse_image(found, path)

    def _refuse_image(self, found: SavedImage, path: str) -> NoReturn:
        instead = {
            SavedImage.OCI: f"oci-archive:{path}",
            SavedImage.DOCKER: f"docker-archive:{path}",
            SavedImage.DIRECTORY: "dir:DIRECTORY after extracting it",
        }[found]
        text = f"is a container image ({found.value}), not a root file system: write {instead}"
        raise SourceError(f"{text}; tar:{path} packs the files of the archive themselves", source=self.name)

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
