"""Compares what GNU tar, bsdtar, Python's tarfile and pysquash make of tars: `python -m tests.fuzz.compare_tars`.

The options are --count=N (1000) and --seed=N (0), and --keep=DIR for the archives that break the rule: if the three
leave the same tree, so does pysquash, and whatever is warned of is an error with `strict`. Root is needed, to extract
devices. The exit status is 1 if an archive breaks the rule and is of no known class.
"""

from __future__ import annotations

import hashlib
import random
import sys
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from tests.fuzz.tar_judges import JUDGES, Outcome, Tree, ours
from tests.fuzz.tar_mutation import generated, mutated, seeds
from tests.tarbuild import BLOCK

__all__ = ["Comparison", "archive", "compare", "known_class"]

_SEEDS = tuple(seeds())


class Comparison(NamedTuple):
    """What became of an archive.

    Attributes:
        verdict: "same", "refused by all" and the like; "BROKEN: ..." if the rule is broken.
        trees: What the judges leave.
        outcome: What pysquash does.
    """

    verdict: str
    trees: dict[str, Tree | None]
    outcome: Outcome


def archive(seed: int) -> bytes:
    """Make the archive with this number."""
    rng = random.Random(seed)
    raw = generated(rng) if rng.randrange(2) else rng.choice(_SEEDS)
    return mutated(raw, rng) if rng.randrange(4) else raw


def compare(raw: bytes) -> Comparison:
    """Let all four read an archive."""
    trees = {name: judge(raw) for name, judge in JUDGES.items()}
    outcome = ours(raw)
    return Comparison(_verdict(raw, trees, outcome), trees, outcome)


def _verdict(raw: bytes, trees: dict[str, Tree | None], outcome: Outcome) -> str:
    first, *others = trees.values()
    is_same = all(tree == first for tree in others)
    if outcome.tree is not None and outcome.is_strict_error != bool(outcome.warnings):
        return "BROKEN: a warning without an error with strict, or the reverse"
    if is_same and first is None:
        return "refused by all" if outcome.tree is None else "refused by the others"
    if None in trees.values():
        return "refused by some"
    if is_same:
        if outcome.tree == first:
            return "same, with a warning" if outcome.warnings else "same"
        return known_class(raw, outcome) or ("BROKEN: refused" if outcome.tree is None else "BROKEN: another tree")
    if outcome.tree is None:
        return "disagree: refused"
    if outcome.warnings:
        return "disagree: warned"
    return known_class(raw, outcome) or "disagree: read without a warning"


def known_class(raw: bytes, outcome: Outcome) -> str:
    """Return which documented class an archive is of whose tree is another one, or ""."""
    if any("entry-skipped" in warning for warning in outcome.warnings):
        return "known: unknown types are skipped"
    for at in range(0, len(raw) - BLOCK + 1, BLOCK):
        if raw[at + 345] and raw[at + 257 : at + 263] != b"ustar\0":
            return "known: a prefix without the magic of ustar is not joined"
    return ""


def main(arguments: list[str]) -> int:
    options = dict(each.removeprefix("--").split("=", 1) for each in arguments)
    count, first_seed = int(options.get("count", 1000)), int(options.get("seed", 0))
    folder = Path(options["keep"]) if "keep" in options else None
    verdicts: Counter[str] = Counter()
    for seed in range(first_seed, first_seed + count):
        raw = archive(seed)
        found = compare(raw)
        verdicts[found.verdict] += 1
        if found.verdict.startswith("BROKEN"):
            print(f"seed {seed}: {found.verdict}: {found.outcome.error or found.outcome.warnings}"[:400], flush=True)  # noqa: T201
            if folder is not None:
                folder.mkdir(parents=True, exist_ok=True)
                (folder / f"{hashlib.sha256(raw).hexdigest()[:16]}.tar").write_bytes(raw)
    for verdict, number in verdicts.most_common():
        print(f"{number:7} {verdict}")  # noqa: T201
    return int(any(verdict.startswith("BROKEN") for verdict in verdicts))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
