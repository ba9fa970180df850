"""Packing: turns layers into an image, from the first layer that is read to the name that the image gets.

In: sources, base first, and what is to be done to their tree. Out: an image, and a report.
The way of a byte: `reading` merges the layers into one tree and stores what is seen of them in the image's data area
(`writer/data`); the steps of `Changes` change that tree; what was set aside and is needed after all is stored; and
`writer/envelope` writes inodes, directories and tables behind the data.
Not here: what callers may pass (api), each step (vm).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial

from pysquash.content.capture import KeptContents
from pysquash.content.data_order import files, setting_aside, store_spooled
from pysquash.content.digests import Verification
from pysquash.content.spool import Spool, Spooled
from pysquash.edits.merged_tree import MergedTree, Step
from pysquash.errors import LimitError
from pysquash.notices import WarningKind, Warnings
from pysquash.options.writer import WriterOptions
from pysquash.packing.layer_reader import LayerReader, OpenSource
from pysquash.report import Progress, Report
from pysquash.tree.entry import Kind
from pysquash.tree.merge import Merge
from pysquash.tree.patterns import Patterns
from pysquash.writer.image import ImageWriter
from pysquash.writer.output import Output

__all__ = ["Changes", "OpenSource", "pack"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What is done to the tree of all layers before it is written, in this order.

    Attributes:
        exclude: What is left out of it.
        on_sources: Steps on what is left.
        over: One more layer, over that.
        on_tree: Steps on all of it.
        kept_names: How the names of files end whose content a step asks for.
    """

    exclude: Patterns = field(default_factory=Patterns)
    on_sources: Sequence[Step] = ()
    over: OpenSource | None = None
    on_tree: Sequence[Step] = ()
    kept_names: tuple[bytes, ...] = ()


_NO_CHANGES = Changes()


def pack(
    layers: Sequence[OpenSource],
    target: Output,
    *,
    changes: Changes = _NO_CHANGES,
    options: WriterOptions,
    progress: Progress | None = None,
    warnings: Warnings,
) -> Report:
    """Pack layers into an image.

    Args:
        layers: Base first.
        target: Where to, open; it is kept when the image is whole, and discarding it otherwise is the caller's.
        changes: What is done to their tree.
        options: Every knob there is.
        progress: Called with (stage, done, total or None), or None.
        warnings: Collects what was noteworthy.

    Raises:
        InputError: A layer is malformed, the layers do not make a tree, or a limit is exceeded.
        VerificationError: The image was to be verified, and is not what went in.
        OSError: A file cannot be read, or the output not be written.
    """
    layer_count, limit = len(layers) + (changes.over is not None), options.limits.layer_count
    if layer_count > limit:
        raise LimitError("the number of layers", layer_count, limit, name="layer_count")
    with ImageWriter(target, options) as image, closing(Spool(target.folder)) as spool:
        started = time.perf_counter()
        verification = Verification(options)
        kept = KeptContents(changes.kept_names) if changes.kept_names else None
        store = setting_aside(image.data.store, spool, options)
        tree = MergedTree(Merge(options, warnings), store, verification, options, warnings, kept)
        reader = LayerReader(
            store,
            spool,
            tree.merge,
            options,
            verification=verification,
            progress=progress,
            exclude=changes.exclude,
            kept=kept,
        )
        reader.read(layers, changes.over, partial(_change_sources, tree, changes))
        for step in changes.on_tree:
            step(tree)
        needed_count = store_spooled(tree.root, image.data.store, spool, options, verification)
        was_read = time.perf_counter()
        if progress is not None:
            progress("write", 0, None)
        summary = image.finish(tree.root, time=tree.image_time)
        if summary.has_invalid_owner:
            from pysquash.edits.invalid_owners import report_invalid_owners  # noqa: PLC0415 - hardly any image has one

            report_invalid_owners(tree.root, options, warnings)
        was_written = time.perf_counter()
        verification.verify(target, tree.root)
        was_verified = time.perf_counter()
        target.keep()
        if progress is not None:
            progress("write", summary.inode_count, summary.inode_count)
        return Report(
            entries={kind.name.lower(): count for kind, count in summary.name_counts.items()},
            layers=layer_count,
            bytes_in=reader.bytes_in,
            bytes_unpacked=reader.bytes_unpacked,
            bytes_out=summary.size,
            duplicate_files=image.data.dedup.file_count,
            duplicate_bytes=image.data.dedup.size,
            hidden_files=reader.hidden_count - needed_count,
            warnings=warnings.groups(),
            seconds={
                "read": was_read - started,
                "write": time.perf_counter() - was_read - (was_verified - was_written),
                **({"verify": was_verified - was_written} if options.verify else {}),
            },
        )


def _change_sources(tree: MergedTree, changes: Changes) -> None:
    """Do what is to be done before anything goes over the sources."""
    if changes.exclude:
        _leave_out(tree, changes.exclude)
    for step in changes.on_sources:
        step(tree)


def _leave_out(tree: MergedTree, exclude: Patterns) -> None:
    """Take out of the tree what is to be left out; and say so where that cannot take the content out of the image.

    What may be left out was set aside, except where a symlink led there under a name that said nothing of it.
    """
    removed = tree.merge.remove(exclude.match)
    stored = [(path, node) for path, node in removed if node.kind is Kind.FILE and not isinstance(node.data, Spooled)]
    needed = {id(node.data) for node in files(tree.root)} if stored else set()
    for path, node in stored:
        if id(node.data) not in needed and tree.has_content(node):
            text = "is left out, but a symlink led to it, so that its content is in the image, where nothing leads"
            tree.warn(WarningKind.EXCLUDED_CONTENT_KEPT, text, path=path)
