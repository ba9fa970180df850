"""Reading: pysquash and unsquashfs list and extract the same images, which pysquash makes of the corpora first."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.corpora import corpus
from benchmarks.report import Row
from benchmarks.tools import PYSQUASH, Tool, take_turns

__all__ = ["EXTRACTED", "LISTED", "reading"]

LISTED = ["entries-100k"]
EXTRACTED = ["debian", "node_modules"]

_MEMORY = Path("/dev/shm")


def reading(names: list[str], runs: int) -> Iterator[Row]:
    """Yield a row for each image, what is done with it, and tool; takes 8 GB of disk."""
    with tempfile.TemporaryDirectory() as disk:
        for name in names:
            tar = corpus(name)
            if tar is None:
                continue
            image = Path(disk) / f"{name}.squashfs"
            subprocess.run([sys.executable, "-m", "pysquash", "build", "-q", str(tar), "-o", str(image)], check=True)
            if name in LISTED:
                yield from _rows(f"list {name}", take_turns(_listing(image), runs, Path(disk), _nothing_to_clean))
            if name in EXTRACTED and _is_root():
                if _MEMORY.is_dir():
                    with tempfile.TemporaryDirectory(dir=_MEMORY) as memory:
                        compared = take_turns(_extracting(image), runs, Path(memory), shutil.rmtree)
                    yield from _rows(f"extract {name} into memory", compared)
                folder = Path(tempfile.mkdtemp(dir=disk))
                compared = take_turns(_extracting(image), runs, folder, _write_back)
                yield from _rows(f"extract {name} onto disk", compared)


def _rows(label: str, compared: list[Tool]) -> Iterator[Row]:
    for tool in compared:
        yield Row(label, tool, compared[0])


def _listing(image: Path) -> list[Tool]:
    return [
        Tool("pysquash ls -l", f"{PYSQUASH} ls -l {image}"),
        Tool("unsquashfs -lln", f"unsquashfs -lln {image}", "unsquashfs"),
    ]


def _extracting(image: Path) -> list[Tool]:
    return [
        Tool("pysquash extract", f"{PYSQUASH} extract {image} -d {{output}}"),
        Tool("unsquashfs", f"unsquashfs -quiet -no-progress -d {{output}} {image}", "unsquashfs"),
    ]


def _nothing_to_clean(_output: Path) -> None:
    """Do nothing: a list goes nowhere."""


def _write_back(_output: Path) -> None:
    """Have what a run made written to the disk now rather than during the next run, and leave it until all are done.

    Removed between runs, it would slow the next ones down, ours and theirs, by up to four times: ext4 takes no inode
    that was freed in the last minutes, and looks at each such one again for every file that is made.
    """
    os.sync()


def _is_root() -> bool:
    if os.geteuid() == 0:
        return True
    print("extraction is left out: owners and devices need root", file=sys.stderr)
    return False
