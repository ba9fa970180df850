"""What all fuzz targets have in common: the command line, the seeds and the corpus.

A target is a module `tests/fuzz/fuzz_NAME.py`. `make fuzz` runs all of them, `make fuzz FUZZ_TARGET=NAME` one. Options
are libFuzzer's, such as -max_total_time=60. Without a directory for the corpus, a temporary one is used. An input that
something goes wrong with is written to the current directory, or where -artifact_prefix says.
"""

from __future__ import annotations

import random
import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

import atheris

__all__ = ["fuzz"]


def fuzz(
    exercise: Callable[[bytes], None],
    seeds: Iterable[bytes],
    mutate: Callable[[bytes, random.Random], bytes],
    *,
    size: int,
    seconds: int = 20,
) -> None:
    """Run a target until libFuzzer ends.

    Args:
        exercise: Takes an input, and raises where something goes wrong. Its modules must be imported in
            `atheris.instrument_imports`.
        seeds: The first inputs; those over half of `size` are left out.
        mutate: Changes an input in a way that fits it; used three times of four, libFuzzer's own ways otherwise.
        size: Bytes of an input at most.
        seconds: Time for one input.
    """

    def mutated(data: bytes, max_size: int, seed: int) -> bytes:
        rng = random.Random(seed)
        if rng.randrange(4):
            return mutate(data, rng)[:max_size]
        changed: bytes = atheris.Mutate(data, max_size)
        return changed

    arguments = sys.argv[1:]
    options = [each for each in arguments if each.startswith("-")]
    directories = [each for each in arguments if not each.startswith("-")]
    limits = [f"-max_len={size}", f"-timeout={seconds}", "-rss_limit_mb=2048", "-len_control=0"]
    with tempfile.TemporaryDirectory(prefix="pysquash-") as temporary:
        corpus = Path(directories.pop(0) if directories else Path(temporary, "corpus"))
        first = Path(temporary, "seeds")
        for directory in (corpus, first):
            directory.mkdir(parents=True, exist_ok=True)
        for number, seed in enumerate(seeds):
            if len(seed) <= size // 2:
                Path(first, f"{number:03}").write_bytes(seed)
        command = [sys.argv[0], *limits, *options, str(corpus), *directories, str(first)]
        atheris.Setup(command, exercise, custom_mutator=mutated)
        atheris.Fuzz()
