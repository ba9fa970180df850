"""Layers that are SquashFS images: read as overlayfs stacks them, from every place, and verified."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings

import pysquash
from pysquash.options.writer import WriterOptions
from tests.noticing import texts
from tests.oci.builder import (
    Image,
    Layer,
    device,
    digest_of,
    directory,
    file,
    layout,
    link,
    skopeo_directory,
    tar,
    to_directory,
    to_tar,
)
from tests.oci.judge import build, refusal
from tests.property.layers import Layers, layers, write_tar
from tests.snapshot import assert_same, reader_tree

STACKER = "application/vnd.stacker.image.layer.squashfs"
SYLABS = "application/vnd.sylabs.image.layer.v1.squashfs"


def squashfs(*entries: bytes) -> bytes:
    output = io.BytesIO()
    options = WriterOptions(whiteouts="keep")
    pysquash.tar2squashfs([io.BytesIO(tar(*entries))], output, options=options)
    return output.getvalue()


def packed(data: bytes, media_type: str = STACKER, **changes: object) -> Layer:
    return Layer(data, "plain", media_type=media_type, **changes)  # type: ignore[arg-type]


def image(*parts: Layer) -> Image:
    return Image(parts, platform="linux/amd64")


BASE = squashfs(
    directory("etc"),
    file("etc/a", b"a"),
    file("etc/b", b"b"),
    link("etc/hard", "etc/a"),
    file("opq/x", b"x"),
    file("c"),
)
OPAQUE = {"trusted.overlay.opaque": b"y"}
UPPER = squashfs(
    directory("etc", mode=0o700),
    file("etc/new", b"new"),
    device("etc/b", 0, 0),
    link("c", "etc/b"),
    directory("opq", xattrs={**OPAQUE, "trusted.kept": b"1"}),
    file("opq/y", b"y"),
    device("null", 1, 3),
)
MERGED = {"etc": "directory", "etc/a": "a", "etc/hard": "a", "etc/new": "new", "opq": "directory", "opq/y": "y"}


@pytest.mark.parametrize(
    "media_type",
    [STACKER, f"{STACKER}+zstd", f"{STACKER}+gzip+verity", SYLABS, "application/vnd.oci.image.layer.squashfs"],
)
def test_layers_of_every_type(media_type: str, tmp_path: Path) -> None:
    source = f"oci:{to_directory(layout(image(packed(BASE, media_type))), tmp_path / 'layout')}"
    found = build(source, tmp_path, platform="linux/amd64")
    assert found.names["etc/hard"] == "a"
    assert [digest for digest in found.report.digests_verified if digest.endswith(digest_of(BASE))] == [
        digest_of(BASE),
        f"diff_id {digest_of(BASE)}",
    ]


@pytest.mark.parametrize(
    "media_type", [f"{STACKER}+encrypted", "application/vnd.stacker.image.layer.erofs", "squashfs"]
)
def test_layers_of_other_types(media_type: str, tmp_path: Path) -> None:
    source = f"oci:{to_directory(layout(image(packed(BASE, media_type))), tmp_path / 'layout')}"
    assert "encrypted" in (text := refusal(source, tmp_path)) or "is no layer" in text


def test_layers_over_each_other_from_every_place(tmp_path: Path) -> None:
    one = image(packed(BASE), packed(UPPER, SYLABS))
    places = [
        f"oci:{to_directory(layout(one), tmp_path / 'layout')}",
        f"oci-archive:{to_tar(layout(one), tmp_path / 'layout.tar', 'zstd')}",
        f"dir:{to_directory(skopeo_directory(one), tmp_path / 'dir')}",
    ]
    for source in places:
        found = build(source, tmp_path, platform="linux/amd64")
        assert {name: what for name, what in found.names.items() if name != "null"} == MERGED
        assert found.warnings == ()
        assert found.tree[b"opq"].xattrs == ((b"trusted.kept", b"1"),)
        assert "null" in found.names
        assert found.tree[b"etc"].mode == 0o700
        assert sorted(each.name for each in tmp_path.iterdir() if each.name.startswith(".")) == []


def test_tars_and_images_in_one_image(tmp_path: Path) -> None:
    mixed = image(
        Layer(tar(file("etc/b", b"tar"), file("opq/z", b"z"))), packed(UPPER), Layer(tar(file("opq/y", b"top")))
    )
    found = build(f"oci:{to_directory(layout(mixed), tmp_path / 'layout')}", tmp_path, platform="linux/amd64")
    assert {name: what for name, what in found.names.items() if name != "null"} == {
        "etc": "directory",
        "etc/new": "new",
        "opq": "directory",
        "opq/y": "top",
    }


def test_whiteouts_that_are_kept(tmp_path: Path) -> None:
    source = f"oci:{to_directory(layout(image(packed(BASE), packed(UPPER))), tmp_path / 'layout')}"
    found = build(source, tmp_path, platform="linux/amd64", whiteouts="keep")
    assert {"etc/b", "c", "opq/x"} <= set(found.names)
    assert (b"trusted.overlay.opaque", b"y") in found.tree[b"opq"].xattrs
    assert len(found.warnings) == 2


def test_what_is_not_opaque(tmp_path: Path) -> None:
    upper = squashfs(
        directory(".", xattrs=OPAQUE), directory("opq", xattrs={"trusted.overlay.opaque": b"x"}), file("opq/y", b"y")
    )
    source = f"oci:{to_directory(layout(image(packed(BASE), packed(upper))), tmp_path / 'layout')}"
    assert {"etc/a", "opq/x", "opq/y"} <= set(build(source, tmp_path, platform="linux/amd64").names)


@pytest.mark.parametrize("transport", ["oci", "oci-archive"])
def test_blobs_that_are_not_what_they_should_be(transport: str, tmp_path: Path) -> None:
    def refused(layer: Layer) -> str:
        files = layout(image(layer))
        place = tmp_path / f"{len(list(tmp_path.iterdir()))}.layout"
        written = to_directory(files, place) if transport == "oci" else to_tar(files, place)
        return refusal(f"{transport}:{written}", tmp_path, platform="linux/amd64")

    other = BASE[:-1] + bytes([BASE[-1] ^ 1])
    assert f"layer 1 ({digest_of(BASE)[:19]}): the blob has the digest {digest_of(other)}" in refused(
        packed(BASE, stored=other)
    )
    assert f"the blob has {len(BASE) - 1} bytes, not {len(BASE)}" in refused(packed(BASE, stored=BASE[:-1]))
    assert f"the blob is larger than the {len(BASE)} bytes" in refused(packed(BASE, stored=BASE + b"x"))
    assert "that of a SquashFS layer is its digest" in refused(packed(BASE, diff_id=digest_of(b"")))
    text = refused(packed(tar(file("a"))))
    assert "layer 1 (" in text
    assert "the first four bytes" in text
    assert "layer 1 (" in refused(packed(BASE[:96] + b"\0" * 200))
    assert "checksum is wrong" in refused(replace(packed(BASE), media_type=None))


def test_an_image_that_is_a_bomb(tmp_path: Path) -> None:
    output = io.BytesIO()
    with pysquash.SquashfsWriter(output, WriterOptions(find_holes=False, find_duplicates=False)) as writer:
        writer.add_file("zeros", bytes(8 << 20))
    bomb = output.getvalue()
    (tmp_path / "bomb.sqfs").write_bytes(bomb)
    layer = f"oci:{to_directory(layout(image(packed(bomb))), tmp_path / 'layout')}"
    limits = pysquash.Limits(ratio=100, ratio_free_size=1 << 20)
    for source in (f"sqfs:{tmp_path}/bomb.sqfs", layer):
        assert "the image's compression ratio is" in refusal(source, tmp_path, platform=None, limits=limits)
    assert set(build(f"sqfs:{tmp_path}/bomb.sqfs", tmp_path).names) == {"zeros"}
    (tmp_path / "i").mkdir()
    assert set(build(layer, tmp_path / "i", platform="linux/amd64").names) == {"zeros"}


def test_parts_and_layers_of_such_images(tmp_path: Path) -> None:
    source = f"oci:{to_directory(layout(image(packed(BASE), packed(UPPER))), tmp_path / 'layout')}"
    pysquash.build([pysquash.Part(source, [("etc", "/")])], tmp_path / "part", platform="linux/amd64")
    assert set(reader_tree(tmp_path / "part")) == {b"", b"a", b"hard", b"new"}
    images = pysquash.build_layers([source], tmp_path / "images", platform="linux/amd64")
    assert len(images.paths) == 2
    assert texts(images.warnings) == []


@settings(max_examples=60)
@given(drawn=layers())
def test_images_for_overlayfs_are_what_their_layers_were(
    drawn: Layers, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Compare an image of tars with one of the images that `build_layers` makes of these, which overlayfs can stack."""
    folder = tmp_path_factory.mktemp("layers")
    tars = [folder / f"{row}.tar" for row in range(len(drawn))]
    for one, path in zip(drawn, tars, strict=True):
        write_tar(one, path)
    options = WriterOptions(duplicates="last")
    try:
        pysquash.build(list(map(str, tars)), folder / "wanted", options=options)
    except pysquash.InputError:
        return
    images = pysquash.build_layers(list(map(str, tars)), folder / "images", options=options).paths
    packed_layers = [packed(path.read_bytes()) for path in images]
    source = f"oci:{to_directory(layout(image(*packed_layers)), folder / 'layout')}"
    pysquash.build([source], folder / "found", platform="linux/amd64", options=options)
    assert_same(reader_tree(folder / "found"), reader_tree(folder / "wanted"))
