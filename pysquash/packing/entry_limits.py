"""Limits of what entries ask for besides their number and their content: extended attributes, and holes.

In: entries of all layers. Out: nothing, or a LimitError.
Rules kept here: what costs memory or time without being content is counted, whatever the source.
Not here: what a single header may hold (sources), the number of entries and bytes (layer_reader, layer_images).
"""

from __future__ import annotations

from pysquash.errors import LimitError, printable
from pysquash.options.writer import WriterOptions
from pysquash.tree.entry import Entry

__all__ = ["EntryLimits"]

_XATTR_COST = 128
"""Bytes of memory that an attribute takes besides its name and its value."""

_SHOWN_SIZE = 300


class EntryLimits:
    """Counts extended attributes, segments and holes of all entries."""

    def __init__(self, options: WriterOptions) -> None:
        """Start with nothing counted."""
        self._limits = options.limits
        self._block_size = options.block_size
        self._has_holes = options.find_holes
        self._xattr_size = 0
        self._segment_count = 0
        self._hole_count = 0

    def count(self, entry: Entry, source_name: str) -> None:
        """Count one entry. Only those with extended attributes or segments change anything.

        Raises:
            LimitError: A limit is exceeded.
        """
        if entry.xattrs:
            self._count_xattrs(entry, source_name)
        if entry.segments is not None:
            self._count_holes(entry, source_name)

    def content_size(self, entry: Entry) -> int:
        """Return the bytes of a file that count as content: all but holes, if they become holes."""
        return entry.stored_size if self._has_holes else entry.size

    def _count_xattrs(self, entry: Entry, source_name: str) -> None:
        limits = self._limits
        names_size = sum(len(name) + 1 for name, _ in entry.xattrs)
        if names_size > limits.xattr_list_size:
            where = _where(entry, source_name)
            raise LimitError("size of extended attributes' names", names_size, limits.xattr_list_size, where=where)
        self._xattr_size += names_size + sum(len(value) + _XATTR_COST for _, value in entry.xattrs)
        if self._xattr_size > limits.xattr_total_size:
            what = "size of all extended attributes"
            raise LimitError(
                what, self._xattr_size, limits.xattr_total_size, where=source_name, name="xattr_total_size"
            )

    def _count_holes(self, entry: Entry, source_name: str) -> None:
        limits = self._limits
        if entry.size > limits.file_size:
            raise LimitError(
                "file size", entry.size, limits.file_size, where=_where(entry, source_name), name="file_size"
            )
        self._segment_count += len(entry.segments or ())
        if self._segment_count > limits.segment_count:
            what = "number of segments in sparse files"
            raise LimitError(what, self._segment_count, limits.segment_count, where=source_name, name="segment_count")
        self._hole_count += (entry.size - entry.stored_size) // self._block_size
        if self._hole_count > limits.hole_block_count:
            what = f"number of blocks of {self._block_size} bytes in holes of sparse files"
            raise LimitError(
                what,
                self._hole_count,
                limits.hole_block_count,
                where=_where(entry, source_name),
                name="hole_block_count",
            )


def _where(entry: Entry, source_name: str) -> str:
    return f"{source_name}: {printable(entry.path)[:_SHOWN_SIZE]}"
