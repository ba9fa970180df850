"""Reader: the file that an image is read from.

In: a path, or a seekable binary file. Out: bytes at a position, exactly as many as asked for.
Rules kept here: a read past the end is an error of ours; threads may read at the same time.
Not here: what the bytes mean.
"""

from __future__ import annotations

import io
import os
import threading
from typing import BinaryIO

from pysquash.errors import CorruptImageError

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
            OSError: The file cannot be opened.
        """
        self._is_ours = isinstance(target, str | os.PathLike)
        self._file: BinaryIO = open(target, "rb") if isinstance(target, str | os.PathLike) else target  # noqa: SIM115
        self._offset = offset
        self._lock = threading.Lock()
        self.size = self._file.seek(0, io.SEEK_END) - offset

    def read(self, start: int, size: int, *, section: str) -> bytes:
        """Read exactly `size` bytes.

        Args:
            start: Byte in the image.
            size: How many.
            section: The part of the image that an error names.

        Raises:
            CorruptImageError: The image ends before that.
        """
        if start < 0 or start + size > self.size:
            raise CorruptImageError(f"{size} bytes wanted, the file has {self.size}", section=section, offset=start)
        with self._lock:
            self._file.seek(self._offset + start)
            data = self._file.read(size)
        if len(data) != size:
            raise CorruptImageError(f"{size} bytes wanted, {len(data)} read", section=section, offset=start)
        return data

    def close(self) -> None:
        """Close what we opened."""
        if self._is_ours:
            self._file.close()
