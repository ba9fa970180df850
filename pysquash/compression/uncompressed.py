"""Compression: none. Every block comes out as long as it went in, so every block is stored raw."""

from __future__ import annotations

from collections.abc import Sequence

from pysquash.compression.base import CompressorSettings, Fault, TooLargeError
from pysquash.format.constants import CompressorId

__all__ = ["Codec"]


class Codec:
    """A `BlockCodec` that compresses nothing."""

    id = CompressorId.GZIP  # the superblock must name one, and gzip is what every reader has

    def __init__(self, settings: CompressorSettings) -> None:
        """Have nothing to set up."""
        del settings

    def options(self) -> bytes | None:
        """Give None."""
        return None

    def compress(self, blocks: Sequence[bytes]) -> list[bytes]:
        """Give the blocks back."""
        return list(blocks)

    def decompress(self, stored: bytes, size_limit: int) -> bytes:
        """Give the block back."""
        if len(stored) > size_limit:
            raise TooLargeError(size_limit)
        return stored

    def faults(self, stored: bytes, window_limit: int) -> list[Fault]:
        """Find nothing: there is nothing to ask for."""
        del stored, window_limit
        return []
