"""OCI: which manifest of an index is wanted.

In: descriptors, and a platform. Out: the manifest that fits first, and its descriptor.
Rules kept here: indexes may nest, four deep; unknown types and attestations are passed over; where no platform is said,
any will do.
"""

from __future__ import annotations

from collections.abc import Sequence

from pysquash.errors import LimitError, SourceError
from pysquash.sources.oci.documents import (
    INDEX_TYPES,
    MANIFEST_TYPES,
    SCHEMA_1_TYPES,
    Descriptor,
    listed,
    parse_descriptor,
    parse_document,
)
from pysquash.sources.oci.platforms import Platform, is_attestation
from pysquash.sources.oci.store import Store, read_document

__all__ = ["select_manifest"]

_DEPTH_LIMIT = 4


def select_manifest(store: Store, descriptors: Sequence[Descriptor], platform: Platform) -> Descriptor:
    """Find the manifest for a platform.

    Args:
        store: Where indexes are.
        descriptors: Of manifests and indexes, the best first.
        platform: What is wanted.

    Raises:
        SourceError: There is none; an index is damaged.
        LimitError: Indexes nest too deep.
    """
    others: list[str] = []
    found = _select(store, descriptors, platform, others, depth=0)
    if found is None:
        there = listed(dict.fromkeys(others), none="nothing")
        raise SourceError(f"has no image for {platform}; there is: {there}", source=store.name)
    return found


def _select(
    store: Store, descriptors: Sequence[Descriptor], platform: Platform, others: list[str], *, depth: int
) -> Descriptor | None:
    for descriptor in descriptors:
        media_type = descriptor.media_type
        if is_attestation(descriptor):
            continue
        if media_type in INDEX_TYPES:
            if depth >= _DEPTH_LIMIT:
                raise LimitError("the depth of nested indexes", depth + 1, _DEPTH_LIMIT, where=store.name)
            found = _select(store, _index(store, descriptor), platform, others, depth=depth + 1)
            if found is not None:
                return found
        elif media_type in MANIFEST_TYPES:
            if descriptor.platform is None or platform.takes(Platform.of(descriptor.platform)):
                return descriptor
            others.append(str(Platform.of(descriptor.platform)))
        elif media_type in SCHEMA_1_TYPES:
            others.append("a manifest of schema 1, which is not read")
        else:
            others.append(f"{media_type!r:.100}, which is no image")
    return None


def _index(store: Store, descriptor: Descriptor) -> list[Descriptor]:
    """Read an index."""
    what = "the index"
    data = read_document(store, descriptor, what=what)
    document = parse_document(data, source=store.name, what=what, media_type=descriptor.media_type)
    rows = document.get("manifests")
    if not isinstance(rows, list):
        raise SourceError(f"the index {descriptor.digest.short} has no list of manifests", source=store.name)
    return [
        parse_descriptor(row, source=store.name, what=f"row {number} of an index") for number, row in enumerate(rows)
    ]
