"""Time pysquash, mksquashfs and tar2sqfs in turn on each corpus, and write benchmarks/RESULTS.md.

Usage: python -m benchmarks [--runs N] [--only CORPUS]...
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

from benchmarks.corpora import CORPORA, corpus, gzipped

RESULTS = Path(__file__).parent / "RESULTS.md"


@dataclass
class Tool:
    """One way to make an image. In the command, {tar} is the input and {out} the image."""

    name: str
    command: str
    needs: str
    seconds: list[float] = field(default_factory=list)
    peak_kib: int = 0
    size: int = 0


def tools(*, is_gzip: bool) -> list[Tool]:
    """List what there is to compare, ours first."""
    ours = f"{sys.executable} -m pysquash build -q {{tar}} -o {{out}}"
    read = "gzip -dc {tar}" if is_gzip else "cat {tar}"
    make = "mksquashfs - {out} -tar -comp zstd -Xcompression-level 3 -noappend -quiet -no-progress"
    return [
        Tool("pysquash", ours, sys.executable),
        Tool("gzip, mksquashfs" if is_gzip else "mksquashfs -tar", f"{read} | {make}", "mksquashfs"),
        Tool("tar2sqfs", "tar2sqfs -q -f -c zstd -X level=3 -j 2 {out} < {tar}", "tar2sqfs"),
    ]


def run(tool: Tool, tar: Path, folder: Path) -> None:
    """Run a tool once, and note the wall-clock time of the whole, the largest process, and the image's size."""
    out = folder / "image"
    out.unlink(missing_ok=True)
    command = tool.command.format(tar=tar, out=out)
    started = time.perf_counter()
    with open(os.devnull, "wb") as nothing:
        process = subprocess.Popen(["/bin/sh", "-c", command], stdout=nothing, stderr=nothing)
        _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    if status:
        raise SystemExit(f"failed: {command}")
    tool.seconds.append(seconds)
    tool.peak_kib = max(tool.peak_kib, usage.ru_maxrss)
    tool.size = out.stat().st_size


def compare(tar: Path, runs: int, *, is_gzip: bool) -> list[Tool]:
    """Run all tools in turn, once without counting."""
    compared = [tool for tool in tools(is_gzip=is_gzip) if shutil.which(tool.needs)]
    with tempfile.TemporaryDirectory() as folder:
        for row in range(runs + 1):
            for tool in compared:
                run(tool, tar, Path(folder))
                if not row:
                    tool.seconds.clear()
    return compared


def table(name: str, compared: list[Tool], tar: Path) -> list[str]:
    """Give a corpus's rows."""
    ours = statistics.median(compared[0].seconds)
    lines = []
    for tool in compared:
        median = statistics.median(tool.seconds)
        ratio = "" if tool is compared[0] else f"{ours / median:.2f}"
        spread = f"{min(tool.seconds):.2f} to {max(tool.seconds):.2f}"
        lines.append(
            f"| {name} ({tar.stat().st_size / 1e6:.0f} MB) | {tool.name} | {median:.2f} | {spread} | {ratio} "
            f"| {tool.size / 1e6:.1f} | {tool.peak_kib / 1024:.0f} |"
        )
    return lines


def machine() -> list[str]:
    """Say what this was measured on."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        model = next(
            (line.split(":")[1].strip() for line in info.read_text().splitlines() if "model name" in line), model
        )
    versions = [
        f"Python {platform.python_version()}",
        f"zstandard {version('zstandard')}",
        f"pysquash {version('pysquash')}",
    ]
    for command in (["mksquashfs", "-version"], ["tar2sqfs", "--version"], ["gzip", "--version"]):
        if shutil.which(command[0]):
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            versions.append((done.stdout or done.stderr).splitlines()[0])
    return [
        f"- {model}, {os.cpu_count()} processors, {platform.system()}",
        *map("- {}".format, versions),
    ]


def main() -> None:
    """Compare, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--only", action="append", choices=list(CORPORA))
    arguments = parser.parse_args()
    lines = [
        "# Results",
        "",
        "Whole process, wall clock, zstd level 3, blocks of 128 KiB. The tools take turns, so that a slow moment of",
        f"the machine hits all; medians of {arguments.runs} runs after one that does not count. The ratio is ours to",
        "theirs: below 1, ours is faster. Memory is the largest process of each. Repeat with `make bench`.",
        "",
        *machine(),
        "",
        "| input | tool | seconds | from, to | ours / theirs | image, MB | memory, MiB |",
        "|---|---|---|---|---|---|---|",
    ]
    for name in arguments.only or CORPORA:
        tar = corpus(name)
        if tar is None:
            continue
        for is_gzip, path in ((False, tar), (True, gzipped(tar))):
            rows = table(
                name + (" .tar.gz" if is_gzip else " .tar"), compare(path, arguments.runs, is_gzip=is_gzip), path
            )
            print("\n".join(rows), file=sys.stderr)
            lines += rows
    RESULTS.write_text("\n".join(lines) + "\n")
    print(f"written: {RESULTS}")


main()
