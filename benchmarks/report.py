"""The report: what was measured, and on what, as Markdown."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from benchmarks.tools import Tool

__all__ = ["Row", "introduction", "section"]

_VERSIONS = (
    ["mksquashfs", "-version"],
    ["unsquashfs", "-version"],
    ["tar2sqfs", "--version"],
    ["gzip", "--version"],
)


@dataclass
class Row:
    """What one tool took for one job.

    Attributes:
        label: The job.
        tool: The tool, run.
        ours: pysquash, at the same job.
        image_size: Of what was made, where an image was.
    """

    label: str
    tool: Tool
    ours: Tool
    image_size: str | None = None

    def __str__(self) -> str:
        """Give the row of the table."""
        tool = self.tool
        ratio = "" if tool is self.ours else f"{self.ours.median / tool.median:.2f}"
        spread = f"{min(tool.seconds):.2f} to {max(tool.seconds):.2f}"
        cells = [self.label, tool.name, f"{tool.median:.2f}", spread, ratio]
        cells += [] if self.image_size is None else [self.image_size]
        cells += [f"{tool.peak_kib / 1024:.0f}"]
        return f"| {' | '.join(cells)} |"


def introduction(runs: int) -> list[str]:
    """Say how it was measured, and on what."""
    return [
        "# Results",
        "",
        "Whole process, wall clock. The tools take turns, so that a slow moment of the machine hits all; medians of",
        f"{runs} runs after one that does not count. The ratio is ours to theirs: below 1, ours is faster. Memory is",
        "the largest process of each. Repeat with `make bench`.",
        "",
        *map("- {}".format, _machine()),
    ]


def section(title: str, text: list[str], rows: list[Row]) -> list[str]:
    """Give a section with a table; nothing where nothing was measured."""
    if not rows:
        return []
    titles = ["what", "tool", "seconds", "from, to", "ours / theirs"]
    titles += [] if rows[0].image_size is None else ["image, MB"]
    titles += ["memory, MiB"]
    head = [f"| {' | '.join(titles)} |", "|---" * len(titles) + "|"]
    return ["", f"## {title}", "", *text, "", *head, *map(str, rows)]


def _machine() -> Iterator[str]:
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        lines = info.read_text().splitlines()
        model = next((line.split(":")[1].strip() for line in lines if "model name" in line), model)
    yield f"{model}, {os.cpu_count()} processors, {platform.system()}"
    yield f"Python {platform.python_version()}"
    yield f"zstandard {version('zstandard')}"
    yield f"pysquash {version('pysquash')}"
    for command in _VERSIONS:
        if shutil.which(command[0]):
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            yield (done.stdout or done.stderr).splitlines()[0]
