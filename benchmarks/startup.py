"""Start-up: what it takes until pysquash can do anything, over what Python itself takes."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.report import Row, Section
from benchmarks.tools import PYSQUASH, Tool, take_turns

__all__ = ["startup"]

_GOAL_MS = 60
_RUNS = 5
"""Times those of other parts: it is short, and the difference of two is wanted."""


def startup(_names: list[str], runs: int, _folder: Path) -> Iterator[Section]:
    """Compare `pysquash --version` with a Python that does nothing."""
    section = Section(
        "Start-up",
        f"`pysquash --version` beside `python3 -c pass`; {_RUNS * runs} runs of each.",
        ("pysquash --version, ms", "python3 -c pass, ms"),
        "ms over Python",
    )
    tools = [Tool("pysquash", f"{PYSQUASH} --version"), Tool("python3", f"{sys.executable} -c pass")]
    with tempfile.TemporaryDirectory() as folder:
        ours, python = take_turns(tools, _RUNS * runs, Path(folder), lambda _output: None)
    cells = tuple(f"{tool.median * 1e3:.0f}" for tool in (ours, python))
    section.rows.append(Row(cells, (ours.median - python.median) * 1e3, _GOAL_MS, digits=0))
    yield section
