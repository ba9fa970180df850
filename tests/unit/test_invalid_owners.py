"""The owner 2^32-1, which no file can have: a warning wherever it comes from, and none where an option changes it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import pysquash
from pysquash import Owners, SourceError, WriterOptions
from tests.tarbuild import END, header, padded, pax

INVALID = 0xFFFF_FFFF


def entry(name: bytes, kind: bytes = b"0", **owner: Any) -> bytes:
    """Make an entry with an owner in a pax header, which is where most such numbers are."""
    pairs = [(key.encode(), str(number).encode()) for key, number in owner.items()]
    return pax(*pairs) + header(name, kind, 0, target=b"target" if kind == b"2" else b"") + padded(b"")


ENTRIES = [
    entry(b"user", uid=INVALID),
    entry(b"directory/", b"5", gid=INVALID),
    entry(b"directory/link", b"2", uid=INVALID, gid=INVALID),
    entry(b"fine", uid=INVALID - 1, gid=65534),
    entry(b"fifo", b"6", uid=INVALID),
]


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    path = tmp_path / "x.tar"
    path.write_bytes(b"".join(ENTRIES) + END)
    return path


def test_of_a_tar(archive: Path, tmp_path: Path) -> None:
    report = pysquash.build([str(archive)], tmp_path / "out")
    [group] = report.warnings
    assert (group.kind, group.count) == ("invalid-owner", 4)
    assert group.names == ("directory", "directory/link", "fifo")
    rest = "ID 4294967295 is invalid: chown cannot set it, and Linux shows another one"
    assert group.examples[0] == f"directory: group {rest}"
    assert group.examples[1] == f"directory/link: user and group {rest}"
    with pytest.raises(SourceError, match="directory: group ID 4294967295 is invalid"):
        pysquash.build([str(archive)], tmp_path / "strict", options=WriterOptions(strict=True))
    assert not (tmp_path / "strict").exists()


def test_of_an_image_and_of_layers(archive: Path, tmp_path: Path) -> None:
    pysquash.build([str(archive)], tmp_path / "image")
    report = pysquash.build([f"sqfs:{tmp_path / 'image'}"], tmp_path / "again")
    assert [group.count for group in report.warnings] == [4]
    images = pysquash.build_layers([str(archive)], tmp_path / "layers")
    assert [(group.kind, group.count) for group in images.warnings] == [("invalid-owner", 4)]
    with pytest.raises(SourceError, match="is invalid"):
        pysquash.build_layers([str(archive)], tmp_path / "strict", options=WriterOptions(strict=True))
    assert not (tmp_path / "strict").exists()


def test_of_a_file_that_is_added(tmp_path: Path) -> None:
    (tmp_path / "x.tar").write_bytes(END)
    report = pysquash.build([str(tmp_path / "x.tar")], tmp_path / "out", files=[("a", b"", {"uid": INVALID})])
    assert [group.names for group in report.warnings] == [("a",)]


def test_of_the_root(tmp_path: Path) -> None:
    (tmp_path / "x.tar").write_bytes(entry(b"./", b"5", uid=INVALID) + END)
    report = pysquash.build([str(tmp_path / "x.tar")], tmp_path / "out")
    assert [group.names for group in report.warnings] == [("/",)]


def test_of_a_file_with_several_names_once(tmp_path: Path) -> None:
    link = header(b"b", b"1", 0, target=b"a")
    (tmp_path / "x.tar").write_bytes(entry(b"a", uid=INVALID) + link + END)
    report = pysquash.build([str(tmp_path / "x.tar")], tmp_path / "out")
    assert [group.names for group in report.warnings] == [("a",)]


def test_what_does_not_come_into_the_image_is_no_matter(archive: Path, tmp_path: Path) -> None:
    owners = Owners(everything=(0, 0))
    assert pysquash.build([str(archive)], tmp_path / "1", owners=owners).warnings == ()
    exclude = ["user", "directory", "fifo"]
    assert pysquash.build([str(archive)], tmp_path / "2", exclude=exclude).warnings == ()
