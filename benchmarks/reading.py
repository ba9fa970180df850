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
from benchmarks.report import Row, Section
from benchmarks.tools import PYSQUASH, Tool, take_turns

__all__ = ["READ", "reading"]

LISTED = ["entries-100k"]
EXTRACTED = ["debian", "node_modules"]
READ = [*LISTED, *EXTRACTED]

_GOALS = {"debian": 3.0}

_MEMORY = Path("/dev/shm")


def reading(names: list[str], runs: int, _folder: Path) -> Iterator[Section]:
    """Compare lists and extraction; takes 8 GB of disk."""
    section = Section(
        "Reading",
        "Images that pysquash made of the corpora as above. Lists go to /dev/null. What is extracted goes into a\n"
        "new directory, as root: in memory (tmpfs), where the tool's own part counts most, and on disk, where the\n"
        "file system's part is larger.",
        ("what", "pysquash, s", "beside", "theirs, s", "memory, MiB: ours, theirs"),
        "ours / theirs",
    )
    section.rows += _measured(names, runs)
    yield section


def _measured(names: list[str], runs: int) -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as disk:
        for name in names:
            tar = corpus(name)
            if tar is None:
                continue
            image = Path(disk) / f"{name}.squashfs"
            subprocess.run([sys.executable, "-m", "pysquash", "build", "-q", str(tar), "-o", str(image)], check=True)
            if name in LISTED:
                yield from _rows("list", name, take_turns(_listing(image), runs, Path(disk), _nothing_to_clean))
            if name in EXTRACTED and _is_root():
                if _MEMORY.is_dir():
                    with tempfile.TemporaryDirectory(dir=_MEMORY) as memory:
                        compared = take_turns(_extracting(image), runs, Path(memory), shutil.rmtree)
                    yield from _rows("extract, in memory:", name, compared)
                folder = Path(tempfile.mkdtemp(dir=disk))
                compared = take_turns(_extracting(image), runs, folder, _write_back)
                yield from _rows("extract, on disk:", name, compared)


def _rows(what: str, name: str, compared: list[Tool]) -> Iterator[Row]:
    ours, *others = compared
    for tool in others:
        memory = f"{ours.peak_kib / 1024:.0f}, {tool.peak_kib / 1024:.0f}"
        goal = _GOALS.get(name) if what.startswith("extract") else None
        yield Row((f"{what} {name}", str(ours), tool.name, str(tool), memory), ours.median / tool.median, goal)


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
