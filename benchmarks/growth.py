"""Growth: the time for a thousand, ten thousand, a hundred thousand and a million entries."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks import plots
from benchmarks.corpora import corpus, entry_count
from benchmarks.packing import TAR2SQFS, packing_tools
from benchmarks.report import Row, Section
from benchmarks.tools import Tool, take_turns

__all__ = ["GROWN", "growth"]

GROWN = ["entries-1k", "entries-10k", "entries-100k", "entries-1M"]

_GOAL = 1.2
_LONG = 500_000


def growth(names: list[str], runs: int, folder: Path) -> Iterator[Section]:
    """Time each number of entries, and plot the times."""
    section = Section(
        "Growth",
        "Files of a few bytes in directories of a thousand. Time for each entry, and how many times that of ten times\n"
        "fewer it is: 1 or less is linear growth.",
        ("entries", "pysquash, s", "µs for each", "tar2sqfs, s"),
        "times that of fewer",
        plot="growth.svg",
    )
    times: dict[str, dict[int, float]] = {}
    last: float | None = None
    for name in names:
        tar = corpus(name)
        if tar is None:
            continue
        count = entry_count(tar)
        tools = [tool for tool in packing_tools(tar) if tool.name == "pysquash" or tool.needs == TAR2SQFS]
        for tool in tools:
            tool.most_runs = min(runs, 3) if count >= _LONG else None
        with tempfile.TemporaryDirectory() as images:
            compared = take_turns(tools, runs, Path(images), Path.unlink)
        for tool in compared:
            times.setdefault(tool.name, {})[count] = tool.median
        section.rows.append(growth_row(count, compared, last))
        last = compared[0].median / count
    if times:
        plots.growth(times, folder / "growth.svg")
    yield section


def growth_row(count: int, compared: list[Tool], last: float | None) -> Row:
    """Make the row of one number of entries.

    Args:
        count: How many.
        compared: The tools that were run, ours first.
        last: Our seconds for each entry at the number before; None for the first.
    """
    ours, *others = compared
    each = ours.median / count
    cells = f"{count:,}", str(ours), f"{each * 1e6:.1f}", str(others[0]) if others else ""
    return Row(cells, each / last if last else None, _GOAL if last else None)
