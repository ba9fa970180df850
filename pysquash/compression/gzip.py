"""Compression: gzip blocks, which in SquashFS are zlib streams without gzip's own header."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

from pysquash.compression.base import CompressorSettings, Fault, TooLargeError
from pysquash.format.constants import CompressorId
from pysquash.format.records import GZIP_OPTIONS

__all__ = ["Codec"]

_DEFAULT_LEVEL = 9
_WINDOW_LOG = 15


class Codec:
    """A `BlockCodec` of zlib streams."""

    id = CompressorId.GZIP

    def __init__(self, settings: CompressorSettings) -> None:
        """Take the level; zlib keeps nothing between blocks."""
        self._level = _DEFAULT_LEVEL if settings.level is None else settings.level

    def options(self) -> bytes | None:
        """Give level and window, unless they are what no options stand for."""
        return None if self._level == _DEFAULT_LEVEL else GZIP_OPTIONS.pack(self._level, _WINDOW_LOG, 0)

    def compress(self, blocks: Sequence[bytes]) -> list[bytes]:
        """Compress each block; zlib lets go of the GIL for each."""
        return [zlib.compress(block, self._level) for block in blocks]

    def decompress(self, stored: bytes, size_limit: int) -> bytes:
        """Decompress one zlib stream."""
        decoder = zlib.decompressobj()
        try:
            plain = decoder.decompress(stored, size_limit + 1)
        except zlib.error as error:
            raise ValueError(str(error)) from error
        if len(plain) > size_limit:
            raise TooLargeError(size_limit)
        if not decoder.eof:
            raise ValueError("the stream ends early")
        return plain

    def faults(self, stored: bytes, window_limit: int) -> list[Fault]:
        """Find nothing: a window is 32 KiB at most, and every reader has that."""
        del stored, window_limit
        return []
