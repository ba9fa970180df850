"""Compression: zstd blocks.

Rules kept here: a frame's window is at most max(block_size, 8192), or Linux answers EIO: so each block is compressed in
one shot, with its size in the frame. No checksum, no dictionary, one frame per block.
"""

from __future__ import annotations

from collections.abc import Sequence

import zstandard

from pysquash.compression.base import CompressorSettings
from pysquash.format.constants import CompressorId
from pysquash.format.records import ZSTD_OPTIONS

__all__ = ["Codec"]

_DEFAULT_LEVEL = 3
_LEVEL_WITHOUT_OPTIONS = 15
_BATCHES = "multi_compress_to_buffer" in zstandard.backend_features


class Codec:
    """A `BlockCodec` of zstandard's one-shot frames."""

    id = CompressorId.ZSTD

    def __init__(self, settings: CompressorSettings) -> None:
        """Keep one compression context for all blocks of this thread."""
        self._level = _DEFAULT_LEVEL if settings.level is None else settings.level
        self._compressor = zstandard.ZstdCompressor(level=self._level, write_content_size=True, write_checksum=False)
        self._decompressor = zstandard.ZstdDecompressor()

    def options(self) -> bytes | None:
        """Give the level, unless it is the one that no options stand for."""
        return None if self._level == _LEVEL_WITHOUT_OPTIONS else ZSTD_OPTIONS.pack(self._level)

    def compress(self, blocks: Sequence[bytes]) -> list[bytes]:
        """Compress a batch, in one call without the GIL where the backend has that (CPython's has, cffi's has not)."""
        if len(blocks) > 1 and _BATCHES:
            frames = self._compressor.multi_compress_to_buffer(list(blocks))
            return [frames[row].tobytes() for row in range(len(frames))]
        return [self._compressor.compress(block) for block in blocks]

    def decompress(self, stored: bytes, size_limit: int) -> bytes:
        """Decompress one frame, whose size stands in it or is bounded by `size_limit`."""
        try:
            declared = zstandard.frame_content_size(stored)
            if declared > size_limit:
                raise ValueError(f"the frame says that it holds {declared} bytes, {size_limit} are allowed")
            return self._decompressor.decompress(stored, max_output_size=size_limit)
        except zstandard.ZstdError as error:
            raise ValueError(str(error)) from error
