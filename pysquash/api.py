"""The one-call functions: what most programs need of the package.

Not here: how layers become an image (packing), and what a source string means (sources/transport).
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from functools import partial
from itertools import chain

from pysquash.compression.stream import Layer
from pysquash.options import WriterOptions
from pysquash.packing import OpenSource, pack
from pysquash.report import Progress, Report, Warnings
from pysquash.sources.base import Source
from pysquash.sources.files import AddedFile, FilesSource
from pysquash.sources.tar import TarSource
from pysquash.sources.transport import open_source
from pysquash.writer.output import OutputTarget

__all__ = ["build", "tar2squashfs"]


def tar2squashfs(
    streams: Iterable[Layer],
    output: OutputTarget,
    extra_files: Iterable[AddedFile] = (),
    *,
    options: WriterOptions | None = None,
    progress: Progress | None = None,
) -> Report:
    """Pack tar layers into one SquashFS image.

    Args:
        streams: Layers, base first: each a path, a binary file object, an iterable of bytes, or a callable that
            returns one of these when its turn comes. Plain, gzip, bzip2, xz or zstd, found by magic. Each is read
            once, the topmost first.
        output: A path, at which the image appears whole or not at all, or a seekable binary file that is written to
            from where it stands.
        extra_files: (name, content, attributes) for each file to put where no layer has the name, as the tail of a
            first-wins tar does.
        options: Every knob there is; None for the defaults.
        progress: Called with (stage, done, total or None): "read" in bytes as the streams hold them, "write" in inodes.

    Returns:
        What was packed.

    Raises:
        InputError: A layer is malformed, the layers do not make one tree, or a limit is exceeded. There is no output.
        OSError: A file cannot be read, or the output not be written. There is no output.
    """
    options = options or WriterOptions()
    warnings = Warnings()
    layers: list[OpenSource] = [
        partial(TarSource, stream, name=_stream_name(stream, row), options=options, warn=warnings)
        for row, stream in enumerate(streams, 1)
    ]
    return pack(layers, output, default_files=list(extra_files), options=options, progress=progress, warnings=warnings)


def build(
    sources: Iterable[str | Source],
    output: OutputTarget,
    *,
    files: Sequence[AddedFile] = (),
    default_files: Sequence[AddedFile] = (),
    platform: str | None = None,
    options: WriterOptions | None = None,
    progress: Progress | None = None,
) -> Report:
    """Pack sources of any kind into one SquashFS image.

    Args:
        sources: Base first: strings as `pysquash build` takes them, or `Source` objects; later ones over earlier ones.
        output: As for `tar2squashfs`.
        files: (name, content, attributes) for each file to put over all sources.
        default_files: The same, where the sources have nothing.
        platform: Which image of a container image's index is wanted, as os/arch or os/arch/variant; None for Linux on
            this machine.
        options: Every knob there is; None for the defaults.
        progress: As for `tar2squashfs`.

    Returns:
        What was packed.

    Raises:
        InputError: A source is malformed or of no known kind, the sources do not make one tree, or a limit is exceeded.
        OSError: A file cannot be read, or the output not be written.
    """
    options = options or WriterOptions()
    warnings = Warnings()
    layers: list[OpenSource] = []
    with ExitStack() as images:
        verified: list[list[str]] = []
        for source in sources:
            if not isinstance(source, str | os.PathLike):
                layers.append(partial(_same, source))
                continue
            opened = open_source(os.fspath(source), options, warnings, platform=platform)
            layers += opened.layers
            if opened.image is not None:
                images.callback(opened.image.close)
                verified.append(opened.image.verified)
        if files:
            layers.append(partial(FilesSource, files, options))
        report = pack(
            layers, output, default_files=default_files, options=options, progress=progress, warnings=warnings
        )
    return dataclasses.replace(report, digests_verified=tuple(chain.from_iterable(verified)))


def _same(source: Source) -> Source:
    return source


def _stream_name(stream: Layer, row: int) -> str:
    """Call a layer by its file's name where it has one, else by its row, from 1."""
    if isinstance(stream, str | os.PathLike):
        return os.fsdecode(stream)
    name = getattr(stream, "name", None)
    return name if isinstance(name, str) else f"<layer {row}>"
