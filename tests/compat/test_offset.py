"""`--offset`: every command reads an image that starts inside a file, as an AppImage does."""

from __future__ import annotations

import tarfile
from pathlib import Path

import click
import pytest

import pysquash
from pysquash.cli.commands import commands
from tests.compat.test_cli import LAYER, call

OFFSET = 944632
READING = {
    "cat": ["etc/hostname"],
    "check": [],
    "extract": ["-d", "out"],
    "info": [],
    "ls": ["-l"],
    "stat": ["etc/hostname"],
    "tar": ["-o", "out.tar"],
}
"""The commands that read one image, and what else they take."""


@pytest.fixture(autouse=True)
def images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("layer.tar").write_bytes(LAYER)
    pysquash.tar2squashfs(["layer.tar"], "plain")
    Path("x.AppImage").write_bytes(b"\x7fELF".ljust(OFFSET, b"x") + Path("plain").read_bytes())


def test_every_command_takes_it() -> None:
    assert {*READING, "build", "diff"} == set(commands.list_commands(click.Context(commands)))
    for command in (*READING, "build", "diff"):
        assert "--offset" in call(command, "--help").stdout


@pytest.mark.parametrize("command", READING)
def test_an_image_inside_a_file(command: str) -> None:
    plain = call(command, "plain", *READING[command])
    seen = Path("out/etc/hostname").read_bytes() if command == "extract" else b""
    if command == "tar":
        with tarfile.open("out.tar") as tar:
            assert tar.getnames() == [".", "etc", "etc/hostname"]
        Path("out.tar").unlink()
    if command == "extract":
        Path("out").rename("before")
    found = call(command, "x.AppImage", *READING[command], "--offset", OFFSET)
    assert found.returncode == plain.returncode == 0, found.stderr
    assert found.stdout == plain.stdout
    if command == "extract":
        assert Path("out/etc/hostname").read_bytes() == seen == b"vm\n"
    if command == "tar":
        with tarfile.open("out.tar") as tar:
            assert tar.getnames() == [".", "etc", "etc/hostname"]
    refused = call(command, "x.AppImage", *READING[command])
    assert refused.returncode != 0
    assert refused.stderr.count("\n") == 1


def test_diff_takes_one_for_each() -> None:
    assert call("diff", "plain", "x.AppImage", "--offset", 0, "--offset", OFFSET).returncode == 0
    assert call("diff", "x.AppImage", "plain", "--offset", OFFSET, "--offset", 0).returncode == 0
    assert call("diff", "x.AppImage", "x.AppImage", "--offset", OFFSET).returncode == 0
    assert call("diff", "x.AppImage", "plain", "--offset", OFFSET).returncode != 0
    assert pysquash.diff("x.AppImage", "plain", offset=OFFSET, second_offset=0) == []


def test_build_takes_it_for_images() -> None:
    done = call("build", "-q", "sqfs:x.AppImage", "--part", "sqfs:x.AppImage", "etc", "--offset", OFFSET, "-o", "made")
    assert done.returncode == 0, done.stderr
    assert pysquash.diff("made", "plain") == []
    assert call("build", "-q", "sqfs:x.AppImage", "-o", "made").returncode == 1
    assert call("build", "-q", "layer.tar", "--layers", "layers", "--offset", 1).returncode == 0
    done = call("build", "layer.tar", "-o", "made", "--offset", "1K")
    assert "warning: offset 1024 has no effect: none of the sources is an image (sqfs:FILE)" in done.stderr
