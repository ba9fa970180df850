"""Layer streams: turns what a caller gives for a layer into plain bytes, whatever it is compressed with.

In: a path, a binary file object, an iterable of bytes, or a callable that returns one of these. Out: `LayerStream`, an
iterator of plain chunks.
Rules kept here: the format is found by magic; all gzip members, bzip2 and xz streams and zstd frames are read to the
end, because eStargz and zstd:chunked layers have many; a stream that ends early, or goes on as something else, is an
error; what comes out is bounded in size, ratio and window before it is produced.
Not here: what the bytes mean (sources/tar), reading ahead on a thread (ahead).
"""

from __future__ import annotations

import os
import stat
import zlib
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, BinaryIO, Protocol, cast

import zstandard

from pysquash.compression.ahead import Ahead, StalledError
from pysquash.compression.base import raise_if_out_of_memory
from pysquash.compression.zstd_frames import FrameScanner
from pysquash.errors import LimitError, OptionTypeError, SourceError
from pysquash.options import Limits

__all__ = ["Layer", "LayerStream", "StreamChecks"]

Layer = (
    str
    | os.PathLike[str]
    | BinaryIO
    | Iterable[bytes]
    | Callable[[], str | os.PathLike[str] | BinaryIO | Iterable[bytes]]
)
"""What a caller may give for a layer."""

_LAYER_KINDS = "a layer is a path, a binary file, an iterable of bytes, or a callable that returns one of these"

_READ_SIZE = 1 << 20
"""Bytes asked of a file at a time, where nobody knows how many are needed."""

_UNPACKED_SIZE = 1 << 20
"""Bytes asked of a decompressor at a time: each time it waits for the GIL, and wakes who waits for the bytes."""

_HEAD_SIZE = 512

_XZ_MEMORY_LIMIT = 256 << 20
"""A decoder for the largest preset, -9, takes 65 MiB; `xz --lzma2=dict=128MiB` is still read."""

_SKIPPABLE_MAGIC = range(0x184D2A50, 0x184D2A60)


class StreamChecks(Protocol):
    """Looks at all that goes through a stream, and raises at its end what is wrong with it."""

    def consumed(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        """Pass on the bytes as they come."""
        ...

    def unpacked(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        """Pass on the plain bytes."""
        ...


class LayerStream:
    """One layer's plain bytes, an iterator of chunks of at most a few MiB.

    Attributes:
        consumed_size: Bytes taken from the caller's file or iterable so far.
        unpacked_size: Plain bytes given out so far.
        total_size: Bytes that the caller's file has in all, or None where that cannot be known.
        is_compressed: Whether its plain bytes are others than those that it has.
        head: The first plain bytes, up to 512, once there are any.
    """

    def __init__(
        self,
        layer: Layer,
        *,
        name: str,
        limits: Limits,
        checks: StreamChecks | None = None,
        timeout: float | None = None,
    ) -> None:
        """Open the layer and find out what it is compressed with.

        Args:
            layer: A file that we open is closed by us; a file object stays open.
            name: What errors call it.
            limits: layer_size, ratio, ratio_free_size and zstd_window_size are kept here.
            checks: Sees every byte, as it comes and unpacked; or None.
            timeout: Seconds without data after which reading anything but a regular file fails; None for never.

        Raises:
            OSError: The file cannot be opened or read.
            SourceError: It is damaged at its start, or no data came in time.
            OptionTypeError: The layer is none of these.
        """
        self.consumed_size = 0
        self.unpacked_size = 0
        self.total_size: int | None = None
        self.head = b""
        self._name = name
        self._limits = limits
        self._read_size = _READ_SIZE
        self._own_file: BinaryIO | None = None
        self._ahead: Ahead | None = None
        self._waiting: Ahead | None = None
        self._is_timed = timeout is not None
        self._is_closed = False
        try:
            raw = self._raw_chunks(layer) if timeout is None else self._timed_chunks(layer, timeout)
            raw = raw if checks is None else checks.consumed(raw)
            head = b""
            for chunk in raw:
                head += chunk
                if len(head) >= _MAGIC_SIZE:
                    break
            decoder = _decoder(head)
            self.is_compressed = decoder is not None
            chunks = _chain(head, raw)
            if decoder is not None:
                chunks = _guarded(decoder(chunks, limits), name)
            if checks is not None:
                chunks = checks.unpacked(chunks)
            # Unpacking is a quarter of the work for most layers, and lets go of the GIL: so it is done on another core.
            # Reading is a twentieth for plain ones, and the system reads ahead by itself: a thread costs more in
            # waking one another than it saves. And where a file stands is no surprise to its owner.
            if decoder is not None:
                self._ahead = Ahead(chunks)
                chunks = iter(self._ahead)
        except BaseException:
            self.close()
            raise
        self._chunks = chunks

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        """Give the next chunk, never an empty one.

        Raises:
            SourceError: The stream is truncated, damaged, or followed by something else.
            LimitError: There is more than a limit allows.
        """
        chunk = next(self._chunks)
        if not self.unpacked_size:
            self.head = chunk[:_HEAD_SIZE]
        self.unpacked_size += len(chunk)
        limits = self._limits
        if self.unpacked_size > limits.layer_size:
            raise LimitError("the layer's uncompressed size", self.unpacked_size, limits.layer_size, where=self._name)
        if self.unpacked_size > limits.ratio_free_size:
            ratio = self.unpacked_size // max(1, self.consumed_size)
            if ratio > limits.ratio:
                raise LimitError("the layer's compression ratio", ratio, limits.ratio, where=self._name)
        return chunk

    def up_to(self, size: int) -> bytes:
        """Give the next chunk; of no more than so many bytes where they come from a plain file.

        So what is wanted whole is read as it is, and need not be cut out of something larger.

        Returns:
            The chunk, which is longer where it comes from elsewhere; b"" at the end.

        Raises:
            SourceError: The stream is truncated, damaged, or followed by something else.
            LimitError: There is more than a limit allows.
        """
        if self.is_compressed or self._waiting is not None:  # what is read, on another thread, is not what is given
            return next(self, b"")
        self._read_size = size
        try:
            return next(self, b"")
        finally:
            self._read_size = _READ_SIZE

    def close(self) -> None:
        """Stop reading ahead and close what we opened. Harmless when called twice."""
        self._is_closed = True
        for thread in (self._waiting, self._ahead):
            if thread is not None:
                thread.close()
        if self._own_file is not None:
            self._own_file.close()

    def _raw_chunks(self, layer: Layer) -> Iterator[bytes]:
        """Open whatever the layer is, and give its bytes as they are."""
        while callable(layer) and not hasattr(layer, "read"):
            layer = cast(Layer, layer())
        if isinstance(layer, str | os.PathLike):
            layer = self._own_file = open(layer, "rb", buffering=0)  # noqa: SIM115 - closed by close
            size = os.fstat(layer.fileno()).st_size
            self.total_size = size or None  # a pipe or device says 0
        if isinstance(layer, bytes | bytearray | memoryview):
            raise OptionTypeError(f"{_LAYER_KINDS}, not bytes: use io.BytesIO")
        if not hasattr(layer, "read") and not isinstance(layer, Iterable):
            raise OptionTypeError(f"{_LAYER_KINDS}, not {layer!r:.80}")
        return self._counted(cast(Any, layer))

    def _timed_chunks(self, layer: Layer, timeout: float) -> Iterator[bytes]:
        """Give the layer's bytes, read on a thread of its own where they can be waited for, as those of a pipe.

        Raises:
            SourceError: None came in time.
        """
        if _is_regular(layer):
            yield from self._raw_chunks(layer)
            return
        self._waiting = Ahead(self._opened_late(layer), timeout=timeout)
        try:
            yield from self._waiting
        except StalledError:
            raise SourceError(f"no data for {timeout:g} seconds (--timeout)", source=self._name) from None

    def _opened_late(self, layer: Layer) -> Iterator[bytes]:
        """Open the layer when its first bytes are wanted: opening a named pipe waits for its writer."""
        chunks = self._raw_chunks(layer)
        if not self._is_closed:
            yield from chunks
        elif self._own_file is not None:  # nobody waited for it
            self._own_file.close()

    def _counted(self, layer: Any) -> Iterator[bytes]:
        read = getattr(layer, "read", None)
        if self._is_timed:  # so as not to wait until a buffer is full
            read = getattr(layer, "read1", read)
        chunks = layer if read is None else iter(lambda: read(self._read_size), b"")
        for chunk in chunks:
            if not isinstance(chunk, bytes):
                if not isinstance(chunk, bytearray | memoryview):
                    text = "text: open the file with 'rb'" if isinstance(chunk, str) else f"{chunk!r:.80}"
                    raise OptionTypeError(f"{self._name}: a layer gives bytes, not {text}")
                chunk = bytes(chunk)  # noqa: PLW2901
            if chunk:
                self.consumed_size += len(chunk)
                yield chunk


def _is_regular(layer: Layer) -> bool:
    """Return whether a layer is a regular file, for which nobody waits."""
    try:
        if isinstance(layer, str | os.PathLike):
            return stat.S_ISREG(os.stat(layer).st_mode)
        return stat.S_ISREG(os.fstat(cast(Any, layer).fileno()).st_mode)
    except (OSError, ValueError, AttributeError, TypeError):
        return False


def _chain(head: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    if head:
        yield head
    yield from rest


# --- one decoder for each format -------------------------------------------------------------------------------------

_Decoder = Callable[[Iterator[bytes], Limits], Iterator[bytes]]

_MAGIC_SIZE = 6


def _decoder(head: bytes) -> _Decoder | None:
    """Find the decoder for a stream that starts like this; None for a plain one."""
    if head.startswith(b"\x1f\x8b"):
        return _gunzip
    if head.startswith(b"BZh") and head[3:4].isdigit():
        return _bunzip2
    if head.startswith(b"\xfd7zXZ\0"):
        return _unxz
    if head.startswith(b"\x28\xb5\x2f\xfd") or int.from_bytes(head[:4], "little") in _SKIPPABLE_MAGIC:
        return _unzstd
    return None


def _guarded(chunks: Iterator[bytes], name: str) -> Iterator[bytes]:
    """Turn what the decoders raise into our error."""
    try:
        yield from chunks
    except _DECODER_ERRORS as error:
        raise_if_out_of_memory(error)
        raise SourceError(f"cannot be decompressed: {error}", source=name) from error


class _DamagedError(Exception):
    """Why a decoder cannot go on."""


_DECODER_ERRORS: tuple[type[Exception], ...] = (
    _DamagedError,
    zlib.error,
    zstandard.ZstdError,
)


def _gunzip(chunks: Iterator[bytes], _limits: Limits) -> Iterator[bytes]:
    try:
        from gzip import BadGzipFile  # noqa: PLC0415 - nobody else needs it

        from isal.igzip import IGzipFile  # noqa: PLC0415 - not everywhere
        from isal.isal_zlib import IsalError  # noqa: PLC0415
    except ImportError:  # no wheel for this platform: zlib does the same at about a third of the speed
        yield from _gunzip_with_zlib(chunks)
        return
    # Not isal's decompressobj: that begins each result with 16 KiB, and has to have the GIL each time it doubles them.
    reader = _Reader(chunks)
    file = cast(Any, IGzipFile)(fileobj=reader, mode="rb")
    # isal says OverflowError of a header of more than 512 KiB: a name or comment that nobody has.
    damage: tuple[type[Exception], ...] = (EOFError, BadGzipFile, OverflowError, cast(Any, IsalError))
    try:
        while plain := file.read(_UNPACKED_SIZE):
            yield plain
    except damage as error:
        if error is reader.error:
            raise
        is_end = isinstance(error, EOFError)
        raise _DamagedError("the gzip stream ends before its end" if is_end else str(error)) from error


def _gunzip_with_zlib(chunks: Iterator[bytes]) -> Iterator[bytes]:
    decoder = zlib.decompressobj(31)
    for chunk in chunks:
        rest = chunk
        while rest:
            if decoder.eof:
                # "gzip -d" ignores zeros behind the last member: tapes and block devices pad with them.
                rest = rest.lstrip(b"\0")
                if not rest:
                    break
                decoder = zlib.decompressobj(31)
            plain = decoder.decompress(rest, _UNPACKED_SIZE)
            rest = decoder.unused_data if decoder.eof else decoder.unconsumed_tail
            if plain:
                yield plain
    while not decoder.eof:
        plain = decoder.decompress(b"", _UNPACKED_SIZE)
        if not plain:
            raise _DamagedError("the gzip stream ends before its end")
        yield plain


def _bunzip2(chunks: Iterator[bytes], _limits: Limits) -> Iterator[bytes]:
    try:
        import bz2  # noqa: PLC0415 - few layers are
    except ImportError as error:  # a Python built without it
        raise _DamagedError(str(error)) from error
    try:
        yield from _run(chunks, bz2.BZ2Decompressor, padding=1, name="bzip2")
    except (OSError, ValueError) as error:  # what bz2 raises for damaged data
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise _DamagedError(str(error)) from error


def _unxz(chunks: Iterator[bytes], _limits: Limits) -> Iterator[bytes]:
    try:
        import lzma  # noqa: PLC0415 - few layers are
    except ImportError as error:  # a Python built without it
        raise _DamagedError(str(error)) from error
    # "Stream Padding" of the xz format: zeros, a multiple of four, between and behind streams.
    make = partial(lzma.LZMADecompressor, lzma.FORMAT_XZ, _XZ_MEMORY_LIMIT)
    try:
        yield from _run(chunks, make, padding=4, name="xz")
    except lzma.LZMAError as error:
        raise _DamagedError(str(error)) from error


def _run(chunks: Iterator[bytes], make: Callable[[], Any], *, padding: int, name: str) -> Iterator[bytes]:
    """Decode streams one after the other, as bz2 and lzma do it.

    Args:
        chunks: The raw bytes.
        make: Makes a decoder for one stream.
        padding: Zeros between streams count a multiple of this; 1 for any number behind the last, as `gzip -d` has it.
        name: What errors call the format.
    """
    decoder, zero_count = make(), 0
    for chunk in chunks:
        rest = chunk
        while rest:
            if decoder.eof:
                trimmed = rest.lstrip(b"\0")
                zero_count += len(rest) - len(trimmed)
                rest = trimmed
                if not rest:
                    break
                if zero_count % padding:
                    raise _DamagedError(f"{name} padding of {zero_count} bytes is not a multiple of {padding}")
                decoder, zero_count = make(), 0
            plain = decoder.decompress(rest, _UNPACKED_SIZE)
            if plain:
                yield plain
            while not decoder.eof and not decoder.needs_input:
                plain = decoder.decompress(b"", _UNPACKED_SIZE)
                if plain:
                    yield plain
            rest = decoder.unused_data if decoder.eof else b""
    if not decoder.eof:
        raise _DamagedError(f"the {name} stream ends before its end")
    if zero_count % padding:
        raise _DamagedError(f"{name} padding of {zero_count} bytes is not a multiple of {padding}")


def _unzstd(chunks: Iterator[bytes], limits: Limits) -> Iterator[bytes]:
    scanner = FrameScanner()

    def scanned() -> Iterator[bytes]:
        for chunk in chunks:
            scanner.feed(chunk)
            yield chunk

    reader = zstandard.ZstdDecompressor(max_window_size=limits.zstd_window_size).stream_reader(
        cast(Any, _Reader(scanned())), read_across_frames=True
    )
    while True:
        plain = reader.read(_UNPACKED_SIZE)
        if not plain:
            break
        yield plain
    # zstandard gives what it has of a truncated frame, and then no more, without a word.
    if not scanner.is_between_frames:
        raise _DamagedError("the zstd stream ends inside a frame")


class _Reader:
    """A file-like over chunks, for decoders that want to read, and to be told where they end.

    Attributes:
        error: What the chunks ended with, if that was an exception: that is no decoder's.
    """

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self.error: Exception | None = None
        self._chunks = chunks
        self._rest = memoryview(b"")

    def read(self, size: int) -> bytes:
        rest = self._rest or self._next()
        data, self._rest = rest[:size], rest[size:]
        return bytes(data)

    def readinto(self, buffer: memoryview) -> int:
        rest = self._rest or self._next()
        size = min(len(buffer), len(rest))
        buffer[:size], self._rest = rest[:size], rest[size:]
        return size

    def _next(self) -> memoryview:
        try:
            return memoryview(next(self._chunks, b""))
        except Exception as error:
            self.error = error
            raise
