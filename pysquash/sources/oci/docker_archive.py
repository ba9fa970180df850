"""OCI: what `docker save` writes (`docker-archive:`).

In: the files of an archive with a manifest.json. Out: an image in it: its configuration and its layers.
Source: Docker's "Image Specification v1.2", "Combined Image JSON + Filesystem Changeset Format".
Rules kept here: layers may be links to each other; where a file's name is a digest, it is verified; the layers'
diff_ids always are.
Not here: archives that are layouts only (layout).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

from pysquash.errors import SourceError
from pysquash.sources.oci.digests import Digest
from pysquash.sources.oci.documents import DOCUMENT_SIZE_LIMIT, listed, parse_json, text_items
from pysquash.sources.oci.files import ArchiveFiles
from pysquash.sources.oci.registry_name import RegistryName
from pysquash.sources.oci.verified import LayerBlob, read_verified

__all__ = ["MANIFEST_FILE", "DockerArchive", "SavedImage"]

MANIFEST_FILE = "manifest.json"
_NAMED_BY_DIGEST = re.compile(r"(?:blobs/sha256/)?([0-9a-f]{64})(?:\.json|\.tar)?")


class SavedImage(NamedTuple):
    """One row of manifest.json.

    Attributes:
        config: The configuration's name in the archive.
        tags: What it is called.
        layers: The layers' names, base first.
    """

    config: str
    tags: list[str]
    layers: list[str]


class DockerArchive:
    """An archive of `docker save`, old or new."""

    def __init__(self, files: ArchiveFiles, *, name: str) -> None:
        """Read which images there are.

        Args:
            files: The archive.
            name: What messages call it.

        Raises:
            SourceError: manifest.json is not what it should be.
        """
        self._files = files
        self._name = name
        data = read_verified(
            files.chunks(MANIFEST_FILE), None, None, limit=DOCUMENT_SIZE_LIMIT, source=name, what=MANIFEST_FILE
        )
        rows = parse_json(data, source=name, what=MANIFEST_FILE)
        if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
            raise SourceError(f"{MANIFEST_FILE} is no list of images", source=name)
        self._images = [
            SavedImage(
                text_items([row.get("Config")], source=name, what=f"Config in {MANIFEST_FILE}")[0],
                text_items(row.get("RepoTags"), source=name, what=f"RepoTags in {MANIFEST_FILE}"),
                text_items(row.get("Layers"), source=name, what=f"Layers in {MANIFEST_FILE}"),
            )
            for row in rows
        ]

    def find(self, reference: str) -> SavedImage:
        """Find an image.

        Args:
            reference: One of its tags, with or without "docker.io/", "library/" and ":latest", because Docker saves
                them without and others with; `@N` for the row N of manifest.json; "" for the only one.

        Raises:
            SourceError: There is no such image, or more than one where none is named.
        """
        images = self._images
        if reference.startswith("@") and reference[1:].isascii() and reference[1:].isdigit():
            if int(reference[1:]) < len(images):
                return images[int(reference[1:])]
        elif reference:
            for image in images:
                if reference in image.tags:
                    return image
            wanted = _full_name(reference)
            for image in images:
                if wanted is not None and wanted in map(_full_name, image.tags):
                    return image
        elif len(images) == 1:
            return images[0]
        known = listed((image.tags[0] if image.tags else f"@{row}" for row, image in enumerate(images)), none="none")
        if not reference:
            raise SourceError(f"has several images, of which one must be named: {known}", source=self._name)
        raise SourceError(f"has no image {reference!r:.120}; there are: {known}", source=self._name)

    def read_config(self, image: SavedImage, verified: Callable[[str], None]) -> bytes:
        """Read an image's configuration."""
        digest = _digest_in(image.config)
        data = read_verified(
            self._files.chunks(image.config),
            digest,
            None,
            limit=DOCUMENT_SIZE_LIMIT,
            source=self._name,
            what="the configuration",
        )
        if digest is not None:
            verified(str(digest))
        return data

    def layers(self, image: SavedImage, diff_ids: Sequence[Digest]) -> list[LayerBlob]:
        """Give an image's layers.

        Args:
            image: Which one.
            diff_ids: Of its layers.

        Raises:
            SourceError: One is missing.
        """
        layers = []
        for number, (path, diff_id) in enumerate(zip(image.layers, diff_ids, strict=True), 1):
            if not self._files.has(path):
                why = self._files.why_missing(path)
                raise SourceError(f"layer {number}, {path!r:.120}, {why}", source=self._name)
            # Where the name is a digest, an older one may be that of the layer's description: only blobs are verified.
            digest = _digest_in(path) if path.startswith("blobs/") else None
            name = f"{self._name}: layer {number} ({diff_id.short})"
            layers.append(LayerBlob(name, partial(self._files.chunks, path), True, digest, None, diff_id))
        return layers


def _full_name(tag: str) -> RegistryName | None:
    """Complete a tag; None where it is no name that a registry could have."""
    try:
        return RegistryName.parse(f"//{tag}")
    except SourceError:
        return None


def _digest_in(path: str) -> Digest | None:
    """Take the digest that a file's name is; None where it is none."""
    match = _NAMED_BY_DIGEST.fullmatch(path)
    return None if match is None else Digest("sha256", match[1])
