"""Sources: what the strings mean that name sources on the command line and in `pysquash.build`.

In: "layer.tar.gz", "-", "dir:/srv/root", "sqfs:old.squashfs". Out: the layers behind it, to be opened when their turn
comes.
Not here: reading them (tar, directory, squashfs).
"""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from functools import partial

from pysquash.options import WriterOptions
from pysquash.sources.base import Source, Warn
from pysquash.sources.directory import DirectorySource
from pysquash.sources.squashfs import SquashfsSource
from pysquash.sources.tar import TarSource

__all__ = ["open_sources"]


def open_sources(text: str, options: WriterOptions, warn: Warn) -> list[Callable[[], Source]]:
    """Tell which layers a source string means, base first.

    Args:
        text: `dir:PATH` for a directory tree, `sqfs:FILE` for an image, `-` for a tar on standard input, anything
        else for a tar's path.
        options: For the sources.
        warn: Takes what they notice.
    """
    transport, colon, rest = text.partition(":")
    if colon and transport == "dir":
        return [partial(DirectorySource, rest, name=text, options=options, warn=warn)]
    if colon and transport == "sqfs":
        return [partial(SquashfsSource, rest, name=text, options=options, warn=warn)]
    if text == "-":
        # Unbuffered: a reading thread must not hold a lock that the interpreter wants at its exit.
        stdin = partial(io.FileIO, sys.stdin.fileno(), closefd=False)
        return [partial(TarSource, stdin, name="<standard input>", options=options, warn=warn)]
    return [partial(TarSource, text, name=text, options=options, warn=warn)]
