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


def test_what_is_declared_is_imported_when_blocks_are_being_compressed() -> None:
    code = "import sys, pysquash.cli.build; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pysquash.writer.pipeline" in done.stdout.split()
    assert not {"construct", "pysquash.writer.envelope", "bz2", "lzma"} & set(done.stdout.split())
