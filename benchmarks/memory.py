"""Memory: the most that pysquash has resident while it packs, against what its design says."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.corpora import corpus, entry_count, gzipped
from benchmarks.packing import packing_tools
from benchmarks.report import Row, Section
from benchmarks.tools import take_turns

__all__ = ["WEIGHED", "memory"]

WEIGHED = [
    "debian",
    "node_modules",
    "site-packages",
    "torch",
    "small-files-20k",
    "entries-100k",
    "flat-100k",
    "entries-1M",
]

_PACKED_LAYERS = WEIGHED[:4]
_BASE, _EACH = 96 << 20, 400


def memory(names: list[str], _runs: int, _folder: Path) -> Iterator[Section]:
    """Pack each corpus twice, and take the larger peak."""
    section = Section(
        "Memory",
        f"The most that the process had resident in two runs. The goal is {_BASE >> 20} MiB and {_EACH} bytes for\n"
        "each entry.",
        ("what", "entries"),
        "MiB",
    )
    for name in names:
        plain = corpus(name)
        if plain is None:
            continue
        count = entry_count(plain)
        for tar in (plain, gzipped(plain)) if name in _PACKED_LAYERS else (plain,):
            tool = packing_tools(tar)[0]
            tool.most_runs = 2
            with tempfile.TemporaryDirectory() as images:
                take_turns([tool], 1, Path(images), Path.unlink)
            peak, goal = tool.peak_kib / 1024, (_BASE + _EACH * count) / (1 << 20)
            section.rows.append(Row((f"{name}{''.join(tar.suffixes)}", f"{count:,}"), peak, goal, digits=0))
    yield section
