"""Feeds images to reader, check and comparison that coverage leads to: `python -m tests.fuzz.fuzz_image [corpus]`.

Options are libFuzzer's, such as -max_total_time=60. Without a folder for the corpus, one is made for the time being.
What goes wrong is written to the current directory, or where -artifact_prefix says, and raised.
"""

from __future__ import annotations

import random
import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["pysquash"], enable_loader_override=False):
    from tests.fuzz.exercise import exercise
from tests.fuzz.mutation import mutated
from tests.fuzz.seeds import seeds

_SEED_SIZE = 32768
_OPTIONS = (f"-max_len={_SEED_SIZE * 2}", "-timeout=20", "-rss_limit_mb=2048", "-len_control=0")


def _mutate(data: bytes, max_size: int, seed: int) -> bytes:
    """Change numbers most of the time, because few changes of any bytes leave an image to look at."""
    rng = random.Random(seed)
    if rng.randrange(4):
        return mutated(data, rng)[:max_size]
    changed: bytes = atheris.Mutate(data, max_size)
    return changed


def main(arguments: list[str]) -> None:
    options = [each for each in arguments if each.startswith("-")]
    folders = [each for each in arguments if not each.startswith("-")]
    with tempfile.TemporaryDirectory(prefix="pysquash-") as temporary:
        corpus = Path(folders.pop(0) if folders else Path(temporary, "corpus"))
        first = Path(temporary, "seeds")
        for folder in (corpus, first):
            folder.mkdir(parents=True, exist_ok=True)
        for number, seed in enumerate(seeds()):
            if len(seed) <= _SEED_SIZE:
                Path(first, f"{number:03}").write_bytes(seed)
        command = [sys.argv[0], *_OPTIONS, *options, str(corpus), *folders, str(first)]
        atheris.Setup(command, exercise, custom_mutator=_mutate)
        atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1:])
