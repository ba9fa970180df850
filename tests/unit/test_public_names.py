"""The names of the package: all are there, and none is imported before it is asked for."""

from __future__ import annotations

import subprocess
import sys

import click
import pytest

import pysquash
from pysquash.cli.commands import commands


@pytest.mark.parametrize("name", pysquash.__all__)
def test_each_public_name_is_there(name: str) -> None:
    assert name in dir(pysquash)
    assert getattr(pysquash, name) is not None


def test_what_is_not_public_is_not_there() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        pysquash.nothing  # type: ignore[attr-defined] # noqa: B018


def test_each_command_is_in_the_module_of_its_name() -> None:
    context = click.Context(commands)
    for name in commands.list_commands(context):
        command = commands.get_command(context, name)
        assert command is not None
        assert command.name == name
        assert command.get_short_help_str()


def test_the_command_line_starts_without_what_only_some_commands_need() -> None:
    code = "import sys, pysquash.cli; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"construct", "zstandard", "rich", "pysquash.api", "pysquash.reader.image"} & set(loaded)


@pytest.fixture(scope="module")
def arguments(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """What each command needs to do its work to the end, by the command's name."""
    folder = tmp_path_factory.mktemp("commands")
    source, image, other = folder / "source", folder / "image.squashfs", folder / "other.squashfs"
    source.mkdir()
    (source / "file").write_bytes(b"content")
    for path in (image, other):
        pysquash.build([f"dir:{source}"], path)
    return {
        "build": [f"dir:{source}", "-o", str(folder / "built.squashfs"), "--verify"],
        "cat": [str(image), "file"],
        "check": [str(image)],
        "diff": [str(image), str(other)],
        "extract": [str(image), "-d", str(folder / "extracted")],
        "info": [str(image)],
        "ls": ["-l", str(image)],
        "stat": [str(image), "file"],
        "tar": [str(image), "-o", str(folder / "image.tar")],
    }


@pytest.mark.parametrize("name", commands.list_commands(click.Context(commands)))
def test_no_command_imports_construct(name: str, arguments: dict[str, list[str]]) -> None:
    code = "import sys, atexit\natexit.register(lambda: print('loaded', *sys.modules, file=sys.stderr))\n"
    code += "from pysquash.cli import main\nmain()"
    command = [sys.executable, "-c", code, name, *arguments[name]]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    loaded = done.stderr.rpartition("loaded ")[2].split()
    assert "pysquash.format.records" in loaded
    assert "construct" not in loaded


def test_a_build_starts_without_what_only_some_builds_need() -> None:
    code = "import sys, pysquash.cli.build; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pysquash.writer.pipeline" in done.stdout.split()
    assert not {"construct", "bz2", "lzma"} & set(done.stdout.split())
