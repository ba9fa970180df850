"""SquashFS image: turns an image into entries, as a layer of another.

In: an image of any tool. Out: a `Source`: entries in the image's order, a directory before what is in it.
Rules kept here: what the image says is passed on as it is, or is an error.
Not here: reading the image (reader), what its names are as entries (reader/entries).
"""

from __future__ import annotations

from collections.abc import Iterator

from pysquash.errors import ImageError, SourceError
from pysquash.notices import Warn
from pysquash.options.writer import DuplicatePolicy, WriterOptions
from pysquash.reader.entries import StoredContent, image_entries
from pysquash.reader.image import SquashfsImage
from pysquash.reader.input import InputTarget
from pysquash.sources.path_limits import check_path_limits
from pysquash.tree.entry import Entry, Kind

__all__ = ["SquashfsSource"]


class SquashfsSource:
    """One image as a layer; a `Source`.

    Attributes:
        name: What messages call it.
        consumed_size: Bytes of content read so far.
    """

    total_size = None
    duplicates: DuplicatePolicy | None = None

    def __init__(self, path: InputTarget, *, name: str, options: WriterOptions, warn: Warn, offset: int = 0) -> None:
        """Open an image.

        Args:
            path: The image, a path or a seekable binary file, which stays open.
            name: What messages call it.
            options: limits are kept here.
            warn: Takes what is noteworthy; nothing is, in an image.
            offset: The byte in the file at which the image starts.

        Raises:
            OSError: The image cannot be read.
            SourceError: It is none, or is damaged.
        """
        del warn
        self.name = name
        self.consumed_size = 0
        self._limits = options.limits
        self._content: StoredContent | None = None
        try:
            self._image = SquashfsImage(path, offset=offset)
        except ImageError as error:
            raise SourceError(str(error), source=name) from error

    @property
    def unpacked_size(self) -> int:
        """Bytes of content read so far."""
        return self.consumed_size

    def __iter__(self) -> Iterator[Entry]:
        """Yield the entries, the root first.

        Raises:
            SourceError: The image is damaged, or has a name that is invalid or there twice.
            LimitError: A path is longer than its limit.
        """
        try:
            for entry, here in image_entries(self._image.root):
                components = entry.path.split(b"/")
                check_path_limits(
                    entry.path, max(map(len, components)), len(components), self._limits, source=self.name
                )
                self._content = StoredContent(here) if entry.kind is Kind.FILE else None
                yield entry
        except ImageError as error:
            raise SourceError(str(error), source=self.name) from error

    def read(self, size: int) -> bytes:
        """Give the next bytes of the content of the entry yielded last.

        Raises:
            SourceError: The image is damaged.
            LimitError: Much more comes out of the image than is in it.
        """
        try:
            data = b"" if self._content is None else self._content.read(size)
        except ImageError as error:
            raise SourceError(str(error), source=self.name) from error
        if len(data) < size:
            raise ValueError(f"{size - len(data)} bytes more than are left of this entry")
        self.consumed_size += size
        limits = self._limits
        if self.consumed_size > limits.ratio_free_size:
            what, image_size = "the image's compression ratio", self._image.superblock.bytes_used
            limits.check_ratio(what, self.consumed_size, image_size, source=self.name)
        return data

    def close(self) -> None:
        """Close the image. Harmless when called twice."""
        self._image.close()
