"""Sources: what the strings mean that name sources on the command line and in `pysquash.build`.

In: "layer.tar.gz", "-", "dir:/srv/root", "oci:layout:latest". Out: the layers behind it, to be opened when their turn
comes, and the image that they are of.
Not here: reading them (tar, directory, squashfs, oci).
"""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from pysquash.options import WriterOptions
from pysquash.sources.base import Source, Warn
from pysquash.sources.oci import TRANSPORTS
from pysquash.sources.oci.registry_access import RegistryAccess
from pysquash.sources.tar import TarSource

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
) -> OpenedSource:
    """Tell which layers a source string means.

    Args:
        text: `dir:PATH` for a directory tree, `sqfs:FILE` for an image, `oci:DIR[:REF]`, `oci-archive:FILE[:REF]`,
            `docker-archive:FILE[:REF]` or `docker://[HOST/]NAME[:TAG|@DIGEST]` for a container image, `-` for a tar on
            standard input, anything else for a tar's path.
        options: For the sources.
        warn: Takes what they notice.
        platform: Which of several manifests of a container image is wanted; None for Linux on this machine.
        registries: How they are used; None for the defaults.

    Raises:
        SourceError: A container image is not there, or cannot be read.
        OptionError: The platform is none.
        OSError: It cannot be read.
    """
    transport, colon, rest = text.partition(":")
    if colon and transport == "dir":
        from pysquash.sources.directory import DirectorySource  # noqa: PLC0415

        return OpenedSource([partial(DirectorySource, rest, name=text, options=options, warn=warn)])
    if colon and transport == "sqfs":
        from pysquash.sources.squashfs import SquashfsSource  # noqa: PLC0415

        return OpenedSource([partial(SquashfsSource, rest, name=text, options=options, warn=warn)])
    if colon and transport in TRANSPORTS:
        from pysquash.sources.oci.image import open_image  # noqa: PLC0415

        image = open_image(text, platform=platform, options=options, registries=registries)
        return OpenedSource(image.sources(options, warn), image)
    if text == "-":
        # Unbuffered: a reading thread must not hold a lock that the interpreter wants at its exit.
        stdin = partial(io.FileIO, sys.stdin.fileno(), closefd=False)
        return OpenedSource([partial(TarSource, stdin, name="<standard input>", options=options, warn=warn)])
    return OpenedSource([partial(TarSource, text, name=text, options=options, warn=warn)])
