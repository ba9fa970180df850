"""Layer streams: turns what a caller gives for a layer into plain bytes, whatever it is compressed with.

In: a path, a binary file object, an iterable of bytes, or a callable that returns one of these. Out: `LayerStream`, an
iterator of plain chunks.
Rules kept here: what comes out is bounded in size and ratio before it is produced.
Not here: the formats (stream_decoders), what the bytes mean (sources/tar), reading ahead on a thread (ahead).
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Iterator
from typing import Any, BinaryIO, Protocol, cast

from pysquash.compression.ahead import Ahead, StalledError
from pysquash.compression.stream_decoders import MAGIC_SIZE, find_decoder
from pysquash.errors import LimitError, OptionTypeError, SourceError
from pysquash.options.limits import Limits

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

_HEAD_SIZE = 512


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
        garbage: Callable[[str], None] | None = None,
    ) -> None:
        """Open the layer and find out what it is compressed with.

        Args:
            layer: A file that we open is closed by us; a file object stays open.
            name: What errors call it.
            limits: layer_size, ratio, ratio_free_size and zstd_window_size are kept here.
            checks: Sees every byte, as it comes and unpacked; or None.
            timeout: Seconds without data after which reading anything but a regular file fails; None for never.
            garbage: Called at the end, with a text, where data after a gzip or bzip2 stream was ignored; None where
                that is an error.

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
        self._garbage = garbage
        self._garbage_text: str | None = None
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
                if len(head) >= MAGIC_SIZE:
                    break
            decoder = find_decoder(head, source=name)
            self.is_compressed = decoder is not None
            chunks = _chain(head, raw)
            if decoder is not None:
                chunks = decoder(chunks, limits, self._note_garbage)
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
            SourceError: The stream is truncated, damaged, or followed by other data that may not be ignored.
            LimitError: There is more than a limit allows.
        """
        try:
            chunk = next(self._chunks)
        except StopIteration:
            self._report_garbage()
            raise
        if not self.unpacked_size:
            self.head = chunk[:_HEAD_SIZE]
        self.unpacked_size += len(chunk)
        limits = self._limits
        if self.unpacked_size > limits.layer_size:
            what = "the layer's uncompressed size"
            raise LimitError(what, self.unpacked_size, limits.layer_size, where=self._name, name="layer_size")
        if self.unpacked_size > limits.ratio_free_size:
            what = "the layer's compression ratio"
            limits.check_ratio(what, self.unpacked_size, self.consumed_size, source=self._name)
        return chunk

    def up_to(self, size: int) -> bytes:
        """Give the next chunk; of no more than so many bytes where they come from a plain file.

        So what is wanted whole is read as it is, and need not be cut out of something larger.

        Returns:
            The chunk, which is longer where it comes from elsewhere; b"" at the end.

        Raises:
            SourceError: The stream is truncated, damaged, or followed by other data that may not be ignored.
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

    def _note_garbage(self, text: str) -> None:
        """Remember what a decoder ignored; it may run on another thread than the caller's functions."""
        self._garbage_text = text

    def _report_garbage(self) -> None:
        """Report what a decoder ignored, once."""
        text, self._garbage_text = self._garbage_text, None
        if text is None:
            return
        if self._garbage is None:
            raise SourceError(text.replace("is ignored", "is not allowed"), source=self._name)
        self._garbage(text)

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
