"""Compression: blocks of legacy lzma, which unsquashfs reads, and no Linux kernel.

A block is a stream of the LZMA utilities, whose header has properties, dictionary and size.
Rules kept here: a stream gets no more memory than its block can need, whatever its header asks for; the header has the
block's size, which liblzma leaves out.
"""

from __future__ import annotations

import lzma
from collections.abc import Sequence

from pysquash.compression.base import CompressorSettings, Fault, TooLargeError
from pysquash.format.constants import METADATA_SIZE, CompressorId

__all__ = ["Codec"]

_MEMORY_LIMIT = 16 << 20
_DICTIONARY_SIZE = 1 << 20
"""As large as the largest block, and nothing can lie farther back. Encoders write that of their preset, 8 MiB and more,
into the header, whatever the size of the block."""
_DICTIONARY_FIELD = slice(1, 5)
_SIZE_FIELD = slice(5, 13)
_HEADER_SIZE = 13


class Codec:
    """A `BlockCodec` of LZMA-alone streams."""

    id = CompressorId.LZMA

    def __init__(self, settings: CompressorSettings) -> None:
        """Set the dictionary to the block."""
        dictionary_size = max(settings.block_size, METADATA_SIZE)
        self._filters = [{"id": lzma.FILTER_LZMA1, "preset": lzma.PRESET_DEFAULT, "dict_size": dictionary_size}]

    def options(self) -> bytes | None:
        """Give None: there are none for lzma."""
        return None

    def compress(self, blocks: Sequence[bytes]) -> list[bytes]:
        """Compress each block; liblzma lets go of the GIL for each."""
        return [self._compressed(block) for block in blocks]

    def _compressed(self, block: bytes) -> bytes:
        stream = lzma.compress(block, lzma.FORMAT_ALONE, filters=self._filters)
        return stream[: _SIZE_FIELD.start] + len(block).to_bytes(8, "little") + stream[_SIZE_FIELD.stop :]

    def decompress(self, stored: bytes, size_limit: int) -> bytes:
        """Decompress one stream."""
        if len(stored) < _HEADER_SIZE:
            raise ValueError(f"{len(stored)} bytes are no stream, its header is {_HEADER_SIZE}")
        decoder = lzma.LZMADecompressor(lzma.FORMAT_ALONE, _MEMORY_LIMIT)
        stream = bytearray(stored)
        stream[_DICTIONARY_FIELD] = min(_number(stored[_DICTIONARY_FIELD]), _DICTIONARY_SIZE).to_bytes(4, "little")
        try:
            plain = decoder.decompress(stream, size_limit + 1)
        except (lzma.LZMAError, EOFError) as error:
            raise ValueError(str(error)) from error
        if len(plain) > size_limit:
            raise TooLargeError(size_limit)
        if not decoder.eof and not _is_complete(stored, plain):
            raise ValueError("the stream ends early")
        return plain

    def faults(self, stored: bytes, window_limit: int) -> list[Fault]:
        """Find nothing: no kernel reads it, and unsquashfs as we do."""
        del stored, window_limit
        return []


def _is_complete(stored: bytes, plain: bytes) -> bool:
    """Tell whether all bytes that the header announces are there; a stream of known size may have no end marker."""
    return _number(stored[_SIZE_FIELD]) == len(plain)


def _number(field: bytes) -> int:
    return int.from_bytes(field, "little")
