"""Content: how it is handed on, and that of small files which a caller must know before the image is written.

In: what reads the content of an entry. Out: the same content, captured or not.
Not here: where content is stored (writer/data), content that waits (spool).
"""

from __future__ import annotations

from collections.abc import Callable

from pysquash.tree.entry import Entry, Segment

__all__ = ["KeptContents", "Read", "Store"]

Read = Callable[[int], bytes]

Store = Callable[[int, Read, tuple[Segment, ...] | None], object]
"""Stores a file's content, given its size, what reads it, and its stored runs; gives what stands for it."""

_KEPT_SIZE, _KEPT_TOTAL_SIZE = 1 << 20, 32 << 20


class KeptContents:
    """Content of small files that somebody must know before the image is written.

    Symlinks may lead from one name to another, as on NixOS from etc/passwd to a name that only ends like it; so it is
    the end of a name that counts.
    """

    def __init__(self, name_ends: tuple[bytes, ...]) -> None:
        """Keep nothing as yet.

        Args:
            name_ends: How the paths end whose content is kept; none for nothing at all.
        """
        self._name_ends = name_ends
        self._contents: dict[int, tuple[object, bytes]] = {}  # by what stands for it, which is held so as to stay
        self._size = 0

    def taken(self, entry: Entry, read: Read) -> bytes | None:
        """Read a file's content, if it is to be kept: its stored runs. None otherwise, and then nothing is read."""
        if not entry.path.endswith(self._name_ends) or entry.size > _KEPT_SIZE:
            return None
        return read(entry.stored_size) if self._size + entry.size <= _KEPT_TOTAL_SIZE else None

    def note(self, entry: Entry, data: object, taken: bytes) -> None:
        """Note what stands for a content."""
        self._size += entry.size
        content = bytearray(entry.size)
        position = 0
        for start, length in entry.segments if entry.segments is not None else [(0, entry.size)]:
            content[start : start + length] = taken[position : position + length]
            position += length
        self._contents[id(data)] = data, bytes(content)

    def content(self, stored: object) -> bytes | None:
        """Give a content by what stands for it; None where it was not kept."""
        return self._contents.get(id(stored), (None, None))[1]
