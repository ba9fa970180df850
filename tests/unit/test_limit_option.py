"""`--limit NAME=VALUE`: every field of `Limits`, with the sizes that people write."""

from __future__ import annotations

import ast
import dataclasses
from pathlib import Path

import click
import pytest

import pysquash
from pysquash.cli.limit_option import parse_limits
from pysquash.options.limits import Limits

NAMES = [field.name for field in dataclasses.fields(Limits)]


@pytest.mark.parametrize("name", NAMES)
def test_every_limit_can_be_set(name: str) -> None:
    lower = getattr(Limits(), name) - 1
    for text in (name, name.replace("_", "-"), name.upper()):
        assert parse_limits([f"{text}={lower}"]) == Limits(**{name: lower})


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("64K", 64 << 10),
        ("1M", 1 << 20),
        ("2G", 2 << 30),
        ("16T", 16 << 40),
        ("16TiB", 16 << 40),
        ("3g", 3 << 30),
        ("7", 7),
    ],
)
def test_sizes(text: str, value: int) -> None:
    assert parse_limits([f"layer-size={text}"]).layer_size == value


def test_the_last_one_counts() -> None:
    assert parse_limits(["ratio=5", "depth=7", "ratio=6"]) == Limits(ratio=6, depth=7)
    assert parse_limits([]) == Limits()


@pytest.mark.parametrize(
    "text", ["", "=", "ratio", "ratio=", "ratio=x", "ratio=1.5", "ratio=0", "nope=1", "ratio=" + "9" * 99]
)
def test_what_is_no_limit(text: str) -> None:
    with pytest.raises(click.BadParameter):
        parse_limits([text])


def test_errors_name_limits_that_there_are() -> None:
    """Find the names that `LimitError` is raised with."""
    found: set[str] = set()
    for path in Path(pysquash.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "LimitError":
                found |= {ast.literal_eval(each.value) for each in node.keywords if each.arg == "name"}
    assert found <= set(NAMES)
    fixed = {"component_size", "target_size", "xattr_value_size", "xattr_list_size", "id_count"}  # cannot be raised
    others = {"symlink_steps", "ratio_free_size", "zstd_window_size"}  # the errors are others, or none
    assert set(NAMES) - found == fixed | others
