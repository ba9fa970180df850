"""Limit option: `--limit NAME=VALUE`, which changes a field of `Limits`.

In: texts of the command line. Out: `Limits`.
Rules kept here: a name has hyphens or underscores; a value may be a size such as 64K, 2G or 16T.
"""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Iterable

import click

from pysquash.cli.console import byte_count
from pysquash.errors import OptionError
from pysquash.options.limits import Limits

__all__ = ["limit_option", "parse_limits"]

_NAMES = tuple(field.name for field in dataclasses.fields(Limits))

limit_option = click.option(
    "--limit",
    "limits",
    multiple=True,
    metavar="NAME=VALUE",
    help="Change a limit on what is read; repeatable, e.g. ratio=100000, layer-size=200G; `--limit x` lists them.",
)


def parse_limits(texts: Iterable[str]) -> Limits:
    """Parse NAME=VALUE texts; the last of one name counts.

    Raises:
        click.BadParameter: A name is unknown, or a value is invalid.
    """
    values: dict[str, int] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        field = name.strip().lower().replace("-", "_")
        if field not in _NAMES:
            raise click.BadParameter(_unknown(name), param_hint="--limit")
        if not equals:
            raise click.BadParameter(f"{text!r} is not NAME=VALUE", param_hint="--limit")
        try:
            values[field] = byte_count(value)
        except click.BadParameter as error:
            raise click.BadParameter(f"{text!r}: {error.message}", param_hint="--limit") from None
    try:
        return Limits(**values)
    except OptionError as error:
        raise click.BadParameter(str(error), param_hint="--limit") from None


def _unknown(name: str) -> str:
    shown = [field.replace("_", "-") for field in _NAMES]
    close = difflib.get_close_matches(name.lower().replace("_", "-"), shown, n=1)
    guess = f" (did you mean {close[0]}?)" if close else ""
    defaults = Limits()
    known = ", ".join(f"{text} ({getattr(defaults, field)})" for text, field in zip(shown, _NAMES, strict=True))
    return f"unknown limit {name!r:.80}{guess}; limits and their defaults: {known}"
