"""Packing: turns layers into an image. The one place through which every byte of every layer passes.

In: sources, base first. Out: an image, and a report.
The way of a byte: a source yields an entry and its content, topmost layer first (`_read_layer`); `tree/visibility` says
whether an upper layer hides it (`_keep`); what is visible goes to `writer/data` at once, what is hidden but may still be
linked to goes to the spool; the entries then become one tree from the base up (`tree/merge`); and `writer/image` writes
inodes, directories and tables behind the data.
Rules kept here: each source is read once, to its end; entries, layers and bytes are counted against the limits.
Not here: what callers may pass (api), what is hidden (tree/visibility), where an entry lands (tree/merge).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing

from pysquash.errors import LimitError
from pysquash.options import WriterOptions
from pysquash.report import Progress, Report, Warnings
from pysquash.sources.base import Source
from pysquash.sources.files import AddedFile, added_file
from pysquash.spool import Spool, Spooled
from pysquash.tree.entry import Entry, Kind
from pysquash.tree.merge import Merge
from pysquash.tree.node import Node
from pysquash.tree.visibility import Verdict, Visibility
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
        OSError: A file cannot be read, or the output not be written.
    """
    limit = options.limits.layer_count
    if len(layers) > limit:
        raise LimitError("the number of layers", len(layers), limit)
    with Output(output) as target, ImageWriter(target, options) as image, closing(Spool()) as spool:
        packer = _Packer(image, spool, options, warnings, progress)
        started = time.perf_counter()
        packer.read_layers(layers)
        packer.add_defaults(default_files)
        packer.store_spooled()
        was_read = time.perf_counter()
        if progress is not None:
            progress("write", 0, None)
        summary = image.finish(packer.merge.root)
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
            seconds={"read": was_read - started, "write": time.perf_counter() - was_read},
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
        self.bytes_in = 0
        self.bytes_unpacked = 0
        self.hidden_count = 0
        self._store = image.data.store
        self._spool = spool
        self._limits = options.limits
        self._visibility = Visibility(options)
        self._progress = progress
        self._entry_count = 0
        self._content_size = 0

    def read_layers(self, layers: Sequence[OpenSource]) -> None:
        """Read each layer once, topmost first, and build the tree from the base up.

        The base is read last, so its entries go into the tree as they come; those of the others wait until then.
        """
        waiting: list[tuple[str, list[Entry]]] = []
        for row in range(len(layers) - 1, -1, -1):
            with closing(layers[row]()) as source:
                entries = self._read_layer(source, is_base=row == 0, is_only=len(layers) == 1)
                if row:
                    waiting.append((source.name, list(entries)))
                else:
                    self.merge.apply(entries, source=source.name)
                self.bytes_in += source.consumed_size
                self.bytes_unpacked += source.unpacked_size
        while waiting:
            name, logged = waiting.pop()
            self.merge.apply(logged, source=name)

    def _read_layer(self, source: Source, *, is_base: bool, is_only: bool) -> Iterator[Entry]:
        """Yield a layer's entries with their content stored, spooled or skipped."""
        store, read, kind_file = self._store, source.read, Kind.FILE
        keep = None if is_only else self._keep
        count_limit = self._limits.entry_count
        for entry in self._counted(source) if self._progress is not None else source:
            self._entry_count += 1
            if self._entry_count > count_limit:
                raise LimitError("the number of entries", self._entry_count, count_limit, where=source.name)
            if entry.kind is kind_file:
                self._content_size += entry.size
                if self._content_size > self._limits.total_size:
                    raise LimitError("uncompressed bytes", self._content_size, self._limits.total_size)
                if keep is None:
                    entry.data = store(entry.size, read, entry.segments)
            yield entry
