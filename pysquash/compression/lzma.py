"""Compression: blocks of legacy lzma, for reading only: no Linux kernel takes such images.

In: a stream of the LZMA utilities, whose header has properties, dictionary and size.
"""

from __future__ import annotations

import lzma

from pysquash.compression.base import CompressorSettings, Fault, TooLargeError

__all__ = ["Codec"]

_MEMORY_LIMIT = 256 << 20
"""Encoders write the dictionary of their preset, 8 MiB and more, into the header, whatever the size of the block."""


class Codec:
    """A `BlockDecoder` of LZMA-alone streams."""

    def __init__(self, settings: CompressorSettings) -> None:
        """Have nothing to set up."""
        del settings

    def decompress(self, stored: bytes, size_limit: int) -> bytes:
        """Decompress one stream."""
        decoder = lzma.LZMADecompressor(lzma.FORMAT_ALONE, _MEMORY_LIMIT)
        try:
            plain = decoder.decompress(stored, size_limit + 1)
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
    return int.from_bytes(stored[5:13], "little") == len(plain)
