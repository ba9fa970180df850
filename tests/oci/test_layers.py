"""The image specification's rules for layers, and what it leaves open: a minimal image for each, in every form, read
back by us and by the kernel.
"""

from __future__ import annotations

from pathlib import Path

import pytest

import pysquash
from tests.oci.builder import (
    Image,
    Layer,
    Packing,
    device,
    directory,
    fifo,
    file,
    link,
    old_archive,
    opaque,
    symlink,
    tar,
    to_tar,
    whiteout,
)
from tests.oci.judge import merged, refusals
from tests.snapshot import Tree
from tests.tarbuild import header, padded, pax

# --- one layer over another ------------------------------------------------------------------------------------------


def test_directory_over_directory_replaces_its_attributes_and_keeps_its_children(tmp_path: Path) -> None:
    lower = tar(directory("d", mode=0o700, uid=1, mtime=5, xattrs={"user.old": b"1"}), file("d/f", b"kept"))
    upper = tar(directory("d", mode=0o711, gid=2, mtime=9, xattrs={"user.new": b"2"}))
    built = merged(tmp_path, lower, upper)
    assert built.names == {"d": "directory", "d/f": "kept"}
    seen = built.tree[b"d"]
    assert (seen.mode, seen.uid, seen.gid, seen.mtime) == (0o711, 0, 2, 9)
    assert seen.xattrs == ((b"user.new", b"2"),)


@pytest.mark.parametrize("upper", [file("d", b"new"), symlink("d", "e"), fifo("d"), device("d", 1, 3)])
def test_anything_over_a_directory_replaces_all_of_it(tmp_path: Path, upper: bytes) -> None:
    built = merged(tmp_path, tar(directory("d"), directory("d/e"), file("d/e/f", b"old")), tar(upper))
    assert list(built.names) == ["d"]
    assert built.tree[b"d"].kind != "directory"


@pytest.mark.parametrize("lower", [file("d", b"old"), symlink("d", "e"), fifo("d"), device("d", 1, 3)])
def test_directory_over_anything_else_replaces_it(tmp_path: Path, lower: bytes) -> None:
    built = merged(tmp_path, tar(lower), tar(directory("d"), file("d/f", b"new")))
    assert built.names == {"d": "directory", "d/f": "new"}


def test_file_over_a_file_takes_none_of_its_attributes(tmp_path: Path) -> None:
    lower = tar(file("a", b"old", mode=0o4755, uid=7, xattrs={"user.old": b"1", "security.capability": b"\1\0\0\2"}))
    built = merged(tmp_path, lower, tar(file("a", b"new", mode=0o600)))
    assert built.names == {"a": "new"}
    seen = built.tree[b"a"]
    assert (seen.mode, seen.uid, seen.xattrs) == (0o600, 0, ())


def test_replacing_one_name_of_a_hard_link_leaves_the_others(tmp_path: Path) -> None:
    built = merged(tmp_path, tar(file("a", b"old"), link("b", "a"), link("c", "a")), tar(file("a", b"new")))
    assert built.names == {"a": "new", "b": "old", "c": "old"}
    assert built.tree[b"b"].links == (b"b", b"c")


def test_symlink_is_replaced_and_not_written_through(tmp_path: Path) -> None:
    built = merged(tmp_path, tar(file("t", b"target"), symlink("a", "t")), tar(file("a", b"new")))
    assert built.names == {"a": "new", "t": "target"}


# --- whiteouts -------------------------------------------------------------------------------------------------------


def test_whiteout_hides_a_name_and_its_subtree(tmp_path: Path) -> None:
    lower = tar(directory("d"), directory("d/e"), file("d/e/f"), file("kept", b"1"))
    assert merged(tmp_path, lower, tar(whiteout("d"))).names == {"kept": "1"}


@pytest.mark.parametrize("is_first", [True, False])
def test_whiteout_hides_nothing_of_its_own_layer(tmp_path: Path, is_first: bool) -> None:
    entries = [whiteout("d"), directory("d"), file("d/new", b"2")]
    upper = tar(*entries) if is_first else tar(*entries[1:], entries[0])
    built = merged(tmp_path, tar(directory("d", mode=0o700), file("d/old", b"1")), upper)
    assert built.names == {"d": "directory", "d/new": "2"}
    assert built.tree[b"d"].mode == 0o755


@pytest.mark.parametrize("is_first", [True, False])
def test_opaque_whiteout_hides_what_lower_layers_have_and_the_directory_stays(tmp_path: Path, is_first: bool) -> None:
    entries = [opaque("d"), file("d/new", b"2")]
    lower = tar(directory("d", mode=0o750), file("d/old", b"1"), directory("d/e"), file("d/e/f"))
    built = merged(tmp_path, lower, tar(*(entries if is_first else entries[::-1])))
    assert built.names == {"d": "directory", "d/new": "2"}
    assert built.tree[b"d"].mode == 0o750


def test_opaque_whiteout_of_the_root_hides_everything_below(tmp_path: Path) -> None:
    assert merged(tmp_path, tar(file("a"), file("d/b")), tar(opaque(""), file("c", b"3"))).names == {"c": "3"}


def test_whiteout_in_the_middle_hides_from_lower_layers_only(tmp_path: Path) -> None:
    layers = [tar(file("a", b"1")), tar(whiteout("a")), tar(file("b", b"2")), tar(file("a", b"3"))]
    assert merged(tmp_path, *layers).names == {"a": "3", "b": "2"}
    assert merged(tmp_path, *layers[:3]).names == {"b": "2"}


def test_whiteout_of_nothing_makes_no_directory(tmp_path: Path) -> None:
    built = merged(tmp_path, tar(file("a", b"1")), tar(whiteout("d/e/f"), opaque("g/h")))
    assert built.names == {"a": "1"}
    assert not built.warnings


def test_whiteouts_in_the_base_are_not_in_the_image(tmp_path: Path) -> None:
    assert merged(tmp_path, tar(file("a", b"1"), whiteout("a"), opaque("d"))).names == {"a": "1"}


def test_aufs_files_are_ignored(tmp_path: Path) -> None:
    upper = tar(file(".wh..wh.aufs"), directory(".wh..wh.plnk"), file(".wh..wh.plnk/1.2", b"x"), file("b", b"2"))
    assert merged(tmp_path, tar(file("a", b"1")), upper).names == {"a": "1", "b": "2"}


def test_whiteout_without_a_name_is_an_error(tmp_path: Path) -> None:
    texts = refusals(Image([tar(file("a")), tar(file("d/.wh."))]), tmp_path)
    assert all("a whiteout without a name" in text for text in texts)


def test_whiteout_hides_one_name_of_a_hard_link(tmp_path: Path) -> None:
    built = merged(tmp_path, tar(file("a", b"1"), link("b", "a")), tar(whiteout("a")))
    assert built.names == {"b": "1"}
    assert built.tree[b"b"].links == (b"b",)


def test_whiteouts_can_be_kept_as_files(tmp_path: Path) -> None:
    built = merged(tmp_path, tar(file("a", b"1")), tar(whiteout("a")), whiteouts="keep")
    assert built.names == {"a": "1", ".wh.a": ""}


# --- attributes ------------------------------------------------------------------------------------------------------


def test_owners_are_numbers_and_their_names_are_ignored(tmp_path: Path) -> None:
    entry = pax((b"uname", b"daemon"), (b"gname", b"nobody")) + header(b"a", uid=1000, gid=70000)
    seen = merged(tmp_path, tar(entry)).tree[b"a"]
    assert (seen.uid, seen.gid) == (1000, 70000)


def test_times_modes_attributes_and_targets_are_kept(tmp_path: Path) -> None:
    xattrs = {"user.text": b"\0binary\xff", "security.capability": b"\1\0\0\2" + bytes(16), "trusted.own": b"1"}
    built = merged(
        tmp_path,
        tar(
            directory("d", mode=0o3777, mtime=3),
            file("d/f", b"1", mode=0o6755, mtime=1_700_000_000, xattrs=xattrs),
            symlink("d/s", "../../outside/./x", mtime=5),
            device("d/null", 1, 3, mode=0o666),
        ),
    )
    tree: Tree = built.tree
    assert (tree[b"d"].mode, tree[b"d"].mtime) == (0o3777, 3)
    assert (tree[b"d/f"].mode, tree[b"d/f"].mtime) == (0o6755, 1_700_000_000)
    assert tree[b"d/f"].xattrs == tuple(sorted((name.encode(), value) for name, value in xattrs.items()))
    assert (built.names["d/s"], tree[b"d/s"].mtime) == ("-> ../../outside/./x", 5)
    assert (tree[b"d/null"].kind, tree[b"d/null"].content) == ("character device", "1:3")


@pytest.mark.parametrize("packing", ["plain", "gzip", "gzip members", "zstd", "zstd frames", "bzip2", "xz"])
def test_layers_are_read_to_the_end_however_they_are_compressed(tmp_path: Path, packing: Packing) -> None:
    first = tar(*(file(f"{row}", str(row).encode() * 700) for row in range(9)))
    built = merged(tmp_path, Layer(first, packing), Layer(tar(file("last", b"1")), packing))
    assert len(built.names) == 10
    assert len(built.report.digests_verified) == 6


def test_padding_behind_the_tar_is_part_of_its_diff_id(tmp_path: Path) -> None:
    padding = tar(file("a", b"1")) + bytes(10240)
    assert merged(tmp_path, padding, Layer(padding + bytes(512), "zstd")).names == {"a": "1"}


def test_image_without_layers_is_an_empty_root(tmp_path: Path) -> None:
    assert merged(tmp_path).names == {}


def test_layer_without_entries_is_fine(tmp_path: Path) -> None:
    assert merged(tmp_path, tar(file("a", b"1")), tar()).names == {"a": "1"}


def test_layer_twice_is_the_same_as_once(tmp_path: Path) -> None:
    lower, upper = tar(file("a", b"1"), directory("d")), tar(whiteout("a"), file("b", b"2"))
    assert merged(tmp_path, lower, upper, lower, upper, upper).names == {"b": "2", "d": "directory"}


# --- what the specification leaves open ------------------------------------------------------------------------------

USR_MERGED = tar(directory("usr"), directory("usr/lib"), file("usr/lib/low", b"1"), symlink("lib", "usr/lib"))


def test_parent_that_is_a_symlink_is_followed(tmp_path: Path) -> None:
    built = merged(tmp_path, USR_MERGED, tar(file("lib/x", b"2")))
    assert built.names["lib"] == "-> usr/lib"
    assert built.names["usr/lib/x"] == "2"


def test_parent_that_is_an_absolute_symlink_stays_inside_the_image(tmp_path: Path) -> None:
    layers = [tar(directory("etc"), symlink("a", "/etc"), symlink("b", "../../../etc")), tar(file("a/passwd", b"1"))]
    built = merged(tmp_path, *layers, tar(file("b/group", b"2")))
    assert (built.names["etc/passwd"], built.names["etc/group"]) == ("1", "2")


def test_whiteouts_follow_symlinked_parents(tmp_path: Path) -> None:
    assert "usr/lib/low" not in merged(tmp_path, USR_MERGED, tar(whiteout("lib/low"))).names
    assert "usr/lib/low" not in merged(tmp_path, USR_MERGED, tar(opaque("lib"))).names


def test_opaque_directory_in_a_symlinks_place_does_not_empty_what_it_led_to(tmp_path: Path) -> None:
    built = merged(tmp_path, USR_MERGED, tar(directory("lib"), opaque("lib"), file("lib/x", b"2")))
    assert built.names == {
        "usr": "directory",
        "usr/lib": "directory",
        "usr/lib/low": "1",
        "lib": "directory",
        "lib/x": "2",
    }


def test_parent_that_is_a_symlink_can_be_replaced(tmp_path: Path) -> None:
    built = merged(tmp_path, USR_MERGED, tar(file("lib/x", b"2")), parent_symlinks="replace")
    assert (built.names["lib"], built.names["lib/x"]) == ("directory", "2")
    assert "usr/lib/x" not in built.names


def test_parent_that_is_a_symlink_can_be_an_error(tmp_path: Path) -> None:
    texts = refusals(Image([USR_MERGED, tar(file("lib/x"))]), tmp_path, parent_symlinks="error")
    assert all("its path leads through the symlink lib" in text for text in texts)


@pytest.mark.parametrize(("count", "is_read"), [(255, True), (256, False)])
def test_symlinks_are_followed_255_times(tmp_path: Path, count: int, is_read: bool) -> None:
    chain = [directory("end"), *(symlink(f"s{row}", f"s{row - 1}" if row else "end") for row in range(count))]
    image = Image([tar(*chain), tar(file(f"s{count - 1}/f", b"1"))])
    if is_read:
        assert merged(tmp_path, *image.layers).names["end/f"] == "1"
    else:
        assert all("more than 255 symlinks" in text for text in refusals(image, tmp_path))


def test_symlinks_in_a_circle_are_an_error(tmp_path: Path) -> None:
    image = Image([tar(symlink("a", "b"), symlink("b", "a")), tar(file("a/f"))])
    assert all("more than 255 symlinks" in text for text in refusals(image, tmp_path))


def test_implied_parent_keeps_the_attributes_that_are_there(tmp_path: Path) -> None:
    built = merged(tmp_path, tar(directory("d", mode=0o700, uid=3, mtime=7)), tar(file("d/f", b"1", mtime=99)))
    seen = built.tree[b"d"]
    assert (seen.mode, seen.uid, seen.mtime) == (0o700, 3, 7)


def test_implied_parent_and_root_are_0755_of_the_images_time(tmp_path: Path) -> None:
    built = merged(tmp_path, tar(file("d/e/f", b"1", mtime=99)), source_date_epoch=1234)
    for path in (b"", b"d", b"d/e"):
        seen = built.tree[path]
        assert (seen.mode, seen.uid, seen.gid, seen.mtime) == (0o755, 0, 0, 1234)


def test_root_is_what_its_last_entry_says(tmp_path: Path) -> None:
    built = merged(tmp_path, tar(directory("./", mode=0o700)), tar(directory("./", mode=0o711, uid=4, mtime=8)))
    seen = built.tree[b""]
    assert (seen.mode, seen.uid, seen.mtime) == (0o711, 4, 8)


def test_directory_in_a_lower_symlinks_place_replaces_it(tmp_path: Path) -> None:
    built = merged(tmp_path, USR_MERGED, tar(directory("lib"), file("lib/x", b"2")))
    assert (built.names["lib"], built.names["lib/x"], built.names["usr/lib/low"]) == ("directory", "2", "1")


def test_entry_below_a_lower_file_makes_it_a_directory(tmp_path: Path) -> None:
    assert merged(tmp_path, tar(file("a", b"1")), tar(file("a/b", b"2"))).names == {"a": "directory", "a/b": "2"}


def test_last_of_one_name_in_a_layer_stands_with_a_warning(tmp_path: Path) -> None:
    built = merged(tmp_path, tar(file("a", b"1"), file("a", b"2"), directory("d", mode=0o700), directory("d")))
    assert built.names == {"a": "2", "d": "directory"}
    assert built.tree[b"d"].mode == 0o755
    assert [line.rpartition(": ")[2] for line in built.warnings] == [
        "more than one entry has this name; the last entry wins"
    ] * 2


def test_last_stands_in_image_layers_also_where_tars_would_keep_the_first(tmp_path: Path) -> None:
    layers = [tar(file("b", b"0")), tar(file("a", b"1"), file("a", b"2"))]
    assert merged(tmp_path, *layers, duplicates="first").names == {"a": "2", "b": "0"}
    plain = tmp_path / "plain.tar"
    plain.write_bytes(layers[1])
    source = f"docker-archive:{to_tar(old_archive(Image(layers[:1])), tmp_path / 'one.tar')}"
    pysquash.build([source, str(plain)], tmp_path / "both.squashfs")
    with pysquash.SquashfsImage(tmp_path / "both.squashfs") as image:
        assert (image.root / "a").read_bytes() == b"1"


@pytest.mark.parametrize("options", [{"duplicates": "error"}, {"strict": True}])
def test_one_name_twice_can_be_an_error(tmp_path: Path, options: dict[str, object]) -> None:
    texts = refusals(Image([tar(file("a"), file("a"))]), tmp_path, **options)
    assert all("more than one entry has this name" in text for text in texts)


def test_directory_and_file_of_one_name_in_one_layer(tmp_path: Path) -> None:
    built = merged(tmp_path, tar(directory("a"), file("a/b"), file("a", b"2")))
    assert built.names == {"a": "2"}
    assert len(built.warnings) == 1


def test_hard_link_in_front_of_its_target(tmp_path: Path) -> None:
    built = merged(tmp_path, tar(link("a", "b"), file("b", b"1")))
    assert built.names == {"a": "1", "b": "1"}
    assert built.tree[b"a"].links == (b"a", b"b")


def test_hard_link_to_a_lower_layers_file_is_the_same_inode(tmp_path: Path) -> None:
    built = merged(tmp_path, tar(file("a", b"1", uid=5)), tar(link("b", "a", uid=9)))
    assert built.tree[b"b"].links == (b"a", b"b")
    assert built.tree[b"b"].uid == 5


def test_hard_link_keeps_a_lower_file_that_its_own_layer_replaces(tmp_path: Path) -> None:
    built = merged(tmp_path, tar(file("a", b"1")), tar(link("b", "a"), file("a", b"2")))
    assert built.names == {"a": "2", "b": "1"}


def test_hard_link_to_nothing_is_an_error(tmp_path: Path) -> None:
    texts = refusals(Image([tar(file("a")), tar(link("b", "nowhere"))]), tmp_path)
    assert all("a hard link to nowhere, which does not exist" in text for text in texts)


def test_hard_link_to_nothing_can_be_dropped_with_a_warning(tmp_path: Path) -> None:
    built = merged(tmp_path, tar(file("a", b"1"), file("b", b"0")), tar(link("b", "nowhere")), lenient=True)
    assert built.names == {"a": "1", "b": "0"}
    assert len(built.warnings) == 1


def test_hard_link_to_a_directory_is_an_error(tmp_path: Path) -> None:
    texts = refusals(Image([tar(directory("d"), link("b", "d"))]), tmp_path)
    assert all("a hard link to the directory d" in text for text in texts)


@pytest.mark.parametrize("entry", [file("a/../b"), file("../b"), link("b", "../a"), whiteout("../a"), directory("..")])
def test_two_dots_in_a_name_or_a_links_target_are_an_error(tmp_path: Path, entry: bytes) -> None:
    for layers in ([tar(entry)], [tar(file("a")), tar(entry)]):
        assert all("a name has '..' in it" in text for text in refusals(Image(layers), tmp_path))


def test_leading_slash_is_dropped(tmp_path: Path) -> None:
    built = merged(tmp_path, tar(file("/a", b"1"), link("//b", "/a"), file("./c", b"3")), tar(whiteout("/c")))
    assert built.names == {"a": "1", "b": "1"}


def test_overlays_own_marks_are_kept_with_a_warning(tmp_path: Path) -> None:
    upper = tar(device("a", 0, 0), directory("d", xattrs={"trusted.overlay.opaque": b"y"}))
    built = merged(tmp_path, tar(file("a", b"1"), file("d/f", b"2")), upper)
    assert built.tree[b"a"].content in ("", "0:0")
    assert built.tree[b"a"].kind == "character device"
    assert built.tree[b"d"].xattrs == ((b"trusted.overlay.opaque", b"y"),)
    assert built.names["d/f"] == "2"
    assert len(built.warnings) == 2


def test_overlays_own_marks_can_be_an_error(tmp_path: Path) -> None:
    assert all("0:0 is kept" in text for text in refusals(Image([tar(device("a", 0, 0))]), tmp_path, strict=True))


SPARSE = (
    pax(
        (b"GNU.sparse.major", b"0"),
        (b"GNU.sparse.minor", b"1"),
        (b"GNU.sparse.name", b"a"),
        (b"GNU.sparse.realsize", b"1000000"),
        (b"GNU.sparse.map", b"500000,3,1000000,0"),
    )
    + header(b"GNUSparseFile.0/a", size=3)
    + padded(b"xyz")
)


def test_sparse_member_has_holes(tmp_path: Path) -> None:
    built = merged(tmp_path, tar(SPARSE))
    content = built.names["a"]
    assert (len(content), content.strip("\0"), content.index("x")) == (1_000_000, "xyz", 500_000)
    assert built.report.bytes_out < 20_000


def test_sparse_members_real_size_counts_against_the_limits(tmp_path: Path) -> None:
    texts = refusals(Image([tar(SPARSE)]), tmp_path, limits=pysquash.Limits(file_size=999_999))
    assert all("is 1000000, the limit is 999999" in text for text in texts)
