"""Destination: where the image goes: a file, a place behind other bytes in a file, or a block device.

In: -offset and a path. Out: what `pack` writes to.
Rules kept here: a file appears whole or not at all, also with bytes in front; a block device is written in place.
Not here: the temporary file (writer/output).
"""

from __future__ import annotations

import contextlib
import io
import os
import stat
from collections.abc import Iterator

from pysquash.errors import OptionError
from pysquash.writer.output import Output, OutputTarget

__all__ = ["is_block_device", "opened_destination"]


class _Device(io.FileIO):
    """A block device, whose end is where it is."""

    def truncate(self, size: int | None = None, /) -> int:
        return self.tell() if size is None else size


def is_block_device(path: str) -> bool:
    """Tell whether a path is a block device's."""
    try:
        return stat.S_ISBLK(os.stat(path).st_mode)
    except OSError:
        return False


@contextlib.contextmanager
def opened_destination(path: str, *, offset: int, front: bytes | None = None) -> Iterator[OutputTarget]:
    """Open an image's destination.

    Args:
        path: A file's or a block device's.
        offset: Bytes in front of the image.
        front: What these are; None for zeros.

    Raises:
        OptionError: There is a folder, or something else that cannot be an image.
        OSError: It cannot be written.
    """
    if is_block_device(path):
        with _Device(path, "r+b") as device:
            device.seek(offset)
            yield device
            os.fsync(device.fileno())
        return
    if os.path.exists(path) and not os.path.isfile(path):
        raise OptionError(f"{path} is neither a file nor a block device")
    if not offset:
        yield path
        return
    with Output(path) as output:
        output.write(front or b"")
        output.seek(offset)
        with output.reopened() as (file, _base):
            file.seek(offset)
            yield file
            end = file.seek(0, io.SEEK_END)
        output.seek(end)
        output.keep()
