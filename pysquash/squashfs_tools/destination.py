"""Destination: where the image goes: a file, a place behind other bytes in a file, or a block device.

In: -offset and a path. Out: an `Output` for `pack`.
Rules kept here: a file appears whole or not at all, also with bytes in front. A block device is written in place, and
so is an empty file: there is nothing in it to lose, and who made it may hold it open.
Not here: the temporary file (writer/output).
"""

from __future__ import annotations

import contextlib
import io
import os
import stat
from collections.abc import Iterator

from pysquash.errors import OptionError
from pysquash.host.output_guard import OwnFiles
from pysquash.writer.output import Output

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
def opened_destination(path: str, own_files: OwnFiles, *, offset: int, front: bytes | None = None) -> Iterator[Output]:
    """Open an image's destination.

    Args:
        path: A file's or a block device's.
        own_files: Told of it, so that it is not packed into itself.
        offset: Bytes in front of the image.
        front: What these are; None for zeros.

    Raises:
        OptionError: There is a folder, or something else that cannot be an image.
        OSError: It cannot be written.
    """
    if is_block_device(path):
        with _Device(path, "r+b") as device:
            device.seek(offset)
            with Output(device) as inner:
                yield inner
            os.fsync(device.fileno())
        return
    if os.path.exists(path) and not os.path.isfile(path):
        raise OptionError(f"{path} is neither a file nor a block device")
    if os.path.isfile(path) and not os.path.getsize(path):
        with open(path, "r+b") as file:
            file.seek(offset)
            try:
                with Output(file, own_files) as inner:
                    yield inner
            except BaseException:
                file.truncate(0)
                raise
        return
    with Output(path, own_files) as output:
        if not offset:
            yield output
            return
        output.write(front or b"")
        output.seek(offset)
        with output.reopened() as (opened, _base):
            opened.seek(offset)
            with Output(opened) as inner:
                yield inner
            end = opened.seek(0, io.SEEK_END)
        output.seek(end)
        output.keep()
