"""OCI: an image in a directory as skopeo's `dir:` transport writes it.

In: the files of a directory with `version` and `manifest.json`. Out: a `Store` of its blobs, and its manifest's
descriptor.
Source: `directory_transport.go` of containers/image: blobs are named by the hexadecimal digits of their digests, the
manifests of an index by these and `.manifest.json`.
Rules kept here: no document says what manifest.json should be, so its digest is that of what is there; everything that
it leads to is verified.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator

from pysquash.errors import SourceError
from pysquash.sources.oci.digests import Digest
from pysquash.sources.oci.documents import (
    DOCUMENT_SIZE_LIMIT,
    INDEX_TYPES,
    MANIFEST_TYPES,
    Descriptor,
    parse_document,
)
from pysquash.sources.oci.files import DirectoryFiles
from pysquash.sources.oci.verified import read_verified

__all__ = ["DirectoryImage", "is_directory_image"]

_VERSION_FILE = "version"
_MANIFEST_FILE = "manifest.json"
_VERSION = re.compile(rb"Directory Transport Version: (\d+)\.\d+\s*")
_VERSION_PREFIX = b"Directory Transport Version"
_READ_VERSION = b"1"
_OCI, _DOCKER = "application/vnd.oci.image.", "application/vnd.docker.distribution.manifest."


def is_directory_image(path: str) -> bool:
    """Return whether a directory says that skopeo's `dir:` transport wrote it."""
    place = os.path.join(path, _VERSION_FILE)
    try:
        if not os.path.isfile(place):
            return False
        with open(place, "rb") as file:
            return file.read(len(_VERSION_PREFIX)) == _VERSION_PREFIX
    except OSError:
        return False


class DirectoryImage:
    """An image in a directory; a `Store`.

    Attributes:
        name: What messages call it.
        manifest: The descriptor of manifest.json.
    """

    is_local = True

    def __init__(self, files: DirectoryFiles, *, name: str) -> None:
        """Read the manifest.

        Args:
            files: The directory.
            name: What messages call it.

        Raises:
            SourceError: The version is unknown, or the manifest is missing or malformed.
        """
        self._files = files
        self.name = name
        version = _VERSION.fullmatch(self._read(_VERSION_FILE))
        if version is None or version[1] != _READ_VERSION:
            raise SourceError("the file version is not that of a Directory Transport Version 1.x", source=name)
        data = self._read(_MANIFEST_FILE)
        document = parse_document(data, source=name, what=_MANIFEST_FILE)
        digest = Digest("sha256", hashlib.sha256(data).hexdigest())
        self.manifest = Descriptor(_media_type(document), digest, len(data), {}, None)

    def chunks(self, descriptor: Descriptor) -> Iterator[bytes]:
        """Yield a blob's bytes."""
        digits = descriptor.digest.encoded
        if descriptor.digest == self.manifest.digest:
            return self._files.chunks(_MANIFEST_FILE)
        if descriptor.media_type in INDEX_TYPES | MANIFEST_TYPES:
            return self._files.chunks(f"{digits}.manifest.json")
        if not self._files.has(digits) and self._files.has(f"{digits}.tar"):  # as written until version 1.1
            return self._files.chunks(f"{digits}.tar")
        return self._files.chunks(digits)

    def close(self) -> None:
        """Close the files."""
        self._files.close()

    def _read(self, name: str) -> bytes:
        chunks = self._files.chunks(name)
        return read_verified(chunks, None, None, limit=DOCUMENT_SIZE_LIMIT, source=self.name, what=name)


def _media_type(document: dict[str, object]) -> str:
    """Return what a manifest is: what it says, or else what its rows tell."""
    own = document.get("mediaType")
    if isinstance(own, str) and own:
        return own
    if document.get("schemaVersion") == 1:
        return f"{_DOCKER}v1+json"
    return f"{_OCI}index.v1+json" if "manifests" in document else f"{_OCI}manifest.v1+json"
