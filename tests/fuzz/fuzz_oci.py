"""Feeds documents of container images, and what registries answer: `python -m tests.fuzz.fuzz_oci [corpus]`."""

from __future__ import annotations

import atheris

with atheris.instrument_imports(include=["pysquash"], enable_loader_override=False):
    from tests.fuzz.oci_exercise import exercise
from tests.fuzz.driver import fuzz
from tests.fuzz.oci_seeds import mutated, seeds

if __name__ == "__main__":
    fuzz(exercise, seeds(), mutated, size=65536, seconds=10)
