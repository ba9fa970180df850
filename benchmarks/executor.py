"""Executors: the same packing with our own threads, with processes, and with a Dask cluster on this machine.

Run as a program, it packs one tar with one of them.

Usage: python -m benchmarks.executor HOW COMPRESSOR LEVEL BLOCK_SIZE TAR IMAGE
"""

from __future__ import annotations

import multiprocessing
import os
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import ExitStack
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks.corpora import corpus
from benchmarks.report import Row, Section
from benchmarks.tools import Tool, take_turns
from pysquash import WriterOptions, tar2squashfs

__all__ = ["COMPRESSED", "executor"]

COMPRESSED = ["debian"]

_SETTINGS = {
    "zstd 3, 128 KiB": ("zstd", "3", 128 << 10),
    "zstd 19, 1 MiB": ("zstd", "19", 1 << 20),
    "xz, 1 MiB": ("xz", "-", 1 << 20),
}
_MOST_RUNS = 3
_PROGRAM = f"{sys.executable} -m benchmarks.executor"


def executor(names: list[str], runs: int, _folder: Path) -> Iterator[Section]:
    """Compare our own threads with executors, at quick and at slow settings."""
    section = Section(
        "Executors",
        "Whole processes, so with the start of the workers: one for each processor. In brackets, what all of\n"
        "them had of the processors.",
        ("what", "settings", "our threads, s", "executor", "its, s"),
        "executor / threads",
    )
    for name in names:
        tar = corpus(name)
        if tar is None:
            continue
        for settings, (compressor, level, block_size) in _SETTINGS.items():
            arguments = f"{compressor} {level} {block_size} {tar} {{output}}"
            tools = [Tool(how, f"{_PROGRAM} {how} {arguments}", most_runs=min(runs, _MOST_RUNS)) for how in _HOW]
            if find_spec("distributed") is None:
                tools = [tool for tool in tools if tool.name != "dask"]
            with tempfile.TemporaryDirectory() as images:
                ours, *others = take_turns(tools, runs, Path(images), Path.unlink)
            for tool in others:
                cells = name, settings, _times(ours), tool.name, _times(tool)
                section.rows.append(Row(cells, tool.median / ours.median))
    yield section


def _times(tool: Tool) -> str:
    return f"{tool.median:.2f} ({statistics.median(tool.processor_seconds):.2f})"


def _processes(held: ExitStack) -> Executor:
    return held.enter_context(ProcessPoolExecutor(os.cpu_count(), multiprocessing.get_context("spawn")))


def _dask(held: ExitStack) -> Executor:
    distributed = import_module("distributed")  # not everybody has it
    options = {"n_workers": os.cpu_count(), "threads_per_worker": 1, "dashboard_address": None}
    client = held.enter_context(distributed.Client(**options))
    found: Executor = client.get_executor(pure=False)
    return found


_HOW: dict[str, Callable[[ExitStack], Executor | None]] = {
    "threads": lambda _held: None,
    "processes": _processes,
    "dask": _dask,
}


def main(how: str, compressor: str, level: str, block_size: str, tar: str, image: str) -> None:
    """Pack one tar."""
    with ExitStack() as held:
        options: dict[str, Any] = {"compressor": compressor, "level": None if level == "-" else int(level)}
        options.update(block_size=int(block_size), executor=_HOW[how](held))
        tar2squashfs([tar], image, options=WriterOptions(**options))


if __name__ == "__main__":
    main(*sys.argv[1:])
