"""OCI: images in registries (`docker:`).

In: a name. Out: a `Store` of the repository's manifests and blobs, and the descriptor that the name stands for.
Source: the OCI distribution specification.
Rules kept here: a document that was asked for by digest has it; one that was asked for by tag has the digest that the
registry names for it, if it does; documents are at most 4 MiB.
Not here: names (registry_name), the API (registry_client), how layers are fetched side by side (registry_downloads).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator

from pysquash.errors import SourceError
from pysquash.notices import Notice, Warn, WarningKind
from pysquash.options.writer import WriterOptions
from pysquash.sources.oci.blob_cache import BlobCache
from pysquash.sources.oci.credentials import Credentials, find_credentials
from pysquash.sources.oci.digests import Digest, parse_digest
from pysquash.sources.oci.documents import (
    DOCUMENT_SIZE_LIMIT,
    INDEX_TYPES,
    MANIFEST_TYPES,
    SCHEMA_1_TYPES,
    Descriptor,
    check_size,
)
from pysquash.sources.oci.registry_access import RegistryAccess, default_auth_files
from pysquash.sources.oci.registry_downloads import Downloads
from pysquash.sources.oci.registry_name import RegistryName
from pysquash.sources.oci.verified import read_verified

try:
    from pysquash.sources.oci.registry_client import RegistryClient
except ModuleNotFoundError as error:
    if error.name not in ("httpx", "truststore"):
        raise
    _missing: str | None = error.name
else:
    _missing = None

__all__ = ["Registry"]

_ACCEPTED = ", ".join(sorted(INDEX_TYPES | MANIFEST_TYPES))
_KNOWN_TYPES = INDEX_TYPES | MANIFEST_TYPES | SCHEMA_1_TYPES


class Registry:
    """One repository of a registry; a `Store`."""

    is_local = True  # what is being read lies in a file

    def __init__(self, text: str, *, name: str, access: RegistryAccess, options: WriterOptions, warn: Warn) -> None:
        """Take a name. The registry is not asked yet, unless it may be asked over HTTP.

        Args:
            text: What follows `docker:`.
            name: What messages call it.
            access: How registries are used.
            options: timeout and strict are used.
            warn: Takes warnings.

        Raises:
            SourceError: It is no name, or a package is missing.
        """
        self._wanted = RegistryName.parse(text)
        self.name = name
        if _missing is not None:
            raise SourceError(
                f"registries need the package {_missing}: pip install 'pysquash[registry]'", source=self.name
            )
        self._access = access
        self._options = options
        self._warn = warn
        self._cache = None if access.blob_cache is None else BlobCache(access.blob_cache)
        self._client = RegistryClient(
            self._wanted, self._credentials, access=access, timeout=options.timeout, source=name
        )
        self._downloads = Downloads(self._blob, self._cache, name=name)
        self._documents: dict[Digest, bytes] = {}

    def resolve(self) -> Descriptor:
        """Ask for what the name stands for.

        Raises:
            SourceError: There is no such thing, or it is not what its digest says.
            LimitError: It is too large.
        """
        wanted = self._wanted
        what = f"the manifest {wanted.reference if wanted.digest is None else wanted.digest.short}"
        headers, data = self._client.document(wanted.reference, _ACCEPTED, limit=DOCUMENT_SIZE_LIMIT, what=what)
        digest, said = wanted.digest, headers.get("Docker-Content-Digest")
        if digest is None and said is not None:
            digest = parse_digest(said, source=self.name, what=what)
        if digest is None:
            digest = Digest("sha256", hashlib.sha256(data).hexdigest())
        read_verified(iter((data,)), digest, None, limit=DOCUMENT_SIZE_LIMIT, source=self.name, what=what)
        self._documents[digest] = data
        return Descriptor(_media_type(headers.get("Content-Type", ""), data), digest, len(data), {}, None)

    def expect(self, layers: Iterable[tuple[Digest, int]]) -> None:
        """Say which layers will be read, in the order in which they probably will be."""
        self._downloads.expect(layers)

    def chunks(self, descriptor: Descriptor) -> Iterator[bytes]:
        """Yield a blob's bytes.

        Raises:
            SourceError: There is no such blob, or it cannot be had.
            LimitError: It is a document, and too large for one.
        """
        if descriptor.digest in self._downloads:
            return self._downloads.chunks(descriptor.digest)
        return iter((self._document(descriptor),))

    def close(self) -> None:
        """End what is under way, and close the connections. Harmless when called twice."""
        self._client.stop()
        self._downloads.close()
        self._client.close()

    def _credentials(self, note_missing: Callable[[str], None]) -> Credentials | None:
        """Find the credentials for the registry."""
        access = self._access
        if access.credentials is not None:
            return Credentials(*access.credentials)

        def report(text: str) -> None:
            if self._options.strict:
                raise SourceError(text, source=self.name)
            note_missing(text)
            self._warn(Notice(WarningKind.CREDENTIAL_HELPER_MISSING, text, self.name))

        auth_files = default_auth_files() if access.auth_files is None else access.auth_files
        return find_credentials(auth_files, self._wanted, report)

    def _blob(self, digest: Digest, size: int) -> Iterator[bytes]:
        return self._client.chunks(f"/blobs/{digest}", size, what=f"the blob {digest.short}")

    def _document(self, descriptor: Descriptor) -> bytes:
        """Get a document, from the cache if it is there."""
        digest, size = descriptor.digest, descriptor.size
        known = self._documents.get(digest)
        if known is not None:
            return known
        what = f"the document {digest.short}"
        check_size(size, source=self.name, what=what)
        kept = None if self._cache is None else self._cache.find(digest, size)
        if kept is not None:
            with kept:
                kept.seek(0)
                return kept.read()
        if descriptor.media_type in _KNOWN_TYPES:
            chunks = self._client.chunks(f"/manifests/{digest}", size, what=what, accept=_ACCEPTED)
        else:
            chunks = self._blob(digest, size)
        data = read_verified(chunks, digest, size, limit=DOCUMENT_SIZE_LIMIT, source=self.name, what=what)
        if self._cache is not None:
            partial_blob = self._cache.begin(digest)
            try:
                partial_blob.file.write(data)
            except BaseException:
                partial_blob.drop()
                raise
            partial_blob.keep()
        return data


def _media_type(header: str, data: bytes) -> str:
    """Tell what a document is: what the registry says, or the document itself where the registry does not know."""
    media_type = header.partition(";")[0].strip().lower()
    if media_type in _KNOWN_TYPES:
        return media_type
    try:
        own_type = json.loads(data).get("mediaType")
    except (ValueError, AttributeError, RecursionError):
        own_type = None
    return own_type if isinstance(own_type, str) else media_type
