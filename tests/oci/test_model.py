"""Random layers as a container image: what the model says, where the last of one name stands in every layer."""

from __future__ import annotations

import hashlib
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import pysquash
from tests.oci.builder import Files, Image, Layer, Packing, layout, new_archive, old_archive, to_directory, to_tar
from tests.property.layers import Item, Layers, ModelError, apply_layers, layers, random_layers, write_tar
from tests.snapshot import Seen, Tree, assert_same, kernel_tree, need_root, reader_tree

FORMS = ["oci", "oci-archive", "old docker-archive", "new docker-archive"]
PACKINGS: list[Packing] = ["plain", "gzip", "gzip members", "zstd", "zstd frames"]
TWICE = [[Item("file", "a", 1), Item("file", "a", 2), Item("link", "b", 3, "a"), Item("directory", "a", 4)]]
LINKED_AND_REPLACED = [[Item("file", "a", 1)], [Item("link", "b", 2, "a"), Item("file", "a", 3), Item("file", "a", 4)]]


def model_tree(drawn: Layers) -> Tree:
    """Give what the model says, in a snapshot's terms."""
    places = {"/".join(place).encode(): inode for place, inode in apply_layers(drawn, duplicates="last").items()}
    names: dict[int, list[bytes]] = {}
    for path, inode in places.items():
        names.setdefault(id(inode), []).append(path)
    tree: Tree = {}
    for path, inode in places.items():
        links = (path,) if inode.kind == "directory" else tuple(sorted(names[id(inode)]))
        tree[path] = Seen(inode.kind, 0o755, 0, 0, 0, "", links, ())
        item = inode.item
        if item is not None:
            tree[path] = replace(tree[path], mode=item.mode, uid=item.uid, gid=item.uid, mtime=item.mtime)
            if inode.kind == "symlink":
                tree[path] = replace(tree[path], mode=0o777, content=repr(item.target.encode()))
            elif inode.kind == "file":
                content = f"{len(item.content)} {hashlib.sha256(item.content).hexdigest()}"
                xattrs = ((b"user.serial", b"%d" % item.serial),)
                tree[path] = replace(tree[path], content=content, xattrs=xattrs)
    return tree


def build(drawn: Layers, packing: Packing, form: str, folder: Path) -> Path:
    rows = []
    for layer in drawn:
        write_tar(layer, folder / "layer.tar")
        rows.append(Layer((folder / "layer.tar").read_bytes(), packing))
    files: Files = {"old docker-archive": old_archive, "new docker-archive": new_archive}.get(form, layout)(Image(rows))
    place = (to_directory if form == "oci" else to_tar)(files, folder / "source")
    path = folder / "image.squashfs"
    pysquash.build([f"{form.rsplit(maxsplit=1)[-1]}:{place}"], path, options=pysquash.WriterOptions(block_size=4096))
    return path


def check(drawn: Layers, packing: Packing, form: str, *, mounts: bool = False) -> bool:
    """Compare an image with the model; False where there is to be none."""
    with tempfile.TemporaryDirectory(prefix="pysquash-test-") as name:
        folder = Path(name)
        try:
            wanted = model_tree(drawn)
        except ModelError:
            with pytest.raises(pysquash.InputError):
                build(drawn, packing, form, folder)
            assert not (folder / "image.squashfs").exists()
            return False
        path = build(drawn, packing, form, folder)
        assert_same(reader_tree(path), wanted)
        if mounts:
            assert_same(kernel_tree(path, folder), wanted)
    return True


@settings(max_examples=60, derandomize=True)
@given(drawn=layers(), packing=st.sampled_from(PACKINGS), form=st.sampled_from(FORMS))
@example(drawn=TWICE, packing="gzip", form="oci")
@example(drawn=LINKED_AND_REPLACED, packing="zstd", form="old docker-archive")
def test_image_is_what_the_model_says(drawn: Layers, packing: Packing, form: str) -> None:
    check(drawn, packing, form)


@pytest.mark.parametrize("part", range(4))
def test_many_images_are_what_the_model_says(part: int) -> None:
    outcomes = [
        check(random_layers(seed), PACKINGS[seed % len(PACKINGS)], FORMS[seed % len(FORMS)])
        for seed in range(part * 100, (part + 1) * 100)
    ]
    assert 20 < sum(outcomes) < 100


def test_kernel_reads_what_the_model_says() -> None:
    need_root()
    outcomes = [
        check(random_layers(seed), PACKINGS[seed % len(PACKINGS)], FORMS[seed % len(FORMS)], mounts=True)
        for seed in range(1000, 1040)
    ]
    assert sum(outcomes) > 10
