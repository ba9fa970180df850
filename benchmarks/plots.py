"""Plots: what the tables say, as SVG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.report import Row

__all__ = ["growth", "ratios"]

_MET, _MISSED, _WITHOUT_GOAL = "#2a9d8f", "#e76f51", "#9aa5b1"
_LINES = ["#2a9d8f", "#264653", "#e9c46a"]
# Text stays text, and the same numbers give the same file.
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "pysquash",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
}


def growth(times: Mapping[str, Mapping[int, float]], path: Path) -> None:
    """Draw seconds against entries, both as logarithms, a line for each tool.

    Args:
        times: For each tool, ours first, the seconds at each number of entries.
        path: The SVG.
    """
    import matplotlib as mpl  # noqa: PLC0415 - only who plots needs it
    from matplotlib.figure import Figure  # noqa: PLC0415

    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(6.4, 4), layout="constrained")
        axes = figure.subplots()
        for color, (name, points) in zip(_LINES, times.items(), strict=False):
            axes.plot(list(points), list(points.values()), "o-", color=color, label=name)
        counts = list(next(iter(times.values())))
        most = max(counts)
        last = next(iter(times.values()))[most]
        axes.plot(counts, [last * count / most for count in counts], ":", color=_WITHOUT_GOAL, label="linear")
        axes.set(xscale="log", yscale="log", xlabel="entries", ylabel="seconds", title="Time to pack, by entries")
        axes.grid(visible=True, color="#e5e8ec")
        axes.legend(frameon=False)
        figure.savefig(path, format="svg", metadata={"Date": None})


def ratios(bars: Sequence[tuple[str, Row]], path: Path) -> None:
    """Draw a bar for each ratio, and a mark at its goal.

    Args:
        bars: What each is called, and its row.
        path: The SVG.
    """
    import matplotlib as mpl  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415

    colors = {True: _MET, False: _MISSED, None: _WITHOUT_GOAL}
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(6.4, 0.9 + 0.26 * len(bars)), layout="constrained")
        axes = figure.subplots()
        for place, (_, row) in enumerate(bars):
            value = row.value or 0.0
            axes.barh(place, value, color=colors[row.is_met], height=0.7)
            axes.text(0.01, place, f"{value:.2f}", va="center", color="white")
            if row.goal is not None:
                axes.plot([row.goal] * 2, [place - 0.45, place + 0.45], color="#264653", linewidth=2)
        axes.axvline(1, color=_WITHOUT_GOAL, linestyle=":")
        axes.set_yticks(range(len(bars)), [name for name, _ in bars])
        axes.invert_yaxis()
        axes.set(xlabel="our time / theirs; the mark is the goal", title="Time to pack, beside others")
        figure.savefig(path, format="svg", metadata={"Date": None})
