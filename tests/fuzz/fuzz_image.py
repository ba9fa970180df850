"""Feeds images to reader, check and comparison that coverage leads to: `python -m tests.fuzz.fuzz_image [corpus]`."""

from __future__ import annotations

import atheris

with atheris.instrument_imports(include=["pysquash"], enable_loader_override=False):
    from tests.fuzz.exercise import exercise
from tests.fuzz.driver import fuzz
from tests.fuzz.mutation import mutated
from tests.fuzz.seeds import seeds

if __name__ == "__main__":
    # Few changes of any bytes leave an image to look at, so most are of numbers.
    fuzz(exercise, seeds(), mutated, size=65536)
