"""OCI: layers on their way from a registry, a few at once, each read while it still grows.

In: what fetches a blob; the order in which layers will be read. Out: a layer's chunks.
The way of a layer: a thread writes it into a file (a temporary one, or one of the cache's), and whoever reads it
follows in the same file. Others are fetched meanwhile, up to three at once, and a file goes when the next layer is
asked for.
Rules kept here: nobody waits for a layer that nobody fetches, and where no thread starts, its reader fetches it; what
went wrong with a layer is raised where it is read; closing ends the threads and removes the files.
Not here: the network (registry_client).
"""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from copy import copy
from typing import BinaryIO

from pysquash.errors import SourceError
from pysquash.host.threads import start_thread
from pysquash.sources.oci.blob_cache import BlobCache, PartialBlob
from pysquash.sources.oci.digests import Digest

__all__ = ["Downloads", "Fetch"]

Fetch = Callable[[Digest, int], Iterator[bytes]]
"""Yields a blob's bytes as the registry has them."""

_AT_ONCE = 3
"""Layers that are fetched, or lie in their files unread: enough to fill a line, and a bound for the disk."""

_CHUNK_SIZE = 1 << 20
_JOIN_SECONDS = 2.0


class _Download:
    """One layer, which one thread writes and another reads."""

    def __init__(self, digest: Digest, size: int, fetch: Fetch, cache: BlobCache | None, name: str) -> None:
        self._digest = digest
        self._blob_size = size
        self._fetch = fetch
        self._cache = cache
        self._name = name
        self._file: BinaryIO | None = None
        self._partial: PartialBlob | None = None
        self._size = 0
        self._is_done = False
        self._is_right = False
        self._is_closed = False
        self._error: BaseException | None = None
        self._changed = threading.Condition()
        self._thread = start_thread(self._run, f"pysquash-{digest.short}")

    def chunks(self) -> Iterator[bytes]:
        """Yield the bytes as they come, from the first one, and raise what went wrong."""
        if self._thread is None and not self._is_done:  # the system starts no more threads: all of it first
            self._run()
        position = 0
        while True:
            with self._changed:
                while position >= self._size and not self._is_done and not self._is_closed:
                    self._changed.wait()
                if self._is_closed:
                    raise SourceError("was closed while it was read", source=self._name)
                if position >= self._size or self._file is None:
                    break
                self._file.seek(position)
                chunk = self._file.read(min(_CHUNK_SIZE, self._size - position))
            position += len(chunk)
            yield chunk
        if isinstance(self._error, SourceError):
            raise copy(self._error) from self._error  # for each reader one of its own: the next may name it as a cause
        if self._error is not None:
            raise self._error

    def stop(self) -> None:
        """Have the thread end, and readers with an error, without waiting for either."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()

    def close(self) -> None:
        """Stop, and remove the file, or give it to the cache if it is whole and right."""
        self.stop()
        if self._thread is not None:
            self._thread.join(_JOIN_SECONDS)
        if self._thread is None or not self._thread.is_alive():
            self._let_go()
        # Else it hangs in a name that is looked up, or the like, and lets go by itself.

    def _run(self) -> None:
        try:
            self._fill()
        except BaseException as error:  # raised again where the layer is read
            self._error = error
        finally:
            with self._changed:
                self._is_done = True
                self._changed.notify_all()
                is_closed = self._is_closed
            if is_closed:
                self._let_go()

    def _fill(self) -> None:
        kept = None if self._cache is None else self._cache.find(self._digest, self._blob_size)
        if kept is not None:
            with self._changed:
                self._file, self._size = kept, self._blob_size
            return
        if self._cache is not None:
            self._partial = self._cache.begin(self._digest)
        file = tempfile.TemporaryFile() if self._partial is None else self._partial.file  # noqa: SIM115 - see _let_go
        self._file = file
        hasher = self._digest.hasher()
        for chunk in self._fetch(self._digest, self._blob_size):
            hasher.update(chunk)
            with self._changed:
                if self._is_closed:
                    return
                file.seek(self._size)
                file.write(chunk)
                self._size += len(chunk)
                self._changed.notify_all()
        self._is_right = self._size == self._blob_size and hasher.hexdigest() == self._digest.encoded

    def _let_go(self) -> None:
        with self._changed:
            file, self._file = self._file, None
            partial, self._partial = self._partial, None
        if partial is not None and self._is_right:
            partial.keep()
        elif partial is not None:
            partial.drop()
        elif file is not None:
            file.close()


class Downloads:
    """The layers of an image, one read after the other."""

    def __init__(self, fetch: Fetch, cache: BlobCache | None, *, name: str) -> None:
        """Take what fetches; nothing is fetched yet.

        Args:
            fetch: Called on threads, several at once.
            cache: Where to look first, and to keep what was fetched; or None.
            name: What errors call the image.
        """
        self._fetch = fetch
        self._cache = cache
        self._name = name
        self._sizes: dict[Digest, int] = {}
        self._waiting: list[Digest] = []
        self._begun: dict[Digest, _Download] = {}
        self._current: Digest | None = None
        self._is_closed = False

    def expect(self, layers: Iterable[tuple[Digest, int]]) -> None:
        """Say which layers will be read, in the order in which they probably will be."""
        self._sizes = dict(layers)
        self._waiting = list(self._sizes)

    def __contains__(self, digest: Digest) -> bool:
        """Tell whether this is one of the layers."""
        return digest in self._sizes

    def chunks(self, digest: Digest) -> Iterator[bytes]:
        """Yield a layer's bytes; the one before it is let go. May be called again for the same one.

        Raises:
            SourceError: It could not be fetched.
            OSError: It could not be written.
        """
        if self._is_closed:
            raise SourceError("was closed before it was read", source=self._name)
        if self._current != digest:
            if self._current is not None:
                self._begun.pop(self._current).close()
            self._current = digest
        self._begin(digest)
        while self._waiting and len(self._begun) < _AT_ONCE:
            self._begin(self._waiting[0])
        yield from self._begun[digest].chunks()

    def close(self) -> None:
        """End what is under way. Harmless when called twice."""
        self._is_closed = True
        self._waiting.clear()
        for download in self._begun.values():
            download.stop()
        for download in self._begun.values():
            download.close()
        self._begun.clear()

    def _begin(self, digest: Digest) -> None:
        if digest in self._waiting:
            self._waiting.remove(digest)
        if digest not in self._begun:
            self._begun[digest] = _Download(digest, self._sizes[digest], self._fetch, self._cache, self._name)
