"""Documents of container images, changed at random: a result or one short error, and secrets go nowhere they must not.

`make fuzz FUZZ_TARGET=oci` does the same for longer, led by coverage.
"""

from __future__ import annotations

import random

import pytest

from tests.fuzz.oci_exercise import exercise
from tests.fuzz.oci_seeds import mutated, seeds

SEEDS = list(seeds())
ROUNDS = 20


@pytest.mark.parametrize("row", range(len(SEEDS)))
def test_documents_that_were_changed(row: int) -> None:
    rng = random.Random(row)
    exercise(SEEDS[row])
    data = SEEDS[row]
    for _ in range(ROUNDS):
        exercise(mutated(SEEDS[row], rng))
        data = mutated(data, rng)
        exercise(data)


def test_a_secret_that_goes_elsewhere_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pysquash.sources.oci.registry_trust.TrustRules.may_lead", lambda *_urls: True)
    with pytest.raises(AssertionError, match=r"a secret goes to other\.example"):
        for seed in SEEDS:
            exercise(seed)
