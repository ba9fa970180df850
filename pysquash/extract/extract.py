"""Reader: writes what is in an image into a directory of the host.

In: an image's root, and a destination. Out: files, with their attributes as far as the host allows; a line for each
kind of thing that it did not allow.
Rules kept here: a directory gets its attributes when all that is in it is there; further names of an inode become hard
links; holes stay holes; files are written by a few threads, because decompressing and writing both let go of the GIL;
where the process may open no more files, it waits until some are written.
Not here: what keeps everything inside the destination (destination), attributes (restore).
"""

from __future__ import annotations

import os
import stat
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from typing import Self

from pysquash.errors import ImageError, PathNotFoundError, printable
from pysquash.extract.destination import Destination, open_destination
from pysquash.extract.restore import Attributes, NewFile, Shortfalls, named, restore
from pysquash.host.threads import Workers
from pysquash.reader.path import ImagePath, Segment
from pysquash.tree.entry import Kind

__all__ = ["extract"]

_Waiting = tuple["ImagePath", NewFile, Attributes]

_BATCH_SIZE = 1 << 20
"""Bytes of content that are handed to a thread together, so that it seldom has to ask for the GIL."""

_BATCH_COUNT = 16
"""Files in a batch at most. Each is open until it is written, and some systems allow 256 of them."""

_THREAD_LIMIT = 4
_WAITING_COUNT = 2


_SET_ID = stat.S_ISUID | stat.S_ISGID
_CAPABILITIES = b"security.capability"
_DEVICES = (Kind.BLOCK_DEVICE, Kind.CHARACTER_DEVICE)


def extract(
    root: ImagePath,
    destination: str | os.PathLike[str],
    paths: Iterable[Segment] = (),
    *,
    devices: bool = True,
    setuid: bool = True,
    xattrs: bool = True,
) -> list[str]:
    """Write an image, or some of its paths, into a directory.

    Nothing is written outside of it, whatever names and symlinks the image has: the destination must not be a symlink,
    and below it none is followed. If extraction fails, everything that it made is removed.

    As root, this restores whatever the image has: owners, set-user-ID and set-group-ID bits, devices, and extended
    attributes with capabilities and labels. For an image of unknown origin, switch these off.

    Args:
        root: The image's root.
        destination: A directory that is empty or does not exist yet.
        paths: What to extract, with all that is below and the directories above; everything by default.
        devices: Whether to make block and character devices.
        setuid: Whether to restore set-user-ID and set-group-ID bits, and file capabilities (security.capability).
        xattrs: Whether to restore extended attributes.

    Returns:
        What could not be restored, a line for each kind: owners without being root, devices, attributes that the file
        system does not have.

    Raises:
        PathNotFoundError: One of the paths is not in the image.
        ImageError: The image is damaged, or the names of a directory are not sorted and unique.
        FileExistsError: The destination is not empty.
        OSError: The destination is a symlink, or something cannot be written.
    """
    shortfalls = Shortfalls()
    chosen = _chosen(root, list(paths))  # before anything is written
    files = _Files(shortfalls)
    with open_destination(destination, shortfalls, files.close_some) as target, files:
        first_names: dict[int, bytes] = {}
        for here in chosen:
            inode = here.inode
            if inode.kind in _DEVICES and not devices:
                continue
            if inode.kind is not Kind.DIRECTORY and inode.nlink > 1:
                first = first_names.setdefault(inode.ref, here.path)
                if first != here.path:
                    if target.link(here.path, first):
                        continue
                    first_names[inode.ref] = here.path  # an inode of its own, and further names are of this one
            _write(here, _attributes(here, setuid=setuid, xattrs=xattrs), target, files)
        # Before directories get their attributes and are closed, nothing may go wrong any more.
        files.finish()
    return shortfalls.lines()


def _write(here: ImagePath, attributes: Attributes, target: Destination, files: _Files) -> None:
    inode, path = here.inode, here.path
    if inode.kind is Kind.DIRECTORY:
        target.directory(path, attributes)
    elif inode.kind is Kind.FILE:
        files.write(here, target.file(path), attributes)
    elif inode.kind is Kind.SYMLINK:
        if not inode.target or b"\0" in inode.target:
            raise ImageError(f"{here}: no file system has a symlink to {printable(inode.target)!r}")
        target.symlink(path, inode.target, attributes)
    else:
        target.special(path, inode.kind, inode.device, attributes)


def _chosen(root: ImagePath, names: list[Segment]) -> Iterator[ImagePath]:
    """Yield what to extract, each directory before what is in it."""
    if not names:
        return root.walk()
    wanted = []
    for name in names:
        here = root / name
        if not here.exists(follow_symlinks=False):
            raise PathNotFoundError(f"{here}: there is no such path in the image")
        # The last component as it is, those in front of it without symlinks: that is where it is extracted to.
        wanted.append(here.parent.resolve() / here.path.rpartition(b"/")[2] if here.path else here)
    wanted.sort(key=lambda path: path.path.split(b"/"))
    return _with_parents(root, wanted)


def _with_parents(root: ImagePath, wanted: list[ImagePath]) -> Iterator[ImagePath]:
    above: set[bytes] = set()
    last = None
    for here in wanted:
        path = here.path
        if last is not None and (path == last or path.startswith(last + b"/") or not last):
            continue  # it was below the one before
        last = path
        if path:
            parts = path.split(b"/")
            for count in range(len(parts)):
                parent = b"/".join(parts[:count])
                if parent not in above:
                    above.add(parent)
                    yield root / parent
        yield from here.walk()


class _Files:
    """Writes the content of files on a few threads; a context that waits for them."""

    def __init__(self, shortfalls: Shortfalls) -> None:
        self._shortfalls = shortfalls
        count = min(os.cpu_count() or 1, _THREAD_LIMIT)
        self._pool = Workers(count, "pysquash-extract")
        self._flying: deque[Future[None]] = deque()
        self._failed: deque[Future[None]] = deque()
        self._flying_limit = count + _WAITING_COUNT
        self._batch: list[_Waiting] = []
        self._size = 0
        self._stopped = threading.Event()

    def write(self, here: ImagePath, file: NewFile, attributes: Attributes) -> None:
        """Write a file, during this or a later call, and close it."""
        self._batch.append((here, file, attributes))
        self._size += here.inode.size - here.inode.sparse
        if self._size >= _BATCH_SIZE or len(self._batch) >= _BATCH_COUNT:
            self._submit()

    def finish(self) -> None:
        """Wait until all is written.

        Raises:
            ImageError: A file's content is damaged.
            OSError: A file cannot be written.
        """
        self._submit()
        while self._flying:
            self._flying.popleft().result()

    def close_some(self) -> bool:
        """Write and close the files that are open; return whether there were any. `finish` raises what went wrong."""
        self._start_batch()
        if not self._flying:
            return False
        while self._flying:
            future = self._flying.popleft()
            if future.exception() is not None:
                self._failed.append(future)
        return True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._pool.shutdown(wait=True)  # not cancelled: each batch closes its files
        self._write_batch(self._batch)

    def _submit(self) -> None:
        self._start_batch()
        while self._failed or len(self._flying) > self._flying_limit:
            (self._failed or self._flying).popleft().result()

    def _start_batch(self) -> None:
        if self._batch:
            self._flying.append(self._pool.submit(self._write_batch, self._batch))
            self._batch, self._size = [], 0

    def _write_batch(self, batch: list[_Waiting]) -> None:
        try:
            while batch:
                here, file, attributes = batch.pop()
                is_wanted = not self._stopped.is_set()
                try:
                    if is_wanted:
                        with named(here.path):
                            _write_content(here, file.descriptor)
                        if file.target == file.descriptor:
                            restore(file.target, here.path, attributes, self._shortfalls)
                finally:
                    os.close(file.descriptor)
                if is_wanted and file.target != file.descriptor:
                    restore(file.target, here.path, attributes, self._shortfalls)
        finally:
            for _, file, _ in batch:
                os.close(file.descriptor)


def _write_content(here: ImagePath, descriptor: int) -> None:
    inode, data = here.inode, here.filesystem.data
    end = 0
    for extent in data.extents(inode):
        if extent.is_hole:
            continue
        block = data.read_extent(inode, extent)
        if extent.position != end:
            os.lseek(descriptor, extent.position, os.SEEK_SET)
        end = extent.position + extent.size
        while block:
            block = block[os.write(descriptor, block) :]
    if end < inode.size:  # the file ends in a hole
        os.ftruncate(descriptor, inode.size)


def _attributes(here: ImagePath, *, setuid: bool, xattrs: bool) -> Attributes:
    """Return the attributes of a path that are to be restored."""
    inode, filesystem = here.inode, here.filesystem
    owner, group = filesystem.id(inode.uid_index), filesystem.id(inode.gid_index)
    mode, restored = inode.mode & 0o7777, filesystem.xattrs(inode) if xattrs else {}
    if not setuid:
        mode &= ~_SET_ID
        restored.pop(_CAPABILITIES, None)
    return Attributes(mode, owner, group, inode.mtime, restored)
