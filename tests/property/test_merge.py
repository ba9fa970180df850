"""The merge equals the model that applies layers from the base up, and keeps what it needs of every layer."""

from __future__ import annotations

import random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pysquash.errors import MergeError
from pysquash.options.writer import DuplicatePolicy, WriterOptions
from pysquash.tree.entry import Kind
from pysquash.tree.merge import Merge
from pysquash.tree.node import Node
from pysquash.tree.visibility import Visibility
from tests.layerbuild import Merged, put_layer
from tests.noticing import Recorder
from tests.property.layers import Inode, Item, Layers, ModelError, apply_layers, entry_of, layers, random_layers

OPTIONS = st.builds(
    WriterOptions,
    duplicates=st.sampled_from(["first", "last", "last", "error"]),
    parent_symlinks=st.sampled_from(["follow", "follow", "follow", "replace", "error"]),
    lenient=st.booleans(),
)


def random_options(seed: int) -> WriterOptions:
    choose = random.Random(seed).choice
    return WriterOptions(
        duplicates=choose(["first", "last", "last", "error"]),
        parent_symlinks=choose(["follow", "follow", "follow", "replace", "error"]),
        lenient=choose([True, False]),
    )


def options(duplicates: DuplicatePolicy = "last") -> WriterOptions:
    return WriterOptions(duplicates=duplicates)


def merged(drawn: Layers, options: WriterOptions) -> Merged:
    warnings = Recorder()
    merge = Merge(options, warnings)
    for row, layer in enumerate(drawn):
        put_layer(merge, [entry_of(item) for item in layer], source=f"layer {row}", is_base=row == 0)
    return Merged(merge, warnings)


def described(places: dict[str, Node] | dict[str, Inode]) -> dict[str, object]:
    """What is where, with inodes as the set of their places."""
    groups: dict[int, list[str]] = {}
    for place, inode in places.items():
        groups.setdefault(id(inode), []).append(place)
    return {place: (sorted(groups[id(inode)]), attributes(inode)) for place, inode in places.items()}


def attributes(inode: Node | Inode) -> tuple[object, ...]:
    if isinstance(inode, Node):
        owner = None if inode.implied else inode.uid
        content = inode.data if inode.kind is Kind.FILE else None
        return inode.kind.name.lower(), owner, inode.mode, inode.mtime, inode.target, content
    if inode.item is None:
        return "directory", None, 0o755, 0, b"", None
    item = inode.item
    target = item.target.encode() if inode.kind == "symlink" else b""
    return inode.kind, item.uid, item.mode, item.mtime, target, item.serial if inode.kind == "file" else None


def wanted(drawn: Layers, options: WriterOptions) -> dict[str, object] | None:
    """What the model says, None for an error."""
    try:
        model = apply_layers(
            drawn, duplicates=options.duplicates, parent_symlinks=options.parent_symlinks, lenient=options.lenient
        )
    except ModelError:
        return None
    return described({"/".join(place): inode for place, inode in model.items()})


def got(drawn: Layers, options: WriterOptions) -> dict[str, object] | None:
    try:
        return described(merged(drawn, options).nodes)
    except MergeError:
        return None


FILE_THEN_LINKED_AND_REPLACED = [[Item("file", "a", 1), Item("link", "b", 2, "a"), Item("file", "a", 3)]]
MOVED_BY_A_SYMLINK = [
    [Item("symlink", "a", 1, "b")],
    [Item("file", "a/c", 2)],
    [Item("directory", "a", 3)],
    [Item("file", "a/c", 4)],
]
FORWARD_LINK = [[Item("link", "a", 1, "b"), Item("link", "b", 2, "c"), Item("file", "c", 3)]]
FORWARD_LINK_OVER_A_FILE = [[Item("file", "a", 1), Item("link", "a", 2, "b"), Item("file", "b", 3)]]
CIRCLE = [[Item("symlink", "a", 1, "b"), Item("symlink", "b", 2, "a"), Item("file", "a/c", 3)]]
WHITEOUT_THROUGH_A_SYMLINK = [
    [Item("file", "a/b", 1), Item("symlink", "lib", 2, "a")],
    [Item("whiteout", "lib/b", 3)],
]
OPAQUE_IN_A_SYMLINKS_PLACE = [
    [Item("file", "a/b", 1), Item("symlink", "lib", 2, "a")],
    [Item("directory", "lib", 3), Item("opaque", "lib", 4)],
]
LINK_TO_WHAT_IS_HIDDEN = [[Item("file", "a", 1)], [Item("link", "b", 2, "a"), Item("whiteout", "a", 3)]]
# In the second layer a/ is a directory and then, by another path, a symlink: what follows lands in b.
MOVED_BY_AN_ALIAS = [
    [Item("symlink", "lib", 1, ".")],
    [Item("directory", "a", 2), Item("symlink", "lib/a", 3, "b"), Item("file", "a/c", 4)],
    [Item("directory", "a", 5)],
    [Item("file", "a/c", 6)],
]
LINKED_BY_AN_ALIAS = [
    [Item("symlink", "lib", 1, "a")],
    [Item("directory", "a", 2), Item("file", "a/c", 3)],
    [Item("link", "b", 4, "lib/c"), Item("whiteout", "a/c", 5)],
]


@settings(max_examples=400, derandomize=True)
@given(layers(), OPTIONS)
@example(FILE_THEN_LINKED_AND_REPLACED, options("last"))
@example(FILE_THEN_LINKED_AND_REPLACED, options("first"))
@example(MOVED_BY_A_SYMLINK, options())
@example(MOVED_BY_AN_ALIAS, options())
@example(FORWARD_LINK, options("first"))
@example(FORWARD_LINK_OVER_A_FILE, options("first"))
@example(CIRCLE, options())
@example(WHITEOUT_THROUGH_A_SYMLINK, options())
@example(OPAQUE_IN_A_SYMLINKS_PLACE, options())
@example(LINK_TO_WHAT_IS_HIDDEN, options())
def test_merge_equals_the_model(drawn: Layers, options: WriterOptions) -> None:
    assert got(drawn, options) == wanted(drawn, options)


@pytest.mark.parametrize("part", range(4))
def test_merge_equals_the_model_on_many_layers(part: int) -> None:
    outcomes = {True: 0, False: 0}
    for seed in range(part * 5000, (part + 1) * 5000):
        drawn, options = random_layers(seed), random_options(seed)
        tree = got(drawn, options)
        assert tree == wanted(drawn, options), f"random_layers({seed}), random_options({seed})"
        outcomes[tree is None] += 1
    assert min(outcomes.values()) > 1000


def hidden_for_certain(drawn: Layers, options: WriterOptions) -> set[object]:
    """The data of all files that are called hidden for certain while layers are read, topmost first."""
    visibility = Visibility(options)
    hidden = set()
    for layer in reversed(drawn):
        entries = [entry_of(item) for item in layer]
        hidden |= {entry.data for entry in visibility.certainly_hidden(entries)}
        visibility.add_layer(entries)
    return hidden - {None}


def needed(drawn: Layers, options: WriterOptions) -> set[object]:
    try:
        return {node.data for node in merged(drawn, options).nodes.values()}
    except MergeError:
        return set()


@settings(max_examples=400, derandomize=True)
@given(layers(), OPTIONS)
@example(MOVED_BY_A_SYMLINK, options())
@example(MOVED_BY_AN_ALIAS, options())
@example(LINKED_BY_AN_ALIAS, options())
@example(LINK_TO_WHAT_IS_HIDDEN, options())
def test_nothing_is_hidden_for_certain_that_the_tree_needs(drawn: Layers, options: WriterOptions) -> None:
    assert not hidden_for_certain(drawn, options) & needed(drawn, options)


def test_nothing_is_hidden_for_certain_that_the_tree_needs_in_many_layers() -> None:
    count = 0
    for seed in range(20_000):
        drawn, options = random_layers(seed), random_options(seed)
        hidden = hidden_for_certain(drawn, options)
        assert not hidden & needed(drawn, options), f"random_layers({seed}), random_options({seed})"
        count += len(hidden)
    assert count > 1000
