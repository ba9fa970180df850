"""Compression: lz4 blocks, in lz4's bare block format without frame or size.

Rules kept here: an lz4 image always has its options, or Linux refuses it.
Needs the package lz4, which is optional.
"""

from __future__ import annotations

from collections.abc import Sequence

import lz4.block

from pysquash.compression.base import CompressorSettings, Fault
from pysquash.format.constants import CompressorId
from pysquash.format.records import LZ4_OPTIONS

__all__ = ["Codec"]

_LEGACY_VERSION = 1
_HIGH_COMPRESSION = 1
_LEVEL = 12
"""The highest, which is what "high compression" means for an image."""


class Codec:
    """A `BlockCodec` of lz4 blocks."""

    id = CompressorId.LZ4

    def __init__(self, settings: CompressorSettings) -> None:
        """Take which of the two compressors is wanted."""
        self._flags = _HIGH_COMPRESSION if settings.options.get("hc") else 0

    def options(self) -> bytes | None:
        """Give version and flags; there is nothing that their absence would stand for."""
        return LZ4_OPTIONS.pack(_LEGACY_VERSION, self._flags)

    def compress(self, blocks: Sequence[bytes]) -> list[bytes]:
        """Compress each block; lz4 lets go of the GIL for each."""
        compress = lz4.block.compress
        if self._flags:
            return [compress(block, mode="high_compression", compression=_LEVEL, store_size=False) for block in blocks]
        return [compress(block, store_size=False) for block in blocks]

    def decompress(self, stored: bytes, size_limit: int) -> bytes:
        """Decompress one block."""
        try:
            return bytes(lz4.block.decompress(stored, uncompressed_size=size_limit))
        except lz4.block.LZ4BlockError as error:
            raise ValueError(str(error)) from error

    def faults(self, stored: bytes, window_limit: int) -> list[Fault]:
        """Find nothing: a block asks for nothing."""
        del stored, window_limit
        return []
