"""The one-call functions: what most programs need of the package.

Not here: how layers become an image (packing/pack), and what a source string means (sources/transport).
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING

from pysquash.compression.stream import Layer
from pysquash.edits.additions import AddedDirectory, make_directories, owned, put_default_files
from pysquash.edits.overrides import Overrides
from pysquash.errors import OptionTypeError
from pysquash.host.output_guard import OwnFiles
from pysquash.notices import Warnings
from pysquash.options.arguments import checked_files, checked_list, checked_options, checked_progress
from pysquash.options.writer import WriterOptions
from pysquash.packing.pack import Changes, OpenSource, pack
from pysquash.packing.resolve_sources import OpenedSources
from pysquash.packing.subtree import Part
from pysquash.report import Progress, Report
from pysquash.sources.base import Source
from pysquash.sources.files import AddedFile, AddedSymlink, Attributes, FilesSource
from pysquash.sources.named_tar import NamedTar
from pysquash.sources.oci.registry_access import RegistryAccess
from pysquash.tree.patterns import Patterns
from pysquash.writer.output import Output, OutputTarget

# Imported where it is needed: what few builds ask for takes longer to import than a small layer to pack.
if TYPE_CHECKING:
    from pysquash.edits.owners import Owners
    from pysquash.packing.layer_images import LayerImages, OverlayXattrs
    from pysquash.vm.config_output import ConfigOutput

__all__ = ["build", "build_layers", "tar2squashfs"]


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
        InputError: A layer is malformed, or is the output; the layers do not make one tree, or a limit is exceeded.
            There is no output.
        OSError: A file cannot be read, or the output not be written. There is no output.
    """
    options = checked_options(options)
    checked_progress(progress)
    warnings, own_files = Warnings(), OwnFiles()
    streams, extra_files = checked_list(streams, "layers"), checked_files(extra_files, "extra_files")
    layers: list[OpenSource] = [
        partial(NamedTar, stream, name=_stream_name(stream, row), options=options, warn=warnings)
        for row, stream in enumerate(streams, 1)
    ]
    changes = Changes(on_tree=[put_default_files(extra_files)])
    with Output(output, own_files) as target:
        for stream in streams:
            own_files.refuse(stream)
        _refuse_contents(own_files, extra_files)
        return pack(layers, target, changes=changes, options=options, progress=progress, warnings=warnings)


def build(
    sources: Iterable[str | Source | Part],
    output: OutputTarget,
    *,
    files: Sequence[AddedFile] = (),
    default_files: Sequence[AddedFile] = (),
    symlinks: Sequence[AddedSymlink] = (),
    directories: Sequence[AddedDirectory] = (),
    vm: bool = False,
    config: ConfigOutput | None = None,
    exclude: Iterable[str] = (),
    owners: Owners | None = None,
    overrides: Overrides | None = None,
    platform: str | None = None,
    registry: RegistryAccess | None = None,
    image_offset: int = 0,
    options: WriterOptions | None = None,
    progress: Progress | None = None,
) -> Report:
    """Pack sources of any kind into one SquashFS image.

    Args:
        sources: Base first: strings as `pysquash build` takes them, `Source` objects, or a `Part` of either; later ones
            over earlier ones.
        output: As for `tar2squashfs`.
        files: (name, content, attributes) for each file to put over all sources.
        default_files: The same, where the sources have nothing.
        symlinks: (name, target, attributes) for each symlink to put over all sources.
        directories: (name, attributes) for each directory that is to be there; one that is already gets no more than
            the attributes given.
        vm: Whether to add the mount points and small files that a virtual machine needs, where there are none.
        config: Where the configuration of the topmost container image among the sources goes.
        exclude: Globs for what is left out of the sources' tree.
        owners: Which owners things get; None to keep them.
        overrides: What else everything gets, the root or directories that nobody describes; None to keep it all.
        platform: The platform of container images, as os/arch or os/arch/variant; None for Linux on this machine, with
            a warning where an image is for another one only.
        registry: How registries are used; None for the defaults.
        image_offset: The byte at which the images of `sqfs:` sources start.
        options: Every knob there is.
        progress: As for `tar2squashfs`.

    Returns:
        What was packed.

    Raises:
        InputError: A source is malformed or of no known kind, or is the output; the sources do not make one tree, or a
            limit is exceeded; there is no container image to take a configuration from, or its user is not in the tree.
        OSError: A file cannot be read, or the output not be written.
    """
    options = checked_options(options)
    checked_progress(progress)
    sources, exclude = checked_list(sources, "sources"), checked_list(exclude, "exclude's patterns")
    files, default_files = checked_files(files, "files"), checked_files(default_files, "default_files")
    symlinks = checked_files(symlinks, "symlinks", "(name, target, attributes)")
    directories = checked_files(directories, "directories", "(name, attributes)")
    registry = _checked_registry(registry)
    if config is not None:
        from pysquash.vm.config_output import ConfigOutput  # noqa: PLC0415

        if not isinstance(config, ConfigOutput):
            raise OptionTypeError(f"config is a pysquash.ConfigOutput(...), not {config!r:.80}")
    if owners is not None:
        from pysquash.edits.owners import Owners  # noqa: PLC0415

        if not isinstance(owners, Owners):
            raise OptionTypeError(f"owners are a pysquash.Owners(...), not {owners!r:.80}")
    owner: Attributes = {} if owners is None else owners.default
    steps = [put_default_files(owned(default_files, owner))]
    kept_names: tuple[bytes, ...] = ()
    if vm:
        from pysquash.vm.defaults import put_vm_defaults  # noqa: PLC0415

        steps.append(put_vm_defaults(owner))
    steps.append(make_directories(directories, owner))
    own_files = OwnFiles()
    if config is not None:
        config.check_apart_from(output)
    with ExitStack() as held:
        target = held.enter_context(Output(output, own_files))
        sidecar: Output | None = None
        if config is not None and config.file is not None:
            sidecar = held.enter_context(Output(config.file, own_files))
        _refuse_contents(own_files, [*files, *default_files])
        for path in registry.auth_files or ():
            own_files.refuse(path)
        opened = OpenedSources(
            sources,
            held,
            target.folder,
            own_files=own_files,
            platform=platform,
            registries=registry,
            image_offset=image_offset,
            options=options,
        )
        if config is not None:
            from pysquash.vm.config_output import write_config  # noqa: PLC0415
            from pysquash.vm.image_config import KEPT_NAMES  # noqa: PLC0415

            kept_names = KEPT_NAMES
            steps.append(write_config(config, opened.configuration(), sidecar, owner))
        if owners is not None:
            steps.append(owners.change_implied)
        if overrides is not None:
            steps.append(overrides.change)
        over = partial(FilesSource, owned(files, owner), options, symlinks=owned(symlinks, owner))
        changes = Changes(
            exclude=Patterns(exclude),
            on_sources=[] if owners is None else [owners.change_sources],
            over=over if files or symlinks else None,
            on_tree=steps,
            kept_names=kept_names,
        )
        report = pack(
            opened.layers, target, changes=changes, options=options, progress=progress, warnings=opened.warnings
        )
        if sidecar is not None:
            sidecar.keep()
    return dataclasses.replace(report, digests_verified=opened.digests_verified)


def build_layers(
    sources: Iterable[str | Source | Part],
    folder: str | os.PathLike[str],
    *,
    overlay_xattrs: OverlayXattrs = "trusted",
    platform: str | None = None,
    registry: RegistryAccess | None = None,
    image_offset: int = 0,
    options: WriterOptions | None = None,
) -> LayerImages:
    """Pack each layer into an image of its own, for stacking with overlayfs.

    Args:
        sources: As for `build`.
        folder: Where to: a folder that is empty or does not exist yet. It appears whole or not at all.
        overlay_xattrs: The name space of the attributes that hide things: "user" for mounts with the option userxattr.
        platform: As for `build`.
        registry: As for `build`.
        image_offset: As for `build`.
        options: Every knob there is.

    Returns:
        The images: 000.squashfs for the base, 001.squashfs and so on.

    Raises:
        InputError: As for `build`.
        OSError: A file cannot be read, or the folder not be written.
    """
    from pysquash.packing.layer_images import pack_layers  # noqa: PLC0415

    options, sources = checked_options(options), checked_list(sources, "sources")
    if not isinstance(folder, str | os.PathLike):
        raise OptionTypeError(f"the folder is a path, not {folder!r:.80}")
    with ExitStack() as held:
        own_files = OwnFiles()
        opened = OpenedSources(
            sources,
            held,
            os.path.dirname(os.path.realpath(folder)),
            own_files=own_files,
            platform=platform,
            registries=_checked_registry(registry),
            image_offset=image_offset,
            options=options,
        )
        return pack_layers(
            opened.layers,
            folder,
            xattrs=overlay_xattrs,
            own_files=own_files,
            options=options,
            warnings=opened.warnings,
        )


def _checked_registry(registry: RegistryAccess | None) -> RegistryAccess:
    if registry is not None and not isinstance(registry, RegistryAccess):
        raise OptionTypeError(f"registry must be a pysquash.RegistryAccess(...), not {registry!r:.80}")
    return registry or RegistryAccess()


def _refuse_contents(own_files: OwnFiles, files: Iterable[AddedFile]) -> None:
    """Refuse to add what is being written."""
    for _, content, _ in files:
        if not isinstance(content, str | bytes | bytearray | memoryview):
            own_files.refuse(content)


def _stream_name(stream: Layer, row: int) -> str:
    """Call a layer by its file's name where it has one, else by its row, from 1."""
    if isinstance(stream, str | os.PathLike):
        return os.fsdecode(stream)
    name = getattr(stream, "name", None)
    return name if isinstance(name, str) else f"<layer {row}>"
