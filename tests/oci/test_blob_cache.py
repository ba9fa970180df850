"""What lies in a blob cache: whatever has the name of a blob and is none goes, and what is ours is for nobody else."""

from __future__ import annotations

import hashlib
import os
import socket
import stat
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pysquash.sources.oci.blob_cache import BlobCache
from pysquash.sources.oci.digests import Digest

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="kinds of files and their modes are POSIX")

DATA = b"a blob" * 1000
DIGEST = Digest("sha256", hashlib.sha256(DATA).hexdigest())
Make = Callable[[Path], object]


def place(cache: Path) -> Path:
    return cache / "blobs" / "sha256" / DIGEST.encoded


def keep(cache: Path) -> Path:
    blob = BlobCache(cache).begin(DIGEST)
    blob.file.write(DATA)
    blob.keep()
    return place(cache)


def found(cache: Path) -> bytes | None:
    file = BlobCache(cache).find(DIGEST, len(DATA))
    if file is None:
        return None
    with file:
        file.seek(0)
        return file.read()


def full_directory(path: Path) -> None:
    (path / "deep").mkdir(parents=True)
    (path / "deep" / "file").write_bytes(DATA)
    (path / "link").symlink_to("/")


def a_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        here = os.open(path.parent, os.O_RDONLY)
        try:
            listening.bind(f"/proc/self/fd/{here}/{path.name}")  # whose own path is too long for an address
        finally:
            os.close(here)


def link_to_pipe(path: Path) -> None:
    os.mkfifo(path.with_name("pipe"))
    path.symlink_to("pipe")


OTHERS: list[Make] = [
    os.mkfifo,
    Path.mkdir,
    full_directory,
    a_socket,
    link_to_pipe,
    lambda path: path.symlink_to("/dev/zero"),
    lambda path: path.symlink_to("/dev/null"),
    lambda path: path.symlink_to("."),
    lambda path: path.symlink_to(path.name),
    lambda path: path.symlink_to("nowhere"),
    lambda path: path.write_bytes(b""),
    lambda path: path.write_bytes(DATA[:-1]),
    lambda path: path.write_bytes(DATA[:-1] + b"?"),
    lambda path: path.write_bytes(DATA + b"?"),
]


@pytest.mark.parametrize("make", OTHERS)
def test_what_is_no_blob_is_removed_and_replaced(make: Make, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    path = keep(cache)
    path.unlink()
    make(path)
    if not Path("/proc/self/fd").is_dir() and make is a_socket:
        pytest.skip("there is no /proc to make a socket at a long path")
    assert found(cache) is None
    assert not path.exists()
    keep(cache)
    assert not path.is_symlink()
    assert found(cache) == DATA


def test_a_link_to_a_blob_is_one(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    path = keep(cache)
    path.rename(path.with_name("elsewhere"))
    path.symlink_to("elsewhere")
    assert found(cache) == DATA


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077])
def test_what_is_made_is_for_its_owner_only(mask: int, tmp_path: Path) -> None:
    before = os.umask(mask)
    try:
        path = keep(tmp_path / "cache")
        part = BlobCache(tmp_path / "cache").begin(DIGEST)
    finally:
        os.umask(before)
    try:
        assert stat.S_IMODE(os.fstat(part.file.fileno()).st_mode) == 0o600
    finally:
        part.drop()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    for each in (path.parent, path.parent.parent, tmp_path / "cache"):
        assert stat.S_IMODE(each.stat().st_mode) == 0o700


def test_a_directory_that_is_there_keeps_its_mode(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    cache.mkdir()
    cache.chmod(0o750)
    keep(cache)
    assert stat.S_IMODE(cache.stat().st_mode) == 0o750
