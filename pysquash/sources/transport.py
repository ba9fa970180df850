"""Sources: what the strings mean that name sources on the command line and in `pysquash.build`.

In: "layer.tar.gz", "-", "dir:/srv/root", "oci:layout:latest". Out: the layers behind it, to be opened when their turn
comes, and the image that they are of.
Rules kept here: what is no source is an error that says what to write instead.
Not here: reading them (named_tar, directory, squashfs, oci).
"""

from __future__ import annotations

import io
import os
import re
import sys
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from pysquash.errors import SourceError
from pysquash.notices import Warn
from pysquash.options import WriterOptions
from pysquash.own_files import OwnFiles
from pysquash.sources.base import Source
from pysquash.sources.named_tar import NamedTar
from pysquash.sources.oci import TRANSPORTS
from pysquash.sources.oci.registry_access import RegistryAccess

# Each kind of source but a tar is imported when one is asked for: all together take longer than packing a small layer.
if TYPE_CHECKING:
    from pysquash.sources.oci.image import ContainerImage

__all__ = ["OpenedSource", "open_source"]


class OpenedSource(NamedTuple):
    """What a source string means.

    Attributes:
        layers: What opens each, base first.
        image: The container image that they are of, or None.
    """

    layers: list[Callable[[], Source]]
    image: ContainerImage | None = None


def open_source(
    text: str,
    options: WriterOptions,
    warn: Warn,
    *,
    platform: str | None = None,
    registries: RegistryAccess | None = None,
    own_files: OwnFiles | None = None,
    image_offset: int = 0,
) -> OpenedSource:
    """Tell which layers a source string means.

    Args:
        text: `dir:PATH` for a directory tree, `sqfs:FILE` for an image, `oci:DIR[:REF]`, `oci-archive:FILE[:REF]`,
            `docker-archive:FILE[:REF]` or `docker://[HOST/]NAME[:TAG][@DIGEST]` for a container image, `-` for a tar on
            standard input, anything else for a tar's path.
        options: For the sources.
        warn: Takes what they notice.
        platform: Which of several manifests of a container image is wanted; None for Linux on this machine.
        registries: How they are used; None for the defaults.
        own_files: What is being written, and so cannot be read.
        image_offset: The byte at which the image of `sqfs:` starts.

    Raises:
        SourceError: A container image is not there, or cannot be read; the text means nothing.
        OptionError: The platform is none, or what is to be read is what is being written.
        OSError: It cannot be read.
    """
    own_files = own_files or OwnFiles()
    transport, colon, rest = text.partition(":")
    if not text or (not rest and colon and transport in ("dir", "sqfs")):
        raise SourceError("a path is missing", source=text or "''")
    if colon and transport == "dir":
        from pysquash.sources.directory import DirectorySource  # noqa: PLC0415

        make = partial(DirectorySource, rest, name=text, options=options, warn=warn, own_files=own_files)
        return OpenedSource([make])
    if colon and transport == "sqfs":
        from pysquash.sources.squashfs import SquashfsSource  # noqa: PLC0415

        own_files.refuse(rest, source=text)
        make_image = partial(SquashfsSource, rest, name=text, options=options, warn=warn, offset=image_offset)
        return OpenedSource([make_image])
    if colon and transport in TRANSPORTS:
        from pysquash.sources.oci.image import local_files, open_image  # noqa: PLC0415

        if own_files.may_be_read:
            for path in local_files(text):
                own_files.refuse(path, source=f"{path} of {text}" if transport == "oci" else text)
        image = open_image(text, platform=platform, options=options, warn=warn, registries=registries)
        return OpenedSource(image.sources(options, warn), image)
    if text == "-":
        # Unbuffered: a reading thread must not hold a lock that the interpreter wants at its exit.
        own_files.refuse(sys.stdin, source="standard input")
        stdin = partial(io.FileIO, sys.stdin.fileno(), closefd=False)
        return OpenedSource([partial(NamedTar, stdin, name="<standard input>", options=options, warn=warn)])
    _check_tar_path(text)
    own_files.refuse(text)
    return OpenedSource([partial(NamedTar, text, name=text, options=options, warn=warn)])


_PREFIX = re.compile(r"[a-z][a-z0-9+-]*:")
_KNOWN = "dir:PATH, sqfs:FILE, oci:DIR, oci-archive:FILE, docker-archive:FILE, docker://NAME, - for standard input"


def _check_tar_path(text: str) -> None:
    """Say what was meant, where a path leads to no file.

    Raises:
        SourceError: It is a directory, or begins with what looks like a transport.
    """
    if os.path.isdir(text):
        if os.path.exists(os.path.join(text, "index.json")) and os.path.exists(os.path.join(text, "oci-layout")):
            raise SourceError(f"is a directory with a container image: write oci:{text}", source=text)
        raise SourceError(f"is a directory: write dir:{text}", source=text)
    if _PREFIX.match(text) and not os.path.lexists(text):
        raise SourceError(f"there is no such file; a source is a tar, or one of {_KNOWN}", source=text)
