"""Parts of sources: what is taken, what is left where it is, and that a part is merged on its own first."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import pysquash
from pysquash import Part
from pysquash.cli.additions import part_path
from pysquash.options.limits import Limits
from pysquash.options.writer import WriterOptions
from pysquash.sources.tar import TarSource
from tests.property.layers import Layers, layers, write_tar
from tests.property.merge_model import Item
from tests.snapshot import assert_same, kernel_tree, reader_tree
from tests.vm.images import built, container_image, layer, names, text

BASE = layer({"usr/": None, "usr/lib/": None, "lib": "-> usr/lib", "usr/lib/libc": "c", "boot/": None}, uid=1)
KERNEL = layer(
    {
        "boot/": None,
        "boot/vmlinuz": "kernel",
        "lib/": None,
        "lib/modules/": None,
        "lib/modules/6/x.ko": "module",
        "lib/firmware": "big",
        "etc/passwd": "kernel's",
    },
    uid=2,
)


def tar(folder: Path, data: bytes, name: str = "part.tar") -> str:
    (folder / name).write_bytes(data)
    return str(folder / name)


def test_kernel_and_modules_over_a_root(tmp_path: Path) -> None:
    image = built(tmp_path, [BASE, Part(tar(tmp_path, KERNEL), ["boot", "/lib/modules"])])
    assert names(image) == [
        "boot",
        "boot/vmlinuz",
        "lib",
        "usr",
        "usr/lib",
        "usr/lib/libc",
        "usr/lib/modules",
        "usr/lib/modules/6",
        "usr/lib/modules/6/x.ko",
    ]
    assert (image / "lib").is_symlink()
    assert [(image / name).stat().st_uid for name in ("usr/lib", "boot", "boot/vmlinuz")] == [1, 2, 2]
    # What no entry describes is left to what is there.
    assert (image / "usr/lib/modules/6").stat().st_uid == 0


def test_its_own_symlinks_lead_to_it(tmp_path: Path) -> None:
    part = tar(tmp_path, layer({"usr/lib/": None, "lib": "-> usr/lib", "usr/lib/modules/x": "m", "link": "-> usr"}))
    image = built(tmp_path, [layer({"a": "x"}), Part(part, ["lib/modules", "link"])])
    assert names(image) == ["a", "lib", "lib/modules", "lib/modules/x", "link"]
    assert (image / "link").readlink() == b"usr"


def test_its_layers_are_merged_on_their_own(tmp_path: Path) -> None:
    layers = [
        layer({"d/gone": "1", "d/kept": "1", "e/gone": "1"}),
        layer({"d/.wh.gone": "", ".wh.e": "", "e/new": "2"}),
    ]
    part = Part(container_image(tmp_path / "o", layers), ["d", "e"])
    image = built(tmp_path, [layer({"d/gone": "base", "e/base": "base"}), part], platform="linux/amd64")
    assert names(image) == ["d", "d/gone", "d/kept", "e", "e/base", "e/new"]
    assert text(image, "d/gone") == "base"


def test_hard_links_come_with_their_content(tmp_path: Path) -> None:
    part = tar(tmp_path, layer([("x/first", "content"), ("y/a", "= x/first"), ("y/b", "= x/first")]))
    image = built(tmp_path, [Part(part, ["y"])])
    assert names(image) == ["y", "y/a", "y/b"]
    assert (text(image, "y/a"), (image / "y/b").stat().st_nlink) == ("content", 2)


def test_a_directory_that_only_whiteouts_emptied_is_there(tmp_path: Path) -> None:
    saved = container_image(tmp_path / "image", [layer({"a/b": "1"}), layer({"a/.wh.b": ""})])
    assert names(built(tmp_path, [Part(saved, [""])])) == names(built(tmp_path, [saved])) == ["a"]


def test_paths_below_others_and_a_single_file(tmp_path: Path) -> None:
    part = tar(tmp_path, KERNEL)
    image = built(tmp_path, [Part(part, ["boot/vmlinuz", "boot", "etc/passwd", b"boot/"])])
    assert names(image) == ["boot", "boot/vmlinuz", "etc", "etc/passwd"]
    assert names(built(tmp_path, [Part(part, ["/", "boot"])])) == names(built(tmp_path, [KERNEL]))


def test_a_part_below_another_source_and_of_any_kind(tmp_path: Path) -> None:
    built(tmp_path, [KERNEL])
    (tmp_path / "image.squashfs").rename(tmp_path / "kernel.squashfs")
    image = built(tmp_path, [Part(f"sqfs:{tmp_path}/kernel.squashfs", ["boot"]), layer({"boot/vmlinuz": "upper"})])
    assert text(image, "boot/vmlinuz") == "upper"
    folder = tmp_path / "folder"
    (folder / "a").mkdir(parents=True)
    with (folder / "a/sparse").open("wb") as file:
        file.write(b"x" * 5000)
        file.truncate(1 << 21)
        file.seek((1 << 21) - 3)
        file.write(b"end")
    image = built(tmp_path, [Part(f"dir:{folder}", ["a/sparse"])])
    assert (image / "a/sparse").read_bytes() == (folder / "a/sparse").read_bytes()
    source = TarSource(io.BytesIO(KERNEL), name="mine", options=WriterOptions(), warn=lambda _line: None)
    assert names(built(tmp_path, [Part(source, ["etc"])])) == ["etc", "etc/passwd"]


def test_exclude_applies_to_parts(tmp_path: Path) -> None:
    image = built(tmp_path, [Part(tar(tmp_path, KERNEL), ["boot", "etc"])], exclude=["passwd"])
    assert names(image) == ["boot", "boot/vmlinuz", "etc"]


def test_digests_of_a_part_are_verified(tmp_path: Path) -> None:
    source = container_image(tmp_path / "o", [KERNEL])
    report = pysquash.build([Part(source, ["boot"])], tmp_path / "image", platform="linux/amd64")
    assert len(report.digests_verified) == 4
    for blob in (tmp_path / "o/blobs/sha256").iterdir():
        if blob.stat().st_size == len(KERNEL):
            blob.write_bytes(KERNEL.replace(b"big", b"BIG"))
    with pytest.raises(pysquash.SourceError, match="digest"):
        pysquash.build([Part(source, ["boot"])], tmp_path / "2", platform="linux/amd64")


# --- at another place ------------------------------------------------------------------------------------------------

ROOTFS = layer(
    [
        ("rootfs/", None),
        ("rootfs/etc/", None),
        ("rootfs/etc/os", "1"),
        ("rootfs/etc/same", "= rootfs/etc/os"),
        ("other/os", "= rootfs/etc/os"),
        ("current", "-> rootfs"),
        ("metadata.yaml", "x"),
    ],
    uid=3,
)


@pytest.mark.parametrize("place", ["/", "", ".", b"/", "./."])
@pytest.mark.parametrize("path", ["rootfs", "rootfs/", "/rootfs/.", b"rootfs", "current/."])
def test_a_directory_becomes_the_root(tmp_path: Path, path: str | bytes, place: str | bytes) -> None:
    if path == "current/.":  # as long as nothing follows it, it is the symlink itself
        with pytest.raises(pysquash.SourceError, match="current is a symlink to rootfs, and only a directory can be"):
            built(tmp_path, [Part(tar(tmp_path, ROOTFS), [(path, place)])])
        return
    image = built(tmp_path, [BASE, Part(tar(tmp_path, ROOTFS), [(path, place)])])
    assert names(image) == ["boot", "etc", "etc/os", "etc/same", "lib", "usr", "usr/lib", "usr/lib/libc"]
    assert (image.root.stat().st_uid, image.root.stat().st_mode & 0o7777) == (3, 0o755)
    assert (image / "etc/os").stat().st_nlink == 2


@pytest.mark.parametrize("path", ["/", "", "."])
def test_a_source_goes_below_a_directory(tmp_path: Path, path: str) -> None:
    image = built(tmp_path, [BASE, Part(tar(tmp_path, KERNEL), [(path, "lib/k")])])
    below = [name for name in names(image) if name.startswith("usr/lib/k")]
    assert below == [f"usr/lib/k{'/' * bool(each)}{each}" for each in ["", *names(built(tmp_path, [KERNEL]))]]


def test_files_and_symlinks_get_other_names(tmp_path: Path) -> None:
    part = Part(
        tar(tmp_path, ROOTFS), [("rootfs/etc/os", "a"), ("current", "b/c"), ("current/etc/same", "a2"), "other"]
    )
    image = built(tmp_path, [layer({"a": "old"}), part])
    assert names(image) == ["a", "a2", "b", "b/c", "other", "other/os"]
    assert ((image / "b/c").readlink(), text(image, "a"), text(image, "a2")) == (b"rootfs", "1", "1")
    assert [(image / name).stat().st_nlink for name in ("a", "a2", "other/os")] == [3, 3, 3]


def test_what_is_taken_twice_is_copied(tmp_path: Path) -> None:
    part = Part(tar(tmp_path, ROOTFS), [("rootfs", "x"), ("current/etc", "y"), ("rootfs", "z"), ("rootfs/etc/os", "w")])
    image = built(tmp_path, [part])
    found = {name: (image / name).stat() for name in names(image) if name.endswith(("os", "same", "w"))}
    assert {name: status.st_nlink for name, status in found.items()} == {
        **dict.fromkeys(["x/etc/os", "x/etc/same", "y/os", "y/same", "z/etc/os", "z/etc/same"], 2),
        "w": 1,
    }
    assert len({status.st_ino for status in found.values()}) == 4
    assert {text(image, name) for name in found} == {"1"}
    assert_same(kernel_tree(tmp_path / "image.squashfs", tmp_path), reader_tree(tmp_path / "image.squashfs"))


def test_a_later_path_goes_over_an_earlier_one(tmp_path: Path) -> None:
    source = layer({"a/f": "a", "a/g": "a", "b/f": "b", "b/h": "b", "c": "c"})
    image = built(tmp_path, [Part(tar(tmp_path, source), [("a", "x"), ("b", "x")])])
    assert {name: text(image, name) for name in names(image)[1:]} == {"x/f": "b", "x/g": "a", "x/h": "b"}
    image = built(tmp_path, [Part(tar(tmp_path, source), [("b", "x"), ("a", "x"), ("c", "x/g")])])
    assert {name: text(image, name) for name in names(image)[1:]} == {"x/f": "a", "x/g": "c", "x/h": "b"}
    with pytest.raises(pysquash.MergeError, match="more than one entry"):
        built(tmp_path, [Part(tar(tmp_path, source), [("a", "x"), ("b", "x")])], options={"duplicates": "error"})


def test_what_another_path_takes_to_the_same_place_is_taken_once(tmp_path: Path) -> None:
    source = tar(tmp_path, KERNEL)
    report = pysquash.build(
        [Part(source, [("boot", "b"), ("boot/vmlinuz", "b/vmlinuz"), ("boot", "b")])], tmp_path / "i"
    )
    assert not report.warnings
    assert report.entries["file"] == 1


def test_places_that_no_path_can_have(tmp_path: Path) -> None:
    source = tar(tmp_path, ROOTFS)
    for place in (".wh.x", "x/.wh.y", "x/.wh..wh..opq"):
        with pytest.raises(pysquash.SourceError, match="nothing can be put at the name of a whiteout"):
            built(tmp_path, [BASE, Part(source, [("rootfs", place)])])
    assert "x" in names(built(tmp_path, [Part(source, [("rootfs", "x")])], options={"whiteouts": "keep"}))
    for place in ("../x", "a\0b"):
        with pytest.raises(pysquash.SourceError, match=r"no '\.\.' and no NUL"):
            built(tmp_path, [Part(source, [("rootfs", place)])])
    with pytest.raises(pysquash.SourceError, match="rootfs/etc/os is a file, and only a directory can be the root"):
        built(tmp_path, [Part(source, [("rootfs/etc/os", "/")])])
    with pytest.raises(pysquash.SourceError, match="has nothing at nope"):
        built(tmp_path, [Part(source, [("nope", "x")])])
    limits = Limits(path_size=20, depth=4)
    for place in ("a" * 18, "a/b/c"):
        built(tmp_path, [Part(source, [("rootfs", place[:3])])], options={"limits": limits})
        with pytest.raises(pysquash.LimitError, match="path (size|depth) is"):
            built(tmp_path, [Part(source, [("rootfs", place)])], options={"limits": limits})
    wrong: list[Any] = [("a",), ("a", "b", "c")]
    for pair in wrong:
        with pytest.raises(pysquash.OptionError, match="pairs of a path and a place"):
            Part(source, [pair])


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("rootfs", "rootfs"),
        ("rootfs:/", ("rootfs", "/")),
        ("/:srv", ("/", "srv")),
        (r"a\:b", "a:b"),
        (r"a\:b:c\:d", ("a:b", "c:d")),
    ],
)
def test_how_paths_are_written(text: str, wanted: str | tuple[str, str]) -> None:
    assert part_path(text) == wanted


@pytest.mark.parametrize("text", ["", "a:b:c", ":b", "a:", "../a:b", "a:../b", ":"])
def test_how_paths_are_not_written(text: str) -> None:
    with pytest.raises(click.BadParameter):
        part_path(text)


def test_a_thousand_paths(tmp_path: Path) -> None:
    source = tar(tmp_path, layer({f"d{row}/f": str(row) for row in range(1000)}))
    moves = [(f"d{row}", f"e/{row}") for row in range(1000)] + [("d7/f", "seven")]
    image = built(tmp_path, [Part(source, moves)])
    assert (text(image, "e/999/f"), text(image, "seven")) == ("999", "7")


def test_errors(tmp_path: Path) -> None:
    part = tar(tmp_path, KERNEL)
    with pytest.raises(pysquash.SourceError, match=r"part\.tar: has nothing at lib/module"):
        built(tmp_path, [BASE, Part(part, ["lib/module"])])
    with pytest.raises(pysquash.SourceError, match=r"no '\.\.'"):
        built(tmp_path, [Part(part, ["../x"])])
    wrong: list[Any] = ["boot", b"boot", []]
    for paths in wrong:
        with pytest.raises(pysquash.OptionError, match="has a list of paths"):
            Part(part, paths)
    with pytest.raises(pysquash.LimitError, match="number of entries"):
        built(tmp_path, [Part(part, ["boot"])], options={"limits": Limits(entry_count=3)})
    assert not (tmp_path / "image.squashfs").exists()


def test_the_kernel_sees_the_same(tmp_path: Path) -> None:
    built(tmp_path, [BASE, Part(tar(tmp_path, KERNEL), ["boot", "lib/modules"])])
    image = tmp_path / "image.squashfs"
    assert_same(kernel_tree(image, tmp_path), reader_tree(image))


@settings(max_examples=100)
@example(
    drawn=[[Item("directory", "a/a", 1)], [Item("whiteout", "a/a", 2)]], path="", place=""
)  # an implied, empty one
@given(
    drawn=layers(),
    path=st.sampled_from(["", "a", "b", "lib", "a/b", "lib/c"]),
    place=st.sampled_from([None, "", "a", "n", "n/m", "a/b"]),
)
def test_a_part_is_what_the_whole_has_there(
    drawn: Layers, path: str, place: str | None, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("part")
    tars = []
    for row, one in enumerate(drawn):
        write_tar(one, folder / f"{row}.tar")
        tars.append((folder / f"{row}.tar").read_bytes())
    source = container_image(folder / "oci", tars)
    options = WriterOptions(verify=True)
    try:
        pysquash.build([source], folder / "whole", platform="linux/amd64", options=options)
    except pysquash.InputError:
        return
    whole = reader_tree(folder / "whole")
    raw, below = path.encode(), path.encode() + b"/" if path else b""
    target = raw if place is None else place.encode()

    def placed(name: bytes) -> bytes:
        rest = name[len(below) :]
        return target if name == raw else target + b"/" * bool(target) + rest

    wanted = {name: seen for name, seen in whole.items() if name == raw or name.startswith(below)}
    if raw not in whole:
        return  # nothing, or reached through symlinks
    part = Part(source, [path if place is None else (path, place)])
    if not target and whole[raw].kind != whole[b""].kind:
        with pytest.raises(pysquash.SourceError, match="only a directory can be the root"):
            pysquash.build([part], folder / "part", platform="linux/amd64", options=options)
        return
    pysquash.build([part], folder / "part", platform="linux/amd64", options=options)
    found = reader_tree(folder / "part")
    above = {b""} | {target[:end] for end in range(len(target)) if target[end : end + 1] == b"/"}
    assert_same(
        {name: seen for name, seen in found.items() if name not in above or target == b""},
        {
            placed(name): replace(seen, links=tuple(sorted(placed(link) for link in seen.links if link in wanted)))
            for name, seen in wanted.items()
        },
    )


@pytest.mark.parametrize(
    "paths",
    [
        [("f", "p"), ("k", "p"), ("g", "q")],
        [("f", "p/a"), ("k", "p"), ("g", "q")],
        [("s", "s"), ("f", "s/a"), ("k", "d/a"), ("g", "q")],  # the same place by way of a symlink
        [("f", "p"), ("g", "q"), ("k", "p")],
    ],
)
@pytest.mark.parametrize("base", [[], [{"a": "x"}]])
def test_a_hard_link_keeps_its_content_where_another_path_takes_the_place(
    tmp_path: Path, paths: list[tuple[str | bytes, str | bytes]], base: list[dict[str, str]]
) -> None:
    part = tar(tmp_path, layer([("f", "shared"), ("g", "= f"), ("k", "other"), ("s", "-> d"), ("d/", None)]))
    image = built(tmp_path, [*map(layer, base), Part(part, [("d", "d"), *paths])])
    assert text(image, "q") == "shared"
    assert text(image, str(next(place for path, place in paths if path == "k"))) == "other"
