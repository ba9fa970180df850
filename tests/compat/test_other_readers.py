"""Readers that share no code with the kernel's or unsquashfs: squashfs-tools-ng's and squashfuse."""

from __future__ import annotations

import dataclasses
import os
import random
from pathlib import Path

import pytest

from pysquash import SquashfsWriter, WriterOptions
from tests.snapshot import Tree, assert_same, kernel_tree, need_root, need_tool, remove, run, unavailable, walk


@pytest.fixture(scope="module", params=["zstd", "gzip", "xz"])
def image(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make an image with every kind of thing, long listings, shared blocks and holes."""
    need_root()
    path: Path = tmp_path_factory.mktemp("other") / "image.squashfs"
    data = random.Random(3).randbytes(600_000)
    with SquashfsWriter(path, WriterOptions(compressor=request.param, exports=True)) as writer:
        writer.add_file("large", data, mtime=1_600_000_000, xattrs={"user.a": b"b" * 100, "trusted.c": b"d"})
        writer.add_file("same-blocks", data[:524_288] + b"another tail", xattrs={"user.z": b"b" * 100})
        writer.add_file("holes", data[:131_072] + bytes(400_000) + b"end")
        writer.add_file("zeros", bytes(1_000_000))
        writer.add_file("empty", b"")
        writer.add_hard_link("names/link", "large")
        writer.add_symlink("names/symlink", "../large")
        writer.add_device("names/null", "character", 1, 3)
        writer.add_device("names/disk", "block", 259, 70_000)
        writer.add_fifo("names/fifo")
        for row in range(3000):
            writer.add_file(f"many/{row:05}", b"file %d" % row, uid=row % 50, mode=0o400 + row % 0o100)
    return path


def test_rdsquashfs_unpacks_the_same(image: Path, tmp_path: Path) -> None:
    need_tool("rdsquashfs", "squashfs-tools-ng")
    target = tmp_path / "unpacked"
    target.mkdir()
    done = run(["rdsquashfs", "-q", "-u", "/", "-p", target, "-X", "-T", "-C", "-O", image])
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    try:
        # It unpacks names one by one: hard links become copies, and directories are touched by what goes into them.
        assert_same(separate(walk(target)), separate(kernel_tree(image, tmp_path)), ignore_root=True)
    finally:
        remove(target)


def test_squashfuse_shows_the_same(image: Path, tmp_path: Path) -> None:
    need_tool("squashfuse", "squashfuse")
    if not os.path.exists("/dev/fuse"):
        unavailable("/dev/fuse is missing: modprobe fuse")
    point = tmp_path / "fuse"
    point.mkdir()
    done = run(["squashfuse", image, point])
    assert done.returncode == 0, done.stderr
    try:
        seen = walk(point)
    finally:
        assert run(["umount", point]).returncode == 0
    assert_same(as_fuse_shows(seen), as_fuse_shows(kernel_tree(image, tmp_path)))


def separate(tree: Tree) -> Tree:
    """Leave out what groups names, and the times of directories."""
    return {
        path: dataclasses.replace(one, links=(path,), mtime=0 if one.kind == "directory" else one.mtime)
        for path, one in tree.items()
    }


def as_fuse_shows(tree: Tree) -> Tree:
    """FUSE passes on user. attributes only, and makes inode numbers up."""
    return {
        path: dataclasses.replace(
            one, links=(path,), xattrs=tuple(pair for pair in one.xattrs if pair[0].startswith(b"user."))
        )
        for path, one in tree.items()
    }
