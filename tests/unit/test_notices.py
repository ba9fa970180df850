"""Warnings are grouped: however many there are, they take a line and a few bytes for each kind."""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

import pysquash
from pysquash.notices import Notice, WarningGroup, WarningKind, Warnings

COUNT = 40


def groups(count: int) -> tuple[WarningGroup, ...]:
    warnings = Warnings()
    for row in range(count):
        warnings(Notice(WarningKind.TIME_CLAMPED, f"time {row} clamped", "l.tar", b"d%d" % row, row * 512))
    return warnings.groups()


def test_a_few_are_printed_in_full() -> None:
    (group,) = groups(2)
    assert group.lines() == ["l.tar: d0: at byte 0: time 0 clamped", "l.tar: d1: at byte 512: time 1 clamped"]


def test_many_are_one_line_with_a_count_and_three_names() -> None:
    (group,) = groups(1000)
    assert (group.kind, group.count, len(group.examples)) == ("time-clamped", 1000, 3)
    assert group.lines() == ["l.tar: d0: at byte 0: time 0 clamped (1000 warnings of this kind; also d1, d2, ...)"]


def test_each_is_reported_at_once_where_that_is_wanted() -> None:
    lines: list[str] = []
    Warnings(lines.append)(Notice(WarningKind.OPTION_UNUSED, "no effect"))
    assert lines == ["no effect"]


@pytest.fixture
def layer(tmp_path: Path) -> Path:
    """A tar as a Mac writes it, with ACLs, and with each directory twice."""
    with tarfile.open(tmp_path / "layer.tar", "w", format=tarfile.PAX_FORMAT) as archive:
        for row in range(COUNT):
            directory = tarfile.TarInfo(f"d{row}")
            directory.type, directory.mode = tarfile.DIRTYPE, 0o755
            directory.pax_headers = {
                "LIBARCHIVE.xattr.com.apple.provenance": "AQIAAA",
                "SCHILY.acl.access": "user::rwx,user:bin:r--,group::r-x,mask::r-x,other::r-x",
            }
            archive.addfile(directory)
            archive.addfile(directory)
    return tmp_path / "layer.tar"


def build(layer: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pysquash", "build", str(layer), "-o", str(layer.with_suffix(".squashfs"))]
    return subprocess.run([*command, *options], capture_output=True, text=True, check=True)


def warning_lines(layer: Path, *options: str) -> list[str]:
    return [line for line in build(layer, *options).stderr.splitlines() if line.startswith("pysquash: warning: ")]


def test_a_command_prints_a_line_for_each_kind(layer: Path) -> None:
    lines = warning_lines(layer)
    assert len(lines) == 3
    assert all(
        f"({count} warnings of this kind; also d" in line for count, line in zip((80, 80, 40), lines, strict=True)
    )


@pytest.mark.parametrize("option", ["--no-xattrs", "--xattrs-exclude=^(com|system)", "--xattrs-include=^user"])
def test_attributes_that_options_exclude_give_no_warning(layer: Path, option: str) -> None:
    assert len(warning_lines(layer, option)) == 1


def test_excluded_attributes_pass_in_strict_mode(layer: Path) -> None:
    with pytest.raises(pysquash.SourceError, match=r"com\.apple\.provenance"):
        pysquash.build([str(layer)], layer.parent / "image", options=pysquash.WriterOptions(strict=True))
    options = pysquash.WriterOptions(strict=True, xattrs=False)
    with pytest.raises(pysquash.MergeError, match="more than one entry"):
        pysquash.build([str(layer)], layer.parent / "image", options=options)


def test_the_json_report_has_them_in_groups(layer: Path) -> None:
    found = json.loads(build(layer, "--json", "-q").stdout)["warnings"]
    assert {each["kind"]: each["count"] for each in found} == {
        "xattr-dropped": 2 * COUNT,
        "acl-dropped": 2 * COUNT,
        "duplicate-name": COUNT,
    }
    assert all(len(each["examples"]) == 3 for each in found)
