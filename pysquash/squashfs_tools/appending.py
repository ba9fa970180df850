"""Appending: an image that is there becomes the base of the new one.

In: the image, and what its root becomes. Out: a layer of it, the names that are taken, and the writer's options.
Rules kept here: the image's compressor, block size and the like stay, whatever the command line says; what is in its
root stays as it is, attributes and all, under its own names, or goes into one directory with -root-becomes.
Not here: which names new things get (host_source).
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Collection, Iterator
from functools import partial
from typing import NamedTuple

from pysquash.edits.merged_tree import MergedTree
from pysquash.errors import ImageError, NotSquashfsError, OptionError
from pysquash.format.constants import SuperblockFlag
from pysquash.notices import Warnings
from pysquash.options.writer import WriterOptions
from pysquash.packing.layer_reader import OpenSource
from pysquash.reader.image import SquashfsImage
from pysquash.sources.squashfs import SquashfsSource
from pysquash.tree.entry import Entry, Kind
from pysquash.writer.xattrs import keep_xattrs

__all__ = ["Existing", "leave_out_xattrs", "read_existing"]

_PARTS = {
    SuperblockFlag.UNCOMPRESSED_INODES: "inodes",
    SuperblockFlag.UNCOMPRESSED_DATA: "data",
    SuperblockFlag.UNCOMPRESSED_FRAGMENTS: "fragments",
    SuperblockFlag.UNCOMPRESSED_XATTRS: "xattrs",
    SuperblockFlag.UNCOMPRESSED_IDS: "ids",
}


class Existing(NamedTuple):
    """An image that is appended to.

    Attributes:
        open_source: Opens it as a layer.
        root_names: What is in its root, or the name that the root gets.
        options: As it was written.
        front: What stands in front of it in its file.
    """

    open_source: OpenSource
    root_names: frozenset[bytes]
    options: WriterOptions
    front: bytes


def read_existing(
    path: str, *, offset: int, root_becomes: str | None, options: WriterOptions, warn: Warnings
) -> Existing:
    """Look at an image.

    Args:
        path: Where it is.
        offset: The byte in the file at which it starts.
        root_becomes: What its root becomes, or None.
        options: What the command line says, which is kept where an image does not say it.
        warn: Takes what is noteworthy.

    Raises:
        OptionError: It is no image, or the name that its root is to get is none.
        ImageError: It is damaged.
        OSError: It cannot be read.
    """
    prefix = b"" if root_becomes is None else os.fsencode(root_becomes)
    if root_becomes is not None and (not prefix or b"/" in prefix or prefix in (b".", b"..")):
        raise OptionError(f"-root-becomes: {root_becomes!r} is no name")
    try:
        with SquashfsImage(path, offset=offset) as image:
            names = frozenset([prefix] if prefix else [each.path for each in image.root.iterdir()])
            options = _options_of(image, options)
    except NotSquashfsError:
        raise OptionError(f"{path} is there, and no SquashFS image to append to; -noappend writes over it") from None
    except ImageError as error:
        raise OptionError(f"{path} cannot be appended to: {error}; -noappend writes over it") from None
    with open(path, "rb") as file:
        front = file.read(offset)
    return Existing(
        partial(_ExistingSource, path, offset=offset, prefix=prefix, options=options, warn=warn), names, options, front
    )


def _options_of(image: SquashfsImage, options: WriterOptions) -> WriterOptions:
    """Tell with which options an image was written, as far as it says."""
    flags = SuperblockFlag(image.superblock.flags)
    same_compressor = image.compressor_name == options.compressor
    return dataclasses.replace(
        options,
        compressor=image.compressor_name,  # type: ignore[arg-type] # its names are the writer's
        level=options.level if same_compressor else None,
        compressor_options=options.compressor_options if same_compressor else {},
        block_size=image.superblock.block_size,
        uncompressed={part for flag, part in _PARTS.items() if flag in flags},
        fragments=SuperblockFlag.NO_FRAGMENTS not in flags,
        tail_ends=SuperblockFlag.ALWAYS_FRAGMENTS in flags,
        find_duplicates=SuperblockFlag.DUPLICATES in flags,
        exports=SuperblockFlag.EXPORTABLE in flags,
        # What is there keeps its attributes; those of what is new are left out by `leave_out_xattrs`.
        xattrs=True,
        xattrs_include=None,
        xattrs_exclude=None,
    )


def leave_out_xattrs(tree: MergedTree, asked: WriterOptions, kept: Collection[bytes]) -> None:
    """Take out of a tree the attributes that are not wanted, except of what was there before.

    Args:
        tree: The merged tree.
        asked: What the command line says.
        kept: Names in the root that were there before.
    """
    names = tree.root.names
    held = {name: names.pop(name) for name in kept if name in names}
    keep_xattrs(tree.root, asked)
    names.update(held)


class _ExistingSource(SquashfsSource):
    """An image as a layer without its root, or with it under a name."""

    def __init__(self, path: str, *, offset: int, prefix: bytes, options: WriterOptions, warn: Warnings) -> None:
        super().__init__(path, name=path, options=options, warn=warn, offset=offset)
        self._prefix = prefix

    def __iter__(self) -> Iterator[Entry]:
        for entry in super().__iter__():
            if self._prefix:
                entry.path = self._prefix + b"/" + entry.path if entry.path else self._prefix
                if entry.kind is Kind.HARD_LINK:
                    entry.target = self._prefix + b"/" + entry.target
            if entry.path:
                yield entry
