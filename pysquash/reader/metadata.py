"""Reader: metadata blocks as one stream of records.

In: a table's place in the image. Out: bytes at a metadata reference, across blocks.
On disk: "Metadata blocks".
Rules kept here: a block decompresses to 1 to 8192 bytes; blocks lie between the table's start and its end; few are
kept in memory.
Not here: the records (inodes, directories, xattrs); tables with a location list (tables).
"""

from __future__ import annotations

from pysquash.compression.base import CompressorSettings, block_decoder
from pysquash.errors import CorruptImageError
from pysquash.format.constants import METADATA_SIZE
from pysquash.format.records import METADATA_HEADER
from pysquash.format.rules import Rule
from pysquash.format.words import split_metadata_word
from pysquash.reader.cache import Cache
from pysquash.reader.input import Input

__all__ = ["Cursor", "MetadataReader", "read_block", "read_stored_block"]

_KEPT_COUNT = 128
_LONGEST = METADATA_HEADER.size + METADATA_SIZE
_SHORTEST = METADATA_HEADER.size + 10
"""Bytes of a block that holds more than it is stored in: no compressor makes 8192 bytes less than zstd's 10."""

_MEAN_SIZE = 64
_SHORT_COUNT = 16
"""Blocks that one record may pass over: so many, and one for each so many bytes. All that tools write are full."""


def read_stored_block(source: Input, start: int, *, section: str) -> tuple[bytes, bool]:
    """Read one metadata block as it is stored.

    Args:
        source: The image.
        start: Absolute byte of the block's header.
        section: What errors name.

    Returns:
        Its bytes without the header, at least one, and whether they are stored raw.

    Raises:
        CorruptImageError: There is no block, or it is too long.
    """
    chunk = source.read_at_most(start, _LONGEST)  # one read for the header and what follows
    if len(chunk) <= METADATA_HEADER.size:
        raise _corrupt(f"no block, the file has {source.size} bytes", section, start, Rule.METADATA_REF)
    size, is_raw = split_metadata_word(METADATA_HEADER.unpack(chunk).value)
    if not 1 <= size <= METADATA_SIZE:
        raise _corrupt(f"a metadata block of {size} bytes", section, start, Rule.METADATA_SIZE)
    stored = chunk[METADATA_HEADER.size : METADATA_HEADER.size + size]
    if len(stored) != size:
        raise _corrupt(f"{size} bytes wanted, the file has {source.size}", section, start, Rule.METADATA_SIZE)
    return stored, is_raw


def read_block(source: Input, settings: CompressorSettings, start: int, *, section: str) -> tuple[bytes, int]:
    """Read one metadata block.

    Args:
        source: The image.
        settings: Its compressor.
        start: Absolute byte of the block's header.
        section: What errors name.

    Returns:
        Its uncompressed bytes, at least one, and the absolute byte behind it.

    Raises:
        CorruptImageError: There is no block, or none that makes sense.
    """
    stored, is_raw = read_stored_block(source, start, section=section)
    end = start + METADATA_HEADER.size + len(stored)
    if is_raw:
        return stored, end
    try:
        plain = block_decoder(settings).decompress(stored, METADATA_SIZE)
    except ValueError as error:
        raise _corrupt(f"cannot be decompressed: {error}", section, start, Rule.DECOMPRESSION) from error
    if not plain:
        raise _corrupt("a metadata block decompresses to nothing", section, start, Rule.DECOMPRESSION)
    return plain, end


class MetadataReader:
    """One table of metadata blocks: inodes, directories, or keys and values of xattrs.

    Attributes:
        start: Absolute byte of the first block.
        stored_size: Bytes from there to where no block reaches past.
        size_limit: Uncompressed bytes that the table cannot exceed.
        section: What errors name.
    """

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
        self.start = start
        self.stored_size = max(0, end - start)
        self.size_limit = -(-self.stored_size // _SHORTEST) * METADATA_SIZE
        self.section = section
        self._kept: Cache[int, tuple[bytes, int]] = Cache(_KEPT_COUNT)
        # The block used last, as one tuple, which threads take and put whole: most records are beside the one before.
        self._last: tuple[int, tuple[bytes, int]] = (-1, (b"", 0))

    def block(self, block_start: int) -> tuple[bytes, int]:
        """Give an uncompressed block and where the next one starts, both from the table's start.

        Raises:
            CorruptImageError: There is no such block, or it is damaged.
        """
        last_start, found = self._last
        if last_start == block_start:
            return found
        kept = self._kept.get(block_start)
        if kept is None:
            start = self.start + block_start
            if block_start >= self.stored_size:
                raise _corrupt(f"no block starts at {block_start}", self.section, start, Rule.METADATA_REF)
            data, end = read_block(self._source, self._settings, start, section=self.section)
            kept = (data, end - self.start)
            self._kept.put(block_start, kept)
        self._last = (block_start, kept)
        return kept


class Cursor:
    """A place in a metadata stream that moves on as it is read."""

    __slots__ = ("_data", "_next", "_offset", "_reader", "_start")

    def __init__(self, reader: MetadataReader, block_start: int, offset: int) -> None:
        """Stand at a metadata reference.

        Raises:
            CorruptImageError: The offset is not inside the block.
        """
        self._reader = reader
        self._start = block_start
        self._data, self._next = reader.block(block_start)
        self._offset = offset
        if offset > len(self._data):
            raise CorruptImageError(
                f"offset {offset} in the block of {len(self._data)} bytes at {block_start} of the table",
                section=reader.section,
                rule=Rule.METADATA_REF,
            )

    @property
    def place(self) -> tuple[int, int]:
        """Where the cursor stands: a block's start and the byte inside it, to make another cursor of."""
        return self._start, self._offset

    def peek(self, size: int) -> tuple[bytes, int]:
        """Give a buffer and the byte in it at which the next `size` bytes are, without moving on.

        Hot loops unpack right there; a copy is made only where the bytes straddle blocks.

        Raises:
            CorruptImageError: The table ends before that many.
        """
        if self._offset + size <= len(self._data):
            return self._data, self._offset
        there = Cursor(self._reader, self._start, self._offset)
        return there.read(size), 0

    def skip(self, size: int) -> None:
        """Move on by what `peek` gave."""
        self._offset += size
        while self._offset > len(self._data):
            self._offset -= len(self._data)
            self._move_on()

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
        count_limit = _SHORT_COUNT + size // _MEAN_SIZE
        size -= len(parts[0])
        while size:
            self._move_on()
            if len(parts) > count_limit:  # a table of many short blocks is long to read, however short it is
                text = f"a record is spread over more than {count_limit} blocks"
                raise _corrupt(text, self._reader.section, self._reader.start + self._start, Rule.METADATA_FULL)
            parts.append(self._data[:size])
            self._offset = len(parts[-1])
            size -= self._offset
        return b"".join(parts)

    def rest_of_block(self) -> bytes:
        """Take what is left of the block that the cursor stands in, or the whole next one where nothing is."""
        if self._offset == len(self._data):
            self._move_on()
            self._offset = 0
        data, offset = self._data, self._offset
        self._offset = len(data)
        return data[offset:] if offset else data

    def _move_on(self) -> None:
        reader = self._reader
        if self._next >= reader.stored_size:
            raise _corrupt("the table ends within a record", reader.section, reader.start + self._start, Rule.RECORD)
        self._start = self._next
        self._data, self._next = reader.block(self._next)


def _corrupt(text: str, section: str, offset: int, rule: Rule) -> CorruptImageError:
    return CorruptImageError(text, section=section, rule=rule, offset=offset)
