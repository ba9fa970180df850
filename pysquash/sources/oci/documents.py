"""OCI: the JSON documents of an image: indexes, manifests, configurations, and the descriptors between them.

In: a document's bytes. Out: what it says, checked as far as it is used.
Source: the OCI image specification, "Descriptor", "Image Index", "Image Manifest", "Image Configuration"; Docker's
"Image Manifest Version 2, Schema 2".
Rules kept here: a document is a JSON object, at most 4 MiB; its own media type, where it has one, is the one that led
to it; it has layers or manifests, never both.
Not here: which manifest of an index is wanted (selection), where documents are (layout, docker_archive, registry).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, NoReturn

from pysquash.errors import LimitError, SourceError, printable
from pysquash.sources.oci.digests import Digest, parse_digest

__all__ = [
    "CONFIG_TYPES",
    "DOCUMENT_SIZE_LIMIT",
    "INDEX_TYPES",
    "MANIFEST_TYPES",
    "SCHEMA_1_TYPES",
    "Descriptor",
    "check_layer_type",
    "check_size",
    "is_squashfs_layer",
    "listed",
    "parse_descriptor",
    "parse_document",
    "parse_json",
    "text_items",
]

DOCUMENT_SIZE_LIMIT = 4 << 20
"""Bytes of an index, a manifest or a configuration: what registries take."""

_OCI, _DOCKER = "application/vnd.oci.image.", "application/vnd.docker.distribution.manifest."
_DOCKER_LAYER = "application/vnd.docker.image.rootfs."

INDEX_TYPES = frozenset({f"{_OCI}index.v1+json", f"{_DOCKER}list.v2+json"})
MANIFEST_TYPES = frozenset({f"{_OCI}manifest.v1+json", f"{_DOCKER}v2+json"})
SCHEMA_1_TYPES = frozenset({f"{_DOCKER}v1+json", f"{_DOCKER}v1+prettyjws"})
CONFIG_TYPES = frozenset({f"{_OCI}config.v1+json", "application/vnd.docker.container.image.v1+json"})

_LAYER_TYPES = frozenset(
    {f"{_OCI}layer.{kind}v1.tar{suffix}" for kind in ("", "nondistributable.") for suffix in ("", "+gzip", "+zstd")}
    | {f"{_DOCKER_LAYER}{kind}diff.tar{suffix}" for kind in ("", "foreign.") for suffix in ("", ".gzip", ".zstd")}
)
_SQUASHFS_LAYER = re.compile(
    r"application/vnd\.(?:oci|stacker|sylabs)\.image\.layer\.(?:v1\.)?squashfs(?:\+[a-z0-9]+)*"
)
_ENCRYPTED = "+encrypted"
_SHOWN_NAMES = 10

Document = dict[str, Any]


class Descriptor(NamedTuple):
    """What a document says of another one, or of a blob.

    Attributes:
        media_type: What it is.
        digest: Of its bytes.
        size: How many these are.
        annotations: Texts by their names.
        platform: What it runs on, as the document has it, or None.
    """

    media_type: str
    digest: Digest
    size: int
    annotations: Mapping[str, str]
    platform: Mapping[str, Any] | None


def parse_document(data: bytes, *, source: str, what: str, media_type: str | None = None) -> Document:
    """Parse a document.

    Args:
        data: Its bytes.
        source: What errors name.
        what: What the document is.
        media_type: What the descriptor that led here says it is.

    Raises:
        SourceError: It is no JSON object, of another type, or an index and a manifest at once.
    """
    check_size(len(data), source=source, what=what)
    document = parse_json(data, source=source, what=what)
    if not isinstance(document, dict):
        raise SourceError(f"{what} is no JSON object", source=source)
    if "layers" in document and "manifests" in document:
        raise SourceError(f"{what} has layers and manifests: it could be taken for one or the other", source=source)
    own_type = document.get("mediaType")
    if media_type is not None and own_type not in (None, "", media_type):
        raise SourceError(
            f"{what} says that it is {own_type!r:.120}, and its descriptor {media_type!r:.120}", source=source
        )
    return document


def parse_json(data: bytes, *, source: str, what: str) -> Any:
    """Parse JSON that means the same to everybody: UTF-8, and no name twice in one object.

    Raises:
        SourceError: It is none.
    """
    try:
        return json.loads(data.decode("utf-8"), object_pairs_hook=_object, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise SourceError(f"{what} is no JSON: {error}", source=source) from None


def _object(pairs: list[tuple[str, Any]]) -> Document:
    document = dict(pairs)
    if len(document) != len(pairs):
        seen: set[str] = set()
        twice = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise ValueError(f"the name {twice!r:.80} is there twice in one object")
    return document


def _no_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number")


def check_size(size: int, *, source: str, what: str) -> None:
    """See that a document may be read at all.

    Raises:
        LimitError: It is too large.
    """
    if size > DOCUMENT_SIZE_LIMIT:
        raise LimitError(f"the size of {what}", size, DOCUMENT_SIZE_LIMIT, where=source)


def parse_descriptor(value: object, *, source: str, what: str) -> Descriptor:
    """Check a descriptor.

    Args:
        value: What a document has for one.
        source: What errors name.
        what: What it describes.

    Raises:
        SourceError: It is none.
    """
    if not isinstance(value, dict):
        raise SourceError(f"{what} has no descriptor", source=source)
    media_type, size = value.get("mediaType", ""), value.get("size")
    annotations, platform = value.get("annotations") or {}, value.get("platform")
    if not isinstance(media_type, str):
        raise SourceError(f"{what} has the media type {media_type!r:.80}", source=source)
    if not isinstance(size, int) or isinstance(size, bool) or size < 0:
        raise SourceError(f"{what} has the size {size!r:.80}", source=source)
    if not isinstance(annotations, dict) or not all(isinstance(text, str) for text in annotations.values()):
        raise SourceError(f"{what} has annotations that are no texts", source=source)
    if platform is not None and not isinstance(platform, dict):
        raise SourceError(f"{what} has the platform {platform!r:.80}", source=source)
    digest = parse_digest(value.get("digest"), source=source, what=what)
    return Descriptor(media_type, digest, size, annotations, platform)


def check_layer_type(media_type: str, *, source: str, what: str) -> None:
    """See that a layer is one that can be read. How it is compressed is told by its first bytes.

    Raises:
        SourceError: It is encrypted, or something else.
    """
    if media_type in _LAYER_TYPES:
        return
    if _ENCRYPTED in media_type:
        raise SourceError(f"{what} is encrypted ({media_type!r:.120})", source=source)
    if is_squashfs_layer(media_type):
        return
    raise SourceError(f"{what} is {media_type!r:.120}, which is no layer", source=source)


def is_squashfs_layer(media_type: str) -> bool:
    """Return whether a layer is a SquashFS image, by one of the types that stacker and OCI-SIF give theirs."""
    return _SQUASHFS_LAYER.fullmatch(media_type) is not None


def listed(names: Iterable[str], *, none: str) -> str:
    """Return names out of a document as one line, the first ten of them."""
    shown = [printable(name.encode("utf-8", "surrogatepass"))[:120] for name in names if name]
    if len(shown) > _SHOWN_NAMES:
        shown[_SHOWN_NAMES:] = [f"and {len(shown) - _SHOWN_NAMES} more"]
    return ", ".join(shown) or none


def text_items(value: object, *, source: str, what: str) -> list[str]:
    """Check a list of texts; what is absent is empty.

    Raises:
        SourceError: It is no such list.
    """
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
        raise SourceError(f"{what} is no list of texts", source=source)
    return value
