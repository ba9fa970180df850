"""Overrides: what every node gets instead of what its source says."""

from __future__ import annotations

import io
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest

import pysquash
from pysquash import OptionError, Overrides
from tests.snapshot import Tree, reader_tree


@pytest.fixture
def layer(tmp_path: Path) -> Path:
    path = tmp_path / "layer.tar"
    with tarfile.open(path, "w") as archive:
        for name, kind, target in [
            ("a/implied/file", tarfile.REGTYPE, ""),
            ("a/implied/again", tarfile.LNKTYPE, "a/implied/file"),
            ("described", tarfile.DIRTYPE, ""),
            ("link", tarfile.SYMTYPE, "a"),
        ]:
            info = tarfile.TarInfo(name)
            info.type, info.linkname, info.mode, info.uid, info.gid, info.mtime = kind, target, 0o640, 10, 20, 1000
            archive.addfile(info, io.BytesIO())
    return path


def built(layer: Path, **values: Any) -> Tree:
    image = layer.with_name("image")
    pysquash.build([str(layer)], image, overrides=Overrides(**values))
    assert pysquash.check(image) == []
    return reader_tree(image)


def test_nothing_is_changed_by_default(layer: Path) -> None:
    assert built(layer) == built(layer, id_offset=0)
    assert built(layer)[b"described"].mtime == 1000


def test_defaults_are_for_what_nobody_describes(layer: Path) -> None:
    tree = built(layer, default_mode=0o711, default_uid=3, default_gid=4, default_time=5)
    for path in (b"", b"a", b"a/implied"):
        assert (tree[path].mode, tree[path].uid, tree[path].gid, tree[path].mtime) == (0o711, 3, 4, 5)
    assert (tree[b"described"].mode, tree[b"described"].uid) == (0o640, 10)


def test_the_root(layer: Path) -> None:
    tree = built(layer, root_mode=0o700, root_uid=3, root_gid=4, root_time=5, default_uid=9)
    assert (tree[b""].mode, tree[b""].uid, tree[b""].gid, tree[b""].mtime) == (0o700, 3, 4, 5)
    assert tree[b"a"].uid == 9
    assert built(layer, root_mode=lambda mode: mode | 0o1000)[b""].mode == 0o1755


def test_everything(layer: Path) -> None:
    tree = built(
        layer, uid=1, gid=2, id_offset=100, all_time=7, file_mode=0o600, directory_mode=lambda mode: mode & 0o700
    )
    assert {(seen.uid, seen.gid, seen.mtime) for seen in tree.values()} == {(101, 102, 7)}
    assert {seen.mode for seen in tree.values() if seen.kind == "directory"} == {0o600, 0o700}
    assert (tree[b"a/implied/file"].mode, tree[b"link"].mode) == (0o600, 0o777)
    assert built(layer, latest_time=500, root_time=900)[b"described"].mtime == 500
    tree = built(layer, xattrs={"user.a": b"1", "trusted.b": b"2"})
    assert tree[b"a/implied/file"].xattrs == tree[b"a"].xattrs == ((b"trusted.b", b"2"), (b"user.a", b"1"))
    assert tree[b"link"].xattrs == ((b"trusted.b", b"2"),)


@pytest.mark.parametrize(
    "values",
    [
        {"root_mode": 0o10000},
        {"uid": -1},
        {"all_time": 1 << 32},
        {"default_gid": "root"},
        {"id_offset": -1},
        {"xattrs": {"system.a": b""}},
        {"xattrs": {"user.a": "text"}},
    ],
    ids=str,
)
def test_what_no_inode_holds_is_refused(values: dict[str, Any]) -> None:
    with pytest.raises(OptionError):
        Overrides(**values)


def test_an_offset_past_the_end_is_refused(layer: Path) -> None:
    with pytest.raises(OptionError, match="plus the offset"):
        built(layer, uid=0xFFFF_FFFF, id_offset=1)
    assert not layer.with_name("image").exists()


def test_on_the_command_line(layer: Path) -> None:
    image = layer.with_name("image")

    def call(*options: str) -> int:
        command = [sys.executable, "-m", "pysquash", "build", "-q", str(layer), "-o", str(image), *options]
        return subprocess.run(command, capture_output=True, check=False).returncode

    options = [
        "--root-owner",
        "3:4",
        "--root-mode",
        "700",
        "--root-time",
        "5",
        "--default-owner",
        "6:7",
        "--latest-time",
        "900",
    ]
    assert call(*options, "--default-mode", "711") == 0
    tree = reader_tree(image)
    assert (tree[b""].mode, tree[b""].uid, tree[b""].gid, tree[b""].mtime) == (0o700, 3, 4, 5)
    assert (tree[b"a"].mode, tree[b"a"].uid, tree[b"a"].gid) == (0o711, 6, 7)
    assert tree[b"described"].mtime == 900
    assert call("--all-time", "8") == 0
    assert {seen.mtime for seen in reader_tree(image).values()} == {8}
    for wrong in (["--root-mode", "9"], ["--root-owner", "root"], ["--all-time", "now"], ["--default-mode", "17777"]):
        assert call(*wrong) == 2
