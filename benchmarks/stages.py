"""Stages: pack one tar, and tell where the main thread's time went, as JSON.

A timer's signal looks a thousand times a second at the innermost module of ours that the main thread is in; the time
since the look before counts for that module's stage. That costs little, and the same for each stage, while cProfile
makes code of many small calls look slower than it is.

Usage: python -m benchmarks.stages STARTED TAR IMAGE, with the time (since 1970) at which the process was started.
"""

from __future__ import annotations

import json
import signal
import sys
import time
from collections import defaultdict
from pathlib import Path
from types import FrameType
from typing import Any

__all__ = ["COMPRESSING", "MODULES", "OTHER_THREADS", "STAGES", "stage_of"]

_PACKAGE = str(Path(__file__).parent.parent / "pysquash") + "/"

MODULES = {
    "cli/": "start-up",
    "compression/": "compression on the main thread",
    "compression/ahead.py": "reading",
    "compression/stream.py": "reading",
    "sources/": "parsing",
    "sources/tar_buffer.py": "reading",
    "tree/": "merge",
    "edits/": "merge",
    "format/": "metadata",
    "packing/layer_reader.py": "storing",
    "content/": "storing",
    "writer/": "metadata",
    "writer/data.py": "storing",
    "writer/dedup.py": "storing",
    "writer/fragments.py": "storing",
    "writer/output.py": "storing",
    "writer/pipeline.py": "waiting for compression",
}
"""The stage of each module; of several that fit, the longest counts."""

_SYNC = ("writer/output.py", "keep")
_OTHER = "other"

STAGES = [
    "start-up",
    "reading",
    "parsing",
    "merge",
    "storing",
    "waiting for compression",
    "compression on the main thread",
    "metadata",
    "sync",
    _OTHER,
]
COMPRESSING = "processor time of compressing threads"
OTHER_THREADS = "processor time of other threads (unpacking, sync)"


def stage_of(frame: FrameType | None) -> str:
    """Tell the stage that a frame is in: by the innermost one that says something."""
    while frame is not None:
        path = frame.f_code.co_filename
        if path.startswith("<frozen importlib"):
            return "start-up"
        if path.startswith(_PACKAGE):
            module = path.removeprefix(_PACKAGE)
            if (module, frame.f_code.co_name) == _SYNC:
                return "sync"
            fitting = [name for name in MODULES if module.startswith(name)]
            return MODULES[max(fitting, key=len)] if fitting else _OTHER
        frame = frame.f_back
    return "start-up"  # the interpreter's own


class _Clock:
    """Counts time by stage, from the look before to this one."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._last = time.perf_counter()

    def look(self, _signal: int, frame: FrameType | None) -> None:
        now = time.perf_counter()
        self.seconds[stage_of(frame)] += now - self._last
        self._last = now


def main(started: float, tar: str, image: str) -> dict[str, float]:
    """Pack, as the command line does."""
    clock = _Clock()
    clock.seconds["start-up"] = max(0.0, time.time() - started)
    signal.signal(signal.SIGALRM, clock.look)
    signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
    from pysquash.cli.commands import commands  # noqa: PLC0415 - its time is start-up's
    from pysquash.program.tuning import tune_process  # noqa: PLC0415
    from pysquash.writer import pipeline  # noqa: PLC0415

    tune_process()

    compress, compressing, main_before = pipeline.compress_batch, [], time.thread_time()

    def timed(*arguments: Any) -> Any:
        before = time.thread_time()
        try:
            return compress(*arguments)
        finally:
            compressing.append(time.thread_time() - before)

    pipeline.compress_batch = timed  # type: ignore[assignment]
    all_before = time.process_time()
    commands(["build", "-q", tar, "-o", image], standalone_mode=False)
    signal.setitimer(signal.ITIMER_REAL, 0)
    others = time.process_time() - all_before - (time.thread_time() - main_before)
    found = {stage: clock.seconds[stage] for stage in STAGES}
    return {**found, COMPRESSING: sum(compressing), OTHER_THREADS: max(0.0, others - sum(compressing))}


if __name__ == "__main__":
    print(json.dumps(main(float(sys.argv[1]), sys.argv[2], sys.argv[3])))
