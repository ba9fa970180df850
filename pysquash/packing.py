"""Packing: turns layers into an image. The one place through which every byte of every layer passes.

In: sources, base first. Out: an image, and a report.
The way of a byte: a source yields an entry and its content, topmost layer first (`read_layers`); `tree/visibility` says
whether an upper layer hides it (`_stored`); what is visible goes to `writer/data` at once, what is hidden but may still
be linked to goes to the spool; the entries then become one tree from the base up (`tree/merge`); and `writer/image`
writes inodes, directories and tables behind the data.
Rules kept here: each source is read once, to its end; entries, layers and bytes are counted against the limits.
Not here: what callers may pass (api), what is hidden (tree/visibility), where an entry lands (tree/merge).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from typing import cast

from pysquash.errors import LimitError
from pysquash.options import DuplicatePolicy, WriterOptions
from pysquash.report import Progress, Report, Warnings
from pysquash.sources.base import Source
from pysquash.sources.files import AddedFile, added_file
from pysquash.spool import Spool, Spooled
from pysquash.tree.entry import Entry, Kind
from pysquash.tree.merge import Merge
from pysquash.tree.node import Node
from pysquash.tree.visibility import Visibility
from pysquash.verification import Verification
from pysquash.writer.image import ImageWriter
from pysquash.writer.output import Output, OutputTarget

__all__ = ["OpenSource", "pack"]

OpenSource = Callable[[], Source]
"""Opens a layer when its turn comes."""

_PROGRESS_STEP = 1 << 20


def pack(
    layers: Sequence[OpenSource],
    output: OutputTarget,
    *,
    default_files: Sequence[AddedFile] = (),
    options: WriterOptions,
    progress: Progress | None = None,
    warnings: Warnings,
) -> Report:
    """Pack layers into an image.

    Args:
        layers: Base first.
        output: A path, which appears whole or not at all, or a seekable binary file.
        default_files: Put where the merged tree has nothing.
        options: Every knob there is.
        progress: Called with (stage, done, total or None), or None.
        warnings: Collects what was noteworthy.

    Raises:
        InputError: A layer is malformed, the layers do not make a tree, or a limit is exceeded; there is no output.
        VerificationError: The image was to be verified, and is not what went in; there is no output.
        OSError: A file cannot be read, or the output not be written.
    """
    limit = options.limits.layer_count
    if len(layers) > limit:
        raise LimitError("the number of layers", len(layers), limit)
    with Output(output) as target, ImageWriter(target, options) as image, closing(Spool(target.folder)) as spool:
        packer = _Packer(image, spool, options, warnings, progress)
        started = time.perf_counter()
        packer.read_layers(layers)
        packer.put_defaults(default_files)
        packer.store_spooled()
        was_read = time.perf_counter()
        if progress is not None:
            progress("write", 0, None)
        summary = image.finish(packer.merge.root)
        was_written = time.perf_counter()
        packer.verification.verify(target, packer.merge.root)
        was_verified = time.perf_counter()
        target.keep()
        if progress is not None:
            progress("write", summary.inode_count, summary.inode_count)
        return Report(
            entries={kind.name.lower(): count for kind, count in summary.name_counts.items()},
            layers=len(layers),
            bytes_in=packer.bytes_in,
            bytes_unpacked=packer.bytes_unpacked,
            bytes_out=summary.size,
            duplicate_files=image.data.dedup.file_count,
            duplicate_bytes=image.data.dedup.size,
            hidden_files=packer.hidden_count,
            warnings=tuple(warnings.lines),
            warning_count=warnings.count,
            seconds={
                "read": was_read - started,
                "write": time.perf_counter() - was_read - (was_verified - was_written),
                **({"verify": was_verified - was_written} if options.verify else {}),
            },
        )


class _Packer:
    """The state of one call of `pack`."""

    def __init__(
        self,
        image: ImageWriter,
        spool: Spool,
        options: WriterOptions,
        warnings: Warnings,
        progress: Progress | None,
    ) -> None:
        self.merge = Merge(options, warnings)
        self.verification = Verification(options)
        self.bytes_in = 0
        self.bytes_unpacked = 0
        self.hidden_count = 0
        self._image = image
        self._spool = spool
        self._options = options
        self._limits = options.limits
        self._visibility = Visibility(options)
        self._progress = progress
        self._entry_count = 0
        self._content_size = 0

    def read_layers(self, layers: Sequence[OpenSource]) -> None:
        """Read each layer once, topmost first, and build the tree from the base up.

        The base is read last, so its entries go into the tree as they come; those of the others wait until then.
        """
        waiting: list[tuple[str, list[Entry], DuplicatePolicy | None]] = []
        for row in range(len(layers) - 1, -1, -1):
            with closing(layers[row]()) as source:
                if row:
                    spool_end = self._spool.end
                    entries = list(self._stored(source, self._is_dropped_by_name(set(), source)))
                    waiting.append((source.name, entries, source.duplicates))
                    self._cut_spool(entries, spool_end)
                    self._visibility.add_layer(entries)
                else:
                    self.merge.begin_layer(source=source.name, duplicates=source.duplicates)
                    put = self.merge.put
                    for entry in self._stored(source, self.merge.would_drop):
                        put(entry)
                    self.merge.end_layer()
                self.bytes_in += source.consumed_size
                self.bytes_unpacked += source.unpacked_size
        while waiting:
            name, entries, duplicates = waiting.pop()
            self.merge.begin_layer(source=name, entries=entries, duplicates=duplicates)
            for entry in entries:
                self.merge.put(entry)
            self.merge.end_layer()

    def _cut_spool(self, entries: Sequence[Entry], spool_end: int) -> None:
        """Give back the room of what a layer set aside, where none of it can be needed; that is nearly always."""
        if self._spool.end == spool_end:
            return
        needless = {id(entry) for entry in self._visibility.certainly_hidden(entries)}
        set_aside = [entry for entry in entries if isinstance(entry.data, Spooled)]
        if all(id(entry) in needless for entry in set_aside):
            self._spool.truncate(spool_end)
            for entry in set_aside:
                entry.data = None  # what asks for it after all is to fail loudly

    def put_defaults(self, files: Sequence[AddedFile]) -> None:
        """Put files where the tree has nothing."""
        for name, content, attributes in files:
            with closing(added_file(name, content, attributes, self._options)) as added:
                node = self.merge.put_default(added.entry)
                if node is not None:
                    read, watched = self.verification.watch(added.entry.size, added.read, None)
                    node.data = self._image.data.store(added.entry.size, read)
                    self.verification.note(node.data, watched)

    def store_spooled(self) -> None:
        """Store what was set aside and is in the tree after all, in the order in which it was read."""
        if not self._spool.end:
            return
        nodes = [node for node in _files(self.merge.root) if isinstance(node.data, Spooled)]
        nodes.sort(key=lambda node: cast(Spooled, node.data).start)
        for node in nodes:
            spooled = node.data
            if isinstance(spooled, Spooled):  # else a hard link of one stored in this loop
                self.hidden_count -= 1
                node.data = self._image.data.store(spooled.size, self._spool.reader(spooled), spooled.segments)
                self.verification.moved(spooled, node.data)

    def _stored(self, source: Source, is_dropped: Callable[[bytes], bool]) -> Iterator[Entry]:
        """Yield a layer's entries with their content stored, or set aside where it seems that nobody will see it."""
        store, is_hidden = self._image.data.store, self._visibility.hides
        watch, note = self.verification.watch, self.verification.note
        file, count_limit, size_limit = Kind.FILE, self._limits.entry_count, self._limits.total_size
        for entry in source if self._progress is None else self._watched(source, self._progress):
            self._entry_count += 1
            if self._entry_count > count_limit:
                raise LimitError("the number of entries", self._entry_count, count_limit, where=source.name)
            if entry.kind is file:
                size = entry.size
                self._content_size += size
                if self._content_size > size_limit:
                    raise LimitError("the layers' uncompressed size", self._content_size, size_limit, where=source.name)
                read, watched = watch(size, source.read, entry.segments)
                if size and (is_hidden(entry.path) or is_dropped(entry.path)):
                    self.hidden_count += 1
                    entry.data = self._spool.add(size, entry.stored_size, read, entry.segments)
                else:
                    entry.data = store(size, read, entry.segments)
                note(entry.data, watched)
            yield entry

    def _is_dropped_by_name(self, seen: set[bytes], source: Source) -> Callable[[bytes], bool]:
        """Make the test for a layer not in the tree yet: where first wins, a second file of a name seems dropped."""

        def is_dropped(path: bytes) -> bool:
            if path in seen:
                return True
            seen.add(path)
            return False

        policy = source.duplicates or self._options.duplicates
        return is_dropped if policy == "first" else lambda _path: False

    def _watched(self, source: Source, progress: Progress) -> Iterator[Entry]:
        """Pass a source's entries on, and tell how far it is, at every entry that took it a step further."""
        told = self.bytes_in
        for entry in source:
            done = self.bytes_in + source.consumed_size
            if done - told >= _PROGRESS_STEP:
                told = done
                total = source.total_size
                progress("read", done, None if total is None else self.bytes_in + total)
            yield entry
        done = self.bytes_in + source.consumed_size
        progress("read", done, done)


def _files(root: Node) -> Iterator[Node]:
    """Yield every node of a regular file, once for each of its names."""
    waiting = [root]
    while waiting:
        for node in waiting.pop().names.values():
            if node.children is not None:
                waiting.append(node)
            elif node.kind is Kind.FILE:
                yield node
