"""Differences of a file system merge to the file system again, and what they hide is known while they are read."""

from __future__ import annotations

from collections.abc import Iterator

from hypothesis import given, settings
from hypothesis import strategies as st

from pysquash.options.writer import DuplicatePolicy, WriterOptions
from pysquash.tree.entry import Kind
from pysquash.tree.merge import Merge
from pysquash.tree.visibility import Visibility
from tests.layerbuild import Merged, put_layer
from tests.noticing import Recorder
from tests.property.layers import Item, Layers, entry_of
from tests.property.snapshots import History, Snapshot, histories


def merged(layers: Layers, duplicates: DuplicatePolicy) -> Merged:
    warnings = Recorder()
    merge = Merge(WriterOptions(duplicates=duplicates), warnings)
    for row, layer in enumerate(layers):
        put_layer(merge, [entry_of(item) for item in layer], source=f"layer {row}", is_base=row == 0)
    return Merged(merge, warnings)


@settings(max_examples=300, derandomize=True)
@given(histories(), st.sampled_from(["first", "last", "error"]))
def test_differences_merge_to_what_they_are_differences_of(history: History, duplicates: DuplicatePolicy) -> None:
    for count, snapshot in enumerate(history.snapshots, 1):
        tree = merged(history.layers[:count], duplicates)
        assert not tree.warnings
        nodes = {path: node for path, node in tree.nodes.items() if path}
        assert nodes.keys() == snapshot.keys()
        for path, node in nodes.items():
            thing = snapshot[path]
            assert node.kind.name.lower() == thing.kind
            assert (node.mtime, node.implied) == (1_600_000_000 + thing.serial, False)
            if thing.kind == "symlink":
                assert node.target.decode() == thing.target
            assert [other for other in nodes if nodes[other] is node] == [
                other for other in nodes if snapshot[other].serial == thing.serial
            ]


def read_downwards(history: History) -> Iterator[tuple[Item, bool, bool]]:
    """Give every file of all layers but the topmost: whether it seems hidden, and whether it is so for certain."""
    visibility = Visibility(WriterOptions())
    for row in range(len(history.layers) - 1, -1, -1):
        entries = [entry_of(item) for item in history.layers[row]]
        certain = {entry.path for entry in visibility.certainly_hidden(entries)}
        for item, entry in zip(history.layers[row], entries, strict=True):
            if item.kind == "file" and row < len(history.layers) - 1:
                assert entry.kind is Kind.FILE
                yield item, visibility.hides(entry.path), entry.path in certain
        visibility.add_layer(entries)


def is_visible(item: Item, snapshot: Snapshot) -> bool:
    return item.path in snapshot and snapshot[item.path].serial == item.serial


@settings(max_examples=300, derandomize=True)
@given(histories())
def test_hidden_files_are_recognised_and_no_others(history: History) -> None:
    linked = {item.target.rpartition("/")[2] for layer in history.layers for item in layer if item.kind == "link"}
    for item, seems_hidden, is_hidden in read_downwards(history):
        assert seems_hidden is not is_visible(item, history.snapshots[-1])
        if history.lists_parents and item.path.rpartition("/")[2] not in linked:
            has_symlinks = any(other.kind == "symlink" for layer in history.layers for other in layer)
            assert is_hidden is seems_hidden or has_symlinks
        assert seems_hidden or not is_hidden
