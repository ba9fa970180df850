"""Reader: metadata blocks as one stream of records.

In: a table's place in the image. Out: bytes at a metadata reference, across blocks.
On disk: "Metadata blocks".
Rules kept here: a block decompresses to at most 8192 bytes; blocks lie between the table's start and its end; few are
kept in memory.
Not here: the records (inodes, directories, xattrs); tables with a location list (tables).
"""

from __future__ import annotations

from collections import OrderedDict

from pysquash.compression.base import CompressorSettings, block_codec
from pysquash.errors import CorruptImageError
from pysquash.format.constants import METADATA_SIZE
from pysquash.format.records import METADATA_HEADER
from pysquash.format.words import split_metadata_word
from pysquash.reader.input import Input

__all__ = ["Cursor", "MetadataReader", "read_block"]

_KEPT_COUNT = 64


def read_block(source: Input, settings: CompressorSettings, start: int, *, section: str) -> tuple[bytes, int]:
    """Read one metadata block.

    Args:
        source: The image.
        settings: Its compressor.
        start: Absolute byte of the block's header.
        section: What errors name.

    Returns:
        Its uncompressed bytes, and the absolute byte behind it.
    """
    word = METADATA_HEADER.unpack(source.read(start, METADATA_HEADER.size, section=section)).value
    size, is_raw = split_metadata_word(word)
    if not 1 <= size <= METADATA_SIZE:
        raise CorruptImageError(f"a metadata block of {size} bytes", section=section, offset=start)
    stored = source.read(start + METADATA_HEADER.size, size, section=section)
    if is_raw:
        return stored, start + METADATA_HEADER.size + size
    try:
        return block_codec(settings).decompress(stored, METADATA_SIZE), start + METADATA_HEADER.size + size
    except ValueError as error:
        raise CorruptImageError(f"cannot be decompressed: {error}", section=section, offset=start) from error


class MetadataReader:
    """One table of metadata blocks: inodes, directories, or keys and values of xattrs."""

    def __init__(self, source: Input, settings: CompressorSettings, start: int, end: int, *, section: str) -> None:
        """Take the table's place; nothing is read yet.

        Args:
            source: The image.
            settings: Its compressor.
            start: Absolute byte of the first block.
            end: Absolute byte that no block reaches past.
            section: What errors name.
        """
        self._source = source
        self._settings = settings
        self._start = start
        self._end = end
        self.section = section
        self._kept: OrderedDict[int, tuple[bytes, int]] = OrderedDict()

    def block(self, block_start: int) -> tuple[bytes, int]:
        """Give an uncompressed block and where the next one starts, both from the table's start.

        Raises:
            CorruptImageError: There is no such block, or it is damaged.
        """
        kept = self._kept.get(block_start)
        if kept is None:
            start = self._start + block_start
            if not self._start <= start < self._end:
                raise CorruptImageError(f"no block starts at {block_start}", section=self.section, offset=start)
            data, end = read_block(self._source, self._settings, start, section=self.section)
            kept = self._kept[block_start] = (data, end - self._start)
            while len(self._kept) > _KEPT_COUNT:
                try:
                    self._kept.popitem(last=False)
                except KeyError:  # another thread was faster
                    break
        return kept


class Cursor:
    """A place in a metadata stream that moves on as it is read."""

    def __init__(self, reader: MetadataReader, block_start: int, offset: int) -> None:
        """Stand at a metadata reference.

        Raises:
            CorruptImageError: The offset is not inside the block.
        """
        self._reader = reader
        self._data, self._next = reader.block(block_start)
        self._offset = offset
        if offset > len(self._data):
            raise CorruptImageError(
                f"offset {offset} in a block of {len(self._data)} bytes", section=reader.section, offset=block_start
            )

    def read(self, size: int) -> bytes:
        """Take the next bytes, on into the following blocks.

        Raises:
            CorruptImageError: The table ends before that many.
        """
        data, offset = self._data, self._offset
        if offset + size <= len(data):
            self._offset = offset + size
            return data[offset : offset + size]
        parts = [data[offset:]]
        size -= len(parts[0])
        while size:
            self._data, self._next = self._reader.block(self._next)
            parts.append(self._data[:size])
            self._offset = len(parts[-1])
            size -= self._offset
        return b"".join(parts)
