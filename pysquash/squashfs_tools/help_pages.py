"""Help pages: what the programs say of their options, made of the option table.

In: what is asked for. Out: text.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Iterator

from pysquash import __version__
from pysquash.errors import OptionError
from pysquash.squashfs_tools.command_line import Invocation
from pysquash.squashfs_tools.compressor_table import COMPRESSORS
from pysquash.squashfs_tools.option_table import SECTIONS, Option, Tool, options_of

__all__ = ["help_text", "usage"]

COMPATIBLE_VERSION = "4.7"
"""Of mksquashfs: what scripts read that ask for the version, to know which options there are."""

_USAGE = {
    "mksquashfs": "mksquashfs SOURCE... IMAGE [OPTIONS] [-e LEFT OUT...]",
    "sqfstar": "sqfstar [OPTIONS] IMAGE [LEFT OUT...]",
}
_PSEUDO_FORMAT = """\
Definitions of pseudo files
  NAME d MODE UID GID                 a directory
  NAME m MODE UID GID                 something that is there gets these
  NAME f MODE UID GID COMMAND         a file of what a shell command prints
  NAME s MODE UID GID TARGET          a symbolic link
  NAME b|c MODE UID GID MAJOR MINOR   a block or character device
  NAME i MODE UID GID s|f             a socket or a fifo
  NAME l|h PATH                       what this machine has at PATH; h follows symlinks
  NAME L NAME                         another name of something in the image
  NAME x ATTRIBUTE=VALUE              an extended attribute
  NAME R TIME MODE UID GID SIZE START content behind the definitions
  D, M, F, S, B, C and I have a time in front of the mode."""
_NOT_DONE_MARK = {"refused": " [not done here]", "no effect": " [accepted, without effect]", "done": ""}


def usage(tool: Tool) -> str:
    """Say in a line how a program is called, and how to learn more."""
    return f"usage: {_USAGE[tool]}\n{tool} -help lists the options."


def help_text(call: Invocation) -> str:
    """Say what is asked for.

    Raises:
        OptionError: There is no such section, option or compressor.
    """
    asked = call.help_option or "-help"
    argument = call.given.get(asked, "")
    if asked == "-version":
        return (
            f"{call.tool} version {COMPATIBLE_VERSION} (pysquash {__version__})\n"
            f"Made by pysquash, which has the options of {call.tool} 4.5 to {COMPATIBLE_VERSION}."
        )
    if asked == "-mem-default":
        return "0"
    if asked == "-Xhelp":
        return "\n".join(_compressor_lines([call.compressor]))
    if asked == "-help-comp":
        if argument == "list":
            return "\n".join(COMPRESSORS)
        if argument.lower() != "all" and argument not in COMPRESSORS:
            raise OptionError(f"{argument!r} is no compressor; there are {', '.join(COMPRESSORS)}")
        return "\n".join(_compressor_lines(COMPRESSORS if argument.lower() == "all" else [argument]))
    if asked == "-help-option":
        found = [each for each in options_of(call.tool) if _matches(argument, each.names)]
        if not found:
            raise OptionError(f"no option matches {argument!r}")
        return "\n".join(line for option in found for line in _option_lines(option))
    if asked == "-help-section":
        if argument in ("list", "sections", "h"):
            return "\n".join(f"{name:14}{title}" for name, title in SECTIONS.items())
        sections = [argument] if argument in SECTIONS else [name for name in SECTIONS if _matches(argument, [name])]
        if not sections:
            raise OptionError(f"there is no section {argument!r}, but {', '.join(SECTIONS)}")
        return "\n".join(_section_lines(call.tool, sections))
    # -help and -help-all: scripts look in the former for options and compressors, so it has them all.
    lines = [f"usage: {_USAGE[call.tool]}", "", *_section_lines(call.tool, SECTIONS), _PSEUDO_FORMAT, ""]
    lines += ["Compressors available", *_compressor_lines(COMPRESSORS), ""]
    lines += [
        "Environment",
        *_wrapped("SOURCE_DATE_EPOCH", "the image's own time, which no other time in it is later than"),
        "",
        "The exit status is 0 when the image is there, and 1 when it is not.",
    ]
    return "\n".join(lines)


def _matches(text: str, names: Iterable[str]) -> bool:
    try:
        return any(re.search(text, name) for name in names)
    except re.error as error:
        raise OptionError(f"{text!r} is no regular expression: {error}") from None


def _section_lines(tool: Tool, sections: Iterable[str]) -> Iterator[str]:
    for section in sections:
        found = [option for option in options_of(tool) if option.section == section]
        if found:
            yield SECTIONS[section]
            for option in found:
                yield from _option_lines(option)
            yield ""


def _option_lines(option: Option) -> Iterator[str]:
    value = f" {option.value}" if option.value else ""
    yield from _wrapped(", ".join(option.names) + value, option.help + _NOT_DONE_MARK[option.effect])


def _compressor_lines(names: Iterable[str]) -> Iterator[str]:
    for name in names:
        yield f"  {name}{' (default)' if name == 'gzip' else ''}"
        if not COMPRESSORS[name]:
            yield "    (no options)"
        for option in COMPRESSORS[name]:
            yield from _wrapped(f"  {option.name} {option.value}".rstrip(), option.help)


def _wrapped(head: str, text: str) -> Iterator[str]:
    lines = textwrap.wrap(text, 72, initial_indent=" " * 24, subsequent_indent=" " * 24, break_on_hyphens=False)
    head = f"  {head}"
    if len(head) < 23:
        yield head.ljust(24) + lines[0].lstrip()
        lines = lines[1:]
    else:
        yield head
    yield from lines
