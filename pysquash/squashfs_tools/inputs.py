"""Inputs: turns what a program was called with into layers.

In: an `Invocation`. Out: `Inputs`: what opens each layer, and what is known of them beforehand.
Rules kept here: `-` is a tar with -tar, names with -cpiostyle, and nothing besides pseudo files otherwise; several
sources, or files, are in a root that is nobody's.
Not here: an image that is appended to (appending).
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from functools import partial

from pysquash.errors import OptionError
from pysquash.host.output_guard import OwnFiles
from pysquash.notices import Notice, Warn, WarningKind
from pysquash.options.writer import WriterOptions
from pysquash.packing.layer_reader import OpenSource
from pysquash.squashfs_tools.command_line import Invocation
from pysquash.squashfs_tools.excludes import Excludes, inodes_named
from pysquash.squashfs_tools.host_source import HostSelection, HostSource, Place, named_places, stripped_places
from pysquash.squashfs_tools.priorities import read_priorities
from pysquash.squashfs_tools.pseudo import Definition, parse_default_directory, parse_definition, parse_definitions
from pysquash.squashfs_tools.pseudo_steps import PseudoFiles
from pysquash.squashfs_tools.tar_source import CheckedTarSource

__all__ = ["Inputs", "is_tar", "read_inputs", "read_pseudo_files"]


@dataclass
class Inputs:
    """What goes into an image.

    Attributes:
        layers: What opens each layer, base first.
        places: What of this machine goes where.
    """

    layers: list[OpenSource]
    places: Sequence[Place] = field(default_factory=list)


def is_tar(call: Invocation) -> bool:
    """Tell whether the input is a tar."""
    return call.tool == "sqfstar" or call.has("-tar")


def read_inputs(
    call: Invocation, options: WriterOptions, warn: Warn, own_files: OwnFiles, taken: Collection[bytes] = ()
) -> Inputs:
    """Look at a program's sources.

    Args:
        call: The command line.
        options: For the sources.
        warn: Takes warnings.
        own_files: What is being written, and so is left out.
        taken: Names that are in the root already.

    Raises:
        InputError: A source is not there, or makes no sense.
        OSError: It cannot be read.
    """
    if is_tar(call):
        if call.has("-sort"):
            raise OptionError("-sort is for directories: a tar's content is stored as it comes")
        if call.has("-max-depth"):
            raise OptionError("-max-depth is for directories, not for a tar")
        if call.sources not in ([], ["-"]):
            raise OptionError("with -tar the only source is -, and the tar comes from standard input")
        return Inputs([partial(_tar, call, _excludes(call, [], warn), options, warn)])
    by_name = call.has("-cpiostyle") or call.has("-cpiostyle0")
    if call.sources == ["-"]:
        if not by_name:
            if not call.has("-p") and not call.has("-pf"):
                raise OptionError("the source - needs -tar, -cpiostyle, or definitions of pseudo files with -p or -pf")
            return Inputs([])
        names = _names_from_standard_input("\0" if call.has("-cpiostyle0") else "\n")
        places, root = stripped_places(names)
        sources = names
    else:
        if by_name or "-" in call.sources:
            raise OptionError("the source - stands alone, and -cpiostyle needs it")
        sources = call.sources
        if call.has("-no-strip"):
            places, root = stripped_places(sources)
        else:
            places, root = named_places(sources, keeps_directory=call.has("-keep-as-directory"), taken=taken, warn=warn)
    stays_on_devices = call.has("-one-file-system") or call.has("-one-file-system-x")
    selection = HostSelection(
        _excludes(call, sources, warn),
        max_depth=0 if by_name else call.given.get("-max-depth"),
        devices={os.stat(source).st_dev for source in sources} if stays_on_devices else (),
        keeps_mounts=not call.has("-one-file-system-x"),
    )
    open_host = partial(
        HostSource,
        places,
        root=root,
        priorities=read_priorities(call.given["-sort"], sources, warn) if call.has("-sort") else None,
        selection=selection,
        own_files=own_files,
        options=options,
        warn=warn,
    )
    return Inputs([open_host], places)


def read_pseudo_files(call: Invocation, places: Sequence[Place], warn: Warn) -> PseudoFiles | None:
    """Gather the definitions of pseudo files; None where there are none.

    Raises:
        OptionError: One of them is none.
        OSError: A file of them cannot be read.
    """
    definitions: list[Definition] = [parse_definition(text) for text in call.given.get("-p", [])]
    for path in call.given.get("-pf", []):
        if path == "-":
            definitions += parse_definitions(sys.stdin.buffer.read(), "<standard input>")
        else:
            with open(path, "rb") as file:
                definitions += parse_definitions(file.read(), path)
    if not definitions:
        return None
    default = parse_default_directory(call.given["-pd"]) if call.has("-pd") else None
    is_alone = call.sources == ["-"] and not any(call.has(name) for name in ("-tar", "-cpiostyle", "-cpiostyle0"))
    if is_alone and default is None and not any(not each.path and each.type == "d" for each in definitions):
        raise OptionError("without sources the root must be defined, as in -p '/ d 755 0 0', or -pd be given")
    return PseudoFiles(definitions, default_directory=default, places=places, warn=warn)


def _tar(call: Invocation, excludes: Excludes, options: WriterOptions, warn: Warn) -> CheckedTarSource:
    # Unbuffered: a reading thread must not hold a lock that the interpreter wants at its exit.
    return CheckedTarSource(
        partial(io.FileIO, sys.stdin.fileno(), closefd=False),
        name="<standard input>",
        excludes=excludes,
        looks_names_up=not call.has("-numeric-owner"),
        options=options,
        warn=warn,
    )


def _excludes(call: Invocation, sources: Sequence[str], warn: Warn) -> Excludes:
    """Gather what is left out.

    Raises:
        OptionError: A pattern is none, or the input is a tar and they are plain names, which a tar cannot have: these
            stand for inodes of this machine.
    """
    are_patterns = call.has("-regex") or call.has("-wildcards") or call.tool == "sqfstar"
    if call.has("-tar") and (call.excludes or call.has("-ef")) and not are_patterns:
        raise OptionError("-e and -ef need -wildcards or -regex when the input is a tar")
    texts = [*call.excludes, *(line for path in call.given.get("-ef", []) for line in _lines(path))]
    if are_patterns:
        return Excludes(texts, are_regular=call.has("-regex"))
    if not texts:
        return Excludes()
    inodes, missing = inodes_named(texts, [source for source in sources if os.path.isdir(source)])
    for name in missing:
        warn(Notice(WarningKind.OPTION_UNUSED, f"-e: {name} not found"))
    return Excludes(inodes=inodes)


def _lines(path: str) -> list[str]:
    r"""Read what is left out from a file: a name on each line, `#` in front of comments, `\` in front of such names."""
    with open(path, "rb") as file:
        raw = file.read()
    if b"\0" in raw:
        raise OptionError(f"{path} has a NUL in it: names end with their lines")
    # A blank at the end belongs to the name.
    lines = [os.fsdecode(line).lstrip() for line in raw.split(b"\n")]
    return [line.removeprefix("\\") for line in lines if line and not line.startswith("#")]


def _names_from_standard_input(end: str) -> list[str]:
    names = os.fsdecode(sys.stdin.buffer.read()).split(end)
    return [name for name in names if name and name.strip("./")]
