"""OCI: the protocol of what holds an image's documents and blobs by their digests."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from pysquash.sources.oci.documents import DOCUMENT_SIZE_LIMIT, Descriptor
from pysquash.sources.oci.verified import read_verified

__all__ = ["Store", "read_document"]


class Store(Protocol):
    """Blobs by their digests, unverified."""

    @property
    def name(self) -> str:
        """What messages call it."""
        ...

    @property
    def is_local(self) -> bool:
        """Tell whether reading a blob twice costs little."""
        ...

    def chunks(self, descriptor: Descriptor) -> Iterator[bytes]:
        """Yield a blob's bytes as they are stored.

        Raises:
            SourceError: There is no such blob.
            OSError: It cannot be read.
        """
        ...

    def close(self) -> None:
        """Let go of what is open. Harmless when called twice."""
        ...


def read_document(store: Store, descriptor: Descriptor, *, what: str) -> bytes:
    """Read an index, a manifest or a configuration, and verify it.

    Raises:
        SourceError: It is missing, or not what its descriptor says.
        LimitError: It is larger than 4 MiB.
    """
    return read_verified(
        store.chunks(descriptor),
        descriptor.digest,
        descriptor.size,
        limit=DOCUMENT_SIZE_LIMIT,
        source=store.name,
        what=f"{what} {descriptor.digest.short}",
    )
