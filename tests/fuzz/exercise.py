"""What is done with an image, whatever it is, and what must come of it: a result, or one of our errors.

Content may be as long as it says, so of that only so much is read; all else has to end by itself.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

from pysquash import ImageError, SquashfsImage, check, diff
from pysquash.fsck.structures import PARTS, read_structures
from pysquash.reader.path import ImagePath
from pysquash.tree.entry import Kind

__all__ = ["EnoughError", "Sink", "exercise"]

CONTENT_SIZE = 1 << 20
TAR_SIZE = 4 << 20
EXTRACTED_SIZE = 4 << 20
"""Bytes of a file, of a tar, and of all files of an image that are looked at."""

PATH_COUNT = 300
"""Paths that are looked at from all sides, and symlinks that are followed: each may be as long to follow as a look-up
for every component of forty targets."""

EXTRACTED_COUNT = 40

Result = TypeVar("Result")


class EnoughError(Exception):
    """More was written than anybody looks at."""


class Sink(io.BytesIO):
    """Counts what is written, and keeps none of it."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self._left = limit

    def write(self, data: object, /) -> int:
        size = memoryview(data).nbytes  # type: ignore[arg-type]
        self._left -= size
        if self._left < 0:
            raise EnoughError
        return size


def exercise(data: bytes) -> None:
    """Do all there is to do with an image.

    Raises:
        AssertionError: What one part says is not what another one does.
        Exception: Anything that is no ImageError is a bug.
    """
    errors: list[ImageError] = []

    def attempt(action: Callable[[], Result]) -> Result | None:
        try:
            return action()
        except ImageError as error:
            assert str(error)
            errors.append(error)
            return None

    attempt(lambda: _read(data, attempt))
    attempt(lambda: _search(data))
    for part in PARTS:
        attempt(lambda part=part: _print_structures(data, part))  # type: ignore[misc]
    attempt(lambda: _archive(data))
    attempt(lambda: _extract(data))
    differences = attempt(lambda: _compare(data))
    assert not differences, differences
    is_read = not errors
    findings = attempt(lambda: check(io.BytesIO(data)))
    for finding in findings or ():
        assert str(finding)
        assert finding.offset is None or finding.offset >= 0
    # What nothing is found in can be read. The other way round, much is found that no reader minds.
    assert is_read or findings != [], errors


def _read(data: bytes, attempt: Callable[[Callable[[], object]], object]) -> None:
    with SquashfsImage(io.BytesIO(data)) as image:
        assert image.compressor_name
        assert image.flag_names is not None
        exports = image.exports
        if exports is not None:
            for row in range(min(3, exports.row_count)):
                attempt(lambda row=row: exports[row])  # type: ignore[misc]
        for path in itertools.islice(image.root.walk(), PATH_COUNT):
            for look in (_look_at, _follow, _read_file):
                attempt(lambda look=look, path=path: look(path))  # type: ignore[misc]
        for path in image.root.walk():
            assert path.stat().st_mode


def _look_at(path: ImagePath) -> None:
    path.stat()
    assert isinstance(path.name, str)
    assert repr(path)
    assert all(isinstance(value, bytes) for value in path.xattrs.values())
    if path.inode.kind is Kind.SYMLINK:
        assert path.readlink() == path.inode.target
    elif path.inode.kind is Kind.DIRECTORY:
        assert not path.is_file()
        _exhaust(itertools.islice(path.iterdir(), PATH_COUNT))


def _follow(path: ImagePath) -> None:
    kinds = (path.exists(), path.is_dir(), path.is_file())
    assert kinds[0] or not any(kinds)
    found = ImagePath.root_of(path.filesystem) / path.path
    # Of a name that is there twice, one is found.
    assert found.path == path.path
    if kinds[0]:
        path.stat(follow_symlinks=True)
        path.resolve().resolve()
    assert path.parent is not None


def _read_file(path: ImagePath) -> None:
    inode = path.inode
    if inode.kind is not Kind.FILE:
        return
    size = inode.size
    if size <= CONTENT_SIZE:
        content = path.read_bytes()
        assert content == b"".join(path.blocks())
        assert len(content) == size
    else:
        content = b"".join(itertools.islice(path.blocks(), 1 + CONTENT_SIZE // path.filesystem.superblock.block_size))
    with path.open("rb") as file:
        assert file.read(len(content)) == content
        middle = len(content) // 2
        file.seek(middle)
        assert file.read(100) == content[middle : middle + 100]
        assert file.seek(0, io.SEEK_END) == size
        assert file.read(1) == b""
        for position in (size - 1, size // 2, size // 3 * 2, 0):
            file.seek(max(0, position))
            assert len(file.read(5)) == min(5, size - max(0, position))
        file.seek(size + 10)
        assert file.read(1) == b""


def _search(data: bytes) -> None:
    with SquashfsImage(io.BytesIO(data)) as image:
        for pattern in ("*", "**/a*", "*/*", "a/*/b"):
            _exhaust(itertools.islice(image.root.glob(pattern), 10 * PATH_COUNT))


def _print_structures(data: bytes, part: str) -> None:
    with SquashfsImage(io.BytesIO(data)) as image:
        _exhaust(read_structures(image, part))


def _archive(data: bytes) -> None:
    with SquashfsImage(io.BytesIO(data)) as image, contextlib.suppress(EnoughError):
        image.to_tar(Sink(TAR_SIZE))


def _sizes(data: bytes) -> tuple[int, int]:
    """Count an image's paths, and the bytes that its files say they have."""
    count = size = 0
    with SquashfsImage(io.BytesIO(data)) as image:
        for path in image.root.walk():
            count, size = count + 1, size + path.inode.size
    return count, size


def _extract(data: bytes) -> None:
    count, size = _sizes(data)
    if count > EXTRACTED_COUNT or size > EXTRACTED_SIZE:
        return
    with (
        SquashfsImage(io.BytesIO(data)) as image,
        tempfile.TemporaryDirectory(prefix="pysquash-", ignore_cleanup_errors=True) as folder,
    ):
        try:
            lines = image.extract(Path(folder, "out"))
            assert all(isinstance(line, str) for line in lines)
        except OSError as error:
            # A name that is there twice, is longer than the host's, or a path that is.
            if not isinstance(error, ImageError) and error.errno is None:
                raise
            if isinstance(error, ImageError):
                raise


def _compare(data: bytes) -> list[object] | None:
    if _sizes(data)[1] > EXTRACTED_SIZE * 16:
        return None
    return list(diff(io.BytesIO(data), io.BytesIO(data)))


def _exhaust(items: Iterable[object]) -> None:
    for _ in items:
        pass
