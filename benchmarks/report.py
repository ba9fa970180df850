"""The report: what was measured, on what, and against which goals, as Markdown.

A part of the suite gives sections; each is a table, maybe with a plot. Parts that were not run this time stay in the
report as they were, as long as it was the same machine with the same versions.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

__all__ = ["Row", "Section", "merged", "report"]

_VERSIONS = (
    ["mksquashfs", "-version"],
    ["unsquashfs", "-version"],
    ["tar2sqfs", "--version"],
    ["gzip", "--version"],
)


@dataclass(frozen=True)
class Row:
    """One line of a table.

    Attributes:
        cells: What stands in it, from the left.
        value: What was measured, if there is one number that counts.
        goal: The most that it may be, or None where there is no goal.
        digits: How many to give of value and goal, behind the point.
    """

    cells: tuple[str, ...]
    value: float | None = None
    goal: float | None = None
    digits: int = 2

    @property
    def is_met(self) -> bool | None:
        """Tell whether the goal is met; None where there is none."""
        return None if self.value is None or self.goal is None else self.value <= self.goal

    @property
    def measured(self) -> tuple[str, str, str]:
        """Give the value, the goal, and whether it is met."""
        value = "" if self.value is None else f"{self.value:.{self.digits}f}"
        goal = "" if self.goal is None else f"≤ {self.goal:.{self.digits}f}"
        return value, goal, {None: "", True: "yes", False: "**no**"}[self.is_met]


@dataclass
class Section:
    """One table.

    Attributes:
        title: Its heading.
        text: What is compared, and how.
        columns: What the cells of its rows are.
        measured: What the rows' value is; None where they have none.
        rows: The lines.
        plot: The file that shows it, beside the report.
    """

    title: str
    text: str
    columns: tuple[str, ...]
    measured: str | None = None
    rows: list[Row] = field(default_factory=list)
    plot: str | None = None

    def __str__(self) -> str:
        """Give the section; nothing where nothing was measured."""
        if not self.rows:
            return ""
        # Value, goal, and whether it is met: as many of them as anybody asks for.
        shown = 0 if self.measured is None else 3 if any(row.goal is not None for row in self.rows) else 1
        columns = (*self.columns, *(str(self.measured), "goal", "met")[:shown])
        lines = [f"## {self.title}", "", self.text, ""]
        lines += [f"![{self.title}]({self.plot})", ""] if self.plot else []
        lines += [_line(columns), "|---" * len(columns) + "|"]
        lines += [_line((*row.cells, *row.measured[:shown])) for row in self.rows]
        return "\n".join(lines) + "\n"


def _line(cells: tuple[str, ...]) -> str:
    return f"| {' | '.join(cells)} |"


_PART = re.compile(r"<!-- part (\S+), (\d+) runs -->\n(.*?)(?=<!-- part |\Z)", re.DOTALL)


def report(parts: dict[str, list[Section]], runs: int, before: str, order: list[str]) -> str:
    """Give the report.

    Args:
        parts: The sections of each part that was run.
        runs: How many of each counted.
        before: The report as it was, of which other parts are kept.
        order: All parts, as they are to stand.
    """
    new = {part: (runs, "\n".join(filter(None, map(str, sections)))) for part, sections in parts.items()}
    return merged("\n".join(f"- {line}" for line in _machine()), new, before, order)


def merged(machine: str, parts: dict[str, tuple[int, str]], before: str, order: list[str]) -> str:
    """Put parts of this run, and those of the run before where they are comparable, into one report.

    Args:
        machine: What was measured on.
        parts: For each part its runs and its text.
        before: The report as it was.
        order: All parts, as they are to stand.
    """
    kept = {name: (int(runs), text) for name, runs, text in _PART.findall(before)} if machine in before else {}
    lines = [_INTRODUCTION, machine, ""]
    for name in order:
        runs, text = parts.get(name, (0, ""))
        if not text:
            runs, text = kept.get(name, (0, ""))
        if text:
            lines += [
                f"<!-- part {name}, {runs} runs -->",
                f"*Part `{name}`: {runs} {'run' if runs == 1 else 'runs'}.*",
                "",
                _body(text),
                "",
            ]
    return "\n".join(lines).rstrip() + "\n"


def _body(text: str) -> str:
    """Take off the line that says how many runs there were, where a kept part has it."""
    return re.sub(r"\A\*Part .*\n\n", "", text).strip()


_INTRODUCTION = """\
# Results

Whole processes, wall clock. The tools take turns, so that a slow moment of the machine hits all; seconds are medians
(and the quickest and slowest run) after one run that does not count, except where runs take long. A ratio is ours to
theirs: below 1, ours is faster, or smaller. Where a row has a goal, its last column says whether it is met. Repeat with
`make bench`; what was made to measure with is in `benchmarks/cache`.
"""


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
