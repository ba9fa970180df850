"""Whatever bytes a tar has, reading gives an image or one of our errors, and `strict` changes warnings into errors."""

from __future__ import annotations

import os
import random
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.compare_tars import archive, compare
from tests.fuzz.tar_exercise import exercise
from tests.fuzz.tar_judges import missing_judges
from tests.fuzz.tar_mutation import generated, mutated, seeds

SEEDS = tuple(seeds())
numbers = st.integers(0, 2**64 - 1)


@pytest.mark.parametrize("number", range(len(SEEDS)))
def test_seeds(number: int) -> None:
    exercise(SEEDS[number])


@given(numbers)
@settings(max_examples=200)
def test_changed_tars(number: int) -> None:
    rng = random.Random(number)
    exercise(mutated(generated(rng), rng))


@pytest.mark.skipif(sys.platform != "linux", reason="needs Linux")
@given(numbers)
@settings(max_examples=60)
def test_what_others_read_alike_is_read_like_that(number: int) -> None:
    """A short form of `python -m tests.fuzz.compare_tars`."""
    if os.geteuid() != 0:
        pytest.skip("needs root to extract devices")
    if missing_judges() and not os.environ.get("CI"):
        pytest.skip(f"not installed: {', '.join(missing_judges())} (tar, libarchive-tools)")
    found = compare(archive(number))
    assert not found.verdict.startswith("BROKEN"), found
