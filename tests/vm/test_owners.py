"""Owners: maps as user namespaces have them, and one owner for everything."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import pysquash
from pysquash import IdRange, MergeError, OptionError, Owners
from tests.snapshot import assert_same, kernel_tree, reader_tree
from tests.vm.images import built, layer

SHIFTED = layer([("d/", None), ("d/f", "x"), ("link", "= d/f"), ("s", "-> d")], uid=100_005, gid=100_006)


def owner(image: pysquash.SquashfsImage, name: str) -> tuple[int, int]:
    status = (image / name).stat()
    return status.st_uid, status.st_gid


def test_a_map_each_for_users_and_groups(tmp_path: Path) -> None:
    owners = Owners(users=[IdRange(100_000, 0, 65_536)], groups=[(0, 7, 1), (100_000, 1000, 10)])
    image = built(
        tmp_path, [SHIFTED], owners=owners, files=[("mine", b"", {}), ("d/theirs", b"", {"uid": 9, "gid": 8})]
    )
    assert {owner(image, name) for name in ("d", "d/f", "link", "s")} == {(5, 1006)}
    # What has no owner belongs to what 0 becomes: nothing for users here, so 0.
    assert (owner(image, ""), owner(image, "mine"), owner(image, "d/theirs")) == ((0, 7), (0, 7), (9, 8))


def test_only_users_or_only_groups(tmp_path: Path) -> None:
    assert owner(built(tmp_path, [SHIFTED], owners=Owners(users=[(100_005, 1, 1)])), "d") == (1, 100_006)
    assert owner(built(tmp_path, [SHIFTED], owners=Owners(groups=[(100_006, 4_294_967_295, 1)])), "d") == (
        100_005,
        4_294_967_295,
    )


def test_one_owner_for_everything(tmp_path: Path) -> None:
    image = built(
        tmp_path,
        [SHIFTED],
        vm=True,
        owners=Owners(everything=(3, 4)),
        files=[("a/b", b"", {}), ("c", b"", {"gid": 9})],
        default_files=[("e/f", b"", {})],
        symlinks=[("g", "x", {})],
        directories=[("h/i", {}), ("d", {})],
    )
    different = {path.path: owner(image, str(path)) for path in image.root.walk() if owner(image, str(path)) != (3, 4)}
    assert different == {b"c": (3, 9)}


def test_ids_that_swap(tmp_path: Path) -> None:
    base = layer([("a", "x")], uid=1)
    image = built(
        tmp_path, [base, layer([("b", "x"), ("c", "= b")], uid=2)], owners=Owners(users=[(1, 2, 1), (2, 1, 1)])
    )
    assert [owner(image, name)[0] for name in ("a", "b", "c")] == [2, 1, 1]


def test_an_id_outside_the_ranges_is_an_error(tmp_path: Path) -> None:
    match = "user 100005 is in none of the ranges 0:100000:65536, 100000:0:5"
    with pytest.raises(MergeError, match=match):
        built(tmp_path, [SHIFTED], owners=Owners(users=[(0, 100_000, 65_536), (100_000, 0, 5)]))
    assert not (tmp_path / "image.squashfs").exists()


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"users": [(0, 0, 0)]}, r"users: a range is FIRST, BECOMES, COUNT, .* not \(0, 0, 0\)"),
        ({"groups": [(-1, 0, 1)]}, "groups: a range is"),
        ({"users": [(0, 0)]}, "a range is"),
        ({"users": [(0, 4_294_967_295, 2)]}, "ends past 4294967295"),
        ({"users": [(5, 0, 3), (0, 100, 6)]}, "the ranges 0:100:6 and 5:0:3 overlap"),
        ({"everything": (0, -1)}, "an owner is"),
        ({"everything": (0, 0), "users": [(0, 0, 1)]}, "are mapped, or are the same"),
    ],
)
def test_owners_that_are_none(options: Any, match: str) -> None:
    with pytest.raises(OptionError, match=match):
        Owners(**options)


def test_the_kernel_sees_the_same(tmp_path: Path) -> None:
    built(tmp_path, [SHIFTED], owners=Owners(users=[(100_000, 0, 10)], groups=[(100_000, 0, 10)]), vm=True)
    image = tmp_path / "image.squashfs"
    assert_same(kernel_tree(image, tmp_path), reader_tree(image))
