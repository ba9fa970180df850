"""Packing: pysquash, mksquashfs and tar2sqfs make an image of each corpus, plain and as a gzip layer."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks import plots
from benchmarks.corpora import corpus, gzipped
from benchmarks.report import Row, Section
from benchmarks.tools import PYSQUASH, Tool, take_turns

__all__ = ["MANY", "PACKED", "TAR2SQFS", "many_files", "packing", "packing_tools"]

PACKED = ["debian", "node_modules", "site-packages", "torch", "small-files-20k"]

TAR2SQFS, MKSQUASHFS = "tar2sqfs", "mksquashfs"

_GOALS = {
    (MKSQUASHFS, ".tar"): 0.75,
    (TAR2SQFS, ".tar"): 0.9,
    (MKSQUASHFS, ".tar.gz"): 0.45,
    (TAR2SQFS, ".tar.gz"): 0.65,
}
_WITHOUT_GOAL = ["small-files-20k"]
_SIZE_GOAL = 1.005

MANY = {"entries-1M": 1.0, "flat-100k": 0.05}
"""The goal beside tar2sqfs, whose time grows with the square of the names in a directory."""


def packing(names: list[str], runs: int, folder: Path) -> Iterator[Section]:
    """Compare times and sizes, and plot the ratios of times."""
    times = Section(
        "Packing",
        "A tar becomes an image: zstd level 3, blocks of 128 KiB, on all processors. mksquashfs reads gzip through\n"
        "`gzip -dc`, the others themselves. What each has of all processors together is the work it does; the rest of\n"
        "its time they idle, as all but one do while pysquash starts, and while it writes metadata at the end.",
        ("what", "pysquash, s", "beside", "theirs, s", "processor s: ours, theirs"),
        "ours / theirs",
        plot="ratios.svg",
    )
    sizes = Section(
        "Size",
        "The images of mksquashfs, with the same options.",
        ("what", "pysquash, bytes", "theirs, bytes"),
        "ratio",
    )
    bars = []
    for name in names:
        plain = corpus(name)
        for tar in (plain, gzipped(plain)) if plain is not None else ():
            kind = "".join(tar.suffixes)
            with tempfile.TemporaryDirectory() as images:
                ours, *others = take_turns(packing_tools(tar), runs, Path(images), Path.unlink)
            label = f"{name}{kind}, {tar.stat().st_size / 1e6:.0f} MB"
            for tool in others:
                goal = None if name in _WITHOUT_GOAL else _GOALS[tool.needs, kind]
                work = ", ".join(f"{statistics.median(each.processor_seconds):.2f}" for each in (ours, tool))
                row = Row((label, str(ours), tool.name, str(tool), work), ours.median / tool.median, goal)
                times.rows.append(row)
                bars.append((f"{name}{kind} / {tool.needs}", row))
                if tool.needs == MKSQUASHFS and tar is plain:
                    cells = label, f"{ours.size:,}", f"{tool.size:,}"
                    sizes.rows.append(Row(cells, ours.size / tool.size, _SIZE_GOAL, digits=4))
    if bars:
        plots.ratios(bars, folder / "ratios.svg")
    yield times
    yield sizes


def packing_tools(tar: Path) -> list[Tool]:
    """Give what makes an image of a tar: ours first."""
    is_gzip = tar.suffix == ".gz"
    read = f"gzip -dc {tar}" if is_gzip else f"cat {tar}"
    make = "mksquashfs - {output} -tar -comp zstd -Xcompression-level 3 -no-exports -noappend -quiet -no-progress"
    return [
        Tool("pysquash", f"{PYSQUASH} build -q {tar} -o {{output}}"),
        Tool("gzip, mksquashfs" if is_gzip else "mksquashfs -tar", f"{read} | {make}", MKSQUASHFS),
        Tool("tar2sqfs", f"tar2sqfs -q -f -c zstd -X level=3 {{output}} < {tar}", TAR2SQFS),
    ]


def many_files(names: list[str], runs: int, _folder: Path) -> Iterator[Section]:
    """Compare with tar2sqfs at what few trees have, and what must not take longer than it has to."""
    section = Section(
        "Many files",
        "A million files in a thousand directories, and a hundred thousand in one, of a few bytes each. What tar2sqfs\n"
        "does for a name grows with the names in its directory, so the second is run once with it. mksquashfs, which\n"
        "takes minutes for both, is left out.",
        ("what", "pysquash, s", "beside", "theirs, s"),
        "ours / theirs",
    )
    for name in names:
        tar = corpus(name)
        if tar is None:
            continue
        tools = [tool for tool in packing_tools(tar) if tool.needs != MKSQUASHFS]
        for tool in tools:
            tool.most_runs = min(runs, 3)
            if tool.needs == TAR2SQFS and name == "flat-100k":
                tool.most_runs = 1
        with tempfile.TemporaryDirectory() as images:
            ours, *others = take_turns(tools, runs, Path(images), Path.unlink)
        for tool in others:
            row = Row((name, str(ours), tool.name, str(tool)), ours.median / tool.median, MANY[name])
            section.rows.append(row)
    yield section
