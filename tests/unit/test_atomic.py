"""Atomic outputs: complete or not there, also where a process is killed; and what killed processes left."""

from __future__ import annotations

import errno
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import pysquash
from pysquash.host import atomic
from pysquash.host.atomic import AtomicDirectory, AtomicFile, is_temporary
from tests.processes import started
from tests.tarbuild import END, header, padded

LAYER = header(b"a", size=3) + padded(b"abc") + END
SECONDS = 60
WITHOUT_UNNAMED_FILES = "import os\nif hasattr(os, 'O_TMPFILE'): del os.O_TMPFILE\n"
BUILD = "import sys, runpy; runpy.run_module(sys.argv.pop(1), run_name='__main__', alter_sys=True)"
needs_locks = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no flock")


@pytest.fixture(params=[False, True], ids=["unnamed", "named"])
def code(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Have files without a name, if the system can, or none; give the program that does the same."""
    if request.param:
        monkeypatch.delattr(os, "O_TMPFILE", raising=False)
    return (WITHOUT_UNNAMED_FILES if request.param else "") + BUILD


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def temporary(directory: Path) -> list[str]:
    return [path.name for path in directory.iterdir() if is_temporary(os.fsencode(path.name), path.stat().st_mode)]


@pytest.mark.parametrize("before", [None, b"before"])
@pytest.mark.parametrize("name", ["image", "n" * 255, "ü" * 127, ".hidden", "new\nline", os.fsdecode(b"\xff")])
def test_a_file_is_there_when_it_is_complete(name: str, before: bytes | None, code: str, tmp_path: Path) -> None:
    path = tmp_path / name
    if before is not None:
        path.write_bytes(before)
    for is_kept in (False, True):
        file = AtomicFile(os.fspath(path))
        file.file.write(b"all of it")
        assert (path.read_bytes() if path.exists() else None) == before
        if is_kept:
            file.commit()
        file.discard()
        assert path.exists() or not is_kept
        assert len(names(tmp_path)) == path.exists()
    assert path.read_bytes() == b"all of it"
    assert file.file.closed


def test_the_permissions_are_those_of_a_new_file(code: str, tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        file = AtomicFile(os.fspath(tmp_path / "image"))
        file.commit()
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "image").stat().st_mode) == 0o640


def test_a_file_for_its_owner_that_is_not_synced(code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", None)
    file = AtomicFile(os.fspath(tmp_path / "blob"), mode=0o600, is_synced=False)
    file.file.write(b"content")
    assert stat.S_IMODE(os.fstat(file.file.fileno()).st_mode) == 0o600
    file.commit()
    assert stat.S_IMODE((tmp_path / "blob").stat().st_mode) == 0o600
    assert (tmp_path / "blob").read_bytes() == b"content"


@pytest.mark.skipif(not hasattr(os, "O_DIRECTORY"), reason="directories cannot be synced here")
@pytest.mark.parametrize("before", [False, True])
def test_the_order_is_sync_rename_sync(
    before: bool, code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, steps = tmp_path / "image", []
    if before:
        path.touch()

    def noted(name: str, call: Callable[..., None]) -> Callable[..., None]:
        def note(*arguments: object, **words: object) -> None:
            is_directory = name == "sync" and stat.S_ISDIR(os.fstat(int(str(arguments[0]))).st_mode)
            call(*arguments, **words)
            steps.append("sync directory" if is_directory else name)

        return note

    for name, function in (("sync", "fsync"), ("name", "link"), ("name", "replace")):
        monkeypatch.setattr(os, function, noted(name, getattr(os, function)))
    pysquash.tar2squashfs([_layer(tmp_path)], path)
    assert steps[-1] == "sync directory"
    assert steps.index("name") > steps.index("sync")
    assert steps[steps.index("name") :].count("sync") == 0


def _layer(directory: Path) -> Path:
    path = directory / "layer.tar"
    path.write_bytes(LAYER)
    return path


@pytest.mark.skipif(not hasattr(os, "O_DIRECTORY"), reason="directories cannot be synced here")
@pytest.mark.parametrize(("number", "is_error"), [(errno.EINVAL, False), (errno.EIO, True)])
def test_a_directory_that_cannot_be_synced(
    number: int, is_error: bool, code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync = os.fsync

    def fails(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(number, os.strerror(number))
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", fails)
    try:
        pysquash.tar2squashfs([_layer(tmp_path)], tmp_path / "image")
    except OSError as error:
        assert (error.errno, is_error) == (number, True)
        assert str(tmp_path / "image") in str(error)
    else:
        assert not is_error


# --- killed -------------------------------------------------------------------------------------------------------


def begun(code: str, directory: Path, *output: str) -> subprocess.Popen[bytes]:
    """Start a build that waits for the rest of its layer."""
    process = started([sys.executable, "-c", code, "pysquash", "build", "-q", "-", *output], folder=directory)
    assert process.stdin is not None
    process.stdin.write(header(b"large", size=20 << 20) + bytes(10 << 20))  # more than a pipe holds: it is read
    process.stdin.flush()
    return process


@needs_locks
@pytest.mark.parametrize("output", [("-o", "image"), ("--layers", "image")], ids=["file", "directory"])
def test_the_next_build_removes_what_a_killed_one_left(output: tuple[str, str], code: str, tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "file").touch()
    with begun(code, root, *output) as running, begun(code, root, *output) as killed:
        killed.send_signal(signal.SIGKILL)
        killed.communicate(timeout=SECONDS)
        has_names = output[0] == "--layers" or "O_TMPFILE" in code or not hasattr(os, "O_TMPFILE")
        assert len(temporary(root)) == 2 * has_names
        # No build of the directory around them packs them,
        report = pysquash.build([f"dir:{root}"], tmp_path / "around")
        with pysquash.SquashfsImage(tmp_path / "around") as image:
            assert [path.name for path in image.root.iterdir()] == ["file"]
        assert len(report.warnings) == has_names
        # nor does one of another name remove them; one of the same name does, but not what is still in use.
        pysquash.build([f"dir:{root}"], root / "image2")
        assert len(temporary(root)) == 2 * has_names
        AtomicFile(os.fspath(root / "image")).discard()
        assert len(temporary(root)) == has_names
        running.send_signal(signal.SIGTERM)
        running.communicate(timeout=SECONDS)
    assert names(root) == ["file", "image2"]


@needs_locks
def test_what_only_looks_like_ours_stays(tmp_path: Path) -> None:
    end = "0123456789ab.pysquash.tmp"
    others = [
        f".image.{end}x", f"image.{end}", f".image2.{end}", f".image.x.{end}", f".image.A{end[1:]}", f".image.{end[1:]}"
    ]  # fmt: skip
    for name in others:
        (tmp_path / name).touch()
    (tmp_path / f".image.{end}").symlink_to("nowhere")
    AtomicFile(os.fspath(tmp_path / "image")).discard()
    assert names(tmp_path) == sorted([*others, f".image.{end}"])
    os.unlink(tmp_path / f".image.{end}")
    os.mkfifo(tmp_path / f".image.{end}")  # opening it for reading would wait
    AtomicFile(os.fspath(tmp_path / "image")).discard()
    assert names(tmp_path) == sorted([*others, f".image.{end}"])


@needs_locks
def test_a_file_that_is_taken_for_a_stale_one_before_it_is_locked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "O_TMPFILE", raising=False)
    lock, calls = atomic._lock, []

    def late(descriptor: int) -> bool:
        calls.append(descriptor)
        if len(calls) == 1:
            for name in temporary(tmp_path):
                os.unlink(tmp_path / name)
        return lock(descriptor) and len(calls) != 2

    monkeypatch.setattr(atomic, "_lock", late)
    file = AtomicFile(os.fspath(tmp_path / "image"))
    assert len(calls) == 3
    file.commit()
    assert "image" in names(tmp_path)


def test_a_directory_is_there_when_it_is_complete(tmp_path: Path) -> None:
    directory = AtomicDirectory(tmp_path / "out")
    (directory.path / "file").touch()
    assert names(tmp_path) == [directory.path.name]
    directory.commit()
    assert names(tmp_path) == ["out"]
    assert names(tmp_path / "out") == ["file"]
    other = AtomicDirectory(tmp_path / "other")
    (other.path / "file").touch()
    other.discard()
    assert names(tmp_path) == ["out"]
