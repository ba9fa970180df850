"""Compression: xz blocks.

Rules kept here: check CRC32 or none, and a dictionary of at most block_size; Linux answers EIO to anything else, which
includes what `lzma.compress` does by default.
"""

from __future__ import annotations

import lzma
from collections.abc import Sequence
from typing import cast

from pysquash.compression.base import CompressorSettings, Fault, TooLargeError, smallest
from pysquash.format.constants import METADATA_SIZE, CompressorId
from pysquash.format.records import XZ_OPTIONS
from pysquash.format.rules import Rule

__all__ = ["Codec"]

_FLAGS_OFFSET = 7
"""Where a stream's check is: behind the magic number and an unused byte."""

_CHECKS = {0: "none", 1: "CRC32", 4: "CRC64", 10: "SHA-256"}
_KERNEL_CHECKS = (0, 1)
_BLOCK_HEADER_OFFSET = 12
_LZMA2 = 0x21

_FILTERS = {
    "x86": (0, lzma.FILTER_X86),
    "powerpc": (1, lzma.FILTER_POWERPC),
    "ia64": (2, lzma.FILTER_IA64),
    "arm": (3, lzma.FILTER_ARM),
    "armthumb": (4, lzma.FILTER_ARMTHUMB),
    "sparc": (5, lzma.FILTER_SPARC),
}
"""The bit of each BCJ filter in the options, and liblzma's number."""

_MEMORY_LIMIT = 64 << 20
"""Enough for a dictionary of 1 MiB, the largest block, many times over."""


class Codec:
    """A `BlockCodec` of xz streams."""

    id = CompressorId.XZ

    def __init__(self, settings: CompressorSettings) -> None:
        """Set the dictionary: to the block unless told otherwise, the largest that a reader makes room for.

        Metadata has to fit as well, so that it is not smaller than that, even where blocks are.
        """
        largest = max(settings.block_size, METADATA_SIZE)
        dictionary_size = cast(int, settings.options.get("dict-size", largest))
        chosen = cast(tuple[str, ...], settings.options.get("bcj", ()))
        lzma2 = {"id": lzma.FILTER_LZMA2, "preset": lzma.PRESET_DEFAULT, "dict_size": dictionary_size}
        self._chains = [[lzma2], *([{"id": _FILTERS[name][1]}, lzma2] for name in chosen)]
        bits = sum(1 << _FILTERS[name][0] for name in chosen)
        self._options = XZ_OPTIONS.pack(dictionary_size, bits) if bits or dictionary_size != largest else None

    def options(self) -> bytes | None:
        """Give dictionary and filters, unless they are what no options stand for: that of the block, and none."""
        return self._options

    def compress(self, blocks: Sequence[bytes]) -> list[bytes]:
        """Compress each block, without and with each filter asked for; liblzma lets go of the GIL for each."""
        if len(self._chains) == 1:
            return [_compressed(block, self._chains[0]) for block in blocks]
        return [smallest([_compressed(block, chain) for chain in self._chains]) for block in blocks]

    def decompress(self, stored: bytes, size_limit: int) -> bytes:
        """Decompress one xz stream."""
        decoder = lzma.LZMADecompressor(lzma.FORMAT_XZ, _MEMORY_LIMIT)
        try:
            plain = decoder.decompress(stored, size_limit + 1)
        except (lzma.LZMAError, EOFError) as error:
            raise ValueError(str(error)) from error
        if len(plain) > size_limit:
            raise TooLargeError(size_limit)
        if not decoder.eof:
            raise ValueError("the stream ends early")
        return plain

    def faults(self, stored: bytes, window_limit: int) -> list[Fault]:
        """Look at the stream's check, and at the dictionary that its block asks for."""
        faults = []
        check = stored[_FLAGS_OFFSET] & 0x0F
        if check not in _KERNEL_CHECKS:
            text = f"an xz stream has the check {_CHECKS.get(check, check)}, not CRC32 or none"
            faults.append(Fault(Rule.XZ_CHECK, text))
        size = _dictionary_size(stored)
        if size > window_limit:
            text = f"an xz stream asks for a dictionary of {size}, {window_limit} are allowed"
            faults.append(Fault(Rule.XZ_DICTIONARY, text))
        return faults


def _compressed(block: bytes, chain: list[dict[str, int]]) -> bytes:
    return lzma.compress(block, lzma.FORMAT_XZ, lzma.CHECK_CRC32, filters=chain)


def _dictionary_size(stored: bytes) -> int:
    """Find the dictionary in the header of a stream's first block.

    Source: "Block Header" and "LZMA2" in the .xz file format.
    """
    flags = stored[_BLOCK_HEADER_OFFSET + 1]
    at = _BLOCK_HEADER_OFFSET + 2
    for is_there in (flags & 0x40, flags & 0x80):  # compressed and uncompressed size, of seven bits a byte
        if is_there:
            while stored[at] & 0x80:
                at += 1
            at += 1
    for _ in range((flags & 3) + 1):
        filter_id, property_size = stored[at], stored[at + 1]
        if filter_id == _LZMA2:
            bits = stored[at + 2]
            return (2 | bits & 1) << (bits // 2 + 11)
        at += 2 + property_size
    return 0
