"""Image options: what `pysquash build` can be told about the image itself, and how its help lists that.

In: options of the command line. Out: what `WriterOptions` takes.
Rules kept here: it is `--no-dedup` and not `--no-duplicates`, because `--duplicates` is about names within a tar.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import click

from pysquash.cli.console import byte_count
from pysquash.cli.registry_options import REGISTRY_OPTIONS
from pysquash.options.sort_file import read_sort_file

__all__ = ["SectionedCommand", "image_options", "writer_values"]

_Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

_COMPRESSORS = ["zstd", "gzip", "xz", "lz4", "lzo", "lzma", "none"]
_COMPRESSION: list[_Decorator] = [
    click.option(
        "-c",
        "--compressor",
        type=click.Choice(_COMPRESSORS),
        default="zstd",
        show_default=True,
        help="lz4 and lzo need an extra; Linux cannot mount lzma.",
    ),
    click.option(
        "-X",
        "compressor_options",
        multiple=True,
        metavar="NAME=VALUE",
        help="A compressor's option: level=3; gzip: window-size=15, strategy=default,fixed; xz: dict-size=75%, "
        "bcj=x86,arm; lz4: hc; lzo: algorithm=lzo1x_999.",
    ),
    click.option("-b", "--block-size", type=byte_count, default="128K", show_default=True, help="4K to 1M, 2^n."),
    click.option("-j", "--workers", type=click.IntRange(1, 1024), help="Threads that compress; one a processor."),
    click.option(
        "--uncompressed",
        multiple=True,
        metavar="PART[,PART]",
        help="Store inodes, ids, data, fragments or xattrs as they are.",
    ),
]
_CONTENT: list[_Decorator] = [
    click.option("--no-fragments", is_flag=True, help="Give small files and tail ends blocks of their own."),
    click.option("--no-tail-ends", is_flag=True, help="The same for tail ends of files longer than a block only."),
    click.option("--no-dedup", is_flag=True, help="Store equal contents as often as they come."),
    click.option("--no-holes", is_flag=True, help="Store zeros instead of making holes."),
    click.option("--no-hard-links", is_flag=True, help="Give each name an inode of its own; content is shared."),
    click.option("--no-xattrs", is_flag=True, help="Leave all extended attributes out."),
    click.option("--xattrs-include", metavar="REGEX", help="Keep only attributes in whose name this is found: ^user."),
    click.option("--xattrs-exclude", metavar="REGEX", help="Leave attributes out in whose name this is found."),
    click.option(
        "--sort-by",
        multiple=True,
        metavar="path|size|FILE",
        help="Order contents by path, by size, or by a FILE of paths and their priorities, highest first.",
    ),
    click.option("--no-padding", is_flag=True, help="End where the data ends; loop devices need whole 4 KiB."),
    click.option("--exports", is_flag=True, help="Write the table that NFS needs."),
]
_NEGATED = {
    "no_fragments": "fragments",
    "no_tail_ends": "tail_ends",
    "no_dedup": "find_duplicates",
    "no_holes": "find_holes",
    "no_hard_links": "hard_links",
    "no_xattrs": "xattrs",
    "no_padding": "padded",
}


def image_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command all options about the image."""
    for option in reversed(_COMPRESSION + _CONTENT):
        command = option(command)
    return command


def writer_values(values: Mapping[str, Any]) -> dict[str, Any]:
    """Turn what the options said into what `WriterOptions` takes; what is not about the image is passed on.

    Raises:
        click.BadParameter: A name of -X is there twice, or there are too many orders.
        OptionError: The file with priorities is malformed.
        OSError: It cannot be read.
    """
    taken: dict[str, Any] = {
        _NEGATED.get(name, name): (not value if name in _NEGATED else value) for name, value in values.items()
    }
    taken["compressor_options"] = _pairs(values["compressor_options"])
    taken["uncompressed"] = [part for text in values["uncompressed"] for part in text.split(",")]
    orders = taken.pop("sort_by")
    by_name = [order for order in orders if order in ("path", "size")]
    sort_files = [order for order in orders if order not in ("path", "size")]
    if len(by_name) > 1 or len(sort_files) > 1:
        raise click.BadParameter("at most one FILE and one of path and size", param_hint="--sort-by")
    taken["sort_by"] = by_name[0] if by_name else None
    taken["sort_priorities"] = read_sort_file(sort_files[0]) if sort_files else {}
    return taken


def _pairs(texts: Iterable[str]) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if name in pairs:
            raise click.BadParameter(f"{name} is there twice", param_hint="-X")
        pairs[name] = value if equals else "true"
    return pairs


class SectionedCommand(click.Command):
    """A command whose help lists the options about registries and about the image apart from all others."""

    def format_options(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """Write a section for each group."""
        sections: dict[str, list[tuple[str, str]]] = {"Options": [], "Registry": [], "Compression": [], "Image": []}
        names = {name: title for title, group in _GROUPS.items() for name in group}
        for parameter in self.get_params(context):
            record = parameter.get_help_record(context)
            if record is not None and isinstance(parameter, click.Option):
                sections[names.get(parameter.name or "", "Options")].append(record)
        for title, records in sections.items():
            with formatter.section(title):
                formatter.write_dl(records)


def _names(options: Iterable[_Decorator]) -> list[str]:
    """Tell the names of the parameters that options make."""

    def nothing() -> None:
        pass

    for option in options:
        option(nothing)
    return [parameter.name for parameter in nothing.__click_params__]  # type: ignore[attr-defined]


_GROUPS = {"Registry": _names(REGISTRY_OPTIONS), "Compression": _names(_COMPRESSION), "Image": _names(_CONTENT)}
