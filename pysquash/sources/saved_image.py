"""Saved images: recognises a container image that was given as a root file system, by the names of its first entries.

In: the paths of a tar's entries in its order, or of a directory's. Out: what was found, and the source string to write.
Source: Docker's "Image Specification v1.2", the OCI image layout, and the files that skopeo's `dir:` writes.
Rules kept here: nothing is recognised after the first name that no such image has, so that a root file system costs one
look; names with digests are recognised at once, others when all is seen.
Not here: reading images (oci).
"""

from __future__ import annotations

import enum
import re

__all__ = ["SavedImage", "SavedImageNames"]

_BLOB = re.compile(rb"blobs/(?:sha256/[0-9a-f]{64}|sha384/[0-9a-f]{96}|sha512/[0-9a-f]{128})")
_BLOB_DIRECTORY = re.compile(rb"blobs(?:/[a-z0-9]+)?")
_LAYER_BY_DIGEST = re.compile(
    rb"[0-9a-f]{64}/layer\.tar|(?:sha256:)?[0-9a-f]{64}\.tar(?:\.[a-z0-9]+)?|sha256:[0-9a-f]{64}"
)
_LAYER = re.compile(rb"[^/]+/layer\.tar|[^/]+\.(?:tgz|tar(?:\.[a-z0-9]+)?)")
_BLOB_BY_DIGEST = re.compile(rb"[0-9a-f]{64}|[0-9a-f]{96}|[0-9a-f]{128}")
_OTHER = re.compile(rb"[^/]+\.json|[^/]+/(?:json|VERSION)")
_MARKS = frozenset([b"manifest.json", b"repositories", b"version"])
_TOP_DIRECTORY = re.compile(rb"[^/]+")


class SavedImage(enum.Enum):
    """The kinds of container images that are files. The values are what messages call them."""

    OCI = "an OCI image layout"
    DOCKER = "an archive of `docker save`"
    DIRECTORY = "a directory of skopeo's dir: transport"


class SavedImageNames:
    """Names seen so far.

    Attributes:
        is_possible: Whether all of them are such that a container image has them.
    """

    def __init__(self) -> None:
        """Start with no name."""
        self.is_possible = True
        self._names: set[bytes] = set()
        self._has_layer = self._has_blob = False

    def add(self, path: bytes, *, is_directory: bool) -> SavedImage | None:
        """Take the next name.

        Args:
            path: As in an entry; b"" for the root.
            is_directory: Whether it is one.

        Returns:
            The kind of image, where no other name could change that; else None.
        """
        if not path:
            return None
        if is_directory:
            self.is_possible = self.is_possible and bool(
                _TOP_DIRECTORY.fullmatch(path) or _BLOB_DIRECTORY.fullmatch(path)
            )
            return None
        if _BLOB.fullmatch(path) or path == b"oci-layout":
            return SavedImage.OCI
        if _LAYER_BY_DIGEST.fullmatch(path):
            return SavedImage.DOCKER
        if _LAYER.fullmatch(path):
            self._has_layer = True
        elif _BLOB_BY_DIGEST.fullmatch(path):
            self._has_blob = True
        elif path in _MARKS:
            self._names.add(path)
        elif not _OTHER.fullmatch(path):
            self.is_possible = False
        return None

    def whole(self) -> SavedImage | None:
        """Return the kind of image that all names make, or None for something else."""
        if not self.is_possible:
            return None
        if b"manifest.json" in self._names and (self._has_blob or b"version" in self._names):
            return SavedImage.DIRECTORY
        if self._has_layer and self._names & {b"manifest.json", b"repositories"}:
            return SavedImage.DOCKER
        return None
