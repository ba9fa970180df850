"""The merge equals the model that applies layers from the base up, and the image equals the merge."""

from __future__ import annotations

from hypothesis import example, given, settings
from hypothesis import strategies as st

from pysquash.errors import MergeError
from pysquash.options import DuplicatePolicy, WriterOptions
from pysquash.tree.entry import Entry, Kind
from pysquash.tree.merge import Merge
from pysquash.tree.node import Node
from tests.property.layers import Inode, Item, Layers, ModelError, apply_layers, layers

KINDS = {
    "directory": Kind.DIRECTORY,
    "file": Kind.FILE,
    "symlink": Kind.SYMLINK,
    "link": Kind.HARD_LINK,
    "fifo": Kind.FIFO,
    "whiteout": Kind.FILE,
    "opaque": Kind.FILE,
}


def entry_of(item: Item) -> Entry:
    parent, _, name = item.path.rpartition("/")
    path = item.path
    if item.kind == "whiteout":
        path = f"{parent}/.wh.{name}" if parent else f".wh.{name}"
    elif item.kind == "opaque":
        path = f"{item.path}/.wh..wh..opq" if item.path else ".wh..wh..opq"
    return Entry(
        path.encode(),
        KINDS[item.kind],
        item.mode,
        item.uid,
        item.uid,
        item.mtime,
        target=item.target.encode(),
        data=item.serial if item.kind == "file" else None,
    )


def merged(drawn: Layers, duplicates: DuplicatePolicy) -> Node:
    merge = Merge(WriterOptions(duplicates=duplicates), warn=lambda _line: None)
    for row, layer in enumerate(drawn):
        entries = [entry_of(item) for item in layer]
        merge.begin_layer(source=f"layer {row}", entries=entries if row else None)
        for entry in entries:
            merge.put(entry)
        merge.end_layer()
    return merge.root


def flat(node: Node, place: tuple[str, ...] = ()) -> dict[tuple[str, ...], Node]:
    found = {place: node}
    for name, child in (node.children or {}).items():
        found.update(flat(child, (*place, name.decode())))
    return found


def described(places: dict[tuple[str, ...], Node] | dict[tuple[str, ...], Inode]) -> dict[tuple[str, ...], object]:
    """What is where, with inodes as the set of their places."""
    groups: dict[int, list[tuple[str, ...]]] = {}
    for place, inode in places.items():
        groups.setdefault(id(inode), []).append(place)
    return {place: (sorted(groups[id(inode)]), attributes(inode)) for place, inode in places.items()}


def attributes(inode: Node | Inode) -> tuple[object, ...]:
    if isinstance(inode, Node):
        owner = None if inode.implied else inode.uid
        return inode.kind.name.lower(), owner, inode.mode, inode.mtime, inode.target, inode.data
    if inode.item is None:
        return "directory", None, 0o755, 0, b"", None
    item = inode.item
    target = item.target.encode() if inode.kind == "symlink" else b""
    return inode.kind, item.uid, item.mode, item.mtime, target, item.serial if inode.kind == "file" else None


FILE_THEN_LINKED_AND_REPLACED = [[Item("file", "a", 1), Item("link", "b", 2, "a"), Item("file", "a", 3)]]
MOVED_BY_A_SYMLINK = [
    [Item("symlink", "a", 1, "b")],
    [Item("file", "a/c", 2)],
    [Item("directory", "a", 3)],
    [Item("file", "a/c", 4)],
]
FORWARD_LINK = [[Item("link", "a", 1, "b"), Item("link", "b", 2, "c"), Item("file", "c", 3)]]
CIRCLE = [[Item("symlink", "a", 1, "b"), Item("symlink", "b", 2, "a"), Item("file", "a/c", 3)]]

WHITEOUT_THROUGH_A_SYMLINK = [[Item("file", "a/c", 1), Item("symlink", "b", 2, "a")], [Item("whiteout", "b/c", 3)]]
OPAQUE_THROUGH_A_SYMLINK = [[Item("file", "a/c", 1), Item("symlink", "b", 2, "a")], [Item("opaque", "b", 3)]]


@given(layers(), st.sampled_from(["first", "last", "error"]))
@settings(max_examples=1500, deadline=None)
@example(FILE_THEN_LINKED_AND_REPLACED, "last")
@example(FILE_THEN_LINKED_AND_REPLACED, "first")
@example(MOVED_BY_A_SYMLINK, "last")
@example(FORWARD_LINK, "first")
@example(CIRCLE, "last")
@example(WHITEOUT_THROUGH_A_SYMLINK, "last")
@example(OPAQUE_THROUGH_A_SYMLINK, "last")
def test_merge_equals_the_model(drawn: Layers, duplicates: DuplicatePolicy) -> None:
    try:
        wanted = apply_layers(drawn, duplicates=duplicates)
    except ModelError:
        try:
            root = merged(drawn, duplicates)
        except MergeError:
            return
        raise AssertionError(f"no error, but {described(flat(root))}") from None
    assert described(flat(merged(drawn, duplicates))) == described(wanted)
