"""Compression: gzip blocks, which in SquashFS are zlib streams without gzip's own header."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import cast

from pysquash.compression.base import CompressorSettings, Fault, TooLargeError, raise_if_out_of_memory, smallest
from pysquash.format.constants import CompressorId
from pysquash.format.records import GZIP_OPTIONS
from pysquash.options.compressor import GZIP_STRATEGIES

__all__ = ["Codec"]

_DEFAULT_LEVEL = 9
_DEFAULT_WINDOW_LOG = 15
_MEMORY_LEVEL = 8
_STRATEGIES = (zlib.Z_DEFAULT_STRATEGY, zlib.Z_FILTERED, zlib.Z_HUFFMAN_ONLY, zlib.Z_RLE, zlib.Z_FIXED)
"""In the order of GZIP_STRATEGIES, which is that of the bits in the options."""


class Codec:
    """A `BlockCodec` of zlib streams."""

    id = CompressorId.GZIP

    def __init__(self, settings: CompressorSettings) -> None:
        """Take level, window and strategies; zlib keeps nothing between blocks."""
        self._level = _DEFAULT_LEVEL if settings.level is None else settings.level
        self._window_log = cast(int, settings.options.get("window-size", _DEFAULT_WINDOW_LOG))
        chosen = cast(tuple[str, ...], settings.options.get("strategy", ()))
        bits = [row for row, name in enumerate(GZIP_STRATEGIES) if name in chosen]
        self._strategies = [_STRATEGIES[row] for row in bits] or [zlib.Z_DEFAULT_STRATEGY]
        self._is_plain = self._strategies == [zlib.Z_DEFAULT_STRATEGY] and self._window_log == _DEFAULT_WINDOW_LOG
        # The default strategy alone is what no strategies mean.
        self._strategy_bits = 0 if bits == [0] else sum(1 << row for row in bits)

    def options(self) -> bytes | None:
        """Give level, window and strategies, unless they are what no options stand for."""
        if self._is_plain and self._level == _DEFAULT_LEVEL:
            return None
        return GZIP_OPTIONS.pack(self._level, self._window_log, self._strategy_bits)

    def compress(self, blocks: Sequence[bytes]) -> list[bytes]:
        """Compress each block, with each strategy asked for; zlib lets go of the GIL for each."""
        if self._is_plain:
            return [zlib.compress(block, self._level) for block in blocks]
        return [smallest([self._compressed(block, strategy) for strategy in self._strategies]) for block in blocks]

    def _compressed(self, block: bytes, strategy: int) -> bytes:
        encoder = zlib.compressobj(self._level, zlib.DEFLATED, self._window_log, _MEMORY_LEVEL, strategy)
        return encoder.compress(block) + encoder.flush()

    def decompress(self, stored: bytes, size_limit: int) -> bytes:
        """Decompress one zlib stream."""
        decoder = zlib.decompressobj()
        try:
            plain = decoder.decompress(stored, size_limit + 1)
        except zlib.error as error:
            raise_if_out_of_memory(error)
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
