"""Reading: turns layers into one tree, through which every byte of every layer passes.

In: sources, base first. Out: the merged tree, each file's content stored, or set aside.
The way of a byte: a source yields an entry and its content, topmost layer first (`read`); `tree/visibility` says
whether an upper layer hides it (`_storing`); what is visible is stored at once, what is hidden but may still be linked
to, or is likely to be left out, goes to the spool; the entries then become one tree from the base up (`tree/merge`).
Rules kept here: each source is read once, to its end; entries and bytes are counted against the limits.
Not here: where content is stored (pack), what is hidden (tree/visibility), where an entry lands (tree/merge).
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from typing import NamedTuple

from pysquash.content.capture import KeptContents, Read, Store
from pysquash.content.digests import Verification
from pysquash.content.spool import Spool, Spooled
from pysquash.errors import LimitError
from pysquash.options.writer import DuplicatePolicy, WriterOptions
from pysquash.packing.entry_limits import EntryLimits
from pysquash.report import Progress
from pysquash.sources.base import Source
from pysquash.tree.entry import Entry, Kind
from pysquash.tree.merge import Merge
from pysquash.tree.patterns import Patterns
from pysquash.tree.visibility import Visibility
from pysquash.tree.whiteouts import is_aufs_link_target

__all__ = ["LayerReader", "OpenSource"]

OpenSource = Callable[[], Source]
"""Opens a layer when its turn comes."""

_PROGRESS_STEP = 1 << 20
_NOTHING = Patterns()


class _Waiting(NamedTuple):
    """A layer that was read, until those below it are."""

    name: str
    entries: list[Entry]
    duplicates: DuplicatePolicy | None


class LayerReader:
    """Layers being read.

    Attributes:
        merge: The tree as far as it is built.
        bytes_in: Bytes of the sources as they came.
        bytes_unpacked: The same after decompression.
        hidden_count: Files that were set aside.
    """

    def __init__(
        self,
        store: Store,
        spool: Spool,
        merge: Merge,
        options: WriterOptions,
        *,
        verification: Verification,
        progress: Progress | None = None,
        exclude: Patterns = _NOTHING,
        kept: KeptContents | None = None,
    ) -> None:
        """Start with nothing read.

        Args:
            store: Stores a file's content.
            spool: Takes the content of what seems not to be needed.
            merge: Builds the tree.
            options: Every knob there is.
            verification: Told of all content.
            progress: Called with ("read", done, total or None), or None.
            exclude: What is going to be left out of the tree, so that its content is set aside.
            kept: Takes the content that somebody must know.
        """
        self.merge = merge
        self.bytes_in = 0
        self.bytes_unpacked = 0
        self.hidden_count = 0
        self._store = store
        self._spool = spool
        self._options = options
        self._limits = options.limits
        self._verification = verification
        self._visibility = Visibility(options)
        self._progress = progress
        self._exclude = exclude
        self._kept = kept
        self._entry_limits = EntryLimits(options)
        self._entry_count = 0
        self._content_size = 0

    def read(
        self,
        layers: Sequence[OpenSource],
        over: OpenSource | None = None,
        between: Callable[[], None] = lambda: None,
    ) -> None:
        """Read each layer once, topmost first, and build the tree from the base up.

        The base is read last, so its entries go into the tree as they come; those of the others wait until then.

        Args:
            layers: Base first.
            over: One more, over all of these.
            between: Called before that one goes into the tree.
        """
        top = None if over is None else self._read_upper(over)
        waiting = [self._read_upper(layers[row]) for row in range(len(layers) - 1, 0, -1)]
        for open_base in layers[:1]:
            with closing(open_base()) as source:
                self.merge.begin_layer(source=source.name, duplicates=source.duplicates)
                put, stored, file = self.merge.put, self._storing(source), Kind.FILE
                for entry in self._counted(source):
                    node = put(entry)
                    if entry.kind is file:
                        if node is not None:
                            node.data = stored(entry)
                        else:
                            self._set_aside_unplaced(source, entry)
                self.merge.end_layer()
                self._count(source)
        while waiting:
            self._put(waiting.pop())
        between()
        if top is not None:
            self._put(top)

    def _set_aside_unplaced(self, source: Source, entry: Entry) -> None:
        """Keep the content of a base layer's file that has no place in the tree, if hard links may lead to it."""
        target = self.merge.link_target(entry)
        if target is not None:
            target.data = self._storing(source, is_aufs_link_target)(entry)
        elif entry.size:
            self.hidden_count += 1

    def _read_upper(self, open_source: OpenSource) -> _Waiting:
        """Read a layer that is not the base."""
        with closing(open_source()) as source:
            spool_end = self._spool.end
            is_needless = is_aufs_link_target if self._options.whiteouts == "apply" else None
            stored, entries = self._storing(source, is_needless, self._is_dropped_by_name(source)), []
            for entry in self._counted(source):
                if entry.kind is Kind.FILE:
                    entry.data = stored(entry)
                entries.append(entry)
            self._cut_spool(entries, spool_end)
            self._visibility.add_layer(entries)
            self._count(source)
            return _Waiting(source.name, entries, source.duplicates)

    def _put(self, layer: _Waiting) -> None:
        self.merge.begin_layer(source=layer.name, entries=layer.entries, duplicates=layer.duplicates)
        for entry in layer.entries:
            self.merge.put(entry)
        self.merge.end_layer()

    def _count(self, source: Source) -> None:
        self.bytes_in += source.consumed_size
        self.bytes_unpacked += source.unpacked_size
        # Each layer may unpack `ratio_free_size` bytes at any ratio, but not each of hundreds.
        what = "the layers' compression ratio"
        self._limits.check_ratio(what, self.bytes_unpacked, self.bytes_in, source=source.name)

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

    def _counted(self, source: Source) -> Iterator[Entry]:
        """Yield a layer's entries, as far as the limits allow."""
        file, count_limit, size_limit = Kind.FILE, self._limits.entry_count, self._limits.total_size
        safe_count, merge = count_limit - self._limits.implicit_directory_count, self.merge
        entry_count, content_size = self._entry_count, self._content_size
        for entry in source if self._progress is None else self._watched(source, self._progress):
            entry_count += 1
            if entry_count > safe_count and entry_count + merge.implicit_count > count_limit:
                count = entry_count + merge.implicit_count
                what = "the number of entries"
                raise LimitError(what, count, count_limit, where=source.name, name="entry_count")
            if entry.xattrs or entry.segments is not None:
                self._entry_limits.count(entry, source.name)
            if entry.kind is file:
                content_size += entry.size if entry.segments is None else self._entry_limits.content_size(entry)
                if content_size > size_limit:
                    what = "the layers' uncompressed size"
                    raise LimitError(what, content_size, size_limit, where=source.name, name="total_size")
            yield entry
        self._entry_count, self._content_size = entry_count, content_size

    def _storing(self, source: Source, *is_dropped: Callable[[bytes], bool] | None) -> Callable[[Entry], object]:
        """Make what stores the content of a source's file, or sets it aside where it seems that nobody will see it.

        Args:
            source: Gives the content.
            is_dropped: Each tells of a path whether it seems that the file will not be in the tree; or None.

        Returns:
            Takes a file's entry, and gives what stands for its content.
        """
        store, read_source, spool = self._store, source.read, self._spool
        asked = [
            self._visibility.hides if self._visibility.hides_anything else None,
            *is_dropped,
            self._exclude.may_reach if self._exclude else None,
        ]
        reasons = [each for each in asked if each is not None]  # none at all for most images: one layer, all of it

        def stored(entry: Entry, read: Read = read_source) -> object:
            size = entry.size
            if reasons and size:
                path = entry.path
                for is_reason in reasons:
                    if is_reason(path):
                        self.hidden_count += 1
                        return spool.add(size, entry.stored_size, read, entry.segments)
            return store(size, read, entry.segments)

        kept, verification = self._kept, self._verification
        if kept is None and not verification.is_wanted:
            return stored

        def watched(entry: Entry) -> object:
            read, digest = verification.watch(entry.size, read_source, entry.segments)
            taken = None if kept is None else kept.taken(entry, read)
            data = stored(entry, read if taken is None else io.BytesIO(taken).read)
            verification.note(data, digest)
            if kept is not None and taken is not None:
                kept.note(entry, data, taken)
            return data

        return watched

    def _is_dropped_by_name(self, source: Source) -> Callable[[bytes], bool] | None:
        """Make the test for a layer not in the tree yet: where first wins, a second file of a name seems dropped."""
        if (source.duplicates or self._options.duplicates) != "first":
            return None
        seen: set[bytes] = set()

        def is_dropped(path: bytes) -> bool:
            if path in seen:
                return True
            seen.add(path)
            return False

        return is_dropped

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
