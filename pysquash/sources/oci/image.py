"""OCI: an image, from what a user calls it to its layers.

In: "oci:./layout:latest", "docker-archive:saved.tar" and the like. Out: a `ContainerImage`: its configuration, and its
layers as sources.
The way there: the transport opens a store (layout, docker_archive, registry); selection finds the manifest for the
platform; the manifest names configuration and layers; each layer is verified while it is read (verified).
Rules kept here: a manifest has layers that can be read, at most `layer_count`, and a configuration that is an image's;
rootfs.type is "layers", and there are as many diff_ids as layers.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, NamedTuple

from pysquash.errors import LimitError, SourceError
from pysquash.notices import Notice, Warn, WarningKind
from pysquash.options.writer import WriterOptions
from pysquash.sources.base import Source
from pysquash.sources.oci.digests import Digest, parse_digest
from pysquash.sources.oci.directory_image import DirectoryImage, is_directory_image
from pysquash.sources.oci.docker_archive import MANIFEST_FILE, DockerArchive
from pysquash.sources.oci.documents import (
    CONFIG_TYPES,
    MANIFEST_TYPES,
    Descriptor,
    Document,
    check_layer_type,
    is_squashfs_layer,
    listed,
    parse_descriptor,
    parse_document,
    text_items,
)
from pysquash.sources.oci.files import ArchiveFiles, DirectoryFiles, split_reference
from pysquash.sources.oci.layout import INDEX_FILE, LAYOUT_FILE, Layout
from pysquash.sources.oci.platforms import Platform
from pysquash.sources.oci.registry_access import RegistryAccess
from pysquash.sources.oci.selection import select_manifest
from pysquash.sources.oci.store import Store, read_document
from pysquash.sources.oci.verified import LayerBlob, LayerSource

__all__ = ["ContainerImage", "local_files", "open_image"]


class ContainerImage:
    """An image that was found.

    Attributes:
        name: What messages call it.
        config: Its configuration document.
        layers: Base first.
        verified: The digests that were right, as far as it was read.
    """

    def __init__(
        self, name: str, config: Document, layers: list[LayerBlob], verified: list[str], close: Callable[[], None]
    ) -> None:
        """Take what belongs to it.

        Args:
            name: What messages call it.
            config: Its configuration document.
            layers: Base first.
            verified: The digests that were right so far.
            close: Lets go of where it is.
        """
        self.name = name
        self.config = config
        self.layers = layers
        self.verified = verified
        self._close = close

    @property
    def platform(self) -> Platform:
        """What it runs on, as its configuration says."""
        return Platform.of(self.config)

    def sources(self, options: WriterOptions, warn: Warn, folder: str | None = None) -> list[Callable[[], Source]]:
        """Return what opens each layer, base first.

        Args:
            options: For the layers.
            warn: Takes what they notice.
            folder: Where there is room for a layer that is a SquashFS image; None for the system's choice.
        """
        make_tar = partial(LayerSource, options=options, warn=warn, verified=self.verified.append)
        make_image = partial(
            _open_squashfs_layer, options=options, warn=warn, verified=self.verified.append, folder=folder
        )
        return [partial(make_image if blob.is_squashfs else make_tar, blob) for blob in self.layers]

    def close(self) -> None:
        """Let go of files and connections. Harmless when called twice."""
        self._close()


def open_image(
    text: str,
    *,
    platform: str | None,
    options: WriterOptions,
    warn: Warn,
    registries: RegistryAccess | None = None,
    folder: str | None = None,
) -> ContainerImage:
    """Find an image.

    Args:
        text: `oci:DIR[:REF]`, `dir:DIR` that skopeo wrote, `oci-archive:FILE[:REF]`, `docker-archive:FILE[:REF]` or
            `docker://[HOST/]NAME[:TAG][@DIGEST]`.
        platform: "linux/arm64", or None for Linux on this machine.
        options: limits, timeout and strict are used.
        warn: Takes warnings.
        registries: How they are used; None for the defaults.
        folder: Where there is room for an archive that must be unpacked; None for the system's choice.

    Raises:
        SourceError: There is none, or none that can be read, or none for the platform.
        OSError: It cannot be read.
    """
    wanted = Platform.parse(platform)
    transport, _, rest = text.partition(":")
    request = _Request(rest, text, wanted, options, warn, folder)
    if transport == _REGISTRY:
        image = _open_registry(request, registries or RegistryAccess())
    else:
        image = _OPENERS[transport](request)
    try:
        if platform is not None and wanted.contradicts(image.platform):
            raise SourceError(f"is an image for {image.platform}, not for {wanted}", source=text)
        if platform is None and wanted.is_other_architecture(image.platform):
            message = f"is an image for {image.platform}, and this machine is {wanted}: name it with --platform"
            if options.strict:
                raise SourceError(message, source=text)
            warn(Notice(WarningKind.FOREIGN_ARCHITECTURE, message, text))
    except BaseException:
        image.close()
        raise
    return image


def local_files(text: str) -> Iterator[str]:
    """Yield the files on this machine that an image may be in: an archive, or all of a layout's blobs.

    Args:
        text: As for `open_image`.
    """
    transport, _, rest = text.partition(":")
    if transport == _REGISTRY:
        return
    if transport == "dir":
        yield from glob.iglob(os.path.join(glob.escape(rest), "*"))
        return
    path = split_reference(rest)[0]
    if transport in _ARCHIVES:
        yield path
        return
    yield from (os.path.join(path, name) for name in (INDEX_FILE, LAYOUT_FILE))
    yield from glob.iglob(os.path.join(glob.escape(path), "blobs", "*", "*"))


def _open_squashfs_layer(blob: LayerBlob, **options: Any) -> Source:
    from pysquash.sources.oci.squashfs_layer import SquashfsLayerSource  # noqa: PLC0415 - few images have such layers

    return SquashfsLayerSource(blob, **options)


class _Request(NamedTuple):
    """What is to be opened.

    Attributes:
        place: What follows the transport.
        name: What messages call it.
        platform: What is wanted.
        options: limits, timeout and strict are used.
        warn: Takes warnings.
        folder: Where there is room for an archive that must be unpacked; None for the system's choice.
    """

    place: str
    name: str
    platform: Platform
    options: WriterOptions
    warn: Warn
    folder: str | None

    def archive(self, path: str) -> ArchiveFiles:
        """Open an archive."""
        if os.path.isdir(path):
            raise SourceError(f"is a directory, not an archive: write {_directory_source(path)}", source=self.name)
        return ArchiveFiles(path, name=self.name, options=self.options, warn=self.warn, folder=self.folder)


def _open_layout(request: _Request) -> ContainerImage:
    path, reference = split_reference(request.place)
    if os.path.isfile(path):
        raise SourceError(f"is a file, not a directory: write oci-archive:{path}", source=request.name)
    files = DirectoryFiles(path, name=request.name)
    if not files.has(LAYOUT_FILE) and is_directory_image(path):
        raise SourceError(f"{_NOT_A_LAYOUT}, but a directory of skopeo: write dir:{path}", source=request.name)
    return _from_layout(Layout(files, name=request.name), reference, request)


def _open_archive(request: _Request) -> ContainerImage:
    path, reference = split_reference(request.place)
    files = request.archive(path)
    try:
        if not files.has(LAYOUT_FILE) and files.has(MANIFEST_FILE):
            instead = f"docker-archive:{request.place}"
            raise SourceError(f"{_NOT_A_LAYOUT}, but a docker archive: write {instead}", source=request.name)
        return _from_layout(Layout(files, name=request.name), reference, request)
    except BaseException:
        files.close()
        raise


def _open_docker_archive(request: _Request) -> ContainerImage:
    path, reference = split_reference(request.place)
    name, files = request.name, request.archive(path)
    try:
        if not files.has(MANIFEST_FILE):  # a newer one may have a layout only
            if not files.has(LAYOUT_FILE):
                text = "is not an archive of `docker save` (1.10 or newer)"
                raise SourceError(f"{text}: there is no file {MANIFEST_FILE!r} in it", source=name)
            return _from_layout(Layout(files, name=name), reference, request)
        archive = DockerArchive(files, name=name)
        saved = archive.find(reference)
        _check_layer_count(len(saved.layers), name, request.options)
        verified: list[str] = []
        config = parse_document(archive.read_config(saved, verified.append), source=name, what="the configuration")
        diff_ids = _diff_ids(config, len(saved.layers), name)
        layers = archive.layers(saved, diff_ids)
    except BaseException:
        files.close()
        raise
    return ContainerImage(name, config, layers, verified, files.close)


def _open_directory(request: _Request) -> ContainerImage:
    directory = DirectoryImage(DirectoryFiles(request.place, name=request.name), name=request.name)
    manifest = select_manifest(directory, [directory.manifest], request.platform)
    return image_of(directory, manifest, request.options)


def _directory_source(path: str) -> str:
    """Return the source string for a directory that has an image."""
    return f"oci:{path}" if os.path.exists(os.path.join(path, LAYOUT_FILE)) else f"dir:{path}"


_NOT_A_LAYOUT = "is not an OCI image layout"


def _open_registry(request: _Request, registries: RegistryAccess) -> ContainerImage:
    # Imported when needed: an HTTP client costs more than all of the rest of the start-up together.
    from pysquash.sources.oci.registry import Registry  # noqa: PLC0415

    options = request.options
    registry = Registry(request.place, name=request.name, access=registries, options=options, warn=request.warn)
    try:
        image = image_of(registry, select_manifest(registry, [registry.resolve()], request.platform), options)
    except BaseException:
        registry.close()
        raise
    topmost_first = reversed(image.layers)  # the order in which they are packed
    registry.expect((blob.digest, blob.size) for blob in topmost_first if blob.digest and blob.size is not None)
    return image


def _from_layout(layout: Layout, reference: str, request: _Request) -> ContainerImage:
    descriptors = layout.find(reference)
    names = layout.references()
    if not reference and len(names) > 1 and len({each.digest for each in descriptors}) > 1:
        raise SourceError(
            f"has several images, of which one must be named: {listed(names, none='none')}", source=layout.name
        )
    return image_of(layout, select_manifest(layout, descriptors, request.platform), request.options)


def image_of(store: Store, descriptor: Descriptor, options: WriterOptions) -> ContainerImage:
    """Read a manifest and what it leads to.

    Args:
        store: Where it is.
        descriptor: The manifest's.
        options: limits are kept here.

    Raises:
        SourceError: Something is missing, damaged, or of a kind that is not read.
    """
    name, what = store.name, "the manifest"
    manifest = parse_document(
        read_document(store, descriptor, what=what), source=name, what=what, media_type=descriptor.media_type
    )
    if descriptor.media_type not in MANIFEST_TYPES or manifest.get("schemaVersion") != 2:
        raise SourceError(f"is a manifest of schema {manifest.get('schemaVersion')!r:.40}, not 2", source=name)
    rows = manifest.get("layers")
    if not isinstance(rows, list):
        raise SourceError("the manifest has no list of layers", source=name)
    _check_layer_count(len(rows), name, options)
    config_descriptor = parse_descriptor(manifest.get("config"), source=name, what="the configuration")
    if config_descriptor.media_type not in CONFIG_TYPES:
        kind = manifest.get("artifactType") or config_descriptor.media_type
        raise SourceError(f"is no image, but an artifact of type {kind!r:.120}", source=name)
    verified = [str(descriptor.digest)]
    config = parse_document(
        read_document(store, config_descriptor, what="the configuration"), source=name, what="the configuration"
    )
    verified.append(str(config_descriptor.digest))
    layers = []
    for number, (row, diff_id) in enumerate(zip(rows, _diff_ids(config, len(rows), name), strict=True), 1):
        what = f"layer {number}"
        layer = parse_descriptor(row, source=name, what=what)
        check_layer_type(layer.media_type, source=name, what=what)
        layers.append(
            LayerBlob(
                f"{name}: {what} ({layer.digest.short})",
                partial(store.chunks, layer),
                store.is_local,
                layer.digest,
                layer.size,
                diff_id,
                is_squashfs_layer(layer.media_type),
            )
        )
    return ContainerImage(name, config, layers, verified, store.close)


def _check_layer_count(count: int, name: str, options: WriterOptions) -> None:
    limit = options.limits.layer_count
    if count > limit:
        raise LimitError("the number of layers", count, limit, where=name, name="layer_count")


def _diff_ids(config: Mapping[str, Any], layer_count: int, name: str) -> list[Digest]:
    """Take the digests of the layers' tars out of a configuration."""
    rootfs = config.get("rootfs")
    if not isinstance(rootfs, dict) or rootfs.get("type") != "layers":
        raise SourceError('the configuration\'s rootfs is not of type "layers"', source=name)
    texts = text_items(rootfs.get("diff_ids"), source=name, what="rootfs.diff_ids")
    if len(texts) != layer_count:
        raise SourceError(f"has {layer_count} layers, and its configuration {len(texts)} diff_ids", source=name)
    return [parse_digest(text, source=name, what=f"diff_id {number}") for number, text in enumerate(texts, 1)]


_OPENERS: dict[str, Callable[[_Request], ContainerImage]] = {
    "dir": _open_directory,
    "oci": _open_layout,
    "oci-archive": _open_archive,
    "docker-archive": _open_docker_archive,
}
_ARCHIVES = ("oci-archive", "docker-archive")
_REGISTRY = "docker"
