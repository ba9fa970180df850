"""Without /proc, as in a chroot or a sandbox: the same images, extended attributes of every kind of file included."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.snapshot import assert_same, need_root, need_tool, reader_tree

COMMANDS = {
    "pysquash": ["-m", "pysquash", "build", "--strict", "-q", "dir:{tree}", "-o", "{image}"],
    "mksquashfs": ["-m", "pysquash.mksquashfs", "{tree}", "{image}", "-quiet", "-no-progress", "-noappend"],
}
# `mount --bind` takes the root file system without those that are mounted in it: /proc is an empty directory.
WAYS = {
    "chroot": 'mount --bind / "$1" && shift && exec chroot "$@"',
    "unmounted": 'shift && umount -l /proc && exec "$@"',
}


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a tree with extended attributes on files of each kind."""
    need_root()
    need_tool("unshare", "util-linux")
    root = tmp_path_factory.mktemp("without-proc") / "tree"
    (root / "directory").mkdir(parents=True)
    (root / "file").write_bytes(b"content")
    os.link(root / "file", root / "directory" / "link")
    (root / "empty").touch()
    (root / "symlink").symlink_to("file")
    (root / "dangling").symlink_to("nowhere")
    os.mkfifo(root / "fifo")
    os.mknod(root / "directory" / "device", stat.S_IFCHR | 0o600, os.makedev(1, 3))
    os.mknod(root / "block", stat.S_IFBLK | 0o600, os.makedev(7, 200))
    os.mknod(root / "socket", stat.S_IFSOCK | 0o600)
    for place in [root, *root.rglob("*")]:
        for name in ("security.test", "trusted.test"):
            os.setxattr(place, name, place.name.encode(), follow_symlinks=False)
        if place.is_dir() or (place.is_file() and not place.is_symlink()):
            os.setxattr(place, "user.test", b"")
    return root


def packed(tree: Path, image: Path, command: list[str]) -> subprocess.CompletedProcess[str]:
    filled = [each.format(tree=tree, image=image) for each in command]
    return subprocess.run([sys.executable, *filled], capture_output=True, text=True, check=False)


def packed_without(
    way: str, tree: Path, image: Path, command: list[str], folder: Path
) -> subprocess.CompletedProcess[str]:
    place = folder / "place"
    place.mkdir()
    filled = [each.format(tree=tree, image=image) for each in command]
    script = f"test -e /proc/self && {WAYS[way]}"
    arguments = [str(place)] * (1 + (way == "chroot"))
    shell = ["unshare", "--mount", "sh", "-c", script, "sh", *arguments, sys.executable, *filled]
    return subprocess.run(shell, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("program", COMMANDS)
def test_the_same_image(program: str, way: str, tree: Path, tmp_path: Path) -> None:
    command = COMMANDS[program]
    assert packed(tree, tmp_path / "with", command).returncode == 0
    done = packed_without(way, tree, tmp_path / "without", command, tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    wanted = reader_tree(tmp_path / "with")
    assert all(len(seen.xattrs) >= 2 for seen in wanted.values())
    assert_same(reader_tree(tmp_path / "without"), wanted)
    assert sorted(os.listdir(tmp_path)) == ["place", "with", "without"]


def test_a_symlink_whose_path_is_too_long_for_linux(tmp_path: Path) -> None:
    """It can be read through /proc, and without that it is an error, not a symlink without attributes."""
    need_root()
    need_tool("unshare", "util-linux")
    root = tmp_path / "tree"
    root.mkdir()
    name = "s" * 74  # with that, the path in the image has 4090 bytes of 4096, and the one on the host more
    before = os.getcwd()
    os.chdir(root)
    try:
        for _ in range(16):
            os.mkdir("d" * 250)
            os.chdir("d" * 250)
        os.symlink("target", name)
        os.setxattr(name, "trusted.test", b"value", follow_symlinks=False)
    finally:
        os.chdir(before)
    command = COMMANDS["pysquash"]
    assert packed(root, tmp_path / "with", command).returncode == 0
    wanted = reader_tree(tmp_path / "with")
    assert wanted[b"/".join([b"d" * 250] * 16) + b"/" + name.encode()].xattrs == ((b"trusted.test", b"value"),)
    done = packed_without("unmounted", root, tmp_path / "without", command, tmp_path)
    assert done.returncode == 1
    assert done.stderr.endswith(f"/{name}: File name too long\n")
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "without").exists()
