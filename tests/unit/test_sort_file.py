"""Files of priorities: what mksquashfs's -sort takes, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from pysquash import OptionError, WriterOptions
from pysquash.options.sort_file import read_sort_file


def test_a_line_is_a_path_and_a_number(tmp_path: Path) -> None:
    file = tmp_path / "sort"
    lines = [
        b"# comment",
        b"",
        b"  usr/bin/sh\t100  ",
        b"with\\ space -5",
        b"back\\\\slash +7",
        b"boot/* 3",
        b"same 1",
        b"same 2",
        b"\\#last 9",
        b"\xff 32767",
    ]
    file.write_bytes(b"\n".join(lines))
    assert read_sort_file(file) == {
        b"usr/bin/sh": 100,
        b"with space": -5,
        b"back\\slash": 7,
        b"boot": 3,
        b"same": 2,
        b"#last": 9,
        b"\xff": 32767,
    }


@pytest.mark.parametrize("line", [b"path", b"path x", b"path 1 2", b"12", b"path 1.5", b"with space 1", b"path\\ 5"])
def test_all_else_is_refused_with_its_line(tmp_path: Path, line: bytes) -> None:
    file = tmp_path / "sort"
    file.write_bytes(b"fine 1\n" + line + b"\n")
    with pytest.raises(OptionError, match=r"sort: line 2 is not a path and a number"):
        read_sort_file(file)


def test_priorities_have_one_form() -> None:
    options = WriterOptions(sort_priorities={"./usr//bin/": 5, b"/a": -1})  # type: ignore[dict-item]
    assert options.sort_priorities == {b"usr/bin": 5, b"a": -1}
    assert options.is_sorted
    assert hash(options) == hash(WriterOptions(sort_priorities={b"usr/bin": 5, b"a": -1}))
    assert not WriterOptions().is_sorted


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"sort_by": "name"}, "path, size"),
        ({"sort_priorities": [b"a"]}, "a mapping"),
        ({"sort_priorities": {1: 1}}, "of paths"),
        ({"sort_priorities": {b"a": 40_000}}, "-32768 to 32767"),
        ({"sort_priorities": {b"a": "1"}}, "-32768 to 32767"),
    ],
)
def test_other_orders_are_refused(options: dict[str, object], said: str) -> None:
    with pytest.raises(OptionError, match=said):
        WriterOptions(**options)  # type: ignore[arg-type]
