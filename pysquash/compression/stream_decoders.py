"""Layer streams: one decoder for each format that a layer may be compressed with.

In: raw bytes in chunks of any size. Out: plain bytes in chunks of at most about a MiB.
Rules kept here: the format is found by magic; all gzip members, bzip2 and xz streams and zstd frames are read to the
end, because eStargz and zstd:chunked layers have many; a truncated or damaged stream is an error; data after the last
gzip member or bzip2 stream that does not begin another one is ignored and reported, as gzip and bzip2 do. The work is
proportional to the bytes read and written, however many streams they make.
Not here: limits on what comes out (stream).
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple, Protocol, cast

import zstandard

from pysquash.compression.base import raise_if_out_of_memory
from pysquash.compression.zstd_frames import FrameScanner
from pysquash.errors import SourceError
from pysquash.options.limits import Limits

__all__ = ["MAGIC_SIZE", "Decoder", "find_decoder"]

MAGIC_SIZE = 6
"""Bytes that tell every format apart."""

_UNPACKED_SIZE = 1 << 20
"""Bytes asked of a decompressor at a time: each time it waits for the GIL, and wakes the thread that takes them."""

_FIRST_PIECE, _LARGEST_PIECE = 1 << 12, 1 << 20
"""Raw bytes given to a decompressor at a time: few at the start of a stream, then twice as many each time. A
decompressor copies what follows its stream, so that many short streams in one large piece would take quadratic time."""

_XZ_MEMORY_LIMIT = 256 << 20
"""A decoder for the largest preset, -9, takes 65 MiB; `xz --lzma2=dict=128MiB` is still read."""

_SKIPPABLE_MAGIC = range(0x184D2A50, 0x184D2A60)
_NOT_ZERO = re.compile(rb"[^\0]")

Garbage = Callable[[str], None]
"""Told that a stream ended and other data follows."""

Decoder = Callable[[Iterator[bytes], Limits, Garbage], Iterator[bytes]]
"""Turns raw chunks into plain ones."""


def find_decoder(head: bytes, *, source: str) -> Decoder | None:
    """Find the decoder for a stream that starts like this.

    Args:
        head: Its first bytes: `MAGIC_SIZE` of them, or all that there are.
        source: What errors name.

    Returns:
        The decoder, whose errors are ours; None for a plain stream.
    """
    if head.startswith(b"\x1f\x8b"):
        decoder: Decoder = _gunzip
    elif head.startswith(b"BZh") and head[3:4].isdigit():
        decoder = _bunzip2
    elif head.startswith(b"\xfd7zXZ\0"):
        decoder = _unxz
    elif head.startswith(b"\x28\xb5\x2f\xfd") or int.from_bytes(head[:4], "little") in _SKIPPABLE_MAGIC:
        decoder = _unzstd
    else:
        return None
    return partial(_guarded, decoder, source)


class _DamagedError(Exception):
    """Why a decoder cannot go on."""


def _guarded(
    decoder: Decoder, source: str, chunks: Iterator[bytes], limits: Limits, garbage: Garbage
) -> Iterator[bytes]:
    """Turn what the decoders raise into our error."""
    try:
        yield from decoder(chunks, limits, garbage)
    except (_DamagedError, zlib.error, zstandard.ZstdError) as error:
        raise_if_out_of_memory(error)
        raise SourceError(f"cannot be decompressed: {error}", source=source) from error


# --- formats of which one stream follows the other -------------------------------------------------------------------


class _OneStream(Protocol):
    """Decodes one stream, as `bz2.BZ2Decompressor` does."""

    @property
    def eof(self) -> bool: ...

    @property
    def needs_input(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes | memoryview, max_length: int) -> bytes: ...


class _Format(NamedTuple):
    """What is between and after streams.

    Attributes:
        name: What messages call it.
        make: Makes a decoder for one stream.
        errors: What that raises for damaged data.
        padding: Zeros after a stream count a multiple of this.
        magic: How a further stream begins, where other data is ignored; None where that is damage.
    """

    name: str
    make: Callable[[], _OneStream]
    errors: tuple[type[Exception], ...]
    padding: int = 1
    magic: bytes | None = None


class _ZlibMember:
    """Decodes one gzip member with zlib."""

    def __init__(self) -> None:
        self._decoder = zlib.decompressobj(31)
        self.needs_input = True

    @property
    def eof(self) -> bool:
        return self._decoder.eof

    @property
    def unused_data(self) -> bytes:
        return self._decoder.unused_data

    def decompress(self, data: bytes | memoryview, max_length: int) -> bytes:
        plain = self._decoder.decompress(self._decoder.unconsumed_tail or data, max_length)
        self.needs_input = len(plain) < max_length and not self._decoder.unconsumed_tail
        return plain


def _gunzip(chunks: Iterator[bytes], _limits: Limits, garbage: Garbage) -> Iterator[bytes]:
    # Zeros after the last member are padding of tapes and block devices, which "gzip -d" ignores.
    make: Callable[[], _OneStream] = _ZlibMember
    errors: tuple[type[Exception], ...] = ()
    try:
        from isal import igzip_lib, isal_zlib  # noqa: PLC0415 - not on every platform
    except ImportError:  # no wheel for this platform: zlib does the same at about a third of the speed
        pass
    else:
        make = cast(Any, partial(igzip_lib.IgzipDecompressor, igzip_lib.DECOMP_GZIP))
        errors = (cast(Any, isal_zlib).IsalError,)
    yield from _decode(chunks, _Format("gzip", make, errors, magic=b"\x1f\x8b"), garbage)


def _bunzip2(chunks: Iterator[bytes], _limits: Limits, garbage: Garbage) -> Iterator[bytes]:
    try:
        import bz2  # noqa: PLC0415 - few layers are
    except ImportError as error:  # a Python built without it
        raise _DamagedError(str(error)) from error
    errors = (OSError, ValueError)
    yield from _decode(chunks, _Format("bzip2", bz2.BZ2Decompressor, errors, magic=b"BZh"), garbage)


def _unxz(chunks: Iterator[bytes], _limits: Limits, garbage: Garbage) -> Iterator[bytes]:
    try:
        import lzma  # noqa: PLC0415 - few layers are
    except ImportError as error:  # a Python built without it
        raise _DamagedError(str(error)) from error
    # "Stream Padding" of the xz format: zeros, a multiple of four, between and after streams.
    make = partial(lzma.LZMADecompressor, lzma.FORMAT_XZ, _XZ_MEMORY_LIMIT)
    yield from _decode(chunks, _Format("xz", make, (lzma.LZMAError,), padding=4), garbage)


def _decode(chunks: Iterator[bytes], form: _Format, garbage: Garbage) -> Iterator[bytes]:
    """Decode streams one after the other.

    Short results are joined, and given out at the latest at the end of the chunk that they come from.
    """
    state = _Streams(form)
    for chunk in chunks:
        yield from state.decode(chunk)
        if state.is_garbage:
            garbage(f"data after the end of the {form.name} stream is ignored")
            for _ in chunks:  # digests are over all of it
                pass
            return
    yield from state.finish(garbage)


class _Streams:
    """Where the decoding of many streams is.

    Attributes:
        is_garbage: Whether other data than a stream follows.
    """

    def __init__(self, form: _Format) -> None:
        self.is_garbage = False
        self._format = form
        self._decoder = form.make()
        self._piece_size = _FIRST_PIECE
        self._zero_count = 0
        self._magic = b""  # the first bytes of what may be a further stream

    def decode(self, chunk: bytes) -> Iterator[bytes]:
        """Decode some more of the raw bytes."""
        view, position, end = memoryview(chunk), 0, len(chunk)
        parts: list[bytes] = []
        size = 0
        while position < end:
            if self._decoder.eof:
                position = self._start_stream(chunk, position)
                if self.is_garbage:
                    break
                continue
            piece: memoryview | bytes = view[position : position + self._piece_size]
            position += len(piece)
            while True:
                plain = self._decompress(piece)
                if plain:
                    parts.append(plain)
                    size += len(plain)
                    if size >= _UNPACKED_SIZE:
                        yield parts[0] if len(parts) == 1 else b"".join(parts)
                        parts, size = [], 0
                if self._decoder.eof or self._decoder.needs_input:
                    break
                piece = b""
            if self._decoder.eof:
                position -= len(self._decoder.unused_data)
                self._piece_size = _FIRST_PIECE
            else:
                self._piece_size = min(2 * self._piece_size, _LARGEST_PIECE)
        if size:
            yield parts[0] if len(parts) == 1 else b"".join(parts)

    def finish(self, garbage: Garbage) -> Iterator[bytes]:
        """Decode what is left at the end of the raw bytes."""
        form = self._format
        if self._magic and form.magic is not None and not form.magic.startswith(self._magic):
            garbage(f"data after the end of the {form.name} stream is ignored")
        elif self._magic or not self._decoder.eof:
            raise _DamagedError(f"unexpected end of file: the {form.name} stream is truncated")
        else:
            self._check_padding()
        yield from ()

    def _start_stream(self, chunk: bytes, position: int) -> int:
        """Pass over padding, and start the next stream where one begins; return the position in the chunk after it."""
        form, begun = self._format, self._magic
        if not begun:
            found = _NOT_ZERO.search(chunk, position)
            start = len(chunk) if found is None else found.start()
            self._zero_count += start - position
            if found is None:
                return start
            position = start
        if form.magic is not None:
            taken = chunk[position : position + len(form.magic) - len(begun)]
            begun += taken
            if not form.magic.startswith(begun):
                self.is_garbage = True
                return position
            position += len(taken)
            self._magic = begun
            if len(begun) < len(form.magic):
                return position
        if begun and self._zero_count:  # gzip and bzip2 stop at the zeros, and Python's gzip reads on
            raise _DamagedError(f"{self._zero_count} zero bytes between two {form.name} streams")
        self._check_padding()
        self._decoder, self._zero_count, self._magic = form.make(), 0, b""
        if begun:
            self._decompress(begun)
        return position

    def _check_padding(self) -> None:
        padding = self._format.padding
        if self._zero_count % padding:
            text = f"{self._format.name} padding of {self._zero_count} bytes is not a multiple of {padding}"
            raise _DamagedError(text)

    def _decompress(self, data: bytes | memoryview) -> bytes:
        try:
            return self._decoder.decompress(data, _UNPACKED_SIZE)
        except self._format.errors as error:
            raise _DamagedError(str(error)) from error


# --- zstd ------------------------------------------------------------------------------------------------------------

_WINDOW_ERROR = "too much memory"  # ZSTD_error_frameParameter_windowTooLarge, which zstandard has as a text only


def _unzstd(chunks: Iterator[bytes], limits: Limits, _garbage: Garbage) -> Iterator[bytes]:
    scanner = FrameScanner()

    def scanned() -> Iterator[bytes]:
        for chunk in chunks:
            scanner.feed(chunk)
            yield chunk

    reader = zstandard.ZstdDecompressor(max_window_size=limits.zstd_window_size).stream_reader(
        cast(Any, _Reader(scanned())), read_across_frames=True
    )
    while True:
        try:
            plain = reader.read(_UNPACKED_SIZE)
        except zstandard.ZstdError as error:
            if _WINDOW_ERROR not in str(error):
                raise
            limit = f"its window is larger than {limits.zstd_window_size} bytes (--limit zstd-window-size)"
            raise _DamagedError(limit) from error
        if not plain:
            break
        yield plain
    # zstandard gives what it has of a truncated frame, and then no more, without a word.
    if not scanner.is_between_frames:
        raise _DamagedError("unexpected end of file: the zstd stream is truncated")


class _Reader:
    """A file-like over chunks, for decoders that want to read."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._rest = memoryview(b"")

    def read(self, size: int) -> bytes:
        rest = self._rest or memoryview(next(self._chunks, b""))
        data, self._rest = rest[:size], rest[size:]
        return bytes(data)
