"""What upper layers hide of a lower one, seen before the tree is there."""

from __future__ import annotations

import pytest

from pysquash.options.writer import WriterOptions
from pysquash.tree.entry import Entry
from pysquash.tree.visibility import Visibility
from tests.layerbuild import directory, fifo, file, link, opaque, symlink, whiteout


def above(*layers: list[Entry], options: WriterOptions | None = None) -> Visibility:
    """Read layers, topmost first."""
    visibility = Visibility(options or WriterOptions())
    for layer in layers:
        visibility.add_layer(layer)
    return visibility


def hidden(visibility: Visibility, *paths: str) -> set[str]:
    return {path for path in paths if visibility.hides(path.encode())}


def certain(visibility: Visibility, *layer: Entry) -> set[str]:
    return {entry.path.decode() for entry in visibility.certainly_hidden(layer)}


# --- what seems hidden -----------------------------------------------------------------------------------------------


def test_nothing_hides_the_topmost_layer() -> None:
    assert not hidden(above(), "f", "d/f")
    assert not hidden(above([]), "f", "d/f")


@pytest.mark.parametrize("entry", [file("d/f"), directory("d/f"), symlink("d/f", "x"), link("d/f", "x"), fifo("d/f")])
def test_name_hides_the_same_name(entry: Entry) -> None:
    assert hidden(above([entry]), "d/f", "d/g", "f", "d/f2", "d/f/g") >= {"d/f"}
    assert not hidden(above([entry]), "d/g", "f", "d/f2", "e/d/f")


def test_name_hides_files_where_its_directories_are() -> None:
    assert hidden(above([file("d/e/f")]), "d", "d/e", "d/e/f", "d/e/g", "e") == {"d", "d/e", "d/e/f"}


@pytest.mark.parametrize("entry", [file("d/e"), symlink("d/e", "x"), link("d/e", "x"), fifo("d/e")])
def test_anything_but_a_directory_hides_what_is_below(entry: Entry) -> None:
    assert hidden(above([entry]), "d/e/f", "d/e/f/g", "d/ef", "d/f") == {"d/e/f", "d/e/f/g"}


def test_directory_hides_nothing_below() -> None:
    assert not hidden(above([directory("d"), directory("")]), "d/e", "f")


def test_whiteout_hides_the_name_and_what_is_below() -> None:
    assert hidden(above([whiteout("d/e")]), "d", "d/e", "d/e/f", "d/e/f/g", "d/f", "e") == {"d/e", "d/e/f", "d/e/f/g"}
    assert hidden(above([whiteout("e")]), "e", "e/f", "d/e") == {"e", "e/f"}


def test_opaque_whiteout_hides_what_is_below_and_not_the_name() -> None:
    assert hidden(above([opaque("d/e")]), "d/e", "d/e/f", "d/e/f/g", "d/f") == {"d/e/f", "d/e/f/g"}
    assert hidden(above([opaque("")]), "e", "e/f") == {"e", "e/f"}


def test_directories_above_a_whited_out_name_hide_all_the_same() -> None:
    assert hidden(above([whiteout("d/e"), file("d/e/f")]), "d", "d/e") == {"d", "d/e"}


def test_what_only_looks_like_a_marker_hides_itself() -> None:
    ignored = [file(".wh..wh.aufs"), file("d/.wh.x/.wh.e"), file(".wh..wh.plnk/1.2")]
    assert not hidden(above(ignored), "d/e", "aufs", "1.2", ".wh..wh.aufs", "d")
    assert hidden(above([file("x.wh.y")]), "x.wh.y", "y") == {"x.wh.y"}


def test_whiteouts_that_are_kept_hide_themselves() -> None:
    visibility = above([whiteout("d"), opaque("e")], options=WriterOptions(whiteouts="keep"))
    assert hidden(visibility, "d", "d/f", "e/f", ".wh.d", "e") == {".wh.d", "e"}


def test_every_layer_above_hides() -> None:
    visibility = above([file("a"), whiteout("d")], [file("b"), opaque("e")])
    assert hidden(visibility, "a", "b", "c", "d/f", "e/f") == {"a", "b", "d/f", "e/f"}
    visibility.add_layer([file("c")])
    assert hidden(visibility, "c", "x") == {"c"}


def test_answers_do_not_outlive_the_layer_they_were_for() -> None:
    visibility = above([file("x")])
    assert not visibility.hides(b"d/f")
    visibility.add_layer([whiteout("d")])
    assert visibility.hides(b"d/f")


# --- what is hidden for certain --------------------------------------------------------------------------------------

UPPER = [file("d/f"), file("f"), whiteout("d/g"), opaque("d/o")]


def test_hidden_files_of_listed_directories_are_so_for_certain() -> None:
    layer = [directory("d"), file("d/f"), file("d/g"), file("d/h"), directory("d/o"), file("d/o/x"), file("f")]
    assert certain(above(UPPER), *layer) == {"d/f", "d/g", "d/o/x", "f"}


def test_unlisted_directory_may_be_a_symlink_below() -> None:
    assert certain(above(UPPER), file("d/f"), directory("d/o"), file("d/o/x"), file("f")) == {"f"}


def test_directory_listed_too_late_is_not_listed() -> None:
    assert certain(above(UPPER), file("d/f"), directory("d"), file("d/g")) == {"d/g"}


@pytest.mark.parametrize("policy", ["replace", "error"])
def test_unlisted_directory_is_one_where_symlinks_are_not_followed(policy: str) -> None:
    options = WriterOptions(parent_symlinks="replace" if policy == "replace" else "error")
    assert certain(above(UPPER, options=options), file("d/f"), file("d/o/x")) == {"d/f", "d/o/x"}


@pytest.mark.parametrize("entry", [symlink("d", "x"), link("d", "x"), symlink("no/d", "x"), link("no/d", "x")])
def test_symlink_in_a_listed_directorys_place_makes_it_uncertain(entry: Entry) -> None:
    assert certain(above(UPPER), directory("d"), entry, file("d/f")) == set()


def test_symlink_elsewhere_does_not() -> None:
    assert certain(above(UPPER), directory("d"), symlink("d/s", "x"), symlink("s", "d"), file("d/f")) == {"d/f"}


@pytest.mark.parametrize("target", ["d/f", "alias/f", "f"])
def test_what_a_hard_link_may_mean_is_not_certain(target: str) -> None:
    layer = [directory("d"), file("d/f"), file("d/g")]
    assert certain(above(UPPER), *layer, link("d/x", target)) == {"d/g"}
    assert certain(above([*UPPER, link("y", target)]), *layer) == {"d/g"}
    assert certain(above([link("y", target)], UPPER), *layer) == {"d/g"}


def test_nothing_is_certain_where_links_may_be_dropped() -> None:
    options = WriterOptions(lenient=True)
    assert certain(above([link("f", "no")], options=options), file("f")) == set()


def test_nothing_in_the_topmost_layer_is_hidden() -> None:
    assert certain(above(), directory("d"), file("d/f")) == set()
