"""`pysquash build`: sources in, image out, and a line about it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pysquash.api import build as build_image
from pysquash.api import build_layers
from pysquash.cli.additions import (
    PartPath,
    as_usage_error,
    parse_directory,
    parse_file,
    parse_overrides,
    parse_owners,
    parse_parts,
    parse_symlink,
    part_path,
)
from pysquash.cli.console import (
    byte_count,
    output_path,
    progress_bar,
    size_text,
    source_date_epoch,
    tell,
    warn,
)
from pysquash.cli.image_options import SectionedCommand, image_options, writer_values
from pysquash.cli.limit_option import limit_option, parse_limits
from pysquash.cli.registry_options import registry_access, registry_options
from pysquash.edits.additions import AddedDirectory
from pysquash.notices import WarningGroup
from pysquash.options.writer import WriterOptions
from pysquash.report import Report
from pysquash.sources.files import AddedFile, AddedSymlink
from pysquash.tree.patterns import Patterns

if TYPE_CHECKING:
    from pysquash.packing.layer_images import LayerImages, OverlayXattrs
    from pysquash.vm.formats import ConfigFormat

__all__ = ["build"]


@click.command(cls=SectionedCommand, short_help="Pack layers into one SquashFS image.")
@click.argument("sources", nargs=-1, metavar="SOURCE...")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, readable=False),
    callback=output_path,
    help="The image to write: a file.",
)
@click.option(
    "--layers",
    "layers_folder",
    type=click.Path(path_type=Path, readable=False),
    help="Write an image for each layer into this folder instead, for stacking with overlayfs.",
)
@click.option(
    "--overlay-xattrs",
    type=click.Choice(["trusted", "user"]),
    help="The name space of overlayfs's attributes in them; trusted by default, user for mounts with userxattr.",
)
@click.option(
    "--part",
    "parts",
    multiple=True,
    type=(str, part_path),
    metavar="SOURCE PATH[:NEW]",
    help="Put what SOURCE has at PATH over the others, at NEW if given: with rootfs:/ a directory becomes the root, "
    "with /:srv/app all of SOURCE goes below one.",
)
@click.option("--exclude", multiple=True, metavar="GLOB", help="Leave it out: *.pyc, usr/share/doc, test/.")
@click.option(
    "--file",
    "files",
    multiple=True,
    type=parse_file,
    metavar="DEST=SRC[,mode=,uid=,gid=]",
    help="Put the file SRC over all sources.",
)
@click.option(
    "--default-file",
    "default_files",
    multiple=True,
    type=parse_file,
    metavar="DEST=SRC[,...]",
    help="Put it where there is nothing.",
)
@click.option(
    "--symlink",
    "symlinks",
    multiple=True,
    type=parse_symlink,
    metavar="DEST=TARGET",
    help="Put a symlink over all sources.",
)
@click.option(
    "--mkdir",
    "directories",
    multiple=True,
    type=parse_directory,
    metavar="DIR[:MODE]",
    help="Make a directory, if there is none.",
)
@click.option("--vm", is_flag=True, help="Add mount points and small files that a virtual machine needs.")
@click.option(
    "--config-out",
    type=click.Path(path_type=Path, readable=False),
    callback=output_path,
    help="Write there how the container image is to be run.",
)
@click.option("--config-in-image", metavar="PATH", help="Put that into the image.")
@click.option(
    "--config-format", type=click.Choice(["json", "oci", "fly", "thi"]), help="In which shape; json by default."
)
@click.option(
    "--map-users", multiple=True, metavar="FROM:TO:COUNT", help="Give what users of the sources own to others."
)
@click.option("--map-groups", multiple=True, metavar="FROM:TO:COUNT", help="The same with groups.")
@click.option("--owner", metavar="UID:GID", help="Give all of it to one owner: 0:0.")
@click.option("--root-owner", metavar="UID:GID", help="Give the root directory to one owner.")
@click.option("--root-mode", metavar="OCTAL", help="The root directory's permissions.")
@click.option("--root-time", metavar="SECONDS", help="The root directory's time, since 1970.")
@click.option("--default-owner", metavar="UID:GID", help="Whose directories are that no source describes.")
@click.option("--default-mode", metavar="OCTAL", help="Their permissions, 755 by default.")
@click.option("--all-time", metavar="SECONDS", help="The time of everything, since 1970.")
@click.option("--latest-time", metavar="SECONDS", help="What no time is later than.")
@click.option("--platform", metavar="OS/ARCH", help="Platform of container images (default: Linux on this machine).")
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="Fail when a pipe or a registry sends nothing for so long (default: never for pipes, 60 for registries).",
)
@registry_options
@image_options
@click.option(
    "--whiteouts",
    type=click.Choice(["apply", "keep"]),
    default="apply",
    show_default=True,
    help="Whether .wh. entries delete, or are files like others.",
)
@click.option(
    "--duplicates",
    type=click.Choice(["first", "last", "error"]),
    default="first",
    show_default=True,
    help="Which of several entries of a name in one tar wins: first, as mksquashfs, or last, as extraction; "
    "last for archives updated with tar -r.",
)
@click.option(
    "--parent-symlinks",
    type=click.Choice(["follow", "replace", "error"]),
    default="follow",
    show_default=True,
    help="What to do where a path leads through a symlink.",
)
@click.option("--ignore-zeros", is_flag=True, help="Read on behind the end of a tar, for concatenated ones.")
@limit_option
@click.option("--offset", type=byte_count, default="0", metavar="SIZE", help="Byte at which images of sqfs: start.")
@click.option("--strict", is_flag=True, help="Fail where there would be a warning.")
@click.option("--lenient", is_flag=True, help="Drop hard links to nothing instead of failing.")
@click.option("--verify", is_flag=True, help="Read the image back, compare it with what went in, and check it.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON on standard output.")
@click.option("-q", "--quiet", is_flag=True, help="Say nothing but errors.")
def build(
    sources: tuple[str, ...],
    output: Path | None,
    layers_folder: Path | None,
    overlay_xattrs: OverlayXattrs | None,
    parts: tuple[tuple[str, PartPath], ...],
    exclude: tuple[str, ...],
    files: tuple[AddedFile, ...],
    default_files: tuple[AddedFile, ...],
    symlinks: tuple[AddedSymlink, ...],
    directories: tuple[AddedDirectory, ...],
    vm: bool,
    config_out: Path | None,
    config_in_image: str | None,
    config_format: ConfigFormat | None,
    map_users: tuple[str, ...],
    map_groups: tuple[str, ...],
    owner: str | None,
    root_owner: str | None,
    root_mode: str | None,
    root_time: str | None,
    default_owner: str | None,
    default_mode: str | None,
    all_time: str | None,
    latest_time: str | None,
    platform: str | None,
    offset: int,
    as_json: bool,
    quiet: bool,
    **options: Any,
) -> None:
    """Pack layers into one SquashFS image.

    Each SOURCE is a tar, plain or compressed with gzip, bzip2, xz or zstd, `-` for standard input, dir:PATH for a
    directory tree, sqfs:FILE for an image, or a container image: oci:DIR[:REF], oci-archive:FILE[:REF],
    docker-archive:FILE[:REF] (FILE may be -), dir:DIR that skopeo wrote, or docker://[HOST/]NAME[:TAG][@DIGEST].
    tar:FILE is a tar even if it looks like a container image. The base comes first, later ones go over it, and
    their whiteouts delete. Parts go over all of them, and then files and symlinks. With --layers, each layer gets an
    image of its own.
    """
    if not sources and not parts:
        raise click.UsageError("there is no SOURCE")
    access = registry_access(options)
    options["limits"] = parse_limits(options["limits"])
    writer_options = WriterOptions(**writer_values(options), source_date_epoch=source_date_epoch())
    if layers_folder is not None:
        _refuse_with_layers(click.get_current_context())
        images = build_layers(
            [*sources, *parse_parts(parts)],
            layers_folder,
            overlay_xattrs=overlay_xattrs or "trusted",
            platform=platform,
            registry=access,
            image_offset=offset,
            options=writer_options,
        )
        if not quiet:
            _tell_layers(images)
        return
    if overlay_xattrs is not None:
        raise click.UsageError("--overlay-xattrs is for the images that --layers writes, and there is no --layers")
    if output is None:
        raise click.UsageError("where the image goes is missing: name it with --output FILE")
    config = None
    with as_usage_error():
        Patterns(exclude)
        if config_out is not None or config_in_image is not None or config_format is not None:
            from pysquash.vm.config_output import ConfigOutput

            config = ConfigOutput(file=config_out, in_image=config_in_image, format=config_format or "json")
    with progress_bar(wanted=not quiet) as progress:
        report = build_image(
            [*sources, *parse_parts(parts)],
            output,
            files=files,
            default_files=default_files,
            symlinks=symlinks,
            directories=directories,
            vm=vm,
            config=config,
            exclude=exclude,
            owners=parse_owners(map_users, map_groups, owner),
            overrides=parse_overrides(
                owners={"--root-owner": root_owner, "--default-owner": default_owner},
                modes={"--root-mode": root_mode, "--default-mode": default_mode},
                times={"--root-time": root_time, "--all-time": all_time, "--latest-time": latest_time},
            ),
            platform=platform,
            registry=access,
            image_offset=offset,
            options=writer_options,
            progress=progress,
        )
    if not quiet:
        _print_warnings(report.warnings)
        tell(_summary(report, output))
    if as_json:
        import json

        click.echo(json.dumps(dataclasses.asdict(report)))


def _print_warnings(groups: Iterable[WarningGroup]) -> None:
    for group in groups:
        for line in group.lines():
            warn(line)


def _tell_layers(images: LayerImages) -> None:
    _print_warnings(images.warnings)
    paths = images.paths
    total = size_text(sum(path.stat().st_size for path in paths))
    lower = ":".join(path.stem for path in reversed(paths))
    count = "1 image" if len(paths) == 1 else f"{len(paths)} images"
    tell(f"{paths[0].parent}: {count}, {total}; mounted, lowerdir={lower}")


def _refuse_with_layers(context: click.Context) -> None:
    """Name the first option that does not go with --layers."""
    for parameter in context.command.params:
        why = _NOT_WITH_LAYERS.get(parameter.name or "")
        if why is not None and context.params.get(parameter.name or ""):
            raise click.UsageError(f"{max(parameter.opts, key=len)} does not go with --layers: {why}")


_ONE_TREE = "it changes one tree of all layers; put what it does into one more layer, such as dir:FOLDER"
_NOT_WITH_LAYERS = {
    "sort_by": "an image of each layer has its contents in the order of the layer",
    "output": "images go either into one file or into a folder",
    "as_json": "its report is about one image",
    "config_out": "there is no one image that a configuration could be beside",
    "config_format": "no configuration is written",
    "exclude": "it changes one tree of all layers; leave it out of the layers themselves",
    "map_users": "it changes one tree of all layers; change owners in the layers themselves",
    "map_groups": "it changes one tree of all layers; change owners in the layers themselves",
    "owner": "it changes one tree of all layers; change owners in the layers themselves",
    **dict.fromkeys(
        ("root_owner", "root_mode", "root_time", "default_owner", "default_mode", "all_time", "latest_time"),
        "it changes one tree of all layers; change attributes in the layers themselves",
    ),
    **dict.fromkeys(("files", "default_files", "symlinks", "directories", "vm", "config_in_image"), _ONE_TREE),
}


def _summary(report: Report, output: Path) -> str:
    entries = report.entries
    counts = [
        (entries["directory"], "directory", "directories"),
        (entries["file"], "file", "files"),
        (entries["symlink"], "symlink", "symlinks"),
        (entries["hard_link"], "hard link", "hard links"),
        (sum(entries[kind] for kind in ("block_device", "character_device", "fifo", "socket")), "other", "others"),
    ]
    names = ", ".join(f"{count} {one if count == 1 else many}" for count, one, many in counts if count)
    layers = "1 layer" if report.layers == 1 else f"{report.layers} layers"
    duplicates = "1 duplicate" if report.duplicate_files == 1 else f"{report.duplicate_files} duplicates"
    seconds = sum(report.seconds.values())
    return (
        f"{output}: {size_text(report.bytes_out)} from {layers} of {size_text(report.bytes_in)}: "
        f"{names or 'an empty root'}; {duplicates} ({size_text(report.duplicate_bytes)}); {seconds:.1f} s"
    )
