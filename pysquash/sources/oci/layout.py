"""OCI: image layouts, in a directory (`oci:`) or in a tar (`oci-archive:`).

In: the files of a layout. Out: a `Store` of its blobs, and the descriptors that its index has under a name.
Source: the OCI image specification, "Image Layout".
Not here: which of several manifests is wanted (selection).
"""

from __future__ import annotations

from collections.abc import Iterator

from pysquash.errors import SourceError
from pysquash.sources.oci.digests import Digest
from pysquash.sources.oci.documents import DOCUMENT_SIZE_LIMIT, Descriptor, listed, parse_descriptor, parse_document
from pysquash.sources.oci.files import Files
from pysquash.sources.oci.verified import read_verified

__all__ = ["INDEX_FILE", "LAYOUT_FILE", "Layout", "blob_path"]

LAYOUT_FILE = "oci-layout"
INDEX_FILE = "index.json"
_INDEX_TYPE = "application/vnd.oci.image.index.v1+json"
_REFERENCE = "org.opencontainers.image.ref.name"
_VERSION = "1."


def blob_path(digest: Digest) -> str:
    """Give the place of a blob in a layout."""
    return f"blobs/{digest.algorithm}/{digest.encoded}"


class Layout:
    """An image layout; a `Store`."""

    is_local = True

    def __init__(self, files: Files, *, name: str) -> None:
        """Read the layout's index.

        Args:
            files: Where it is.
            name: What messages call it.

        Raises:
            SourceError: It is no layout.
        """
        self._files = files
        self.name = name
        layout = self._document(LAYOUT_FILE)
        version = layout.get("imageLayoutVersion")
        if not isinstance(version, str) or not version.startswith(_VERSION):
            raise SourceError(f"is an image layout of version {version!r:.40}, not 1.x", source=name)
        manifests = self._document(INDEX_FILE, _INDEX_TYPE).get("manifests")
        if not isinstance(manifests, list):
            raise SourceError(f"{INDEX_FILE} has no list of manifests", source=name)
        self._descriptors = [
            parse_descriptor(row, source=name, what=f"row {index} of {INDEX_FILE}")
            for index, row in enumerate(manifests)
        ]

    def find(self, reference: str) -> list[Descriptor]:
        """Give the descriptors of a name, or of a digest; all of them for "".

        Raises:
            SourceError: There are none.
        """
        if not reference:
            return self._descriptors
        wanted = reference.removeprefix("@")
        found = [
            each
            for each in self._descriptors
            if each.annotations.get(_REFERENCE) == reference or str(each.digest) == wanted
        ]
        if not found:
            known = listed(self.references(), none="none that have a name")
            raise SourceError(f"has no image {reference!r:.120}; there are: {known}", source=self.name)
        return found

    def references(self) -> list[str]:
        """Give the names of the images."""
        return sorted({each.annotations[_REFERENCE] for each in self._descriptors if _REFERENCE in each.annotations})

    def chunks(self, descriptor: Descriptor) -> Iterator[bytes]:
        """Yield a blob's bytes."""
        return self._files.chunks(blob_path(descriptor.digest))

    def close(self) -> None:
        """Close the files."""
        self._files.close()

    def _document(self, name: str, media_type: str | None = None) -> dict[str, object]:
        data = read_verified(
            self._files.chunks(name), None, None, limit=DOCUMENT_SIZE_LIMIT, source=self.name, what=name
        )
        return parse_document(data, source=self.name, what=name, media_type=media_type)
