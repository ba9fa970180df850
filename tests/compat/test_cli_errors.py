"""The command line's errors: which code stands for which, and that each says what it is about."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click
import pytest

from pysquash import SquashfsWriter, WriterOptions
from pysquash.cli.commands import commands
from tests.compat.test_cli import LAYER, call

BUILD = ["build", "x.tar", "-o", "out"]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("x.tar").write_bytes(LAYER)
    Path("x.txt").write_bytes(b"text\n")
    with SquashfsWriter("x.sqfs", WriterOptions(workers=1)) as writer:
        writer.add_file("a", b"1")
    raw = bytearray(Path("x.sqfs").read_bytes())
    start = int.from_bytes(raw[64:72], "little")  # of the inode table
    raw[start : start + 20] = bytes(20)
    Path("broken").write_bytes(raw)


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        ([*BUILD, "-b", "3"], 2, "block_size must be a power of two"),
        ([*BUILD, "-X", "level=99"], 2, "level 99"),
        ([*BUILD, "--limit", "rato=3"], 2, "unknown limit 'rato' (did you mean ratio?); limits and their defaults: "),
        ([*BUILD, "--limit", "Layer_Sizes=3"], 2, "(did you mean layer-size?)"),
        ([*BUILD, "--limit", "ratio"], 2, "'ratio' is not NAME=VALUE"),
        ([*BUILD, "--limit", "ratio=-3"], 2, "'ratio=-3': '-3' is not a size"),
        ([*BUILD, "--limit", "ratio=0"], 2, "limit ratio must be a whole number from 1"),
        ([*BUILD, "--limit", "id-count=1M"], 2, "limit id_count can be at most 65535"),
        ([*BUILD, "--limit", "entry_count=1"], 1, "the number of entries is 2, the limit is 1 (--limit entry-count)"),
        ([*BUILD, "--strict", "--offset", "1K"], 2, "offset 1024 has no effect"),
        (["diff", "x.sqfs", "x.sqfs", *["--offset", "0"] * 3], 2, "--offset: there are two images"),
        (["ls", "x.sqfs", "--offset", "1"], 1, "x.sqfs: "),
        (["ls", "x.sqfs", "--offset", "16T"], 1, "x.sqfs: "),
        ([*BUILD, "--platform", "foo"], 2, "platform must be os/arch"),
        ([*BUILD, "--strict", "--lenient"], 2, "strict and lenient"),
        ([*BUILD, "--mkdir", "a:999"], 2, "'--mkdir': 'a:999': mode 999 is not three or four octal digits"),
        ([*BUILD, "--mkdir", "a:12"], 2, "'--mkdir': 'a:12': mode 12 is not three or four octal digits"),
        ([*BUILD, "--mkdir", "a/../b"], 2, "'--mkdir': a/../b: "),
        ([*BUILD, "--mkdir", ":755"], 2, "'--mkdir': ':755' is not DIR[:MODE]"),
        ([*BUILD, "--file", "x"], 2, "'--file': 'x' is not DEST=SRC"),
        ([*BUILD, "--default-file", "../x=x.txt"], 2, "'--default-file': ../x: "),
        ([*BUILD, "--symlink", "x"], 2, "'--symlink': 'x' is not DEST=TARGET"),
        ([*BUILD, "--part", "x.tar", "../x"], 2, "'--part': ../x: "),
        ([*BUILD, "--file", "x=missing"], 1, "missing: No such file"),
        ([*BUILD, "--authfile", "missing"], 1, "missing: file with credentials not found"),
        (["build", "missing", "-o", "out"], 1, "missing: No such file"),
        (["build", "dir:", "-o", "out"], 1, "dir:: a path is missing"),
        (["build", "", "-o", "out"], 1, "a path is missing"),
        (["build", "dir:missing", "-o", "out"], 1, "/missing: No such file"),
        (["build", "x.txt", "-o", "out"], 1, "x.txt: at byte 0: is not a tar archive; it looks like text: 'text'"),
        (["build", "x.tar"], 2, "name it with --output FILE"),
        ([*BUILD, "--overlay-xattrs", "user"], 2, "--overlay-xattrs is for the images that --layers writes"),
        (["build", "x.tar", "--layers", "out", "-o", "y"], 2, "--output does not go with --layers: "),
        (["build", "x.tar", "--layers", "out", "--json"], 2, "--json does not go with --layers: "),
        (["build", "x.tar", "--layers", "out", "--vm"], 2, "--vm does not go with --layers: "),
        (["build", "x.tar", "--layers", "out", "--mkdir", "a"], 2, "--mkdir does not go with --layers: "),
        (["build", "-", "-o", "out"], 1, "<standard input>: is empty"),
        *[([name, "missing"], 1, "missing: No such file") for name in ("ls", "info", "check", "tar", "extract")],
        *[([name, "missing", "a"], 1, "missing: No such file") for name in ("cat", "stat", "diff")],
        *[([name, "x.txt"], 1, "x.txt: ") for name in ("ls", "info", "check", "tar", "extract")],
        *[([name, "x.txt", "a"], 1, "x.txt: ") for name in ("cat", "stat")],
        *[([name, "broken"], 1, "broken: ") for name in ("ls", "tar", "extract")],
        *[([name, "broken", "a"], 1, "broken: ") for name in ("cat", "stat")],
        (["diff", "x.sqfs", "x.txt"], 1, "x.txt: "),
        (["diff", "x.txt", "x.sqfs"], 1, "x.txt: "),
        (["diff", "x.sqfs", "broken"], 1, "broken: "),
        (["diff", "broken", "x.sqfs"], 1, "broken: "),
        (["ls", "x.sqfs", "nope"], 1, "x.sqfs: nope: "),
        (["ls"], 2, "IMAGE"),
        (["diff", "x.sqfs"], 2, "SECOND"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_each_error_says_what_it_is_about(arguments: list[str], code: int, text: str) -> None:
    before = sorted(os.listdir())
    done = call(*arguments)
    assert (done.returncode, done.stdout) == (code, "")
    assert text in done.stderr, done.stderr
    assert "Traceback" not in done.stderr
    assert "b'" not in done.stderr
    assert code == 2 or done.stderr.count("\n") == 1
    assert set(os.listdir()) - set(before) <= {"squashfs-root"}


@pytest.mark.parametrize("name", ["a:755", r"a\:999", "a:b"])
def test_a_directory_may_end_like_a_mode(name: str) -> None:
    assert call(*BUILD, "-q", "--mkdir", name).returncode == 0
    assert name.removesuffix(":755").replace("\\", "") in call("ls", "out").stdout.split()


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="this system has no such names")
def test_a_line_is_one_line_whatever_names_have() -> None:
    for raw, shown in [(b"a\nb", r"a\nb"), (b"a\x1b[31m", r"a\x1b[31m"), (b"a\xff", r"a\xff")]:
        name = os.fsdecode(raw)
        for arguments in (["ls", name], ["build", name, "-o", "out"], ["build", "x.tar", "-o", f"{name}/x"]):
            done = call(*arguments)
            assert (done.returncode, done.stderr.count("\n")) == (1, 1), done.stderr
            assert shown in done.stderr


def test_help_is_whole_sentences() -> None:
    lines = call("--help").stdout.partition("Commands:")[2].strip().splitlines()
    assert len(lines) == 9
    assert all(line.endswith(".") and not line.endswith("...") for line in lines)


def test_one_image_is_one() -> None:
    assert "out: 1 image, " in call("build", "x.tar", "--layers", "out").stderr


@pytest.mark.parametrize("name", ["build", "cat", "check", "diff", "extract", "info", "ls", "stat", "tar"])
def test_no_file_is_looked_at_before_it_is_opened(name: str) -> None:
    """Or what cannot be read would be wrong usage, and the code another one than for what is not there."""
    command = commands.get_command(click.Context(commands), name)
    assert command is not None
    paths = [parameter.type for parameter in command.params if isinstance(parameter.type, click.Path)]
    assert paths
    assert not any(each.exists or each.readable for each in paths)
