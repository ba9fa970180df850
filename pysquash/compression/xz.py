"""Compression: xz blocks.

Rules kept here: check CRC32 or none, and a dictionary of at most block_size; Linux answers EIO to anything else, which
includes what `lzma.compress` does by default.
"""

from __future__ import annotations

import lzma
from collections.abc import Sequence

from pysquash.compression.base import CompressorSettings
from pysquash.format.constants import METADATA_SIZE, CompressorId

__all__ = ["Codec"]

_MEMORY_LIMIT = 64 << 20
"""Enough for a dictionary of 1 MiB, the largest block, many times over."""


class Codec:
    """A `BlockCodec` of xz streams."""

    id = CompressorId.XZ

    def __init__(self, settings: CompressorSettings) -> None:
        """Set the dictionary to the block, the largest that a reader makes room for without options."""
        dictionary_size = max(settings.block_size, METADATA_SIZE)
        self._filters = [{"id": lzma.FILTER_LZMA2, "preset": lzma.PRESET_DEFAULT, "dict_size": dictionary_size}]

    def options(self) -> bytes | None:
        """Give None: a dictionary of block_size and no BCJ filters is what no options stand for."""
        return None

    def compress(self, blocks: Sequence[bytes]) -> list[bytes]:
        """Compress each block; liblzma lets go of the GIL for each."""
        return [lzma.compress(block, lzma.FORMAT_XZ, lzma.CHECK_CRC32, filters=self._filters) for block in blocks]

    def decompress(self, stored: bytes, size_limit: int) -> bytes:
        """Decompress one xz stream."""
        decoder = lzma.LZMADecompressor(lzma.FORMAT_XZ, _MEMORY_LIMIT)
        try:
            plain = decoder.decompress(stored, size_limit + 1)
        except (lzma.LZMAError, EOFError) as error:
            raise ValueError(str(error)) from error
        if not decoder.eof or len(plain) > size_limit:
            raise ValueError(f"the stream does not end within {size_limit} bytes")
        return plain
