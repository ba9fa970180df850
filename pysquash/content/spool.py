"""Spool: keeps content that a lower layer's hidden file holds, until it is known whether a hard link still needs it.

In: the stored bytes of a file. Out: a `Spooled` that stands for them, and reads them once.
Rules kept here: memory is bounded; what turns out to be needless costs no compression and no place in the image.
Not here: what is hidden (tree/visibility), what is needed in the end (packing/pack).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from pysquash.tree.entry import Segment

if TYPE_CHECKING:
    from tempfile import SpooledTemporaryFile

__all__ = ["Spool", "Spooled"]

_MEMORY_SIZE = 8 << 20
_CHUNK_SIZE = 1 << 20


class Spooled(NamedTuple):
    """Content waiting in the spool.

    Attributes:
        start: First byte in the spool.
        size: Bytes in the file, holes included.
        segments: The stored runs of a sparse file, or None.
    """

    start: int
    size: int
    segments: tuple[Segment, ...] | None


class Spool:
    """A temporary file, in memory while it is small. Close it."""

    def __init__(self, folder: str | None) -> None:
        """Start empty; nothing is on disk until there is much.

        Args:
            folder: Where the file is to be, best beside the image, where there is room; None for the system's choice.
        """
        self._folder = folder
        self._opened: SpooledTemporaryFile[bytes] | None = None
        self.end = 0

    @property
    def _file(self) -> SpooledTemporaryFile[bytes]:
        """The file, made when there is something to set aside: most often there is not."""
        if self._opened is None:
            from tempfile import SpooledTemporaryFile  # noqa: PLC0415

            self._opened = SpooledTemporaryFile(max_size=_MEMORY_SIZE, dir=self._folder)  # noqa: SIM115 - closed by close
        return self._opened

    def add(
        self, size: int, stored_size: int, read: Callable[[int], bytes], segments: tuple[Segment, ...] | None
    ) -> Spooled:
        """Copy one file's content.

        Args:
            size: Bytes in the file, holes included.
            stored_size: Bytes that `read` has.
            read: Gives exactly the next so many of them.
            segments: The stored runs of a sparse file, or None.
        """
        spooled = Spooled(self.end, size, segments)
        file = self._file
        file.seek(self.end)
        self.end += stored_size
        while stored_size:
            chunk = read(min(stored_size, _CHUNK_SIZE))
            file.write(chunk)
            stored_size -= len(chunk)
        return spooled

    def reader(self, spooled: Spooled) -> Callable[[int], bytes]:
        """Give a `read` for what `add` returned; one at a time."""
        self._file.seek(spooled.start)
        return self._file.read

    def truncate(self, end: int) -> None:
        """Forget all that was added since the spool ended there."""
        self._file.seek(end)
        self._file.truncate()
        self.end = end

    def close(self) -> None:
        """Remove the file."""
        if self._opened is not None:
            self._opened.close()
