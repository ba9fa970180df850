"""What is done with the bytes of a tar, whatever they are, and what must come of it: entries, or one of our errors."""

from __future__ import annotations

import io

from pysquash import SquashfsImage, check, tar2squashfs
from pysquash.errors import InputError
from pysquash.options.limits import Limits
from pysquash.options.writer import WriterOptions
from pysquash.sources.tar import TarSource

__all__ = ["exercise"]

_LIMITS = Limits(total_size=4 << 20, file_size=1 << 32, hole_block_count=1 << 14, entry_count=10_000)
_OPTIONS = {
    strict: WriterOptions(compressor="none", block_size=4096, workers=1, strict=strict, limits=_LIMITS)
    for strict in (False, True)
}


def exercise(data: bytes) -> None:
    """Pack a tar, leniently and strictly, and read the image.

    Raises:
        AssertionError: The image is not as it should be, or `strict` changes more than warnings into errors.
        Exception: Anything but an InputError is a bug.
    """
    _read(data)
    output = io.BytesIO()
    try:
        report = tar2squashfs([io.BytesIO(data)], output, options=_OPTIONS[False])
    except InputError as error:
        assert str(error)
        assert not output.getvalue()
        is_error, has_warnings = True, False
    else:
        is_error, has_warnings = False, bool(report.warnings)
        assert not [finding for finding in check(io.BytesIO(output.getvalue())) if finding.refused_by]
        with SquashfsImage(io.BytesIO(output.getvalue())) as image:
            for path in image.root.walk():
                assert path.stat().st_size >= 0
    strict_output = io.BytesIO()
    try:
        tar2squashfs([io.BytesIO(data)], strict_output, options=_OPTIONS[True])
    except InputError as error:
        assert is_error or has_warnings, error
    else:
        assert not is_error
        assert not has_warnings
        assert strict_output.getvalue() == output.getvalue()


def _read(data: bytes) -> None:
    """Read the entries themselves, with their contents in pieces."""
    source = TarSource(io.BytesIO(data), name="t", options=_OPTIONS[False], warn=lambda notice: None)
    try:
        for entry in source:
            assert b"\0" not in entry.path
            assert b".." not in entry.path.split(b"/")
            left = min(entry.stored_size, 4 << 20)
            while left:
                left -= len(source.read(min(left, 1000)))
    except InputError as error:
        assert str(error)
    finally:
        source.close()
