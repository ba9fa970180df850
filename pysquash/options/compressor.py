"""Compressor options: what a caller may set of each compressor, checked, and in the form that codecs take.

In: names and values as mksquashfs's -X has them, values of Python or in text. Out: `CompressorOptions`, which holds
only what was given.
Rules kept here: what is not known of a compressor, or not within its range, is an error that says what is allowed.
Not here: levels (writer), and what absent ones mean (compression).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping

from pysquash.errors import OptionError
from pysquash.options.frozen_mapping import FrozenMapping

__all__ = [
    "BCJ_FILTERS",
    "GZIP_STRATEGIES",
    "LZO_ALGORITHMS",
    "NO_OPTIONS",
    "CompressorOptions",
    "whole_number",
]

GZIP_STRATEGIES = ("default", "filtered", "huffman-only", "run-length-encoded", "fixed")
BCJ_FILTERS = ("x86", "arm", "armthumb", "powerpc", "sparc", "ia64")
LZO_ALGORITHMS = ("lzo1x_1", "lzo1x_1_11", "lzo1x_1_12", "lzo1x_1_15", "lzo1x_999")

_DICTIONARY_MIN = 8192
"""A metadata block: a reader makes room for one dictionary, which both have to fit."""

_Parse = Callable[[str, object, int], object]
_TRUE, _FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0")


class CompressorOptions(FrozenMapping[str, object]):
    """Names and checked values."""

    __slots__ = ()

    @classmethod
    def parsed(
        cls, values: Mapping[str, object], *, compressor: str, block_size: int, has_levels: bool = False
    ) -> CompressorOptions:
        """Check options, and bring them into their form.

        Args:
            values: What the caller gave, without a level.
            compressor: As in `WriterOptions`.
            block_size: Bytes in a data block.
            has_levels: Whether it has a level as well, for what is said of a name that is unknown.

        Raises:
            OptionError: There is no such option, or no such value of it.
        """
        known = _OPTIONS.get(compressor, {})
        parsed = {}
        for name, value in values.items():
            parse = known.get(name)
            if parse is None:
                names = ", ".join([*known, *(["level"] if has_levels else [])])
                raise OptionError(f"compressor {compressor} has no option {name!r:.80}, only: {names or 'none'}")
            parsed[name] = parse(name, value, block_size)
        return cls(parsed)


NO_OPTIONS = CompressorOptions({})


def whole_number(value: object) -> int | None:
    """Read a whole number, which may be text; None where it is none."""
    if isinstance(value, str) and value.isascii() and value.isdigit():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _window_size(name: str, value: object, _block_size: int) -> int:
    number = whole_number(value)
    if number is None or not 8 <= number <= 15:
        raise OptionError(f"{name} must be 8 to 15, the power of two, not {value!r}")
    return number


def _dictionary_size(name: str, value: object, block_size: int) -> int:
    number = whole_number(value)
    if isinstance(value, str) and (part := re.fullmatch(r"(\d{1,3}(?:\.\d{1,6})?)%", value, re.ASCII)):
        number = int(block_size * float(part[1]) / 100)
    if number is None or not _DICTIONARY_MIN <= number <= block_size or number & -number not in (number, number // 3):
        allowed = f"{_DICTIONARY_MIN} to the block size ({block_size}), 2^n or 2^n + 2^(n+1) bytes, or such a part: 75%"
        raise OptionError(f"{name} must be {allowed}; not {value!r}")
    return number


def _flag(name: str, value: object, _block_size: int) -> bool:
    if isinstance(value, str) and value.lower() in _TRUE + _FALSE:
        return value.lower() in _TRUE
    if not isinstance(value, bool):
        raise OptionError(f"{name} must be true or false, not {value!r}")
    return value


def _algorithm(name: str, value: object, _block_size: int) -> str:
    if value not in LZO_ALGORITHMS:
        raise OptionError(f"{name} must be one of {', '.join(LZO_ALGORITHMS)}, not {value!r}")
    return str(value)


def _some_of(allowed: tuple[str, ...]) -> _Parse:
    def parse(name: str, value: object, _block_size: int) -> tuple[str, ...]:
        """Read several names, in text with commas between them; equal ones in any order become equal."""
        wanted = value.split(",") if isinstance(value, str) else list(value) if isinstance(value, Iterable) else [value]
        names = {each.replace("_", "-") if isinstance(each, str) else each for each in wanted}
        if not names or not names <= set(allowed):
            raise OptionError(f"{name} must be some of {', '.join(allowed)}, not {value!r}")
        return tuple(each for each in allowed if each in names)

    return parse


_OPTIONS: dict[str, dict[str, _Parse]] = {
    "gzip": {"window-size": _window_size, "strategy": _some_of(GZIP_STRATEGIES)},
    "xz": {"dict-size": _dictionary_size, "bcj": _some_of(BCJ_FILTERS)},
    "lz4": {"hc": _flag},
    "lzo": {"algorithm": _algorithm},
}
