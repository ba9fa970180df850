"""OCI: a layer that is what its digests say, or an error.

In: a blob's chunks. Out: a `Source`: the entries of its tar, and at the end the certainty that they were the right
ones.
Rules kept here: size and digest of the blob as it is stored, and the diff_id of all that is in it, trailing padding
included; the last entry of one name stands, as extracting has it.
Not here: where blobs are (files, registry).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Iterator
from dataclasses import replace
from typing import BinaryIO, NamedTuple

from pysquash.errors import LimitError, SourceError
from pysquash.notices import Warn
from pysquash.options.writer import DuplicatePolicy, WriterOptions
from pysquash.sources.oci.digests import Digest
from pysquash.sources.tar import TarSource
from pysquash.tree.entry import Entry

__all__ = ["LayerBlob", "LayerSource", "copy_verified", "read_verified"]


class LayerBlob(NamedTuple):
    """A layer of an image, wherever it is.

    Attributes:
        name: What messages call it.
        open: Gives its chunks as they are stored.
        is_local: Whether reading it again costs little.
        digest: Of the blob; None where nobody says.
        size: Of the blob in bytes; None where nobody says.
        diff_id: Digest of the plain tar; of a SquashFS image that of the blob.
        is_squashfs: Whether it is a SquashFS image instead of a tar.
    """

    name: str
    open: Callable[[], Iterator[bytes]]
    is_local: bool
    digest: Digest | None
    size: int | None
    diff_id: Digest
    is_squashfs: bool = False


class _LayerChecks:
    """Compares what goes by with size and digests; `StreamChecks`."""

    def __init__(self, blob: LayerBlob) -> None:
        self._blob = blob

    def consumed(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        return _verified(chunks, self._blob.digest, self._blob.size, source=self._blob.name, what="the blob")

    def unpacked(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        return _verified(chunks, self._blob.diff_id, None, source=self._blob.name, what="the layer's tar (its diff_id)")


class LayerSource(TarSource):
    """One layer; a `Source`."""

    def __init__(self, blob: LayerBlob, *, options: WriterOptions, warn: Warn, verified: Callable[[str], None]) -> None:
        """Open a layer.

        Args:
            blob: Which one.
            options: As for `TarSource`.
            warn: As for `TarSource`.
            verified: Told of each digest that was right.
        """
        self._blob = blob
        self._verified = verified
        self._chunks: Iterator[bytes] = iter(())
        options = replace(options, timeout=None)  # blobs come from files, or from a registry with its own time-outs
        try:
            super().__init__(self._open_blob, name=blob.name, options=options, warn=warn, checks=_LayerChecks(blob))
        except BaseException:
            self._let_go()
            raise
        self._policy: DuplicatePolicy = "error" if options.duplicates == "error" else "last"

    @property
    def duplicates(self) -> DuplicatePolicy:
        """The last entry of a name stands, unless that is an error."""
        return self._policy

    @property
    def total_size(self) -> int | None:
        """The blob's size, where somebody says."""
        return self._blob.size

    def __iter__(self) -> Iterator[Entry]:
        """Yield the entries.

        Raises:
            SourceError: As for `TarSource`, or the layer is not what its digests say.
        """
        try:
            yield from super().__iter__()
        except SourceError as error:
            self._blame_the_blob(error)
            raise
        if self._blob.digest is not None:
            self._verified(str(self._blob.digest))
        self._verified(f"diff_id {self._blob.diff_id}")

    def read(self, size: int) -> bytes:
        """Give the next bytes of the content of the entry yielded last.

        Raises:
            SourceError: As for `TarSource`, or the layer is not what its digests say.
        """
        try:
            return super().read(size)
        except SourceError as error:
            self._blame_the_blob(error)
            raise

    def close(self) -> None:
        """Stop reading. Harmless when called twice."""
        super().close()
        self._let_go()

    def _open_blob(self) -> Iterator[bytes]:
        self._chunks = self._blob.open()
        return self._chunks

    def _let_go(self) -> None:
        """Close the blob now, and not when the error that may hold it is forgotten."""
        with contextlib.suppress(ValueError):  # a thread hangs in a read, and will let go by itself
            _close(self._chunks)

    def _blame_the_blob(self, error: SourceError) -> None:
        """Say that a blob is not the one that it should be, where that is why it makes no sense."""
        blob = self._blob
        if blob.is_local and blob.digest is not None:
            chunks = blob.open()
            try:
                for _ in _verified(chunks, blob.digest, blob.size, source=blob.name, what="the blob"):
                    pass
            except SourceError as why:
                raise why from error
            finally:
                _close(chunks)


def copy_verified(blob: LayerBlob, file: BinaryIO) -> None:
    """Copy a blob of which nothing is compressed as a whole, so that its digest is its diff_id.

    Args:
        blob: Which one.
        file: Where to.

    Raises:
        SourceError: It is not what its digest or its size says.
        OSError: It cannot be read, or not be written.
    """
    chunks = blob.open()
    try:
        file.writelines(_verified(chunks, blob.diff_id, blob.size, source=blob.name, what="the blob"))
    finally:
        _close(chunks)


def read_verified(
    chunks: Iterator[bytes], digest: Digest | None, size: int | None, *, limit: int, source: str, what: str
) -> bytes:
    """Read a document.

    Args:
        chunks: Its bytes.
        digest: What they should be, or None where nobody says.
        size: How many there should be, or None.
        limit: Bytes accepted.
        source: What errors name.
        what: What the document is.

    Raises:
        SourceError: It is not what the digest says.
        LimitError: It is too large.
    """
    if size is not None and size > limit:
        raise LimitError(f"the size of {what}", size, limit, where=source)
    parts: list[bytes] = []
    read_size = 0
    try:
        for chunk in _verified(chunks, digest, size, source=source, what=what):
            read_size += len(chunk)
            if read_size > limit:
                raise LimitError(f"the size of {what}", read_size, limit, where=source)
            parts.append(chunk)
    finally:
        _close(chunks)
    return b"".join(parts)


def _close(chunks: Iterator[bytes]) -> None:
    """Close what the chunks come from, where they are a generator."""
    if isinstance(chunks, Generator):
        chunks.close()


def _verified(
    chunks: Iterator[bytes], digest: Digest | None, size: int | None, *, source: str, what: str
) -> Iterator[bytes]:
    """Pass chunks on, and compare all of them in the end.

    Args:
        chunks: The bytes.
        digest: What they should be, or None where nobody says.
        size: How many there should be, or None.
        source: What errors name.
        what: What the bytes are.

    Raises:
        SourceError: They are not what the digest or the size says.
    """
    hasher = None if digest is None else digest.hasher()
    read_size = 0
    for chunk in chunks:
        read_size += len(chunk)
        if size is not None and read_size > size:
            raise SourceError(f"{what} is larger than the {size} bytes that it should have", source=source)
        if hasher is not None:
            hasher.update(chunk)
        yield chunk
    if size is not None and read_size != size:
        raise SourceError(f"{what} has {read_size} bytes, not {size}", source=source)
    if hasher is not None and digest is not None and hasher.hexdigest() != digest.encoded:
        found = f"{digest.algorithm}:{hasher.hexdigest()}"
        raise SourceError(f"{what} has the digest {found}, not {digest}", source=source)
