"""Packing: pysquash, mksquashfs and tar2sqfs make an image of each corpus, plain and as a gzip layer."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.corpora import corpus, gzipped
from benchmarks.report import Row
from benchmarks.tools import PYSQUASH, Tool, take_turns

__all__ = ["PACKED", "packing"]

PACKED = ["debian", "node_modules", "site-packages", "small-files-20k"]


def packing(names: list[str], runs: int) -> Iterator[Row]:
    """Yield a row for each corpus and tool."""
    for name in names:
        plain = corpus(name)
        if plain is None:
            continue
        for tar in (plain, gzipped(plain)):
            with tempfile.TemporaryDirectory() as folder:
                compared = take_turns(_tools(tar), runs, Path(folder), Path.unlink)
            label = f"{name} {''.join(tar.suffixes)} ({tar.stat().st_size / 1e6:.0f} MB)"
            for tool in compared:
                yield Row(label, tool, compared[0], f"{tool.size / 1e6:.1f}")


def _tools(tar: Path) -> list[Tool]:
    is_gzip = tar.suffix == ".gz"
    read = f"gzip -dc {tar}" if is_gzip else f"cat {tar}"
    make = "mksquashfs - {output} -tar -comp zstd -Xcompression-level 3 -noappend -quiet -no-progress"
    return [
        Tool("pysquash", f"{PYSQUASH} build -q {tar} -o {{output}}"),
        Tool("gzip, mksquashfs" if is_gzip else "mksquashfs -tar", f"{read} | {make}", "mksquashfs"),
        Tool("tar2sqfs", f"tar2sqfs -q -f -c zstd -X level=3 -j 2 {{output}} < {tar}", "tar2sqfs"),
    ]
