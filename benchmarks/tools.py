"""The tools that are compared: each is a command, run as a whole process, in turn with the others."""

from __future__ import annotations

import shutil
import statistics
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["PYSQUASH", "Tool", "take_turns"]

PYSQUASH = f"{sys.executable} -m pysquash"

_LAUNCHER = Path(__file__).parent / "launcher.py"


@dataclass
class Tool:
    """One way to do something.

    Attributes:
        name: As it stands in the results.
        command: For the shell; {output}, where it is in there, is a path at which nothing is yet.
        needs: The program that must be there.
        most_runs: How many runs are enough, where each takes long; the first one counts then. None for all.
        seconds: Wall-clock time of each run that counts.
        processor_seconds: What all its processes had of the processors, in each of these runs.
        peak_kib: The most memory that a process of it had resident.
        size: Bytes of the last run's output, where that is a file.
    """

    name: str
    command: str
    needs: str = sys.executable
    most_runs: int | None = None
    seconds: list[float] = field(default_factory=list)
    processor_seconds: list[float] = field(default_factory=list)
    peak_kib: int = 0
    size: int = 0

    @property
    def median(self) -> float:
        """The median of the seconds."""
        return statistics.median(self.seconds)

    def __str__(self) -> str:
        """Give the median, and from where to where the runs went."""
        return f"{self.median:.2f} ({min(self.seconds):.2f} to {max(self.seconds):.2f})"

    def run(self, output: Path, *, is_counted: bool) -> None:
        """Run once, and note the time of the whole, the largest process, and the size of what was made."""
        command = self.command.format(output=output)
        launch = [sys.executable, "-I", "-S", str(_LAUNCHER), command]
        done = subprocess.run(launch, check=True, stdout=subprocess.PIPE, text=True)
        seconds, status, processor_seconds, peak_kib = done.stdout.split()
        print(f"{float(seconds):8.2f} s {int(peak_kib) / 1024:6.0f} MiB  {command}", file=sys.stderr)
        if status != "0":
            raise SystemExit(f"failed: {command}")
        if is_counted:
            self.seconds.append(float(seconds))
            self.processor_seconds.append(float(processor_seconds))
        self.peak_kib = max(self.peak_kib, int(peak_kib))
        self.size = output.stat().st_size if output.is_file() else 0


def take_turns(tools: list[Tool], runs: int, folder: Path, clean: Callable[[Path], None]) -> list[Tool]:
    """Run those tools that are there in turn, so that a slow moment of the machine hits all.

    Args:
        tools: Ours first.
        runs: How many of each count; one before them does not.
        folder: For outputs.
        clean: Called with each output when its run is over, outside of the time.

    Returns:
        The tools that are there.
    """
    there = [tool for tool in tools if shutil.which(tool.needs)]
    for row in range(runs + 1):
        for column, tool in enumerate(there):
            if tool.most_runs is not None and row >= tool.most_runs:
                continue
            output = folder / f"{row}-{column}"
            tool.run(output, is_counted=row > 0 or tool.most_runs is not None)
            clean(output)
    return there
