"""What the image specification leaves open: our choice, and what the options make of it."""

from __future__ import annotations

import pytest

from pysquash.errors import LimitError, MergeError
from pysquash.options.limits import Limits
from pysquash.options.writer import WriterOptions
from pysquash.tree.entry import Entry, Kind
from pysquash.tree.merge import Merge
from tests.layerbuild import Merged, device, directory, fifo, file, link, merged, put_layer, symlink, whiteout

# --- a parent is a symlink in the tree so far ------------------------------------------------------------------------

MERGED_USR = [directory("usr/lib", 0o711), symlink("lib", "usr/lib")]


def test_symlinked_parent_is_followed() -> None:
    assert merged(MERGED_USR, [file("lib/x", 1)]).names == {
        "": "directory",
        "lib": "-> usr/lib",
        "usr": "directory",
        "usr/lib": "directory",
        "usr/lib/x": "file 1",
    }


def test_symlinked_parent_is_followed_within_one_layer() -> None:
    assert merged([*MERGED_USR, file("lib/x", 1)]).names["usr/lib/x"] == "file 1"


@pytest.mark.parametrize(
    ("target", "place"),
    [
        ("/usr/lib", "usr/lib/x"),  # from the image's root
        ("../usr/./lib/", "a/usr/lib/x"),  # from the symlink's directory
        ("../../../../usr", "usr/x"),  # ".." stops at the root
        ("/../..//usr", "usr/x"),
        (".", "a/b/x"),
        ("..", "a/x"),
        ("/", "x"),
        ("/other/lib", "else/lib/x"),  # through another symlink
    ],
)
def test_symlinked_parent_never_leaves_the_image(target: str, place: str) -> None:
    tree = merged([symlink("other", "else")], [symlink("a/b/l", target)], [file("a/b/l/x", 1)])
    assert [path for path, shown in tree.names.items() if shown == "file 1"] == [place]


def test_last_component_is_not_followed() -> None:
    tree = merged([file("f", 1), symlink("l", "f")], [file("l", 2)])
    assert tree.names == {"": "directory", "f": "file 1", "l": "file 2"}


def test_missing_place_that_a_symlink_leads_to_is_made() -> None:
    tree = merged([symlink("l", "not/there")], [file("l/x", 1)])
    assert tree.names["not/there/x"] == "file 1"
    assert tree["not/there"].implied


def test_symlink_to_a_lower_layers_file_makes_it_a_directory() -> None:
    assert merged([file("f", 1), symlink("l", "f")], [file("l/x", 2)]).names == {
        "": "directory",
        "f": "directory",
        "f/x": "file 2",
        "l": "-> f",
    }


@pytest.mark.parametrize("target", ["a", "b", "a/x", "./a/../a", "../../a"])
def test_symlinks_in_circles_are_an_error(target: str) -> None:
    with pytest.raises(MergeError, match="more than 255 symlinks") as caught:
        merged([symlink("a", target), symlink("b", "a")], [file("a/x")])
    assert caught.value.path == b"a/x"
    assert "layer 1" in str(caught.value)


@pytest.mark.parametrize("steps", [1, 255])
def test_as_many_symlinks_as_the_limit_are_followed(steps: int) -> None:
    chain = [symlink(f"l{step}", f"l{step - 1}") for step in range(1, steps)]
    layer = [directory("d"), symlink("l0", "d"), *chain]
    assert merged(layer, [file(f"l{steps - 1}/x", 1)]).names["d/x"] == "file 1"
    one_more = [*layer, symlink("over", f"l{steps - 1}")]
    with pytest.raises(MergeError, match=f"more than {steps} symlinks"):
        merged(one_more, [file("over/x", 1)], limits=Limits(symlink_steps=steps))


def test_symlinks_can_be_replaced() -> None:
    tree = merged([directory("d"), symlink("l", "d")], [file("l/x", 1)], parent_symlinks="replace")
    assert tree.names == {"": "directory", "d": "directory", "l": "directory", "l/x": "file 1"}


def test_symlinks_can_be_an_error() -> None:
    for layer in [file("l/x")], [link("x", "l/f")], [whiteout("l/f")]:
        with pytest.raises(MergeError, match="through the symlink l"):
            merged([directory("d"), file("d/f", 1), symlink("l", "d")], layer, parent_symlinks="error")


def test_symlink_that_is_replaced_is_not_followed_afterwards() -> None:
    # The first l/x makes the merge remember where l leads.
    tree = merged([directory("d"), symlink("l", "d")], [file("l/x", 1), directory("l"), file("l/y", 2)])
    assert tree.names == {"": "directory", "d": "directory", "d/x": "file 1", "l": "directory", "l/y": "file 2"}


@pytest.mark.parametrize(
    "change",
    [symlink("d", "f"), link("d", "e"), link("d", "later")],
    ids=["symlink", "link to a symlink", "link to a later symlink"],
)
def test_directory_that_is_replaced_is_not_remembered(change: Entry) -> None:
    tree = merged(
        [file("d/x", 1), symlink("e", "f")], [file("d/y", 2), change, symlink("later", "f")], [file("d/z", 3)]
    )
    assert {path for path, shown in tree.names.items() if shown.startswith("file")} == {"f/z"}


def test_places_that_are_remembered_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pysquash.tree.paths._KNOWN_SIZE", 4)
    names = [f"d{row}/{column}" for row in range(9) for column in range(2)]
    tree = merged([file(name, 1) for name in names], [file(name, 2) for name in names])
    assert {path for path, shown in tree.names.items() if shown == "file 2"} == set(names)
    assert len(tree.merge._paths.known) <= 4


# --- implied parents, and the root -----------------------------------------------------------------------------------


def test_implied_parents_have_the_existing_directorys_attributes() -> None:
    assert merged([directory("d", 0o711, uid=5)], [file("d/f")])["d"].mode == 0o711


def test_implied_parents_are_otherwise_0755_0_0_with_the_roots_time() -> None:
    tree = merged([file("d/e/f")], source_date_epoch=1234)
    for path in ("", "d", "d/e"):
        node = tree[path]
        assert (node.mode, node.uid, node.gid, node.mtime, node.xattrs) == (0o755, 0, 0, 1234, ())
        assert node.implied


def test_implied_directory_takes_the_attributes_of_its_entry() -> None:
    for layers in [[file("d/f", 1), directory("d", 0o700)]], [[file("d/f", 1)], [directory("d", 0o700)]]:
        tree = merged(*layers, duplicates="error")
        assert (tree["d"].mode, tree["d"].implied) == (0o700, False)
        assert tree.names["d/f"] == "file 1"


def test_root_entry_becomes_the_roots_attributes() -> None:
    tree = merged([directory("", 0o1777, uid=1, gid=2, mtime=3, xattrs=((b"user.a", b"b"),)), file("f")])
    root = tree[""]
    assert (root.mode, root.uid, root.gid, root.mtime, root.xattrs) == (0o1777, 1, 2, 3, ((b"user.a", b"b"),))


def test_upper_root_entry_replaces_the_roots_attributes() -> None:
    tree = merged([directory("", 0o700), file("f", 1)], [directory("", 0o711)])
    assert tree[""].mode == 0o711
    assert "f" in tree.names


@pytest.mark.parametrize("entry", [file(""), symlink("", "x"), link("", "f"), fifo("")])
def test_root_that_is_no_directory_is_an_error(entry: Entry) -> None:
    with pytest.raises(MergeError, match="the root is a directory"):
        merged([file("f", 1), entry])


# --- one kind over another, across layers ----------------------------------------------------------------------------


def test_directory_entry_replaces_a_lower_layers_symlink() -> None:
    tree = merged([file("d/f", 1), symlink("l", "d")], [directory("l"), file("l/x", 2)])
    assert tree.names == {
        "": "directory",
        "d": "directory",
        "d/f": "file 1",
        "l": "directory",
        "l/x": "file 2",
    }


@pytest.mark.parametrize("lower", [file("d", 1), fifo("d"), device("d")])
def test_entry_below_a_lower_layers_file_makes_it_a_directory(lower: Entry) -> None:
    tree = merged([lower], [file("d/e/f", 2)])
    assert tree.names == {"": "directory", "d": "directory", "d/e": "directory", "d/e/f": "file 2"}
    assert tree["d"].mode == 0o755
    assert not tree.warnings


# --- hard links across layers ----------------------------------------------------------------------------------------


def test_hard_link_to_a_lower_layers_file_shares_its_inode() -> None:
    tree = merged([file("a", 1)], [link("b", "a")])
    assert tree["a"] is tree["b"]


def test_hard_link_to_a_lower_layers_file_keeps_it_when_its_layer_replaces_the_name() -> None:
    tree = merged([file("a", 1)], [link("b", "a"), file("a", 2)])
    assert tree.names == {"": "directory", "a": "file 2", "b": "file 1"}


def test_hard_link_after_the_replacement_leads_to_the_replacement() -> None:
    tree = merged([file("a", 1)], [file("a", 2), link("b", "a")])
    assert tree["a"] is tree["b"]
    assert tree.names["b"] == "file 2"


def test_hard_link_keeps_what_its_layer_hides_afterwards() -> None:
    tree = merged([file("a", 1)], [link("b", "a"), whiteout("a")])
    assert tree.names == {"": "directory", "b": "file 1"}


def test_hard_link_to_what_its_layer_hid_before_is_one_to_nothing() -> None:
    with pytest.raises(MergeError, match="does not exist"):
        merged([file("a", 1)], [whiteout("a"), link("b", "a")])


def test_hard_link_keeps_hidden_content_only_while_nothing_else_has_the_name() -> None:
    tree = merged([file("a", 1)], [file("a", 2), link("b", "a"), whiteout("a")])
    assert tree["a"] is tree["b"]
    assert tree.names["b"] == "file 2"


def test_hard_link_replaces_what_a_lower_layer_has() -> None:
    tree = merged([file("a", 1), directory("d"), file("d/f", 2)], [link("d", "a")])
    assert tree.names == {"": "directory", "a": "file 1", "d": "file 1"}


def test_hard_link_to_its_own_name_leaves_what_is_there() -> None:
    tree = merged([file("a", 1)], [link("a", "a")], duplicates="error")
    assert tree.names == {"": "directory", "a": "file 1"}


# --- an overlay's own markers ----------------------------------------------------------------------------------------


def test_overlay_whiteout_device_is_kept_with_a_warning() -> None:
    tree = merged([file("a", 1)], [device("a", 0, 0)])
    assert tree.names == {"": "directory", "a": "character_device"}
    assert len(tree.warnings) == 1
    assert "layer 1: a: the character device 0:0 is kept" in tree.warnings[0]


def test_overlay_xattrs_are_kept_with_a_warning() -> None:
    xattrs = ((b"trusted.overlay.opaque", b"y"), (b"trusted.other", b""))
    tree = merged([file("d/f", 1)], [directory("d", xattrs=xattrs)])
    assert tree["d"].xattrs == xattrs
    assert "d/f" in tree.names
    assert len(tree.warnings) == 1
    assert "layer 1: d: the attribute trusted.overlay.opaque is kept" in tree.warnings[0]


def test_overlay_markers_are_an_error_when_strict() -> None:
    for entry in device("a", 0, 0), directory("d", xattrs=((b"trusted.overlay.opaque", b"y"),)):
        with pytest.raises(MergeError, match="is kept"):
            merged([entry], strict=True)
    block = Entry(b"b", Kind.BLOCK_DEVICE, device=(0, 0))
    assert not merged([block, device("c", 1, 3)], strict=True).warnings


# --- files put where the tree has nothing ----------------------------------------------------------------------------


def with_default(layers: list[list[Entry]], entry: Entry, options: WriterOptions | None = None) -> Merged:
    """Merge layers and put one more file where they have nothing."""
    merge = Merge(options or WriterOptions(), lambda _line: None)
    for row, layer in enumerate(layers):
        put_layer(merge, layer, source=f"layer {row}", is_base=row == 0)
    tree = Merged(merge, [])
    before = tree.nodes.get(entry.path.decode())
    node = merge.put_default(entry)
    assert node is None or before is None
    assert node is None or node.data is entry.data
    return tree


def test_default_file_is_put_where_nothing_is() -> None:
    tree = with_default([[directory("etc", 0o711)]], file("etc/hostname", 1))
    assert tree.names == {"": "directory", "etc": "directory", "etc/hostname": "file 1"}
    assert tree["etc"].mode == 0o711


@pytest.mark.parametrize("there", [file("etc/hostname", 1), symlink("etc/hostname", "no"), directory("etc/hostname")])
def test_default_file_is_not_put_where_something_is(there: Entry) -> None:
    assert with_default([[there]], file("etc/hostname", 2)).names == merged([there]).names


def test_default_file_goes_through_symlinked_parents() -> None:
    layer = [directory("usr/lib"), symlink("lib", "usr/lib"), file("usr/lib/there", 1)]
    tree = with_default([layer], file("lib/modules/6.18/x.ko", 2))
    assert tree.names["usr/lib/modules/6.18/x.ko"] == "file 2"
    assert tree.names["lib"] == "-> usr/lib"
    assert tree.merge.put_default(file("lib/there", 2)) is None
    assert tree.names["usr/lib/there"] == "file 1"


def test_default_file_replaces_no_symlink_whatever_the_layers_do() -> None:
    layers = [[directory("usr/lib"), symlink("lib", "usr/lib")]]
    tree = with_default(layers, file("lib/x", 2), WriterOptions(parent_symlinks="replace"))
    assert tree.names["usr/lib/x"] == "file 2"
    assert tree.names["lib"] == "-> usr/lib"
    with pytest.raises(MergeError, match="through the symlink lib"):
        with_default(layers, file("lib/x", 2), WriterOptions(parent_symlinks="error"))


@pytest.mark.parametrize("row", [0, 1])
def test_default_file_below_a_file_is_an_error(row: int) -> None:
    layers = [[file("etc", 1)], [file("other", 1)]] if row else [[file("etc", 1)]]
    with pytest.raises(MergeError, match=r"^etc/hostname: etc must be a directory, but is a file$"):
        with_default(layers, file("etc/hostname", 1))


def test_default_files_stand_first_come_first_served() -> None:
    tree = with_default([[]], file("d/a", 1))
    assert tree.merge.put_default(file("d/a", 2)) is None
    assert tree.names["d/a"] == "file 1"


def test_default_root_is_not_put() -> None:
    assert with_default([[]], file("", 1)).names == {"": "directory"}


# --- depth -----------------------------------------------------------------------------------------------------------


def test_deep_trees_are_merged_without_recursion() -> None:
    deep = "/".join(["d"] * 1023)
    tree = merged([file(f"{deep}/f", 1)], [file(f"{deep}/g", 2)], [link("near", f"{deep}/f")], [whiteout(f"{deep}/f")])
    assert tree["near"].data == 1
    assert f"{deep}/f" not in tree.nodes
    assert merged([file(f"{deep}/f", 1)], [whiteout("d")]).names == {"": "directory"}


def test_symlinks_cannot_make_the_tree_deeper_than_paths_may_be() -> None:
    deep = "/".join(["d"] * 600)
    base = [directory(deep), symlink("l", deep)]
    assert not merged(base, [file("l/" + "/".join(["e"] * 424), 1)]).warnings
    with pytest.raises(LimitError, match="depth of a path is 1025, the limit is 1024") as caught:
        merged(base, [file("l/" + "/".join(["e"] * 425), 1)])
    assert "l/e/e" in str(caught.value)


def test_symlinks_cannot_make_the_tree_deeper_directory_by_directory() -> None:
    deep = "/".join(["d"] * 600)
    steps = [directory("l/" + "/".join(["e"] * length)) for length in range(1, 425)]
    assert not merged([directory(deep), symlink("l", deep)], steps).warnings
    with pytest.raises(LimitError, match="depth of a path is 1025"):
        merged([directory(deep), symlink("l", deep)], [*steps, file(steps[-1].path.decode() + "/f", 1)])


def test_links_into_a_deep_directory_do_not_make_the_tree_deeper() -> None:
    deep = "/".join(["d"] * 600)
    steps = ["l/" + "/".join(["e"] * length) for length in range(1, 425)]
    base = [directory(deep), symlink("l", deep), *map(directory, steps), file("f", 1)]
    last = steps[-1]
    with pytest.raises(LimitError, match="depth of a path is 1025"):
        merged([*base, link("g", f"{last}/none"), file(f"{last}/f", 2)], lenient=True)


def test_errors_say_where_in_the_stream() -> None:
    entry = link("b", "a")
    entry.offset = 1536
    with pytest.raises(MergeError, match=r"^b: a hard link to a, which does not exist \(layer 0, at byte 1536\)$"):
        merged([entry])


# --- limits ----------------------------------------------------------------------------------------------------------


def test_implicit_directories_are_limited() -> None:
    limits = Limits(implicit_directory_count=4)
    assert not merged([file("a/b/c/f"), file("a/g"), file("d/f")], limits=limits).warnings
    with pytest.raises(LimitError, match="d/e/f: the number of implicit .* is 5, the limit is 4"):
        merged([file("a/b/c/f"), file("d/e/f")], limits=limits)
    with pytest.raises(LimitError, match="implicit parent directories is 5"):
        merged([file("a/b/c/f")], [file("d/e/f")], limits=limits)
    described = [directory("a"), directory("a/b"), directory("a/b/c"), directory("d"), directory("d/e")]
    assert not merged([*described, file("a/b/c/f"), file("d/e/f")], limits=limits).warnings


@pytest.mark.parametrize("detour", ["x/../", "./", "x/..//"])
def test_components_walked_for_one_path_are_limited(detour: str) -> None:
    maze = [directory("d"), directory("d/x"), file("d/t", 7), symlink("d/s", detour * 30 + "."), symlink("r", "/d/s")]
    assert merged([*maze, link("l", "r/t")])["l"].data == 7
    limits = Limits(path_steps=30)
    for entry in (link("l", "r/t"), file("r/u")):
        with pytest.raises(LimitError, match="components walked for a path is [0-9]+, the limit is 30"):
            merged([*maze, entry], limits=limits)


def test_as_many_symlinks_as_may_be_fit_into_the_limit_of_components() -> None:
    chain = [symlink(f"l{number}", f"l{number + 1}") for number in range(254)]
    tree = merged([directory("d"), *chain, symlink("l254", "d"), file("l0/f", 7)])
    assert tree["d/f"].data == 7


@pytest.mark.parametrize("between", [[], [symlink("other", "d")], [file("d/g"), file("d/h")]])
def test_a_directory_that_was_found_is_found_where_it_is_now(between: list[Entry]) -> None:
    links = [file("d/f", 1), symlink("s", "d"), link("a", "s/f"), *between]
    tree = merged([*links, file("e/f", 2), symlink("s", "e"), link("b", "s/f")], duplicates="last")
    assert (tree["a"].data, tree["b"].data) == (1, 2)
