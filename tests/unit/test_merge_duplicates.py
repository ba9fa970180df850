"""Names met twice in one layer, and hard links within it: tar-cases as one test for each row."""

from __future__ import annotations

from typing import get_args

import pytest

from pysquash.errors import MergeError
from pysquash.options.writer import DuplicatePolicy, WriterOptions
from pysquash.tree.entry import Entry
from pysquash.tree.merge import Merge
from tests.layerbuild import device, directory, fifo, file, link, merged, symlink, whiteout

POLICIES: tuple[DuplicatePolicy, ...] = get_args(DuplicatePolicy)
BOTH: tuple[DuplicatePolicy, ...] = ("first", "last")
TWICE = {
    "first": "more than one entry has this name; "
    "the first entry wins, extraction would keep the last (option duplicates)",
    "last": "more than one entry has this name; the last entry wins",
}
BELOW = [file("x/low", 0), file("y", 0)]

# --- the same name twice ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("base", [[], [BELOW]])
@pytest.mark.parametrize(("policy", "standing"), [("first", "file 1"), ("last", "file 2")])
def test_same_file_twice(base: list[list[Entry]], policy: DuplicatePolicy, standing: str) -> None:
    tree = merged(*base, [file("y", 1), file("y", 2)], duplicates=policy)
    assert tree.names["y"] == standing
    assert tree.warnings == [f"layer {len(base)}: y: {TWICE[policy]}"]


@pytest.mark.parametrize("base", [[], [BELOW]])
@pytest.mark.parametrize(("policy", "mode"), [("first", 0o700), ("last", 0o711)])
def test_same_directory_twice(base: list[list[Entry]], policy: DuplicatePolicy, mode: int) -> None:
    tree = merged(*base, [directory("x", 0o700), file("x/f", 1), directory("x", 0o711)], duplicates=policy)
    assert tree["x"].mode == mode
    assert tree.names["x/f"] == "file 1"
    assert len(tree.warnings) == 1


@pytest.mark.parametrize("base", [[], [BELOW]])
@pytest.mark.parametrize(("policy", "mode"), [("first", 0o700), ("last", 0o711)])
def test_root_twice(base: list[list[Entry]], policy: DuplicatePolicy, mode: int) -> None:
    tree = merged(*base, [directory("", 0o700), directory("", 0o711)], duplicates=policy)
    assert tree[""].mode == mode
    assert tree.warnings == [f"layer {len(base)}: /: {TWICE[policy]}"]


@pytest.mark.parametrize("policy", BOTH)
@pytest.mark.parametrize("pair", [(file("y", 1), symlink("y", "t")), (symlink("y", "t"), fifo("y"))])
def test_two_kinds_of_one_name_that_are_no_directories(policy: DuplicatePolicy, pair: tuple[Entry, Entry]) -> None:
    tree = merged(list(pair), duplicates=policy)
    assert tree["y"].kind is pair[policy == "last"].kind


@pytest.mark.parametrize("base", [[], [BELOW]])
@pytest.mark.parametrize(
    "pair",
    [
        [file("x", 1), file("x", 2)],
        [directory("x"), directory("x")],
        [directory(""), directory("")],
        [directory("x"), file("x", 2)],
        [file("x", 1), directory("x")],
        [file("x/f", 1), file("x", 2)],
        [file("x", 1), link("x", "y")],
        [link("x", "later"), file("x", 1), file("later", 2)],
        [file("x", 1), link("x", "later"), file("later", 2)],
    ],
)
def test_twice_can_be_an_error(base: list[list[Entry]], pair: list[Entry]) -> None:
    with pytest.raises(MergeError, match="more than one entry has this name|a directory and something else"):
        merged(*base, [file("y", 3), *pair], duplicates="error")
    with pytest.raises(MergeError, match="more than one entry has this name|a directory and something else"):
        merged(*base, [file("y", 3), *pair], strict=True)


@pytest.mark.parametrize("policy", POLICIES)
def test_name_of_a_lower_layer_is_no_duplicate(policy: DuplicatePolicy) -> None:
    tree = merged([file("a", 1), directory("d")], [file("a", 2), directory("d")], duplicates=policy)
    assert tree.names["a"] == "file 2"
    assert not tree.warnings


@pytest.mark.parametrize("policy", POLICIES)
def test_name_hidden_in_its_own_layer_is_no_duplicate(policy: DuplicatePolicy) -> None:
    assert not merged([file("a", 1)], [file("a", 2), whiteout("a")], duplicates=policy).warnings


@pytest.mark.parametrize("policy", POLICIES)
def test_same_name_by_another_path_is_a_duplicate(policy: DuplicatePolicy) -> None:
    layer = [directory("d"), symlink("l", "d"), file("d/f", 1), file("l/f", 2)]
    if policy == "error":
        with pytest.raises(MergeError, match="l/f: more than one entry"):
            merged(layer, duplicates=policy)
    else:
        assert merged(layer, duplicates=policy).names["d/f"] == {"first": "file 1", "last": "file 2"}[policy]


@pytest.mark.parametrize("policy", BOTH)
def test_layer_may_have_its_own_policy(policy: DuplicatePolicy) -> None:
    merge = Merge(WriterOptions(duplicates="error"), lambda _line: None)
    merge.begin_layer(source="x", duplicates=policy)
    for entry in file("a", 1), file("a", 2):
        merge.put(entry)
    merge.end_layer()
    assert merge.root.names[b"a"].data == {"first": 1, "last": 2}[policy]


# --- a directory and something else ----------------------------------------------------------------------------------


@pytest.mark.parametrize("base", [[], [[file("z", 0)]], [BELOW]])
@pytest.mark.parametrize("policy", BOTH)
@pytest.mark.parametrize("other", [file("x", 2), symlink("x", "y"), fifo("x"), device("x"), link("x", "y")])
def test_directory_then_something_else_is_replaced(
    base: list[list[Entry]], policy: DuplicatePolicy, other: Entry
) -> None:
    tree = merged(*base, [file("y", 3), directory("x"), file("x/f", 1), other], duplicates=policy)
    assert tree["x"].children is None
    assert "x/f" not in tree.names
    assert tree.warnings == [
        f"layer {len(base)}: x: one layer makes it a directory and something else; the last entry wins"
    ]


@pytest.mark.parametrize("base", [[], [[file("z", 0)]], [BELOW]])
@pytest.mark.parametrize("policy", BOTH)
@pytest.mark.parametrize("other", [file("x", 2), symlink("x", "y"), fifo("x"), link("x", "y"), link("x", "later")])
def test_something_else_then_a_directory_is_replaced(
    base: list[list[Entry]], policy: DuplicatePolicy, other: Entry
) -> None:
    layer = [file("y", 3), other, directory("x"), file("x/f", 1), file("later", 4)]
    tree = merged(*base, layer, duplicates=policy)
    assert tree.names["x"] == "directory"
    assert tree.names["x/f"] == "file 1"
    assert tree.names["y"] == "file 3"
    assert len(tree.warnings) == 1


@pytest.mark.parametrize("base", [[], [[file("z", 0)]], [[file("x/d/low", 0)]], [[directory("x")]]])
@pytest.mark.parametrize("policy", BOTH)
def test_undescribed_directory_then_a_file_is_replaced_and_told(
    base: list[list[Entry]], policy: DuplicatePolicy
) -> None:
    tree = merged(*base, [file("x/d/f", 1), file("x", 2)], duplicates=policy)
    assert tree.names["x"] == "file 2"
    assert len(tree.warnings) == 1


def test_lower_layers_directory_then_a_file_is_no_duplicate() -> None:
    assert not merged([file("x/f", 1)], [file("x", 2)], duplicates="error").warnings


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("base", [[], [BELOW]])
@pytest.mark.parametrize("parent", [file("x", 1), fifo("x"), device("x"), link("x", "y"), link("x", "later")])
def test_child_under_a_file_of_its_layer_is_an_error(
    policy: DuplicatePolicy, base: list[list[Entry]], parent: Entry
) -> None:
    with pytest.raises(MergeError, match=r"x/d/f: x must be a directory, but is a ") as caught:
        merged(*base, [file("y", 1), parent, file("x/d/f", 2), file("later", 3)], duplicates=policy)
    assert caught.value.path == b"x/d/f"


def test_child_under_a_file_by_another_path_names_both() -> None:
    layer = [directory("d"), symlink("l", "d"), file("d/f", 1), file("l/f/g", 2)]
    with pytest.raises(MergeError, match="l/f/g: d/f must be a directory, but is a file"):
        merged(layer)


# --- what is not stored ----------------------------------------------------------------------------------------------


def test_put_tells_what_stands() -> None:
    merge = Merge(WriterOptions(duplicates="first"), lambda _line: None)
    merge.begin_layer(source="x")
    entries = [
        directory("d"),
        symlink("l", "d"),
        file("d/f", 1),
        link("k", "later"),
        file("made", 1),
        *(file(path, 2) for path in ("d/f", "l/f", "l", "k", "d/g", "new/f", ".wh.x")),
        directory("d"),
    ]
    nodes = [merge.put(entry) for entry in entries]
    assert [node is not None for node in nodes] == [True, True, True, False, True] + [False] * 4 + [True, True] + [
        False
    ] * 2


@pytest.mark.parametrize("policy", ["last", "error"])
def test_put_makes_a_node_where_the_name_is_free(policy: DuplicatePolicy) -> None:
    merge = Merge(WriterOptions(duplicates=policy), lambda _line: None)
    merge.begin_layer(source="x")
    assert merge.put(file("f", 1)) is merge.root.names[b"f"]
