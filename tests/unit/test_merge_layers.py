"""One layer over another: the rules of the image specification, one test for each."""

from __future__ import annotations

import pytest

from pysquash.errors import MergeError
from pysquash.tree.entry import Entry, Kind
from tests.layerbuild import device, directory, fifo, file, link, merged, opaque, symlink, whiteout

# --- an entry over an entry ------------------------------------------------------------------------------------------


def test_directory_over_directory_takes_the_new_attributes_and_keeps_the_children() -> None:
    below = [directory("d", 0o700, uid=1, gid=2, mtime=3), file("d/f", 1)]
    tree = merged(below, [directory("d", 0o751, uid=4, gid=5, mtime=6)])
    assert tree.names == {"": "directory", "d": "directory", "d/f": "file 1"}
    node = tree["d"]
    assert (node.mode, node.uid, node.gid, node.mtime) == (0o751, 4, 5, 6)


def test_directory_over_directory_loses_the_old_xattrs() -> None:
    below = [directory("d", xattrs=((b"user.old", b"1"), (b"user.both", b"1")))]
    tree = merged(below, [directory("d", xattrs=((b"user.both", b"2"),))])
    assert tree["d"].xattrs == ((b"user.both", b"2"),)


def test_directory_described_by_no_upper_layer_keeps_its_attributes() -> None:
    tree = merged([directory("d", 0o700, uid=7)], [file("d/f", 1)])
    assert (tree["d"].mode, tree["d"].uid, tree["d"].implied) == (0o700, 7, False)


REPLACEMENTS = {
    "file 2": file("x", 2),
    "-> t": symlink("x", "t"),
    "fifo": fifo("x"),
    "character_device": device("x"),
}


KINDS = [*REPLACEMENTS, "directory"]
PAIRS = [(lower, upper) for lower in KINDS for upper in KINDS if not lower == upper == "directory"]


@pytest.mark.parametrize(("lower", "upper"), PAIRS)
def test_any_other_pair_is_replaced_with_all_below_it(lower: str, upper: str) -> None:
    kinds = {**REPLACEMENTS, "directory": directory("x")}
    base = [kinds[lower]] + ([file("x/inside", 1), file("x/deep/er", 1)] if lower == "directory" else [])
    tree = merged(base, [kinds[upper]])
    assert tree.names == {"": "directory", "x": upper}
    assert not tree.warnings


def test_replacing_one_name_of_a_hard_link_set_leaves_the_others_their_content() -> None:
    tree = merged([file("a", 1), link("b", "a"), link("c", "a")], [file("a", 2)])
    assert tree.names == {"": "directory", "a": "file 2", "b": "file 1", "c": "file 1"}
    assert tree["b"] is tree["c"]


def test_hiding_one_name_of_a_hard_link_set_leaves_the_others() -> None:
    tree = merged([file("a", 1), link("b", "a")], [whiteout("a")])
    assert tree.names == {"": "directory", "b": "file 1"}


def test_what_the_header_says_is_kept() -> None:
    xattrs = ((b"user.a", b"1"), (b"security.b", b"\0"))
    entry = Entry(b"f", Kind.FILE, 0o4755, 12, 34, 56, size=3, xattrs=xattrs, data="where it went")
    node = merged([], [entry])["f"]
    assert (node.kind, node.mode, node.uid, node.gid, node.mtime) == (Kind.FILE, 0o4755, 12, 34, 56)
    assert (node.xattrs, node.data) == (xattrs, "where it went")
    assert merged([symlink("l", "../x//y/")])["l"].target == b"../x//y/"
    assert merged([device("d", 4, 1)])["d"].device == (4, 1)


def test_three_layers_are_applied_in_order() -> None:
    tree = merged([file("a", 1), file("b", 1), file("c", 1)], [file("b", 2), file("c", 2)], [file("c", 3)])
    assert tree.names == {"": "directory", "a": "file 1", "b": "file 2", "c": "file 3"}


def test_layers_may_be_empty() -> None:
    assert merged([], [file("a", 1)], []).names == {"": "directory", "a": "file 1"}
    assert merged([]).names == {"": "directory"}


# --- whiteouts -------------------------------------------------------------------------------------------------------

BASE = [directory("d", 0o711), file("d/f", 1), directory("d/sub"), file("d/sub/g", 2), file("e", 3)]


def test_whiteout_hides_a_file() -> None:
    assert merged(BASE, [whiteout("e")]).names == merged(BASE[:-1]).names


def test_whiteout_hides_a_subtree() -> None:
    assert merged(BASE, [whiteout("d")]).names == {"": "directory", "e": "file 3"}


def test_whiteout_hides_what_any_lower_layer_has() -> None:
    tree = merged([directory("d"), file("d/f", 1)], [file("d/g", 2)], [whiteout("d")])
    assert tree.names == {"": "directory"}


def test_name_may_come_back_above_its_whiteout() -> None:
    assert merged([file("a", 1)], [whiteout("a")], [file("a", 2)]).names == {"": "directory", "a": "file 2"}


@pytest.mark.parametrize("is_first", [True, False])
def test_whiteout_spares_its_own_layer_wherever_it_stands(is_first: bool) -> None:
    upper = [directory("d", 0o700), file("d/f", 9), file("d/new", 9)]
    tree = merged(BASE, [whiteout("d"), *upper] if is_first else [*upper, whiteout("d")])
    assert tree.names == {"": "directory", "d": "directory", "d/f": "file 9", "d/new": "file 9", "e": "file 3"}
    assert tree["d"].mode == 0o700


@pytest.mark.parametrize("is_first", [True, False])
def test_whiteout_hides_the_attributes_of_a_directory_too(is_first: bool) -> None:
    upper = [whiteout("d"), file("d/new", 9)]
    tree = merged(BASE, upper if is_first else upper[::-1])
    assert tree.names == {"": "directory", "d": "directory", "d/new": "file 9", "e": "file 3"}
    assert (tree["d"].mode, tree["d"].implied) == (0o755, True)


@pytest.mark.parametrize("is_first", [True, False])
def test_opaque_whiteout_hides_all_below_and_the_directory_stays(is_first: bool) -> None:
    upper = [file("d/new", 9), file("d/sub/new", 9)]
    tree = merged(BASE, [opaque("d"), *upper] if is_first else [*upper, opaque("d")])
    assert tree.names == {
        "": "directory",
        "d": "directory",
        "d/new": "file 9",
        "d/sub": "directory",
        "d/sub/new": "file 9",
        "e": "file 3",
    }
    assert tree["d"].mode == 0o711


def test_opaque_whiteout_of_the_root_hides_everything() -> None:
    tree = merged([directory("", 0o700), *BASE], [file("new", 9), opaque("")])
    assert tree.names == {"": "directory", "new": "file 9"}
    assert tree[""].mode == 0o700


def test_opaque_whiteout_of_a_file_leaves_it() -> None:
    assert merged(BASE, [opaque("e")]).names == merged(BASE).names


def test_whiteouts_in_the_base_hide_nothing_and_are_not_in_the_image() -> None:
    assert merged([*BASE, whiteout("d/f"), whiteout("e"), opaque("d"), opaque("")]).names == merged(BASE).names


def test_whiteout_of_nothing_is_ignored_and_creates_no_directory() -> None:
    upper = [whiteout("no"), whiteout("no/where"), whiteout("e/below"), opaque("no"), opaque("d/no/where")]
    assert merged(BASE, upper).names == merged(BASE).names
    assert merged([*upper, *BASE]).names == merged(BASE).names


@pytest.mark.parametrize("name", [".wh.", "d/.wh.", ".wh./f", "d/.wh./f"])
@pytest.mark.parametrize("is_base", [True, False])
def test_whiteout_without_a_name_is_an_error(name: str, is_base: bool) -> None:
    layers = [[file(name)]] if is_base else [BASE, [file(name)]]
    with pytest.raises(MergeError, match="a whiteout without a name") as caught:
        merged(*layers)
    assert caught.value.path == name.encode()


@pytest.mark.parametrize(
    "name", [".wh..wh.aufs", ".wh..wh.orph", ".wh..wh.plnk/123.456", "d/.wh..wh.", "d/.wh..wh.opq"]
)
def test_what_aufs_kept_for_itself_is_ignored(name: str) -> None:
    assert merged([*BASE, file(name)]).names == merged(BASE).names
    assert merged(BASE, [file(name)]).names == merged(BASE).names


def test_what_is_below_a_marker_is_ignored() -> None:
    upper = [directory(".wh.x"), file(".wh.x/f"), file(".wh.x/.wh.d"), file("d/.wh.y/.wh.f"), opaque("d/.wh.y")]
    assert merged(BASE, upper).names == merged(BASE).names
    assert merged([*BASE, *upper]).names == merged(BASE).names


@pytest.mark.parametrize("name", [".wh..", ".wh...", "d/.wh..", "d/.wh..."])
def test_whiteout_cannot_climb(name: str) -> None:
    assert merged(BASE, [file(name)]).names == merged(BASE).names


def test_marker_may_be_of_any_kind() -> None:
    assert merged(BASE, [directory("d/.wh.f"), symlink(".wh.e", "d")]).names == {
        "": "directory",
        "d": "directory",
        "d/sub": "directory",
        "d/sub/g": "file 2",
    }


def test_names_that_only_look_like_markers_are_kept() -> None:
    names = ["x.wh.y", ".wh", ".whx", ".Wh.x"]
    layer = [file(name, 1) for name in names]
    assert set(merged([], layer).names) == {"", *names}


def test_whiteouts_can_be_kept() -> None:
    upper = [whiteout("d"), opaque("d"), file("d/.wh.", 4), file(".wh..wh.aufs", 5), file(".wh.x/f", 6)]
    tree = merged(BASE, upper, whiteouts="keep")
    assert tree.names.keys() - merged(BASE).names.keys() == {
        ".wh.d",
        "d/.wh..wh..opq",
        "d/.wh.",
        ".wh..wh.aufs",
        ".wh.x",
        ".wh.x/f",
    }


# --- whiteouts through symlinks --------------------------------------------------------------------------------------

MERGED_USR = [directory("usr/lib", 0o711), file("usr/lib/x", 1), file("usr/lib/y", 2), symlink("lib", "usr/lib")]


def test_whiteout_follows_a_symlinked_parent() -> None:
    tree = merged(MERGED_USR, [whiteout("lib/x")])
    assert tree.names == {
        "": "directory",
        "lib": "-> usr/lib",
        "usr": "directory",
        "usr/lib": "directory",
        "usr/lib/y": "file 2",
    }


def test_opaque_whiteout_follows_a_symlink() -> None:
    tree = merged(MERGED_USR, [opaque("lib")])
    assert tree.names == {"": "directory", "lib": "-> usr/lib", "usr": "directory", "usr/lib": "directory"}


def test_whiteout_of_a_symlink_hides_the_symlink_itself() -> None:
    assert merged(MERGED_USR, [whiteout("lib")]).names == merged(MERGED_USR[:-1]).names


@pytest.mark.parametrize("is_first", [True, False])
def test_directory_in_a_symlinks_place_does_not_empty_what_the_symlink_led_to(is_first: bool) -> None:
    # What an overlay's diff says of `rm lib && mkdir lib && touch lib/z`.
    entries, markers = [directory("lib"), file("lib/z", 3)], [opaque("lib"), whiteout("lib/x")]
    tree = merged(MERGED_USR, markers + entries if is_first else entries + markers)
    assert tree.names == {
        "": "directory",
        "lib": "directory",
        "lib/z": "file 3",
        "usr": "directory",
        "usr/lib": "directory",
        "usr/lib/x": "file 1",
        "usr/lib/y": "file 2",
    }


def test_whiteout_follows_a_symlink_that_its_layer_states_again() -> None:
    tree = merged(MERGED_USR, [symlink("lib", "usr/lib"), whiteout("lib/x")])
    assert "usr/lib/x" not in tree.names
    assert "usr/lib/y" in tree.names


def test_whiteout_through_symlinks_in_circles_is_an_error() -> None:
    with pytest.raises(MergeError, match="more than 255 symlinks"):
        merged([symlink("a", "b"), symlink("b", "a")], [whiteout("a/x")])


def test_hidden_symlink_leads_nowhere() -> None:
    tree = merged(MERGED_USR, [file("lib/z", 3), whiteout("lib")])
    assert tree.names["lib"] == "directory"
    assert tree.names["lib/z"] == "file 3"
