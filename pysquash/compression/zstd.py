"""Compression: zstd blocks.

Rules kept here: a frame's window is at most max(block_size, 8192), or Linux answers EIO: so each block is compressed in
one shot, with its size in the frame. No checksum, no dictionary, one frame per block.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import zstandard

from pysquash.compression.base import CompressorSettings, Fault, Stored, TooLargeError, raise_if_out_of_memory
from pysquash.format.constants import CompressorId
from pysquash.format.records import ZSTD_OPTIONS
from pysquash.format.rules import Rule

__all__ = ["Codec"]

_DEFAULT_LEVEL = 3
_LEVEL_WITHOUT_OPTIONS = 15
_BLOCK_HEADER_SIZE, _CHECKSUM_SIZE = 3, 4
_REPEATED = 1
"""The block type of which one byte is stored, and the size says how often it is meant."""

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

    def compress(self, blocks: Sequence[bytes]) -> Sequence[Stored]:
        """Compress a batch, in one call without the GIL where the backend has that (CPython's has, cffi's has not)."""
        try:
            if len(blocks) > 1 and _BATCHES:
                frames = self._compressor.multi_compress_to_buffer(list(blocks))
                return [memoryview(cast(Any, frames[row])) for row in range(len(frames))]  # buffers, if untyped
            return [self._compressor.compress(block) for block in blocks]
        except zstandard.ZstdError as error:
            raise_if_out_of_memory(error)
            raise

    def decompress(self, stored: bytes, size_limit: int) -> bytes:
        """Decompress one frame, whose size stands in it or is bounded by `size_limit`."""
        try:
            declared = zstandard.frame_content_size(stored)
            if declared > size_limit:
                raise TooLargeError(size_limit)
            return self._decompressor.decompress(stored, max_output_size=size_limit)
        except zstandard.ZstdError as error:
            raise_if_out_of_memory(error)
            raise ValueError(str(error)) from error

    def faults(self, stored: bytes, window_limit: int) -> list[Fault]:
        """Look at the frame's window, and for bytes behind the frame."""
        try:
            parameters = zstandard.get_frame_parameters(stored)
            end = zstandard.frame_header_size(stored)
        except zstandard.ZstdError as error:
            raise ValueError(str(error)) from error
        faults = []
        if parameters.window_size > window_limit:
            text = f"a zstd frame asks for a window of {parameters.window_size}, {window_limit} are allowed"
            faults.append(Fault(Rule.ZSTD_WINDOW, text))
        is_last = False
        while not is_last:  # a block header has three bits and a size; a block of one repeated byte is one byte long
            header = int.from_bytes(stored[end : end + _BLOCK_HEADER_SIZE], "little")
            is_last, kind, size = bool(header & 1), header >> 1 & 3, header >> 3
            end += _BLOCK_HEADER_SIZE + (1 if kind == _REPEATED else size)
        end += _CHECKSUM_SIZE if parameters.has_checksum else 0
        if end != len(stored):
            # unsquashfs reads another frame as well, and finds it empty, or too much.
            is_frame = stored[end : end + len(zstandard.FRAME_HEADER)] == zstandard.FRAME_HEADER
            text = f"{len(stored) - end} bytes follow the zstd frame"
            faults.append(Fault(Rule.ZSTD_TRAILING, text, () if is_frame else None))
        return faults
