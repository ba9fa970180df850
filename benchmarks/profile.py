"""Profile: where the time of packing goes, stage by stage.

A process of its own packs a tar (`stages`), and tells the main thread's time by the module that it was in, and what the
other threads had of the processors.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.corpora import corpus
from benchmarks.report import Row, Section
from benchmarks.stages import COMPRESSING, OTHER_THREADS, STAGES

__all__ = ["PROFILED", "profile"]

PROFILED = ["debian", "node_modules"]


def profile(names: list[str], runs: int, _folder: Path) -> Iterator[Section]:
    """Profile the packing of each corpus; of all runs, the one with the median time is shown."""
    tars = {name: tar for name in names if (tar := corpus(name)) is not None}
    columns = [text for name in tars for text in (f"{name}.tar, s", "share")]
    section = Section(
        "Profile",
        "Where the main thread's time goes, of the run with the median time: by the module that it was in, a thousand\n"
        "times a second. It waits where the processors compress. Below, what other threads had of the processors.",
        ("stage", *columns),
    )
    profiles = [_median_profile(tar, runs) for tar in tars.values()]
    if profiles:
        section.rows += rows(profiles)
    yield section


def rows(profiles: list[dict[str, float]]) -> Iterator[Row]:
    """Make the table's rows of seconds by stage, for each corpus."""
    totals = [sum(found.get(stage, 0) for stage in STAGES) for found in profiles]
    for stage in STAGES:
        cells = [
            text
            for found, total in zip(profiles, totals, strict=True)
            for text in (f"{found.get(stage, 0):.3f}", f"{found.get(stage, 0) / total:.0%}")
        ]
        yield Row((stage, *cells))
    yield Row(("**all of the main thread**", *(text for total in totals for text in (f"{total:.3f}", "100%"))))
    for name in (COMPRESSING, OTHER_THREADS):
        yield Row((name, *(text for found in profiles for text in (f"{found[name]:.3f}", ""))))


def _median_profile(tar: Path, runs: int) -> dict[str, float]:
    profiles: list[dict[str, float]] = []
    with tempfile.TemporaryDirectory() as folder:
        for row in range(runs + 1):  # the first one does not count
            command = [sys.executable, "-m", "benchmarks.stages", str(time.time()), str(tar), f"{folder}/{row}"]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
            profiles.append(json.loads(done.stdout))
            Path(folder, str(row)).unlink()
    counted = sorted(profiles[1:], key=lambda found: sum(found[stage] for stage in STAGES))
    return counted[len(counted) // 2]
