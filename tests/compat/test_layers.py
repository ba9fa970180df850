"""Layers through the whole of pysquash, judged by the kernel and by unsquashfs against GNU tar and the model."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

import pysquash
from pysquash.options.writer import DuplicatePolicy
from tests.property.layers import Item, Layers, ModelError, apply_layers, layers, write_tar
from tests.snapshot import Seen, Tree, assert_same, extract, kernel_tree, need_root, need_tool, unsquashfs_tree, walk

SLOW = settings(max_examples=60)


@pytest.fixture(autouse=True)
def _tools() -> None:
    need_root()
    need_tool("unsquashfs", "squashfs-tools")
    need_tool("tar", "tar")


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """Give a folder that each example empties: tmp_path would keep them all."""
    path = Path(tempfile.mkdtemp(prefix="pysquash-test-"))
    yield path
    shutil.rmtree(path)


def fresh(folder: Path) -> Path:
    for old in folder.iterdir():
        shutil.rmtree(old) if old.is_dir() else old.unlink()
    return folder


def pack(drawn: Layers, folder: Path, duplicates: DuplicatePolicy) -> Path:
    tars = []
    for row, layer in enumerate(drawn):
        tars.append(folder / f"{row}.tar")
        write_tar(layer, tars[-1])
    image = folder / "image.squashfs"
    pysquash.tar2squashfs(tars, image, options=pysquash.WriterOptions(duplicates=duplicates, block_size=4096))
    return image


def model_tree(drawn: Layers, duplicates: str) -> Tree:
    """What the model says, in a snapshot's terms."""
    places = apply_layers(drawn, duplicates=duplicates)
    names: dict[int, list[bytes]] = {}
    for place, inode in places.items():
        names.setdefault(id(inode), []).append("/".join(place).encode())
    tree: Tree = {}
    for place, inode in places.items():
        item, path = inode.item, "/".join(place).encode()
        links = (path,) if inode.kind == "directory" else tuple(sorted(names[id(inode)]))
        if item is None:
            tree[path] = Seen(inode.kind, 0o755, 0, 0, 0, "", links, ())
            continue
        content, mode = "", item.mode
        xattrs: tuple[tuple[bytes, bytes], ...] = ()
        if inode.kind == "file":
            content = f"{len(item.content)} {hashlib.sha256(item.content).hexdigest()}"
            xattrs = ((b"user.serial", str(item.serial).encode()),)
        elif inode.kind == "symlink":
            content, mode = repr(item.target.encode()), 0o777
        tree[path] = Seen(inode.kind, mode, item.uid, item.uid, item.mtime, content, links, xattrs)
    return tree


@SLOW
@given(drawn=layers(), duplicates=st.sampled_from(["first", "last"]))
@example(drawn=[[Item("file", "a", 1), Item("link", "b", 2, "a")], [Item("file", "a", 3)]], duplicates="last")
@example(drawn=[[Item("file", "a", 1)], [Item("link", "b", 2, "a")], [Item("whiteout", "a", 3)]], duplicates="last")
@example(
    drawn=[[Item("directory", "a", 1), Item("file", "a/b", 2)], [Item("opaque", "a", 3), Item("file", "a/c", 4)]],
    duplicates="last",
)
def test_kernel_and_unsquashfs_read_what_the_model_says(
    drawn: Layers, duplicates: DuplicatePolicy, folder: Path
) -> None:
    fresh(folder)
    try:
        wanted = model_tree(drawn, duplicates)
    except ModelError:
        with pytest.raises(pysquash.InputError):
            pack(drawn, folder, duplicates)
        assert not (folder / "image.squashfs").exists()
        return
    image = pack(drawn, folder, duplicates)
    seen = kernel_tree(image, folder)
    assert_same(seen, wanted)
    assert_same(unsquashfs_tree(image, folder), seen)


@SLOW
@given(drawn=layers(inside=True, whiteouts=False))
def test_kernel_reads_what_gnu_tar_extracts(drawn: Layers, folder: Path) -> None:
    fresh(folder)
    try:
        apply_layers(drawn, duplicates="last")
    except ModelError:
        assume(False)
    image = pack(drawn, folder, "last")
    extracted = folder / "extracted"
    extracted.mkdir()
    for row in range(len(drawn)):
        assume(extract(folder / f"{row}.tar", extracted))
    wanted = walk(extracted)
    seen = kernel_tree(image, folder)
    places = {"/".join(place).encode(): inode.item for place, inode in apply_layers(drawn, duplicates="last").items()}

    def comparable(tree: Tree) -> Tree:
        """Leave out what extraction leaves to the moment: implied directories, and times that later layers touch."""
        kept = {path: one for path, one in tree.items() if places[path] is not None}
        for path, one in kept.items():
            if one.kind == "directory" and places[path] not in drawn[-1]:
                kept[path] = dataclasses.replace(one, mtime=0)
        return kept

    assert seen.keys() == wanted.keys()
    assert_same(comparable(seen), comparable(wanted))


def test_nothing_is_left_behind(tmp_path: Path) -> None:
    bad = tmp_path / "bad.tar"
    write_tar([Item("file", "a", 1)], bad)
    bad.write_bytes(bad.read_bytes()[:700])
    with pytest.raises(pysquash.SourceError, match="ends"):
        pysquash.tar2squashfs([bad], tmp_path / "image.squashfs")
    assert os.listdir(tmp_path) == ["bad.tar"]
