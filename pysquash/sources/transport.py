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
from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from pysquash.errors import SourceError
from pysquash.host.output_guard import OwnFiles
from pysquash.notices import Warn
from pysquash.options.writer import WriterOptions
from pysquash.sources.base import Source
from pysquash.sources.named_tar import NamedTar
from pysquash.sources.oci import TRANSPORTS
from pysquash.sources.oci.registry_access import RegistryAccess
from pysquash.sources.saved_image import SavedImage, SavedImageNames

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
    folder: str | None = None,
) -> OpenedSource:
    """Tell which layers a source string means.

    Args:
        text: `dir:PATH` for a directory tree or an image that skopeo wrote as one, `sqfs:FILE` for an image,
            `oci:DIR[:REF]`, `oci-archive:FILE[:REF]`, `docker-archive:FILE[:REF]` or
            `docker://[HOST/]NAME[:TAG][@DIGEST]` for a container image; a tar's path, or `-` for one on standard input;
            `tar:FILE` for a tar that is a root file system, even if it looks like a container image.
        options: For the sources.
        warn: Takes what they notice.
        platform: Which of several manifests of a container image is wanted; None for Linux on this machine.
        registries: How they are used; None for the defaults.
        own_files: What is being written, and so cannot be read.
        image_offset: The byte at which the image of `sqfs:` starts.
        folder: Where there is room for an archive that must be unpacked; None for the system's choice.

    Raises:
        SourceError: A container image is not there, or cannot be read; the text means nothing.
        OptionError: The platform is none, or what is to be read is what is being written.
        OSError: It cannot be read.
    """
    own_files = own_files or OwnFiles()
    transport, colon, rest = text.partition(":")
    if not text or (not rest and colon and transport in ("dir", "sqfs", "tar")):
        raise SourceError("a path is missing", source=text or "''")
    is_directory = bool(colon) and transport == "dir"
    if is_directory and not _is_image(rest, text):
        from pysquash.sources.directory import DirectorySource  # noqa: PLC0415

        make = partial(DirectorySource, rest, name=text, options=options, warn=warn, own_files=own_files)
        return OpenedSource([make])
    if colon and transport == "sqfs":
        from pysquash.sources.squashfs import SquashfsSource  # noqa: PLC0415

        own_files.refuse(rest, source=text)
        make_image = partial(SquashfsSource, rest, name=text, options=options, warn=warn, offset=image_offset)
        return OpenedSource([make_image])
    if is_directory or (colon and transport in TRANSPORTS):
        from pysquash.sources.oci.image import local_files, open_image  # noqa: PLC0415

        if own_files.may_be_read:
            for path in local_files(text):
                own_files.refuse(path, source=f"{path} of {text}" if transport in ("oci", "dir") else text)
        image = open_image(text, platform=platform, options=options, warn=warn, registries=registries, folder=folder)
        return OpenedSource(image.sources(options, warn, folder), image)
    is_sure = bool(colon) and transport == "tar"
    path = rest if is_sure else text
    make_tar = partial(NamedTar, options=options, warn=warn, path=None if is_sure else path)
    if path == "-":
        # Unbuffered: a reading thread must not hold a lock that the interpreter wants at its exit.
        own_files.refuse(sys.stdin, source="standard input")
        stdin = partial(io.FileIO, sys.stdin.fileno(), closefd=False)
        return OpenedSource([partial(make_tar, stdin, name="<standard input>")])
    _check_tar_path(path)
    own_files.refuse(path)
    return OpenedSource([partial(make_tar, path, name=text)])


_PREFIX = re.compile(r"[a-z][a-z0-9+-]*:")
_KNOWN = (
    "dir:PATH, sqfs:FILE, oci:DIR, oci-archive:FILE, docker-archive:FILE, docker://NAME, tar:FILE, - for standard input"
)


def _is_image(path: str, text: str) -> bool:
    """Return whether skopeo wrote a directory as an image.

    Raises:
        SourceError: It is another container image, which `dir:` would pack as files.
    """
    try:
        names = set(os.listdir(path))
    except OSError:  # which reading it raises
        return False
    if "version" in names:
        from pysquash.sources.oci.directory_image import is_directory_image  # noqa: PLC0415

        if is_directory_image(path):
            return True
    if {"oci-layout", "index.json"} <= names <= {"oci-layout", "index.json", "manifest.json", "repositories", "blobs"}:
        found, instead = SavedImage.OCI, f"write oci:{path}"
    elif "manifest.json" in names and _is_extracted_archive(path, sorted(names)):
        found, instead = SavedImage.DOCKER, f"pipe a tar of it, as from `tar -C {path} -c .`, to docker-archive:-"
    else:
        return False
    hint = "a tar of it, read as tar:-, is packed as files"
    raise SourceError(f"is a container image ({found.value}), not a root file system: {instead}; {hint}", source=text)


def _is_extracted_archive(path: str, names: Iterable[str]) -> bool:
    """Return whether the names in a directory are those of an extracted docker archive."""
    seen = SavedImageNames()
    found = None
    for name in names:
        place = os.path.join(path, name)
        is_directory = os.path.isdir(place)
        try:
            inner = os.listdir(place) if is_directory else []
        except OSError:
            return False
        found = seen.add(os.fsencode(name), is_directory=is_directory) or found
        for below in inner:
            is_below = os.path.isdir(os.path.join(place, below))
            found = seen.add(os.fsencode(f"{name}/{below}"), is_directory=is_below) or found
            if not seen.is_possible:
                return False
        if not seen.is_possible:
            return False
    return (found or seen.whole()) is SavedImage.DOCKER


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
