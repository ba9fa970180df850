"""The directory source: what is on the disk is what is yielded, and nothing is followed or exchanged on the way."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from pysquash import LimitError, SourceError, WriterOptions
from pysquash.options.limits import Limits
from pysquash.sources import directory as directory_module
from pysquash.sources.directory import DirectorySource
from pysquash.sources.host_xattrs import HostXattrs
from pysquash.tree.entry import Entry, Kind
from tests.noticing import Recorder

posix_only = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such files")
linux_only = pytest.mark.skipif(sys.platform != "linux", reason="holes and xattrs are read on Linux")


def read(path: Path, **options: object) -> tuple[list[Entry], dict[bytes, bytes], list[str]]:
    warnings = Recorder()
    source = DirectorySource(path, name="d", options=WriterOptions(**options), warn=warnings)  # type: ignore[arg-type]
    entries, contents = [], {}
    for entry in source:
        entries.append(entry)
        if entry.kind is Kind.FILE:
            contents[entry.path] = source.read(entry.stored_size)
    source.close()
    return entries, contents, warnings


@pytest.fixture(params=["descriptors", "paths"])
def tree(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a tree, and walk it both ways: as Linux and macOS do, and as Windows must."""
    if request.param == "paths":
        monkeypatch.setattr(directory_module, "_HAS_DESCRIPTORS", False)
    root = tmp_path / "root"
    (root / "b" / "deep").mkdir(parents=True)
    (root / "a").write_bytes(b"content")
    (root / "b" / "deep" / "file").write_bytes(b"x" * 100_000)
    (root / "b" / "empty").touch()
    os.utime(root / "a", (1_700_000_000.9, 1_700_000_000.9))
    return root


def test_order_kinds_and_content(tree: Path) -> None:
    entries, contents, warnings = read(tree)
    assert [entry.path for entry in entries] == [b"", b"a", b"b", b"b/deep", b"b/deep/file", b"b/empty"]
    assert [entry.kind for entry in entries].count(Kind.DIRECTORY) == 3
    assert contents == {b"a": b"content", b"b/deep/file": b"x" * 100_000, b"b/empty": b""}
    assert (entries[1].mtime, entries[1].size, warnings) == (1_700_000_000, 7, [])


@posix_only
def test_modes_owners_links_and_odd_names(tree: Path) -> None:
    (tree / "a").chmod(0o4751)
    (tree / "s").symlink_to("../outside")
    os.link(tree / "a", tree / "z")
    os.mkfifo(tree / "fifo", 0o600)
    (Path(os.fsdecode(os.fsencode(tree) + b"/\xff\n"))).write_bytes(b"odd")
    entries, contents, _ = read(tree)
    by_path = {entry.path: entry for entry in entries}
    assert by_path[b"a"].mode == 0o4751
    assert (by_path[b"a"].uid, by_path[b"a"].gid) == (os.getuid(), (tree / "a").stat().st_gid)
    assert (by_path[b"s"].kind, by_path[b"s"].target) == (Kind.SYMLINK, b"../outside")
    assert (by_path[b"z"].kind, by_path[b"z"].target) == (Kind.HARD_LINK, b"a")
    assert by_path[b"fifo"].kind is Kind.FIFO
    assert contents[b"\xff\n"] == b"odd"


@linux_only
def test_holes(tree: Path) -> None:
    with (tree / "sparse").open("wb") as file:
        file.seek(1 << 20)
        file.write(b"data")
        file.truncate(3 << 20)
    entries, contents, _ = read(tree)
    entry = next(entry for entry in entries if entry.path == b"sparse")
    assert entry.size == 3 << 20
    if entry.segments is None:
        pytest.skip("this file system does not tell where holes are")
    whole = bytearray(entry.size)
    at = 0
    for start, length in entry.segments:
        whole[start : start + length] = contents[b"sparse"][at : at + length]
        at += length
    assert whole == (tree / "sparse").read_bytes()
    assert at < 1 << 20


@linux_only
def test_xattrs(tree: Path) -> None:
    try:
        os.setxattr(tree / "a", "user.name", b"value\0")
    except OSError:
        pytest.skip("this file system has no user xattrs")
    entries, _, _ = read(tree)
    assert {entry.path: entry.xattrs for entry in entries}[b"a"] == ((b"user.name", b"value\0"),)


@linux_only
@pytest.mark.parametrize("has_proc", [True, False])
def test_a_symlink_that_is_replaced_while_its_xattrs_are_read(
    has_proc: bool, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without /proc it is looked up by its path, where something else can be by then: never is that taken for it."""
    monkeypatch.setattr(HostXattrs, "_finds_in_proc", lambda *_: has_proc)
    (tree / "s").symlink_to("nowhere")
    listed = os.listxattr

    def exchange(place: bytes | int, **keywords: bool) -> list[str]:
        if isinstance(place, bytes) and place.endswith(b"/s"):
            (tree / "new").symlink_to("elsewhere")
            (tree / "new").rename(tree / "s")
        return listed(place, **keywords)

    monkeypatch.setattr(os, "listxattr", exchange)
    if has_proc and directory_module._HAS_DESCRIPTORS:
        read(tree)
        return
    with pytest.raises(SourceError, match="replaced"):
        read(tree)


@linux_only
def test_an_xattr_that_is_removed_after_it_was_listed(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.setxattr(tree / "a", "user.name", b"value")
    listed = os.listxattr

    def with_another(place: bytes | int, **keywords: bool) -> list[str]:
        return ["user.gone", *listed(place, **keywords)]

    monkeypatch.setattr(os, "listxattr", with_another)
    entries, _, _ = read(tree)
    assert {entry.path: entry.xattrs for entry in entries}[b"a"] == ((b"user.name", b"value"),)


@posix_only
def test_a_file_that_becomes_a_symlink_is_not_followed(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = tree.parent / "secret"
    secret.write_bytes(b"secret")
    real_open = os.open

    def exchange(path: bytes, flags: int, *arguments: Any, **keywords: Any) -> int:
        if os.path.basename(path) == b"a" and not (tree / "a").is_symlink():
            (tree / "a").unlink()
            (tree / "a").symlink_to(secret)
        return real_open(path, flags, *arguments, **keywords)

    monkeypatch.setattr(os, "open", exchange)
    with pytest.raises((OSError, SourceError)):
        read(tree)


@posix_only
def test_a_file_that_is_replaced_is_an_error(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real_open = os.open

    def exchange(path: bytes, flags: int, *arguments: Any, **keywords: Any) -> int:
        if os.path.basename(path) == b"a":
            (tree.parent / "other").write_bytes(b"other")
            (tree.parent / "other").replace(tree / "a")
        return real_open(path, flags, *arguments, **keywords)

    monkeypatch.setattr(os, "open", exchange)
    with pytest.raises(SourceError, match="d: a: was replaced"):
        read(tree)


def test_a_file_that_changes_while_it_is_read(tree: Path) -> None:
    warnings = Recorder()
    source = DirectorySource(tree, name="d", options=WriterOptions(), warn=warnings)
    for entry in source:
        if entry.path == b"a":
            with (tree / "a").open("ab") as file:
                file.write(b" and more")
            assert source.read(entry.size) == b"content"
        if entry.path == b"b/deep/file":
            os.truncate(tree / "b/deep/file", 10)
            with pytest.raises(SourceError, match="d: b/deep/file: became shorter"):
                source.read(entry.size)
            break
    source.close()
    assert warnings == ["d: a: changed while it was read; what was read is stored"]


def test_limits(tree: Path) -> None:
    with pytest.raises(LimitError, match="path depth is 3, the limit is 2"):
        read(tree, limits=Limits(depth=2))
    with pytest.raises(LimitError, match="component size is 4, the limit is 3"):
        read(tree, limits=Limits(component_size=3))


def test_a_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "missing")
