"""One image for each layer: stacked with overlayfs, they show what one image of all layers holds."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from pysquash import InputError, OptionError, SquashfsImage, WriterOptions, check
from pysquash.notices import Warnings
from pysquash.packing.layer_images import OverlayXattrs, pack_layers
from pysquash.packing.pack import OpenSource, pack
from pysquash.sources.tar import TarSource
from pysquash.tree.entry import Kind
from pysquash.writer.output import Output
from tests.property.layers import Item, Layers, layers, write_tar
from tests.snapshot import Tree, assert_same, kernel_tree, mounted, need_root, reader_tree, walk

OPTIONS = WriterOptions(block_size=4096, workers=1, duplicates="last")


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """Give a folder that each example empties: tmp_path would keep them all."""
    path = Path(tempfile.mkdtemp(prefix="pysquash-test-"))
    yield path
    shutil.rmtree(path)


def sources(drawn: Layers, folder: Path, options: WriterOptions) -> list[OpenSource]:
    opens: list[OpenSource] = []
    for row, layer in enumerate(drawn):
        tar = folder / f"{row}.tar"
        write_tar(layer, tar)
        opens.append(partial(TarSource, tar, name=tar.name, options=options, warn=Warnings()))
    return opens


def packed(
    drawn: Layers, folder: Path, *, xattrs: OverlayXattrs = "trusted", options: WriterOptions = OPTIONS
) -> tuple[list[Path], Path]:
    """Pack layers both ways: the images of the stack, base first, and the one of all."""
    for old in folder.iterdir():
        shutil.rmtree(old) if old.is_dir() else old.unlink()
    one = folder / "one.squashfs"
    with Output(one) as target:
        pack(sources(drawn, folder, options), target, options=options, warnings=Warnings())
    stack = pack_layers(
        sources(drawn, folder, options), folder / "stack", xattrs=xattrs, options=options, warnings=Warnings()
    )
    return stack.paths, one


def stacked(images: list[Path], xattrs: OverlayXattrs) -> Tree:
    """Do what overlayfs does, on what our reader shows of each image."""
    tree: Tree = {}
    opaque = (f"{xattrs}.overlay.opaque".encode(), b"y")
    for number, image in enumerate(images):
        above = reader_tree(image)
        for path, seen in sorted(above.items()):
            is_whiteout = seen.kind == "character device" and seen.content in ("", "0:0") and seen.mode == 0
            is_merged = seen.kind == "directory" and path in tree and (opaque not in seen.xattrs or not path)
            if not (is_merged and tree[path].kind == "directory"):
                for below in [each for each in tree if each == path or not path or each.startswith(path + b"/")]:
                    if below:
                        del tree[below]
            if is_whiteout:
                assert number, "there is nothing to hide below the base"
                continue
            kept = tuple(pair for pair in seen.xattrs if pair != opaque)
            # Names that share an inode do so within one image, so all of a group are of the topmost that has one.
            tree[path] = dataclasses.replace(seen, xattrs=kept)
    return tree


@given(drawn=layers(), xattrs=st.sampled_from(["trusted", "user"]))
@settings(max_examples=150)
@example(
    drawn=[
        [Item("file", "d/a", 1, ""), Item("file", "d/b", 2, "")],
        [Item("opaque", "d", 3, ""), Item("file", "d/c", 4, "")],
        [Item("whiteout", "d", 5, ""), Item("directory", "d", 6, ""), Item("link", "e", 7, "d")],
    ],
    xattrs="trusted",
)
@example(drawn=[[Item("file", "a", 1, "")], [Item("link", "b", 2, "a")], [Item("whiteout", "a", 3, "")]], xattrs="user")
@example(drawn=[[Item("directory", "a/b/c", 1, "")], [Item("file", "a/b", 2, "")]], xattrs="trusted")
@example(drawn=[[Item("directory", "a", 1, "")], [Item("whiteout", "a", 2, "")]], xattrs="trusted")
def test_the_stack_is_the_merged_tree(drawn: Layers, xattrs: OverlayXattrs, folder: Path) -> None:
    try:
        stack, one = packed(drawn, folder, xattrs=xattrs)
    except InputError:
        assume(False)
    for image in stack:
        assert check(image) == []
    assert_same(stacked(stack, xattrs), reader_tree(one))


@contextlib.contextmanager
def overlaid(images: list[Path], folder: Path, options: str) -> Iterator[Path]:
    """Mount images over each other, as a guest would."""
    with contextlib.ExitStack() as mounts:
        points = [mounts.enter_context(mounted(image, folder)) for image in images]
        if len(points) == 1:
            yield points[0]
            return
        place = folder / "merged"
        place.mkdir()
        lower = ":".join(str(point) for point in reversed(points))
        subprocess.run(["mount", "-t", "overlay", "-o", f"ro{options},lowerdir={lower}", "overlay", place], check=True)
        mounts.callback(lambda: subprocess.run(["umount", place], check=True))
        yield place


@given(drawn=layers(), xattrs=st.sampled_from(["trusted", "user"]))
@settings(max_examples=25)
def test_overlayfs_shows_the_merged_tree(drawn: Layers, xattrs: OverlayXattrs, folder: Path) -> None:
    need_root()
    try:
        stack, one = packed(drawn, folder, xattrs=xattrs)
    except InputError:
        assume(False)
    with overlaid(stack, folder, ",userxattr" if xattrs == "user" else "") as place:
        seen = walk(place)
    # Without another option, overlayfs numbers what is not a directory by its own image, which is what groups names.
    assert_same(seen, kernel_tree(one, folder))


def test_content_of_a_lower_layer_comes_along_with_a_new_name(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    data = os.urandom(50_000)
    (tree / "large").write_bytes(data)
    with (tree / "sparse").open("wb") as file:
        file.write(data)
        file.truncate(3 << 20)
    options = WriterOptions(block_size=4096, verify=True)
    first = tmp_path / "first.tar"
    subprocess.run(["tar", "-C", tree, "-Scf", first, "large", "sparse"], check=True)
    second = tmp_path / "second.tar"
    write_tar([Item("link", "again", 1, "large"), Item("link", "holes", 2, "sparse")], second)
    opens: list[OpenSource] = [
        partial(TarSource, tar, name=tar.name, options=options, warn=Warnings()) for tar in (first, second)
    ]
    stack = pack_layers(opens, tmp_path / "out", xattrs="trusted", options=options, warnings=Warnings())
    with SquashfsImage(stack.paths[1]) as image:
        assert sorted(path.path for path in image.root.iterdir()) == [b"again", b"holes", b"large", b"sparse"]
        assert (image / "large").read_bytes() == data
        assert (image / "again").stat().st_ino == (image / "large").stat().st_ino
        assert (image / "sparse").inode.sparse > 2 << 20


def test_no_layers_are_an_empty_image(tmp_path: Path) -> None:
    images = pack_layers(
        [], tmp_path / "out", xattrs="trusted", options=WriterOptions(verify=True), warnings=Warnings()
    )
    assert images.paths == [tmp_path / "out" / "000.squashfs"]
    with SquashfsImage(images.paths[0]) as image:
        assert list(image.root.walk()) == [image.root]
    assert check(images.paths[0]) == []


def test_an_unchanged_layer_is_a_root_and_nothing_else(tmp_path: Path) -> None:
    stack, _ = packed([[Item("file", "a", 1, "")], [], [Item("whiteout", "b", 2, "")]], tmp_path)
    for image in stack[1:]:
        with SquashfsImage(image) as opened:
            assert [path.path for path in opened.root.walk()] == [b""]


def test_whiteouts_are_devices_and_opaque_directories_are_marked(tmp_path: Path) -> None:
    base = [Item("file", "d/a", 1, ""), Item("file", "d/b", 2, ""), Item("file", "e/a", 3, "")]
    stack, _ = packed([base, [Item("whiteout", "d/a", 4, ""), Item("opaque", "e", 5, "")]], tmp_path)
    with SquashfsImage(stack[1]) as image:
        whiteout = (image / "d/a").inode
        assert (whiteout.kind, whiteout.device) == (Kind.CHARACTER_DEVICE, (0, 0))
        assert not (image / "d/b").exists()
        assert (image / "e").xattrs == {b"trusted.overlay.opaque": b"y"}


def test_nothing_is_left_behind(tmp_path: Path) -> None:
    bad = [[Item("file", "a", 1, "")], [Item("link", "b", 2, "nowhere")]]
    opens = sources(bad, tmp_path, OPTIONS)
    before = sorted(os.listdir(tmp_path))
    with pytest.raises(InputError, match="nowhere"):
        pack_layers(opens, tmp_path / "out", xattrs="trusted", options=OPTIONS, warnings=Warnings())
    assert sorted(os.listdir(tmp_path)) == before
    (tmp_path / "out").mkdir()
    (tmp_path / "out/there").touch()
    with pytest.raises(FileExistsError, match="not an empty folder"):
        pack_layers(opens, tmp_path / "out", xattrs="trusted", options=OPTIONS, warnings=Warnings())


@pytest.mark.parametrize("options", [{"xattrs": False}, {"xattrs_exclude": "."}, {"xattrs_include": "^user"}])
def test_marks_stay_where_no_other_attributes_do(tmp_path: Path, options: dict[str, object]) -> None:
    chosen = dataclasses.replace(OPTIONS, verify=True, **options)  # type: ignore[arg-type]
    base = [Item("file", "e/a", 3, "")]
    stack, _ = packed([base, [Item("opaque", "e", 5, ""), Item("file", "f", 6, "")]], tmp_path, options=chosen)
    with SquashfsImage(stack[1]) as image:
        assert (image / "e").xattrs == {b"trusted.overlay.opaque": b"y"}


def test_an_order_of_contents_is_refused(tmp_path: Path) -> None:
    options = dataclasses.replace(OPTIONS, sort_by="path")
    with pytest.raises(OptionError, match="in the order of the layer"):
        pack_layers([], tmp_path / "out", xattrs="trusted", options=options, warnings=Warnings())
