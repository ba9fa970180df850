"""The protocol that every source keeps: entries in order, and the content of the entry yielded last.

Not here: which entries survive (tree/merge), and where their bytes go (writer/data).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from pysquash.options.writer import DuplicatePolicy
from pysquash.tree.entry import Entry

__all__ = ["Source"]


class Source(Protocol):
    """One layer, read once from its first entry to its last.

    A source may be a pipe, so it cannot go back: `read` serves the entry that the iterator yielded last, and what is
    left unread of it is skipped when the next entry is asked for.
    """

    @property
    def name(self) -> str:
        """What messages call this source: a file name as the caller gave it, `<stream 2>`, a digest."""
        ...

    @property
    def consumed_size(self) -> int:
        """Bytes taken so far from where the source comes from, as they are there, compressed or not."""
        ...

    @property
    def unpacked_size(self) -> int:
        """The same after decompression."""
        ...

    @property
    def total_size(self) -> int | None:
        """What `consumed_size` will be at the end, or None where that cannot be known."""
        ...

    @property
    def duplicates(self) -> DuplicatePolicy | None:
        """Which of several entries of one name stands; None for what the options say."""
        ...

    def __iter__(self) -> Iterator[Entry]:
        """Yield every entry of the layer in its own order. To be called once.

        Raises:
            SourceError: The source is malformed; nothing after that point was or will be yielded.
            LimitError: The source exceeds one of its `Limits`.
        """
        ...

    def read(self, size: int) -> bytes:
        """Give the next bytes of the content of the entry yielded last.

        For a sparse file these are the bytes of its segments, one after the other, without the holes.

        Args:
            size: How many bytes, 0 to what is left of the entry's `stored_size`.

        Returns:
            Exactly `size` bytes.

        Raises:
            SourceError: The source ends, or cannot be decompressed, before that many bytes.
        """
        ...

    def close(self) -> None:
        """Let go of files and threads. Harmless when called twice, and before the end."""
        ...
