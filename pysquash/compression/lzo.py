"""Compression: lzo blocks, which in SquashFS are bare LZO1X streams.

Needs the package lzallright, which is optional; it reads the streams of all algorithms, and has one of its own, about
as strong as lzo1x_1. Those of the LZO library itself come from another optional package, python-lzo, which has two of
the five, and lzo1x_999 at one level only. No package for Python has the others.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from functools import partial

from lzallright import LZOCompressor, LZOError

from pysquash.compression.base import CompressorSettings, Fault
from pysquash.errors import OptionError
from pysquash.format.constants import CompressorId
from pysquash.format.records import LZO_OPTIONS
from pysquash.options.compressor import LZO_ALGORITHMS

__all__ = ["Codec"]

_FAST, _STRONG = "lzo1x_1", "lzo1x_999"
_DEFAULT_LEVEL = 8
_LIBRARY_LEVELS = {_FAST: 1, _STRONG: 9}
"""What python-lzo calls them."""

_SUSPICIOUS_RATIO = 4
_RUN = 255
"""Bytes of output that each zero byte within a long length stands for: the only way to a ratio above 11."""


class Codec:
    """A `BlockCodec` of LZO1X streams."""

    id = CompressorId.LZO

    def __init__(self, settings: CompressorSettings) -> None:
        """Choose what compresses: the package's own algorithm, unless one of the LZO library's is asked for."""
        self._options = None
        self._decompress = LZOCompressor.decompress
        algorithm = settings.options.get("algorithm", None if settings.level is None else _STRONG)
        if algorithm is None:
            self._compress = LZOCompressor().compress
            return
        if algorithm not in _LIBRARY_LEVELS or settings.level not in (None, _DEFAULT_LEVEL):
            there_are = f"{_FAST}, {_STRONG} at level {_DEFAULT_LEVEL}, and lzallright's own for no algorithm at all"
            what = algorithm if settings.level is None else f"{algorithm} at level {settings.level}"
            raise OptionError(f"compressor lzo: no package for Python has {what}; there are {there_are}")
        try:
            library = importlib.import_module("lzo")
        except ImportError as error:
            text = f"compressor lzo: for the algorithm {algorithm} install pysquash[liblzo], or python-lzo"
            raise OptionError(text) from error
        self._compress = partial(_library_stream, library.compress, _LIBRARY_LEVELS[str(algorithm)])
        if algorithm != _STRONG:
            self._options = LZO_OPTIONS.pack(LZO_ALGORITHMS.index(str(algorithm)), 0)

    def options(self) -> bytes | None:
        """Give the algorithm, unless it is lzo1x_999 at its default level, which is what no options stand for.

        There are none either for an algorithm that has no number; Linux reads all streams alike, and passes over them.
        """
        return self._options

    def compress(self, blocks: Sequence[bytes]) -> list[bytes]:
        """Compress each block."""
        compress = self._compress
        return [compress(block) for block in blocks]

    def decompress(self, stored: bytes, size_limit: int) -> bytes:
        """Decompress one stream.

        The package makes its buffer as large as the stream asks for. So where a stream could ask for much, how much it
        does is counted first.
        """
        if stored.count(0) * _RUN > _SUSPICIOUS_RATIO * size_limit:
            _check_size(stored, size_limit)
        try:
            plain = self._decompress(stored, size_limit)
        except LZOError as error:
            raise ValueError(f"lzo: {error.args[0]}") from error  # behind it may be all that was decompressed
        if len(plain) > size_limit:
            raise ValueError(f"the stream holds {len(plain)} bytes, {size_limit} are allowed")
        return plain

    def faults(self, stored: bytes, window_limit: int) -> list[Fault]:
        """Find nothing: a stream asks for nothing."""
        del stored, window_limit
        return []


def _library_stream(compress: Callable[[bytes, int, bool], bytes], level: int, block: bytes) -> bytes:
    return compress(block, level, False)  # without the package's own header


def _check_size(stored: bytes, size_limit: int) -> None:
    """Add up what each instruction of a stream puts out.

    Raises:
        ValueError: It is more than the limit, or the stream ends within an instruction.

    Source: "LZO stream format as understood by Linux' LZO decompressor" in the kernel's documentation.
    """
    try:
        size = _plain_size(stored, size_limit)
    except IndexError:
        raise ValueError("lzo: the stream ends early") from None
    if size > size_limit:
        raise ValueError(f"the stream holds more than {size_limit} bytes")


def _plain_size(stored: bytes, size_limit: int) -> int:
    at = size = 0
    literals = 0  # how many the instruction before was followed by: 0 to 3, or 4 for a run of its own
    if stored[0] > 17:
        literals = min(stored[0] - 17, 4)
        size = stored[0] - 17
        at = 1 + size
    while size <= size_limit:
        instruction = stored[at]
        at += 1
        if instruction < 16 and literals == 0:
            length, at = _length(stored, at, instruction, 15)
            size += 3 + length
            at += 3 + length
            literals = 4
            continue
        if instruction < 16:
            size += 3 if literals == 4 else 2
            state = instruction
            at += 1
        elif instruction < 64:
            mask = 7 if instruction < 32 else 31
            length, at = _length(stored, at, instruction & mask, mask)
            state = stored[at]
            if instruction & ~7 == 16 and state < 4 and stored[at + 1] == 0:
                return size  # the end marker
            size += 2 + length
            at += 2
        else:
            size += 3 + (instruction >> 5 & 1) if instruction < 128 else 5 + (instruction >> 5 & 3)
            state = instruction
            at += 1
        literals = state & 3
        size += literals
        at += literals
    return size


def _length(stored: bytes, at: int, short: int, mask: int) -> tuple[int, int]:
    """Read a length that goes on in further bytes where it is 0."""
    if short:
        return short, at
    length = mask
    while not stored[at]:
        length += _RUN
        at += 1
    return length + stored[at], at + 1
