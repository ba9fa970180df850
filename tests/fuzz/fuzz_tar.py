"""Feeds the bytes of tars: `python -m tests.fuzz.fuzz_tar [corpus]`."""

from __future__ import annotations

import atheris

with atheris.instrument_imports(include=["pysquash"], enable_loader_override=False):
    from tests.fuzz.tar_exercise import exercise
from tests.fuzz.driver import fuzz
from tests.fuzz.tar_mutation import mutated, seeds

if __name__ == "__main__":
    fuzz(exercise, seeds(), mutated, size=65536, seconds=10)
