"""Measures how long hostile layers keep `build`: `python -m tests.fuzz.measure_layers [names] [--share=1]`.

Prints for each the exit code, processor seconds and MiB of a process of its own, its input's size, and its message.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import tests.fuzz.hostile_tars  # noqa: F401 -- which adds to them
from tests.fuzz.hostile_layers import HOSTILE_LAYERS

__all__ = ["Cost", "measure"]


class Cost(NamedTuple):
    """What one build took."""

    code: int
    seconds: float
    mebibytes: int
    input_size: int
    message: str


def measure(name: str, share: int) -> Cost:
    """Build an image of hostile layers in a process of its own."""
    with tempfile.TemporaryDirectory() as directory:
        paths = []
        for number, content in enumerate(HOSTILE_LAYERS[name](share)):
            paths.append(Path(directory, f"{number}.layer"))
            paths[-1].write_bytes(content)
        messages = Path(directory, "messages")
        command = [sys.executable, "-m", "pysquash", "build", "-q", "-o", str(Path(directory, "image"))]
        with messages.open("wb") as file:
            process = subprocess.Popen([*command, *map(str, paths)], stdout=subprocess.DEVNULL, stderr=file)
            _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        input_size = sum(path.stat().st_size for path in paths)
        text = messages.read_text(errors="replace").strip()
    return Cost(process.returncode, usage.ru_utime + usage.ru_stime, usage.ru_maxrss >> 10, input_size, text)


def main(arguments: list[str]) -> None:
    shares = [int(each.partition("=")[2]) for each in arguments if each.startswith("--share=")]
    names = [each for each in arguments if not each.startswith("--")]
    for name in names or HOSTILE_LAYERS:
        cost = measure(name, *shares or [1])
        print(name, *(f"{field}={value!r}" for field, value in cost._asdict().items()), flush=True)  # noqa: T201


if __name__ == "__main__":
    main(sys.argv[1:])
