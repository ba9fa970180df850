"""Programs that call mksquashfs, run unchanged with ours in front on PATH under that name."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.snapshot import need_root, need_tool, unsquashfs_tree

TIMEOUT = 120


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Put ours in front on PATH; a call is noted, so that a test sees that it was ours that was called."""
    need_root()
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / "mksquashfs"
    program.write_text(
        f'#!/bin/sh\necho "$@" >> {tmp_path}/calls\nPYTHONPATH={os.pathsep.join(filter(None, sys.path))} '
        f'exec {sys.executable} -m pysquash.mksquashfs "$@"\n'
    )
    program.chmod(0o755)
    return {**os.environ, "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}", "HOME": str(tmp_path)}


def test_live_build_makes_its_root(tmp_path: Path, environment: dict[str, str]) -> None:
    need_tool("lb", "live-build")
    build = tmp_path / "build"
    build.mkdir()

    def lb(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["lb", *arguments],
            cwd=build,
            env=environment,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=TIMEOUT,
            check=False,
        )

    options = ["--chroot-filesystem", "squashfs", "--chroot-squashfs-compression-type", "zstd"]
    done = lb("config", "--build-with-chroot", "false", "--cache", "false", *options)
    assert done.returncode == 0, done.stderr
    for name, text in {"etc/hostname": "live\n", "etc/secret": "not this\n", "usr/a.pyc": "nor this\n"}.items():
        path = build / "chroot" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (build / "config" / "rootfs" / "excludes").write_text("etc/secret\n... *.pyc\n")
    (build / "config" / "rootfs" / "squashfs.sort").write_text("etc/hostname 5\n")
    for stage in ("config", "bootstrap", "binary_chroot"):
        (build / ".build" / stage).touch()
    done = lb("binary_rootfs")
    image = build / "binary" / "live" / "filesystem.squashfs"
    assert image.exists(), done.stdout + done.stderr
    calls = (tmp_path / "calls").read_text()
    assert "-wildcards -ef config/rootfs/excludes" in calls
    assert "-sort squashfs.sort" in calls
    assert set(unsquashfs_tree(image, tmp_path)) == {b"", b"etc", b"etc/hostname", b"usr"}


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


def test_mkosi_makes_its_root(tmp_path: Path, environment: dict[str, str]) -> None:
    need_tool("mkosi", "mkosi")
    tree, image = tmp_path / "tree", tmp_path / "image"
    (tree / "etc").mkdir(parents=True)
    (tree / "etc" / "hostname").write_text("made\n")
    environment.pop("PYTHONPATH", None)
    environment.pop("VIRTUAL_ENV", None)
    done = subprocess.run(
        ["/usr/bin/python3", "-c", MKOSI, str(tree), str(image), "zstd"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "calls").read_text().rstrip().endswith("-noappend -comp zstd")
    assert set(unsquashfs_tree(image, tmp_path)) == {b"", b"etc", b"etc/hostname"}
