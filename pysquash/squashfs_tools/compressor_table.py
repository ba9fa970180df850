"""Compressor table: the -X options of each compressor, and how their values are said to the writer.

In: an -X option and its text. Out: the name and the value that `WriterOptions` takes.
Rules kept here: what mksquashfs takes besides what the writer does: sizes with K and M, percentages with a fraction.
Not here: which values there are (options/compressor).
"""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import NamedTuple

from pysquash.errors import OptionError
from pysquash.squashfs_tools.values import parse_size

__all__ = ["COMPRESSORS", "CompressorOption", "writer_value"]


class CompressorOption(NamedTuple):
    """One -X option.

    Attributes:
        name: As mksquashfs has it.
        writer_name: As `WriterOptions.compressor_options` has it.
        value: What it takes; "" for nothing.
        help: What it does.
    """

    name: str
    writer_name: str
    value: str
    help: str


_LEVEL = "-Xcompression-level"

COMPRESSORS: dict[str, tuple[CompressorOption, ...]] = {
    "gzip": (
        CompressorOption(_LEVEL, "level", "LEVEL", "1 to 9; 9 by default"),
        CompressorOption("-Xwindow-size", "window-size", "SIZE", "8 to 15, the power of two; 15 by default"),
        CompressorOption(
            "-Xstrategy",
            "strategy",
            "NAME,...",
            "try each and keep the smallest: default, filtered, huffman_only, run_length_encoded, fixed",
        ),
    ),
    "lzo": (
        CompressorOption(
            "-Xalgorithm",
            "algorithm",
            "NAME",
            "lzo1x_1, lzo1x_1_11, lzo1x_1_12, lzo1x_1_15 or lzo1x_999, the default",
        ),
        CompressorOption(_LEVEL, "level", "LEVEL", "1 to 9, for lzo1x_999; 8 by default"),
    ),
    "lz4": (CompressorOption("-Xhc", "hc", "", "compress better, and slower"),),
    "xz": (
        CompressorOption(
            "-Xbcj", "bcj", "NAME,...", "try each filter as well: x86, arm, armthumb, powerpc, sparc, ia64"
        ),
        CompressorOption(
            "-Xdict-size",
            "dict-size",
            "SIZE",
            "bytes of dictionary, 8K to the block size, 2^n or 2^n + 2^(n+1), or a part of it: 75%",
        ),
    ),
    "zstd": (CompressorOption(_LEVEL, "level", "LEVEL", "1 to 22; 15 by default"),),
    "lzma": (),
}


def writer_value(option: CompressorOption, text: str, block_size: int) -> object:
    """Turn an option's text into what the writer takes.

    Raises:
        OptionError: It is no number where one is needed.
    """
    if not option.value:
        return True
    if option.writer_name != "dict-size":
        return text
    if not text.endswith("%"):
        return parse_size(text)
    try:
        return int(block_size * Decimal(text[:-1]) / 100)
    except (InvalidOperation, ValueError, OverflowError):
        raise OptionError(f"{text!r} is no percentage") from None
