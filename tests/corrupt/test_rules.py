"""Each rule of the format has images that break it: a check names just that rule, and who would refuse it."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from pysquash import Rule, check
from pysquash.format.rules import KERNEL, UNSQUASHFS
from tests.corrupt.cases import BY_CHANCE, CASES, TOLERATED, UNSTEADY, Case
from tests.corrupt.judges import ask_kernel, ask_unsquashfs, good_tree, need_judges

IDS = [case.id for case in CASES]


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_a_check_names_just_that_rule(case: Case) -> None:
    findings = check(io.BytesIO(case.image()))
    assert {finding.rule for finding in findings} == (set() if case.id in TOLERATED else {case.rule}), findings
    for finding in findings:
        assert finding.section
        assert finding.text in str(finding)
        assert f"[{case.rule}: " in str(finding)


def test_every_rule_has_a_case() -> None:
    assert {case.rule for case in CASES} == set(Rule)


def test_nothing_is_found_in_what_the_cases_are_made_of() -> None:
    for image in {case.good() for case in CASES}:
        assert check(io.BytesIO(image)) == []


@pytest.fixture(scope="module")
def judges() -> None:
    """See that the judges are those that `format.rules` says the verdicts are of."""
    need_judges()


@pytest.mark.usefixtures("judges")
@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_those_refuse_it_who_are_said_to(case: Case, tmp_path: Path) -> None:
    if case.id in BY_CHANCE:
        return
    image, good = tmp_path / "image", tmp_path / "good"
    image.write_bytes(case.image())
    good.write_bytes(case.good())
    tree = case.expects(good_tree(good, tmp_path)) if case.compares else None
    claimed = {judge for finding in check(image) for judge in finding.refused_by}
    by_kernel = ask_kernel(image, tmp_path, tree)
    assert (by_kernel.verdict != "takes") == (KERNEL in claimed), by_kernel
    if case.id not in UNSTEADY:
        by_unsquashfs = ask_unsquashfs(image, tmp_path, tree)
        assert (by_unsquashfs.verdict != "takes") == (UNSQUASHFS in claimed), by_unsquashfs


def test_a_rule_says_the_worst_of_what_breaks_it() -> None:
    worst: dict[Rule, set[str]] = {rule: set() for rule in Rule}
    for case in CASES:
        for finding in check(io.BytesIO(case.image())):
            worst[finding.rule] |= set(finding.refused_by)
    assert worst == {rule: set(rule.refused_by) for rule in Rule}
