"""SquashfsWriter: an image made one entry at a time, as `zipfile.ZipFile` makes an archive.

In: names with their content and attributes, in any order. Out: an image, when the context ends without an exception.
Rules kept here: directories that nobody adds are implied; a name can be added once.
Not here: layers (pack).
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from types import TracebackType
from typing import Self, Unpack

from pysquash.content.data_order import setting_aside, store_spooled
from pysquash.content.digests import Verification
from pysquash.content.spool import Spool
from pysquash.errors import LimitError, OptionError, OptionTypeError
from pysquash.host.output_guard import OwnFiles
from pysquash.notices import WarningGroup, Warnings
from pysquash.options.arguments import checked_options
from pysquash.options.writer import WriterOptions
from pysquash.sources.directory import DirectorySource
from pysquash.sources.files import Attributes, Content, added_entry, added_file, added_symlink, image_path
from pysquash.tree.entry import Entry, Kind
from pysquash.tree.merge import Merge
from pysquash.writer.envelope import ImageSummary
from pysquash.writer.image import ImageWriter
from pysquash.writer.output import Output, OutputTarget

__all__ = ["SquashfsWriter"]

_Name = str | bytes


class SquashfsWriter:
    """An image being made; a context manager.

    Every `add_` method takes `mode`, `uid`, `gid`, `mtime` and `xattrs` as keywords; see `Attributes` for their
    ranges and defaults. Each raises `MergeError` where the name is taken or leads through a file, `SourceError` for a
    name that climbs out of the image, `OptionError` for an attribute outside its range, and `LimitError` for what is
    too long.

    Attributes:
        summary: What the image came to, once the context has ended without an exception; None before.
        warnings: The warnings so far, one group for each kind.
    """

    def __init__(self, output: OutputTarget, options: WriterOptions | None = None) -> None:
        """Begin an image.

        Args:
            output: A path, at which the image appears whole or not at all, or a seekable binary file that is written
                to from where it stands.
            options: Every knob there is; None for the defaults.

        Raises:
            OSError: The output cannot be written.
            OptionTypeError: An argument is of the wrong type.
        """
        self._options = checked_options(options)
        self._warnings = Warnings()
        # A name that looks like a whiteout is a name like any other: there is no layer below.
        self._merge = Merge(dataclasses.replace(self._options, whiteouts="keep"), self._warnings)
        self._merge.begin_layer(source="", duplicates="error")
        self._own_files = OwnFiles()
        self._output = Output(output, self._own_files)
        try:
            self._image = ImageWriter(self._output, self._options)
        except BaseException:
            self._output.discard()
            raise
        self._verification = Verification(self._options)
        self._spool = Spool(self._output.folder)
        self._store_content = setting_aside(self._image.data.store, self._spool, self._options)
        self._entry_count = 0
        self.summary: ImageSummary | None = None

    @property
    def warnings(self) -> tuple[WarningGroup, ...]:
        """What was noteworthy so far."""
        return self._warnings.groups()

    def add_file(self, name: _Name, content: Content, **attributes: Unpack[Attributes]) -> None:
        """Add a regular file.

        Args:
            name: Where in the image, from its root.
            content: The bytes, a `pathlib.Path` of a host's file, or a binary file read from where it stands.
            attributes: As for all `add_` methods; the mode of a host's file is its own unless given.

        Raises:
            OSError: The host's file cannot be read.
            OptionError: It is the output.
        """
        if not isinstance(content, str):
            self._own_files.refuse(content)
        added = added_file(name, content, attributes, self._options)
        try:
            self._store(added.entry, added.read)
        finally:
            added.close()
        self._put(added.entry)

    def add_directory(self, name: _Name, **attributes: Unpack[Attributes]) -> None:
        """Add a directory, or describe one that is implied by what is in it; "" is the root."""
        self._add(name, Kind.DIRECTORY, attributes)

    def add_symlink(self, name: _Name, target: _Name, **attributes: Unpack[Attributes]) -> None:
        """Add a symlink.

        Args:
            name: Where in the image, from its root.
            target: What it says, as it is: 1 to 4095 bytes.
            attributes: As for all `add_` methods; the mode is 0o777 unless given.
        """
        self._put(added_symlink(name, target, attributes, self._options).entry)

    def add_hard_link(self, name: _Name, target: _Name) -> None:
        """Add another name of something that is, or will be, in the image and is no directory."""
        self._add(name, Kind.HARD_LINK, {}, target=image_path(target, self._options))

    def add_device(self, name: _Name, kind: str, major: int, minor: int, **attributes: Unpack[Attributes]) -> None:
        """Add a device.

        Args:
            name: Where in the image, from its root.
            kind: "block" or "character".
            major: 0 to 4095.
            minor: 0 to 2^20-1.
            attributes: As for all `add_` methods.
        """
        kinds = {"block": Kind.BLOCK_DEVICE, "character": Kind.CHARACTER_DEVICE}
        if not isinstance(major, int) or not isinstance(minor, int):
            raise OptionTypeError(f"a device has numbers, not {major!r:.80} and {minor!r:.80}")
        if kind not in kinds or not 0 <= major <= 0xFFF or not 0 <= minor <= 0xFFFFF:
            raise OptionError(f"a device is block or character, 0:0 to 4095:1048575, not {kind} {major}:{minor}")
        self._add(name, kinds[kind], attributes, device=(major, minor))

    def add_fifo(self, name: _Name, **attributes: Unpack[Attributes]) -> None:
        """Add a named pipe."""
        self._add(name, Kind.FIFO, attributes)

    def add_socket(self, name: _Name, **attributes: Unpack[Attributes]) -> None:
        """Add a socket."""
        self._add(name, Kind.SOCKET, attributes)

    def add_tree(self, path: str | os.PathLike[str], name: _Name = "") -> None:
        """Add a folder of the host with all that is in it, attributes included, but without the image being made.

        Args:
            path: The folder.
            name: Where in the image; "" for the root.

        Raises:
            SourceError: Something was exchanged, or became shorter, while it was read.
            OSError: Something cannot be read.
        """
        prefix = image_path(name, self._options)
        if not isinstance(path, str | bytes | os.PathLike):
            raise OptionTypeError(f"a folder is given by its path, not {path!r:.80}")
        source = DirectorySource(
            path,
            name=os.fsdecode(path),
            options=self._options,
            warn=self._warnings,
            prefix=prefix,
            own_files=self._own_files,
        )
        try:
            for entry in source:
                if entry.kind is Kind.FILE:
                    self._store(entry, source.read)
                self._put(entry)
        finally:
            source.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._merge.end_layer()
                root, store = self._merge.root, self._image.data.store
                store_spooled(root, store, self._spool, self._options, self._verification)
                self.summary = self._image.finish(root)
                self._verification.verify(self._output, self._merge.root)
                self._output.keep()
        finally:
            try:
                self._image.close()
                self._spool.close()
            finally:
                self._output.discard()

    def _store(self, entry: Entry, read: Callable[[int], bytes]) -> None:
        watched, content = self._verification.watch(entry.size, read, entry.segments)
        entry.data = self._store_content(entry.size, watched, entry.segments)
        self._verification.note(entry.data, content)

    def _add(self, name: _Name, kind: Kind, attributes: Attributes, **fields: object) -> None:
        self._put(added_entry(image_path(name, self._options), kind, attributes, self._options, **fields))

    def _put(self, entry: Entry) -> None:
        self._entry_count += 1
        limit = self._options.limits.entry_count
        count = self._entry_count + self._merge.implicit_count
        if count > limit:
            raise LimitError("the number of entries", count, limit, name="entry_count")
        self._merge.put(entry)
