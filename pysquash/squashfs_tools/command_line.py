"""Command line: reads the arguments of mksquashfs and sqfstar by the option table.

In: arguments. Out: an `Invocation`.
Rules kept here: mksquashfs has its sources and the image in front of all options, sqfstar has options in front of the
image; what stands behind -e, or behind sqfstar's image, is left out; a later option wins over an earlier one that it
undoes, but there is one compressor only; an unknown one is an error that names the nearest.
Not here: what options do (plan).
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from pysquash.errors import OptionError
from pysquash.squashfs_tools.compressor_table import COMPRESSORS, CompressorOption
from pysquash.squashfs_tools.option_table import Option, Tool, options_of
from pysquash.squashfs_tools.posix_expression import posix_expression
from pysquash.squashfs_tools.values import (
    parse_block_size,
    parse_count,
    parse_group,
    parse_mode,
    parse_number,
    parse_percent,
    parse_size,
    parse_time,
    parse_user,
)

__all__ = ["HELP_OPTIONS", "Invocation", "parse_arguments"]

HELP_OPTIONS = (
    "-help",
    "-help-option",
    "-help-section",
    "-help-comp",
    "-help-all",
    "-Xhelp",
    "-version",
    "-mem-default",
)
"""Options that make the program say something and end."""

_CONFLICTS = (
    ("-no-progress", "-progress"),
    ("-no-progress", "-percentage"),
    ("-no-xattrs", "-xattrs-include"),
    ("-no-xattrs", "-xattrs-exclude"),
    ("-no-xattrs", "-xattrs-add"),
)
"""Pairs that mksquashfs 4.7 refuses. The -xattrs- options undo a -no-xattrs before them."""

_PARSERS: dict[str, Callable[[str], object]] = {
    "text": str,
    "number": parse_number,
    "percent": parse_percent,
    "size": parse_size,
    "count": parse_count,
    "regex": posix_expression,
    "block_size": parse_block_size,
    "time": parse_time,
    "mode": parse_mode,
    "user": parse_user,
    "group": parse_group,
}


@dataclass
class Invocation:
    """What a program was called with.

    Attributes:
        tool: Which program.
        sources: What goes into the image; for sqfstar none.
        destination: The image; "" only where help is asked for.
        given: The options by their first names, the last one given last: True, a value, or a list of those that repeat.
        compressor: Which one.
        compressor_options: Its -X options and their text, "" where they take none.
        excludes: What -e or sqfstar's further arguments leave out.
    """

    tool: Tool
    sources: list[str] = field(default_factory=list)
    destination: str = ""
    given: dict[str, Any] = field(default_factory=dict)
    compressor: str = "gzip"
    compressor_options: list[tuple[CompressorOption, str]] = field(default_factory=list)
    excludes: list[str] = field(default_factory=list)

    def has(self, name: str) -> bool:
        """Tell whether an option was given."""
        return name in self.given

    @property
    def help_option(self) -> str | None:
        """The option that asks for help or the version, if any."""
        return next((name for name in HELP_OPTIONS if name in self.given), None)


def parse_arguments(tool: Tool, arguments: Sequence[str]) -> Invocation:
    """Read a command line.

    Args:
        tool: Which program's.
        arguments: Without the program's name.

    Raises:
        OptionError: An option is unknown, is not done here, or lacks its value; there is no source, or no image.
    """
    call = Invocation(tool)
    left = list(arguments)
    if tool == "mksquashfs":
        while left and (not left[0].startswith("-") or left[0] == "-"):
            call.sources.append(left.pop(0))
    options = _Options(call, left)
    while left and left[0].startswith("-") and left[0] != "-":
        options.take()
    if tool == "sqfstar" and left:
        call.destination = left.pop(0)
        call.excludes, left = left, []
    options.finish()
    if call.help_option is not None:
        return call
    if left:
        raise OptionError(f"{left[0]!r} stands where an option is to be: sources and the image come first")
    if tool == "mksquashfs":
        if len(call.sources) < 2:
            raise OptionError("a source and an image are needed: mksquashfs SOURCE... IMAGE [OPTIONS]")
        call.destination = call.sources.pop()
    if not call.destination:
        raise OptionError("an image is needed: sqfstar [OPTIONS] IMAGE [LEFT OUT...]")
    _check_conflicts(call)
    return call


def _check_conflicts(call: Invocation) -> None:
    for one, other in _CONFLICTS:
        if call.has(one) and call.has(other):
            raise OptionError(f"{one} and {other} exclude each other")


class _Options:
    """The options of a command line, being taken from its front."""

    def __init__(self, call: Invocation, left: list[str]) -> None:
        self._call = call
        self._left = left
        self._by_name = {name: option for option in options_of(call.tool) for name in option.names}
        self._compressor_texts: list[tuple[str, str | None]] = []

    def take(self) -> None:
        """Take one option with its value."""
        name = self._left.pop(0)
        option = self._by_name.get(name)
        if option is None and name.startswith("-X"):
            takes = any(each.name == name and each.value for rows in COMPRESSORS.values() for each in rows)
            self._compressor_texts.append((name, self._value(name, "a value") if takes else None))
            return
        if option is None:
            raise OptionError(f"{name} is no option{self._nearest(name)}")
        if option.effect == "refused":
            raise OptionError(f"{name} cannot be had here: {option.note}")
        self._note(option, name)

    def finish(self) -> None:
        """Look at the compressor's options, for which -comp may stand anywhere."""
        known = {option.name: option for option in COMPRESSORS[self._call.compressor]}
        for name, text in self._compressor_texts:
            option = known.get(name)
            if option is None:
                there_are = ", ".join(known) or "none"
                raise OptionError(f"{name} is no option of {self._call.compressor}, which has {there_are}; see -comp")
            self._call.compressor_options.append((option, text or ""))

    def _note(self, option: Option, name: str) -> None:
        call = self._call
        value: object = True
        if option.kind == "rest":
            if not self._left:
                raise OptionError(f"{name} is to have names behind it")
            call.excludes += self._left
            self._left.clear()
            return
        if option.kind == "compressor":
            text = self._value(name, option.value)
            if text not in COMPRESSORS:
                raise OptionError(f"{name}: {text!r} is no compressor; there are {', '.join(COMPRESSORS)}")
            if call.given.get(option.name, text) != text:
                raise OptionError(f"{name}: {text} and {call.compressor} exclude each other")
            call.compressor, value = text, text
        elif option.kind != "flag":
            text = self._value(name, option.value)
            try:
                value = _PARSERS[option.kind](text)
            except OptionError as error:
                raise OptionError(f"{name}: {error}") from None
        for other in option.undoes:
            call.given.pop(other, None)
        if option.repeats:
            call.given.setdefault(option.name, []).append(value)
        else:
            call.given.pop(option.name, None)  # so that the order is that of the last one
            call.given[option.name] = value

    def _value(self, name: str, what: str) -> str:
        if not self._left:
            raise OptionError(f"{name} is to have {what} behind it")
        return self._left.pop(0)

    def _nearest(self, name: str) -> str:
        names = [*self._by_name, *(each.name for rows in COMPRESSORS.values() for each in rows)]
        near = difflib.get_close_matches(name, names, 1)
        return f"; is {near[0]} meant?" if near else ""
