"""Reader: the file that an image is read from.

In: a path, or a seekable binary file. Out: bytes at a position.
Rules kept here: a read past the end is an error of ours; threads may read at the same time.
Not here: what the bytes mean.
"""

from __future__ import annotations

import io
import os
import threading
from typing import BinaryIO

from pysquash.errors import CorruptImageError, OptionError, OptionTypeError
from pysquash.format.rules import Rule

__all__ = ["Input", "InputTarget"]

InputTarget = str | os.PathLike[str] | BinaryIO


class Input:
    """An image's bytes.

    Attributes:
        size: Bytes from the image's start to the end of the file.
    """

    def __init__(self, target: InputTarget, offset: int) -> None:
        """Open a path, or take the caller's file.

        Args:
            target: What to read.
            offset: The byte in it at which the image starts.

        Raises:
            OSError: The file cannot be opened, or has no positions.
            OptionError: The offset is below 0.
            OptionTypeError: The target is neither.
        """
        if isinstance(target, io.TextIOBase | bytes) or not (
            isinstance(target, str | os.PathLike) or hasattr(target, "seek")
        ):
            hint = ": put bytes into io.BytesIO, and open files with 'rb'"
            raise OptionTypeError(f"an image is a path or a seekable binary file, not {type(target).__name__}{hint}")
        if not isinstance(offset, int) or offset < 0:
            raise OptionError(f"an image's offset must be 0 or more, not {offset}")
        self._offset = offset
        self._lock = threading.Lock()
        self._is_ours = isinstance(target, str | os.PathLike)
        # Unbuffered, since blocks are cached where they are decompressed.
        self._file: BinaryIO = (
            open(target, "rb", buffering=0) if isinstance(target, str | os.PathLike) else target  # noqa: SIM115
        )
        # Of our own file only: what another object says of its descriptor need not be where its bytes are (see gzip).
        self._has_pread = self._is_ours and hasattr(os, "pread")
        try:
            self.size = self._file.seek(0, io.SEEK_END) - offset
        except BaseException:
            self.close()
            raise

    def read(self, start: int, size: int, *, section: str, rule: Rule) -> bytes:
        """Read exactly `size` bytes.

        Args:
            start: Byte in the image.
            size: How many.
            section: The part of the image that an error names.
            rule: The rule that it names.

        Raises:
            CorruptImageError: The image ends before that.
        """
        if start < 0 or start + size > self.size:
            text = f"{size} bytes wanted, the file has {self.size}"
            raise CorruptImageError(text, section=section, rule=rule, offset=start)
        data = self._read(start, size)
        if len(data) != size:
            text = f"{size} bytes wanted, {len(data)} read"
            raise CorruptImageError(text, section=section, rule=rule, offset=start)
        return data

    def read_at_most(self, start: int, size: int) -> bytes:
        """Read `size` bytes, or what there is of them."""
        return self._read(start, min(size, self.size - start)) if 0 <= start < self.size else b""

    def _read(self, start: int, size: int) -> bytes:
        data = self._read_once(start, size)
        while 0 < len(data) < size:  # a raw file may give less than asked for
            more = self._read_once(start + len(data), size - len(data))
            if not more:
                break
            data += more
        return data

    def _read_once(self, start: int, size: int) -> bytes:
        if self._has_pread:
            return os.pread(self._file.fileno(), size, self._offset + start)
        with self._lock:
            self._file.seek(self._offset + start)
            return self._file.read(size)

    def close(self) -> None:
        """Close what we opened."""
        if self._is_ours:
            self._file.close()
