"""Tar: where an archive ends, and where in it a message points.

In: the stream's blocks. Out: whether there is more, and errors and warnings with the entry's name and offset.
Source: POSIX.1-1988 ustar, "two 512-byte records filled with binary zeros".
Rules kept here: data after the end is read, because checksums are over all of it, and ignored; no message is longer
than a path may be.
Not here: what headers mean (tar), the bytes in hand (tar_buffer).
"""

from __future__ import annotations

from typing import NoReturn

from pysquash.compression.stream import LayerStream
from pysquash.errors import LimitError, SourceError, printable
from pysquash.notices import Notice, Warn, WarningKind
from pysquash.options.writer import WriterOptions
from pysquash.sources.tar_buffer import ChunkBuffer
from pysquash.sources.tar_header import BLOCK_SIZE, CHECKSUM_FIELD, ZERO_BLOCK, Numbers, is_checksum_right

__all__ = ["TarFraming"]

_SHOWN_SIZE = 4096


class TarFraming(ChunkBuffer):
    """A tar's blocks, and what is reported of them.

    Attributes:
        name: What messages call the archive.
    """

    ignore_zeros_option = "--ignore-zeros"
    """The option that reads on after the end of the archive, as the user spells it."""

    def __init__(self, stream: LayerStream, *, name: str, options: WriterOptions, warn: Warn) -> None:
        """Start at the stream's first byte.

        Args:
            stream: The archive.
            name: What messages call it.
            options: ignore_zeros, strict and limits are kept here.
            warn: Takes warnings.
        """
        super().__init__(stream, self._ends_early)
        self.name = name
        self._options = options
        self._limits = options.limits
        self._warn = warn
        self._numbers = Numbers()
        self._content_left = 0  # of the entry yielded last
        self._content_padding = 0
        # Of the entry being parsed, for messages:
        self._entry_start = 0
        self._entry_name: bytes | None = None

    def _extended_header(self, size: int) -> bytes:
        """Take the data of a header that describes the next entry."""
        limit = self._limits.extended_header_size
        if size > limit:
            raise LimitError(
                "extended header size",
                size,
                limit,
                where=f"{self.name}: at byte {self._entry_start}",
                name="extended_header_size",
            )
        data = self._take(size)
        self._skip(-size % BLOCK_SIZE)
        return data

    def _is_at_header(self) -> bool:
        """Return whether a valid header or the end of the archive comes next."""
        if len(self._buffer) - self._position < BLOCK_SIZE and not self._fill(BLOCK_SIZE):
            return self._position == len(self._buffer)
        block = self._buffer[self._position : self._position + BLOCK_SIZE]
        return block == ZERO_BLOCK or is_checksum_right(block, block[CHECKSUM_FIELD], self._numbers)

    def _is_end(self) -> bool:
        """After a block of zeros: return whether the archive ends, and if so read the stream to its own end."""
        if self._options.ignore_zeros:
            return False
        second = self._fill(BLOCK_SIZE) if len(self._buffer) - self._position < BLOCK_SIZE else True
        if not second or self._buffer[self._position : self._position + BLOCK_SIZE] != ZERO_BLOCK:
            self._notice_end("the archive ends with one block of zeros instead of two")
        # To the very end, because checksums and digests are over all of it.
        has_more = False
        while True:
            rest = self._buffer[self._position :]
            if not has_more and rest.strip(b"\0"):
                has_more = True
            self._position = len(self._buffer)
            if not self._fill(1):
                break
        if has_more:
            option = self.ignore_zeros_option
            self._notice_end(f"data after the end of the archive is ignored; {option} reads it")
        return True

    def _end_without_zeros(self, pending_start: int | None) -> None:
        """At the end of the stream, without blocks of zeros: report it.

        Args:
            pending_start: Where the extended header without an entry starts, or None.
        """
        left = len(self._buffer) - self._position
        if left:
            self._fail(
                f"the archive ends inside a header, at byte {self._start + self._position + left}: "
                f"{BLOCK_SIZE - left} bytes are missing"
            )
        if pending_start is not None:
            self._notice_pending()
        if not self._options.ignore_zeros:
            self._notice_end("the archive ends without blocks of zeros")

    def _notice_pending(self) -> None:
        """Report an extended header before the end of the archive."""
        text = "an extended header before the end of the archive, without an entry, is ignored"
        self._notice(WarningKind.HEADER_MALFORMED, text)

    def _ends_early(self, missing_size: int) -> NoReturn:
        # Content is read in pieces: what is missing of the others is missing as well.
        missing_size += self._content_left
        end = self._start + len(self._buffer)
        self._fail(f"the archive ends early, at byte {end}: {missing_size} bytes are missing")

    def _notice_end(self, text: str) -> None:
        self._entry_name = None
        self._entry_start = self._start + self._position
        self._notice(WarningKind.END_OF_ARCHIVE, text)

    def _notice(self, kind: WarningKind, text: str) -> None:
        """Warn about the entry being parsed; with `strict`, fail."""
        if self._options.strict:
            self._fail(text)
        self._warn(Notice(kind, text, self.name, self._shown_name(), self._entry_start))

    def _fail(self, text: str) -> NoReturn:
        raise SourceError(text, source=self.name, entry=self._shown_name(), offset=self._entry_start)

    def _shown_name(self) -> bytes | None:
        name = self._entry_name
        return name if name is None or len(name) <= _SHOWN_SIZE else name[:_SHOWN_SIZE] + b"..."

    def _where(self) -> str:
        """Return what a LimitError says of the place."""
        return f"{self.name}: {printable(self._shown_name() or b'')}"
