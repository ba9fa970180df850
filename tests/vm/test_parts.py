"""Parts of sources: what is taken, what is left where it is, and that a part is merged on its own first."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import pysquash
from pysquash import Part
from pysquash.options import Limits, WriterOptions
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
@example(drawn=[[Item("directory", "a/a", 1)], [Item("whiteout", "a/a", 2)]], path="")  # leaves an implied, empty one
@given(drawn=layers(), path=st.sampled_from(["", "a", "b", "lib", "a/b", "lib/c"]))
def test_a_part_is_what_the_whole_has_there(drawn: Layers, path: str, tmp_path_factory: pytest.TempPathFactory) -> None:
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
    below = path.encode() + b"/" if path else b""
    wanted = {name: seen for name, seen in whole.items() if name == path.encode() or name.startswith(below)}
    if path.encode() not in whole:
        return  # nothing, or reached through symlinks
    pysquash.build([Part(source, [path])], folder / "part", platform="linux/amd64", options=options)
    found = reader_tree(folder / "part")
    above = {b""} | {path.encode()[:end] for end in range(len(path)) if path[end] == "/"}
    assert_same(
        {name: seen for name, seen in found.items() if name not in above or path == ""},
        {
            name: replace(seen, links=tuple(link for link in seen.links if link in wanted))
            for name, seen in wanted.items()
        },
    )
