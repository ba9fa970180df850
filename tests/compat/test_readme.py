"""What README.md shows can be done as it stands."""

from __future__ import annotations

import gzip
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import zstandard

from tests.oci.builder import Image, directory, file, layout, tar, to_directory

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()

pytestmark = pytest.mark.skipif(shutil.which("bash") is None, reason="needs a shell")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the examples say is at hand, and the command in the path."""
    monkeypatch.chdir(tmp_path)
    for name, text in {"os-release": "ID=x\n", "shadow": "root:*\n"}.items():
        (tmp_path / "rootfs/etc").mkdir(parents=True, exist_ok=True)
        (tmp_path / "rootfs/etc" / name).write_text(text)
    (tmp_path / "rootfs/usr/share").mkdir(parents=True)
    (tmp_path / "hostname").write_text("vm\n")
    layer = tar(directory("etc"), file("etc/passwd", b"root:x:0:0::/:/bin/sh\n"))
    (tmp_path / "layer1.tar").write_bytes(layer)
    (tmp_path / "layer2.tar.zst").write_bytes(zstandard.compress(layer))
    (tmp_path / "layer3.tar.gz").write_bytes(gzip.compress(layer))
    (tmp_path / "base.tar.gz").write_bytes(gzip.compress(layer))
    (tmp_path / "upper.tar").write_bytes(layer)
    to_directory(layout(Image([layer])), tmp_path / "app")
    (tmp_path / "bin").mkdir()
    for name, module in {"pysquash": "pysquash", "pymksquashfs": "pysquash.mksquashfs"}.items():
        command = tmp_path / "bin" / name
        command.write_text(f'#!/bin/sh\nexec {sys.executable} -m {module} "$@"\n')
        command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    return tmp_path


def test_the_commands_can_be_run_from_top_to_bottom(folder: Path) -> None:
    section = README.partition("## On the command line")[2].partition("```console\n")[2].partition("```")[0]
    lines = [line.removeprefix("$ ").partition("  #")[0] for line in section.splitlines()]
    assert len(lines) > 10
    for line in lines:
        if "docker://" in line or line.startswith("docker "):  # a registry or Docker is needed
            continue
        done = subprocess.run(["bash", "-o", "pipefail", "-c", line], capture_output=True, text=True, check=False)
        assert done.returncode == (1 if line.startswith("pysquash diff") else 0), f"{line}\n{done.stderr}"
        assert "warning" not in done.stderr, line
    assert (folder / "copy/etc/os-release").read_text() == "ID=x\n"


def test_the_place_of_mksquashfs_can_be_taken(folder: Path) -> None:
    section = README.partition("Whoever calls mksquashfs")[2].partition("```console\n")[2].partition("```")[0]
    lines = [line.removeprefix("$ ") for line in section.splitlines()]
    assert len(lines) == 2
    for line in lines:
        done = subprocess.run(["bash", "-o", "pipefail", "-c", line], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, ""), line


def test_the_program_can_be_run(folder: Path) -> None:
    code = re.findall("```python\n(.*?)```", README, re.DOTALL)
    assert len(code) == 1
    done = subprocess.run([sys.executable, "-c", code[0]], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "vm" in done.stdout
    assert (folder / "copy/etc/hostname").read_bytes() == b"vm\n"
