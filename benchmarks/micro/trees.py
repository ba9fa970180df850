"""What the micro-benchmarks work on: entries and tars, the same at every run."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable

from pysquash.tree.entry import Entry, Kind
from pysquash.writer.dedup import StoredFile

__all__ = ["COUNT", "entries", "nothing_smaller", "tar"]

COUNT = 2000
"""Files, in directories of a hundred."""


def entries() -> list[Entry]:
    """Make files with their content stored, each directory before what is in it."""
    made = []
    for row in range(COUNT):
        if row % 100 == 0:
            made.append(Entry(b"usr/lib/d%02d" % (row // 100), Kind.DIRECTORY, 0o755, mtime=1_700_000_000))
        path = b"usr/lib/d%02d/file-%04d" % (row // 100, row)
        data = StoredFile(100, None, row // 1000, row % 1000 * 100)
        made.append(Entry(path, Kind.FILE, 0o644, row % 7, row % 3, 1_700_000_000 + row, size=100, data=data))
    return made


def tar(dialect: int, name: Callable[[int], str]) -> bytes:
    """Make a tar of small files."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=dialect) as archive:
        for row in range(COUNT):
            info, content = tarfile.TarInfo(name(row)), b"content of %d" % row
            info.size, info.mtime = len(content), 1_700_000_000
            archive.addfile(info, io.BytesIO(content))
    return file.getvalue()


def nothing_smaller(_block: bytes) -> bytes | None:
    """Compress nothing, where the compressor is not what is timed."""
    return None
