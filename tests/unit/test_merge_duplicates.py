"""Names met twice in one layer, and hard links within it: tar-cases as one test for each row."""

from __future__ import annotations

from typing import get_args

import pytest

from pysquash.errors import MergeError
from pysquash.options import DuplicatePolicy, WriterOptions
from pysquash.tree.entry import Entry
from pysquash.tree.merge import Merge
from tests.layerbuild import device, directory, fifo, file, link, merged, symlink, whiteout

POLICIES: tuple[DuplicatePolicy, ...] = get_args(DuplicatePolicy)
BOTH: tuple[DuplicatePolicy, ...] = ("first", "last")
BELOW = [file("x/low", 0), file("y", 0)]

# --- the same name twice ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("base", [[], [BELOW]])
@pytest.mark.parametrize(("policy", "standing"), [("first", "file 1"), ("last", "file 2")])
def test_same_file_twice(base: list[list[Entry]], policy: DuplicatePolicy, standing: str) -> None:
    tree = merged(*base, [file("y", 1), file("y", 2)], duplicates=policy)
    assert tree.names["y"] == standing
    assert tree.warnings == [f"layer {len(base)}: y: more than one entry has this name; the {policy} one stands"]


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
    assert tree.warnings == [f"layer {len(base)}: /: more than one entry has this name; the {policy} one stands"]


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
        f"layer {len(base)}: x: one layer makes it a directory and something else; the last one stands"
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


def test_dropped_file_is_known_before_it_is_stored() -> None:
    merge = Merge(WriterOptions(duplicates="first"), lambda _line: None)
    merge.begin_layer(source="x")
    for entry in directory("d"), symlink("l", "d"), file("d/f", 1), link("k", "later"):
        merge.put(entry)
    dropped = {
        path for path in (b"d", b"d/f", b"l/f", b"l", b"k", b"d/g", b"new/f", b".wh.x") if merge.would_drop(path)
    }
    assert dropped == {b"d/f", b"l/f", b"l", b"k", b".wh.x"}
    assert merge.would_drop(b"d/f/below") is False  # which `put` refuses


@pytest.mark.parametrize("policy", ["last", "error"])
def test_nothing_is_dropped_where_the_last_stands(policy: DuplicatePolicy) -> None:
    merge = Merge(WriterOptions(duplicates=policy), lambda _line: None)
    merge.begin_layer(source="x")
    merge.put(file("f", 1))
    assert merge.would_drop(b"f") is False


def test_asking_about_a_marker_creates_no_directory() -> None:
    merge = Merge(WriterOptions(), lambda _line: None)
    merge.begin_layer(source="x")
    assert merge.would_drop(b"d/.wh.x") is True
    merge.put(whiteout("d/x"))
    merge.end_layer()
    assert merge.root.names == {}


# --- hard links within a layer ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", POLICIES)
def test_hard_link_to_an_earlier_entry_shares_its_inode_and_its_metadata(policy: DuplicatePolicy) -> None:
    other = link("b", "a")
    other.mode, other.uid = 0o777, 99
    tree = merged([file("a", 1, mode=0o600), other], duplicates=policy)
    assert tree["a"] is tree["b"]
    assert (tree["b"].mode, tree["b"].uid) == (0o600, 0)


@pytest.mark.parametrize("policy", POLICIES)
def test_hard_link_to_a_later_entry_is_resolved(policy: DuplicatePolicy) -> None:
    tree = merged([link("d/b", "a"), file("a", 1)], duplicates=policy)
    assert tree["a"] is tree["d/b"]
    assert not tree.warnings


@pytest.mark.parametrize("target", [file("t", 1), symlink("t", "no"), fifo("t"), device("t")])
@pytest.mark.parametrize("is_later", [False, True])
def test_hard_link_to_any_kind_but_a_directory(target: Entry, is_later: bool) -> None:
    layer = [target, link("a", "t")]
    tree = merged(layer[::-1] if is_later else layer)
    assert tree["a"] is tree["t"]
    assert tree["a"].kind is target.kind


@pytest.mark.parametrize("target", ["d", ""])
@pytest.mark.parametrize("is_later", [False, True])
@pytest.mark.parametrize("lenient", [False, True])
def test_hard_link_to_a_directory_is_an_error(target: str, is_later: bool, lenient: bool) -> None:
    layer = [directory("d"), link("a", target)]
    with pytest.raises(MergeError, match="a hard link to the directory") as caught:
        merged(layer[::-1] if is_later else layer, lenient=lenient)
    assert caught.value.path == b"a"


@pytest.mark.parametrize("target", ["no", "no/where", "f/below", "a", ".wh.f"])
def test_hard_link_to_nothing_is_an_error(target: str) -> None:
    with pytest.raises(MergeError, match=f"a: a hard link to {target}, which does not exist .layer 0"):
        merged([file("f", 1), link("a", target)])


def test_hard_link_to_nothing_can_be_dropped() -> None:
    tree = merged([file("f", 1), link("a", "no"), link("b", "a")], [], lenient=True)
    assert tree.names == {"": "directory", "f": "file 1"}
    assert tree.warnings == [
        "layer 0: a: a hard link to no, which does not exist; it is dropped",
        "layer 0: b: a hard link to a, which does not exist; it is dropped",
    ]


def test_dropped_hard_link_leaves_what_was_there() -> None:
    base = [file("a", 1), file("d/f", 2), symlink("l", "d")]
    tree = merged(base, [link("a", "no"), link("d", "no"), link("l", "no")], lenient=True)
    assert tree.names == merged(base).names
    tree = merged([file("a", 1), link("a", "no"), link("a", "nowhere")], lenient=True, duplicates="last")
    assert tree.names == {"": "directory", "a": "file 1"}


def test_chains_of_hard_links_lead_to_their_end() -> None:
    tree = merged([link("a", "b"), link("b", "c"), link("e", "a"), file("c", 1), link("f", "e")])
    assert tree["a"] is tree["b"] is tree["c"] is tree["e"] is tree["f"]


def test_long_chains_of_hard_links_take_their_time_once() -> None:
    count = 50_000  # in the worst order; what goes round and round would take minutes
    layer = [link(f"l{row}", f"l{row - 1}") for row in range(count, 0, -1)]
    tree = merged([*layer, file("l0", 1)])
    assert tree.merge.root.names[b"l%d" % count].data == 1


@pytest.mark.parametrize("targets", [["a"], ["b", "a"], ["b", "c", "b"]])
def test_hard_links_in_circles_are_an_error(targets: list[str]) -> None:
    layer = [link(name, target) for name, target in zip("abc", targets, strict=False)]
    with pytest.raises(MergeError, match="does not exist"):
        merged(layer)


def test_hard_links_targets_parents_are_followed_and_its_last_component_is_not() -> None:
    layer = [file("d/f", 1), symlink("l", "d"), symlink("d/s", "f"), link("a", "l/f"), link("b", "l/s")]
    tree = merged(layer)
    assert tree["a"] is tree["d/f"]
    assert tree["b"] is tree["d/s"]


def test_hard_link_keeps_the_inode_it_was_made_with() -> None:
    tree = merged([file("a", 1), link("b", "a"), file("a", 2)], duplicates="last")
    assert tree.names == {"": "directory", "a": "file 2", "b": "file 1"}


def test_hard_link_to_a_name_dropped_as_duplicate_leads_to_the_kept_one() -> None:
    tree = merged([file("a", 1), file("a", 2), link("b", "a")], duplicates="first")
    assert tree["a"] is tree["b"]
    assert tree.names["b"] == "file 1"


@pytest.mark.parametrize(("policy", "standing"), [("first", "file 1"), ("last", "file 2")])
def test_waiting_link_after_a_file_of_its_name(policy: DuplicatePolicy, standing: str) -> None:
    tree = merged([file("a", 1), link("a", "later"), file("later", 2)], duplicates=policy)
    assert tree.names["a"] == standing
    assert len(tree.warnings) == 1


@pytest.mark.parametrize(("policy", "standing"), [("first", "file 2"), ("last", "file 1")])
def test_waiting_link_before_a_file_of_its_name(policy: DuplicatePolicy, standing: str) -> None:
    tree = merged([link("a", "later"), file("a", 1), file("later", 2)], duplicates=policy)
    assert tree.names["a"] == standing
    assert len(tree.warnings) == 1


def test_waiting_link_that_is_replaced_must_lead_somewhere_all_the_same() -> None:
    with pytest.raises(MergeError, match="does not exist"):
        merged([link("a", "no"), file("a", 1)], duplicates="last")


def test_waiting_link_goes_with_its_directory() -> None:
    tree = merged([link("d/a", "later"), file("d", 1), file("later", 2)], duplicates="last")
    assert tree.names == {"": "directory", "d": "file 1", "later": "file 2"}


def test_hard_link_to_its_own_name_is_no_duplicate() -> None:
    assert merged([file("a", 1), link("a", "a")], duplicates="error").names == {"": "directory", "a": "file 1"}
    assert not merged([file("a", 1), link("b", "a"), link("b", "a")], duplicates="error").warnings
