"""Programs that call mksquashfs run unchanged with ours first on PATH under its name, and make the same image."""

from __future__ import annotations

import importlib.util
import os
import random
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from pysquash import check
from tests.snapshot import Tree, assert_same, mounted, need_root, need_tool, reader_tree, unavailable, walk

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="what calls mksquashfs is for Linux")

KIWI = """
import sys
from kiwi.filesystem.squashfs import FileSystemSquashFs
from kiwi.storage.device_provider import DeviceProvider

root, image, compression = sys.argv[1:]
arguments = {"compression": compression} if compression else {}
FileSystemSquashFs(DeviceProvider(), root, arguments).create_on_file(image, exclude=["boot/*", "*.log"])
"""


MKOSI = """
import sys
from pathlib import Path
from types import SimpleNamespace
import mkosi
from mkosi.backend import OutputFormat
config = SimpleNamespace(
    output_format=OutputFormat.plain_squashfs, mksquashfs_tool=[], compress=sys.argv[3], compress_fs=sys.argv[3],
    compress_output=None, output=Path(sys.argv[2]),
)
state = SimpleNamespace(config=config, for_cache=False)
image = mkosi.generate_squashfs(state, Path(sys.argv[1]))
Path(sys.argv[2]).write_bytes(image.read())  # of the file that it had open before mksquashfs ran
"""


def fill(root: Path) -> Path:
    """Make a small system's tree."""
    for name in "etc", "usr/bin", "boot", "var/log", "empty":
        (root / name).mkdir(parents=True)
    (root / "etc/hostname").write_text("vm\n")
    (root / "usr/bin/program").write_bytes(random.Random(1).randbytes(300_000) + bytes(1 << 20))
    (root / "usr/bin/program").chmod(0o4755)
    os.link(root / "usr/bin/program", root / "usr/bin/same")
    (root / "usr/bin/copy").write_bytes((root / "usr/bin/program").read_bytes())
    (root / "bin").symlink_to("usr/bin")
    (root / "boot/vmlinuz").write_bytes(b"kernel" * 100)
    (root / "var/log/a.log").write_text("line\n")
    (root / "top.log").write_text("line\n")
    os.mkfifo(root / "var/pipe")
    os.chown(root / "var/log", 7, 8)
    os.utime(root / "etc/hostname", (1_600_000_000, 1_600_000_000))
    return root


def environment(folder: Path, *, ours: bool) -> dict[str, str]:
    """Give the environment in which `mksquashfs` is the real one, or ours."""
    if not ours:
        return dict(os.environ)
    folder.mkdir(exist_ok=True)
    program = folder / "mksquashfs"
    # Only ours gets our PYTHONPATH, for the caller is a Python program of another Python.
    package = shlex.quote(str(Path(__file__).parents[2]))
    python = shlex.quote(sys.executable)
    program.write_text(f'#!/bin/sh\nPYTHONPATH={package} exec {python} -m pysquash.mksquashfs "$@"\n')
    program.chmod(0o755)
    return {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"}


def tree(image: Path, folder: Path) -> Tree:
    """Read an image through the kernel, and see that we read the same."""
    with mounted(image, folder) as root:
        seen = walk(root)
    assert_same(reader_tree(image), seen)
    return seen


@pytest.mark.parametrize("compression", ["", "zstd", "gzip", "uncompressed"])
def test_kiwi_makes_the_same_image(tmp_path: Path, compression: str) -> None:
    need_root()
    need_tool("mksquashfs", "squashfs-tools")
    if importlib.util.find_spec("kiwi") is None:
        unavailable("kiwi is missing: pip install kiwi")
    root, trees = fill(tmp_path / "root"), []
    for ours in (False, True):
        image = tmp_path / f"{ours}.squashfs"
        command = [sys.executable, "-c", KIWI, f"{root}/", str(image), compression]
        done = subprocess.run(
            command, env=environment(tmp_path / "bin", ours=ours), capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        trees.append(tree(image, tmp_path))
    assert check(tmp_path / "True.squashfs") == []
    assert b"usr/bin/same" in trees[0]
    assert b"top.log" not in trees[0]
    assert_same(*trees)


def test_live_build_makes_the_same_image(tmp_path: Path) -> None:
    need_root()
    need_tool("mksquashfs", "squashfs-tools")
    need_tool("lb", "live-build")
    trees = []
    for ours in (False, True):
        folder = tmp_path / str(ours)
        folder.mkdir()
        used = environment(tmp_path / "bin", ours=ours)
        options = ["--build-with-chroot", "false", "--chroot-filesystem", "squashfs", "--distribution", "stable"]
        subprocess.run(["lb", "config", *options], cwd=folder, env=used, capture_output=True, check=True)
        (folder / "config/rootfs").mkdir(exist_ok=True)
        (folder / "config/rootfs/excludes").write_text("boot/*\n")
        (folder / "config/rootfs/squashfs.sort").write_text("etc/hostname 5\nusr/bin/copy -3\n")
        fill(folder / "chroot")
        for stage in "config", "bootstrap", "binary_chroot":  # what it takes for done
            (folder / ".build" / stage).touch()
        done = subprocess.run(
            ["lb", "binary_rootfs"], cwd=folder, env=used, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        trees.append(tree(folder / "binary/live/filesystem.squashfs", tmp_path))
    assert check(tmp_path / "True/binary/live/filesystem.squashfs") == []
    assert b"usr/bin/copy" in trees[0]
    assert b"boot/vmlinuz" not in trees[0]
    untimed = [{path: (s.kind, s.mode, s.uid, s.gid, s.content, s.links) for path, s in each.items()} for each in trees]
    assert untimed[0] == untimed[1]  # times are those of two chroots


def test_mkosi_makes_the_same_image(tmp_path: Path) -> None:
    need_root()
    need_tool("mksquashfs", "squashfs-tools")
    need_tool("mkosi", "mkosi")
    root, trees = fill(tmp_path / "root"), []
    for ours in (False, True):
        used = environment(tmp_path / "bin", ours=ours)
        image = tmp_path / f"{ours}.squashfs"
        command = ["/usr/bin/python3", "-c", MKOSI, str(root), str(image), "zstd"]  # mkosi is a package of the system's
        done = subprocess.run(command, env=used, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        trees.append(tree(image, tmp_path))
    assert b"usr/bin/copy" in trees[0]
    assert_same(*trees)
