"""Measures how long a hostile image keeps each way to read it: `python -m tests.fuzz.measure [names] [--share=1]`.

Prints processor seconds, or what was raised that is none of our errors, and the memory that was used at most.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import sys
import time
from collections.abc import Callable
from pathlib import Path

from pysquash import ImageError, SquashfsImage, check, diff
from pysquash.fsck.structures import PARTS, read_structures
from pysquash.tree.entry import Kind
from tests.fuzz.exercise import EnoughError, Sink
from tests.fuzz.hostile import HOSTILE

__all__ = ["WAYS", "measure"]

_FEW = 10
_TAR_SIZE = 8 << 20


def _walk(data: bytes) -> None:
    with SquashfsImage(io.BytesIO(data)) as image:
        for path in image.root.walk():
            path.stat()


def _xattrs(data: bytes) -> None:
    with SquashfsImage(io.BytesIO(data)) as image:
        for path in itertools.islice(image.root.walk(), _FEW):
            assert len(path.xattrs) >= 0


def _structures(data: bytes) -> None:
    with SquashfsImage(io.BytesIO(data)) as image:
        for part in PARTS:
            with contextlib.suppress(ImageError):  # one part that is refused does not spare the others
                for _ in read_structures(image, part):
                    pass


def _follow(data: bytes) -> None:
    with SquashfsImage(io.BytesIO(data)) as image:
        for path in itertools.islice((path for path in image.root.iterdir() if path.is_symlink()), _FEW):
            path.exists()


def _glob(pattern: str) -> Callable[[bytes], None]:
    def glob(data: bytes) -> None:
        with SquashfsImage(io.BytesIO(data)) as image:
            for _ in image.root.glob(pattern):
                pass

    return glob


def _seek(data: bytes) -> None:
    with SquashfsImage(io.BytesIO(data)) as image:
        for path in itertools.islice(image.root.walk(), _FEW):
            if path.inode.kind is Kind.FILE:
                with path.open("rb") as file:
                    size = file.seek(0, io.SEEK_END)
                    for position in (size // 2, size - 1, size // 3):
                        file.seek(max(0, position))
                        file.read(1)


def _tar(data: bytes) -> None:
    with SquashfsImage(io.BytesIO(data)) as image, contextlib.suppress(EnoughError):
        image.to_tar(Sink(_TAR_SIZE))


def _check(data: bytes) -> None:
    for finding in check(io.BytesIO(data)):
        str(finding)


def _diff(data: bytes) -> None:
    assert not diff(io.BytesIO(data), io.BytesIO(data))


WAYS: dict[str, Callable[[bytes], None]] = {
    "walk": _walk,
    "xattrs": _xattrs,
    "follow": _follow,
    "glob-below": _glob("**/x"),
    "glob-all": _glob("*/*"),
    "glob-one": _glob("*/x"),
    "seek": _seek,
    "tar": _tar,
    "check": _check,
    "diff": _diff,
    "structures": _structures,
}


def measure(name: str, share: int) -> dict[str, float]:
    """Read an image in all ways: the processor seconds of each."""
    data = HOSTILE[name](share)
    seconds = {}
    for way, read in WAYS.items():
        start = time.process_time()
        with contextlib.suppress(ImageError):
            read(data)
        seconds[way] = time.process_time() - start
    return seconds


def _peak() -> int:
    """Give the MiB of memory that this process had at most."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) >> 10
    raise OSError("this system does not say how much memory was used")


def main(arguments: list[str]) -> None:
    share = 1
    names = []
    for each in arguments:
        if each.startswith("--share="):
            share = int(each.partition("=")[2])
        else:
            names.append(each)
    for name in names or HOSTILE:
        seconds = measure(name, share)
        print(name, " ".join(f"{way}={took:.2f}" for way, took in seconds.items()), f"MiB={_peak()}", flush=True)  # noqa: T201


if __name__ == "__main__":
    main(sys.argv[1:])
