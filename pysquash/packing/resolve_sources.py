"""Opening: tells which layers the sources of a build have, and which configuration counts.

In: source strings, `Source` objects, and parts of either. Out: `OpenedSources`.
Rules kept here: the configuration is that of the topmost container image; one of which only a part is taken has no say.
Not here: what a source string means (sources/transport), reading layers (layer_reader).
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING

from pysquash.errors import OptionError, OptionTypeError
from pysquash.host.output_guard import OwnFiles
from pysquash.notices import Notice, WarningKind, Warnings
from pysquash.options.writer import WriterOptions
from pysquash.packing.layer_reader import OpenSource
from pysquash.packing.subtree import Part, PartSource
from pysquash.sources.base import Source
from pysquash.sources.oci.registry_access import RegistryAccess
from pysquash.sources.transport import OpenedSource, open_source

if TYPE_CHECKING:
    from pysquash.sources.oci.image import ContainerImage
    from pysquash.vm.image_config import ImageConfig

__all__ = ["OpenedSources"]


class OpenedSources:
    """The sources of a build.

    Attributes:
        layers: What opens each, base first.
        warnings: What was noteworthy.
    """

    def __init__(
        self,
        sources: Iterable[str | Source | Part],
        held: ExitStack,
        folder: str | None,
        *,
        own_files: OwnFiles,
        platform: str | None,
        registries: RegistryAccess,
        image_offset: int = 0,
        options: WriterOptions,
    ) -> None:
        """Open the container images among them; all others are opened when their turn comes.

        Args:
            sources: Base first.
            held: Closes what is open.
            folder: Where there is room for what a part does not need; None for the system's choice.
            own_files: What is being written, and so cannot be read.
            platform: Which image of several is wanted.
            registries: How they are used.
            image_offset: The byte at which the images of `sqfs:` sources start.
            options: Every knob there is.

        Raises:
            InputError: A container image is not there, or cannot be read; a source is what is being written.
            OSError: It cannot be read.
        """
        self.layers: list[OpenSource] = []
        self.warnings = Warnings()
        self._open_source = partial(
            open_source,
            warn=self.warnings,
            platform=platform,
            registries=registries,
            own_files=own_files,
            image_offset=image_offset,
            folder=folder,
        )
        self._images: list[ContainerImage] = []
        self._top_image: ContainerImage | None = None
        if platform is not None:
            from pysquash.sources.oci.platforms import Platform  # noqa: PLC0415

            Platform.parse(platform)
        sources = list(sources)
        if registries.credentials is not None:
            _refuse_several_registries(sources)
        for source in sources:
            if not isinstance(source, Part):
                opened = self._open(source, held, options)
                self.layers += opened.layers
                self._top_image = opened.image or self._top_image
                continue
            opened = self._open(source.source, held, options)
            whole = source.source
            name = os.fspath(whole) if isinstance(whole, str | os.PathLike) else whole.name
            make = partial(PartSource, opened.layers, source.paths, name=name, folder=folder)
            self.layers.append(partial(make, options=options, warn=self.warnings))
        if platform is not None and not self._images:
            self._notice_unused(f"platform {platform}", "a container image", options)
        if image_offset and not any(_is_squashfs(source) for source in sources):
            self._notice_unused(f"offset {image_offset}", "an image (sqfs:FILE)", options)

    @property
    def digests_verified(self) -> tuple[str, ...]:
        """The digests that were right, as far as the sources were read."""
        return tuple(digest for image in self._images for digest in image.verified)

    def configuration(self) -> ImageConfig:
        """Give what the topmost container image says of how it is to be run.

        Raises:
            OptionError: There is none among the sources.
            SourceError: It says what makes no sense.
        """
        if self._top_image is None:
            raise OptionError("there is no configuration to write: none of the sources is a container image")
        from pysquash.vm.image_config import parse_image_config  # noqa: PLC0415 - few builds ask for it

        return parse_image_config(self._top_image.config, source=self._top_image.name)

    def _notice_unused(self, option: str, what: str, options: WriterOptions) -> None:
        text = f"{option} has no effect: none of the sources is {what}"
        if options.strict:
            raise OptionError(text)
        self.warnings(Notice(WarningKind.OPTION_UNUSED, text))

    def _open(self, source: str | os.PathLike[str] | Source, held: ExitStack, options: WriterOptions) -> OpenedSource:
        if not isinstance(source, str | os.PathLike):
            if isinstance(source, bytes) or not hasattr(source, "consumed_size"):
                raise OptionTypeError(f"a source is a text, a path, a Part or a Source, not {source!r:.80}")
            return OpenedSource([partial(_same, source)])
        opened = self._open_source(os.fspath(source), options)
        if opened.image is not None:
            held.callback(opened.image.close)
            self._images.append(opened.image)
        return opened


def _refuse_several_registries(sources: Iterable[str | Source | Part]) -> None:
    """Refuse to send the credentials for one registry to another one."""
    from pysquash.sources.oci.registry_name import RegistryName  # noqa: PLC0415 - few builds have credentials

    hosts = []
    for source in sources:
        named = source.source if isinstance(source, Part) else source
        text = os.fspath(named) if isinstance(named, str | os.PathLike) else ""
        if text.startswith("docker:"):
            hosts.append(RegistryName.parse(text.partition(":")[2]).host)
    several = sorted(set(hosts))
    if len(several) > 1:
        names = ", ".join(several)
        raise OptionError(
            f"credentials are for one registry, and the sources are in several: {names}: use an auth file"
        )


def _is_squashfs(source: str | os.PathLike[str] | Source | Part) -> bool:
    whole = source.source if isinstance(source, Part) else source
    return isinstance(whole, str | os.PathLike) and os.fspath(whole).startswith("sqfs:")


def _same(source: Source) -> Source:
    return source
