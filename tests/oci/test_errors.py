"""Images that are not what they say: each is one error, on one line, that names what is wrong and where; and nothing is
left of the try.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import tarfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

import pysquash
from tests.oci.builder import (
    CONFIG,
    DOCKER_LIST,
    DOCKER_MANIFEST,
    INDEX,
    LAYER,
    MANIFEST,
    Blobs,
    Document,
    Files,
    Image,
    Layer,
    Link,
    Packing,
    digest_of,
    encoded,
    file,
    image_layout,
    layout,
    new_archive,
    old_archive,
    packed,
    tar,
    to_directory,
    to_tar,
)
from tests.oci.judge import refusal, refusals
from tests.tarbuild import header, pax

ALL_PACKINGS: list[Packing] = ["plain", "gzip", "gzip members", "zstd", "zstd frames", "bzip2", "xz"]
NOISE = b"".join(b"%d " % (row * row * 7919) for row in range(8_000))
LARGE = tar(file("a", b"1"), file("noise", NOISE))


@pytest.fixture(params=["layout", "layout in a tar"])
def write(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[Files], str]:
    """Write files as a layout, and give the source string."""

    def written(files: Files) -> str:
        place = tmp_path / f"form-{len(os.listdir(tmp_path))}"
        if request.param == "layout":
            return f"oci:{to_directory(files, place)}"
        return f"oci-archive:{to_tar(files, place)}"

    return written


Write = Callable[[Files], str]

# --- layers that are not what their digests say ----------------------------------------------------------------------


@pytest.mark.parametrize("packing", ALL_PACKINGS)
@pytest.mark.parametrize("number", [1, 2])
def test_layer_with_another_digest(write: Write, tmp_path: Path, packing: Packing, number: int) -> None:
    layers = [Layer(tar(file("a", b"1")), packing), Layer(tar(file("a", b"1")), packing)]
    right, other = packed(layers[0].tar, packing), packed(tar(file("a", b"2")), packing)
    layers[number - 1].stored = other
    layers[number - 1].descriptor = {"size": len(other)}
    if number == 1:
        layers[1] = Layer(tar(file("b", b"2")), packing)
    else:
        layers[0] = Layer(tar(file("b", b"2")), packing)
    text = refusal(write(layout(Image(layers))), tmp_path)
    assert f"layer {number} ({digest_of(right)[:19]}): the blob has the digest {digest_of(other)}" in text
    assert f"not {digest_of(right)}" in text


@pytest.mark.parametrize("packing", ALL_PACKINGS)
def test_layer_that_is_larger_than_its_size(write: Write, tmp_path: Path, packing: Packing) -> None:
    layer = tar(file("a", b"1"))
    size = len(packed(layer, packing))
    text = refusal(write(layout(Image([Layer(layer, packing, descriptor={"size": size - 1})]))), tmp_path)
    assert f"the blob is larger than the {size - 1} bytes that it should have" in text


@pytest.mark.parametrize("packing", ALL_PACKINGS)
def test_layer_that_is_smaller_than_its_size(write: Write, tmp_path: Path, packing: Packing) -> None:
    layer = tar(file("a", b"1"))
    size = len(packed(layer, packing))
    text = refusal(write(layout(Image([Layer(layer, packing, descriptor={"size": size + 1})]))), tmp_path)
    assert f"layer 1 ({digest_of(packed(layer, packing))[:19]}): the blob has {size} bytes, not {size + 1}" in text


@pytest.mark.parametrize("packing", ALL_PACKINGS)
@pytest.mark.parametrize("number", [1, 2])
def test_layer_with_another_diff_id(tmp_path: Path, packing: Packing, number: int) -> None:
    layers = [Layer(tar(file("a", b"1")), packing), Layer(tar(file("b", b"2")), packing)]
    wanted, found = digest_of(b"another"), digest_of(layers[number - 1].tar)
    layers[number - 1].diff_id = wanted
    texts = refusals(Image(layers), tmp_path)
    assert len(texts) <= 2  # archives call a layer by its diff_id
    for text in texts:
        assert f"layer {number} (" in text
        assert f"the layer's tar (its diff_id) has the digest {found}, not {wanted}" in text


def test_diff_id_of_the_compressed_layer_is_another(write: Write, tmp_path: Path) -> None:
    layer = tar(file("a", b"1"))
    image = Image([Layer(layer, "gzip", diff_id=digest_of(packed(layer, "gzip")))])
    assert "the layer's tar (its diff_id) has the digest" in refusal(write(layout(image)), tmp_path)


def test_padding_behind_the_tar_counts_for_its_diff_id(tmp_path: Path) -> None:
    layer = tar(file("a", b"1"))
    image = Image([Layer(layer + bytes(512), diff_id=digest_of(layer))])
    assert all("(its diff_id) has the digest" in text for text in refusals(image, tmp_path))


@pytest.mark.parametrize("packing", ALL_PACKINGS)
@pytest.mark.parametrize("part", [0, 0.01, 0.5, 0.99])
def test_truncated_layer_is_not_the_blob_that_it_should_be(
    write: Write, tmp_path: Path, packing: Packing, part: float
) -> None:
    data = packed(LARGE, packing)
    kept = int(len(data) * part)
    text = refusal(write(layout(Image([Layer(LARGE, packing, stored=data[:kept])]))), tmp_path)
    assert f"layer 1 ({digest_of(data)[:19]}): the blob has {kept} bytes, not {len(data)}" in text


@pytest.mark.parametrize(
    ("packing", "text"),
    [
        ("plain", "the layer's tar (its diff_id) has the digest"),
        ("gzip", "cannot be decompressed: unexpected end of file: the gzip stream is truncated"),
        ("gzip members", "cannot be decompressed: unexpected end of file: the gzip stream is truncated"),
        ("zstd", "cannot be decompressed: unexpected end of file: the zstd stream is truncated"),
        ("zstd frames", "cannot be decompressed: unexpected end of file: the zstd stream is truncated"),
        ("bzip2", "cannot be decompressed: unexpected end of file: the bzip2 stream is truncated"),
        ("xz", "cannot be decompressed: unexpected end of file: the xz stream is truncated"),
    ],
)
def test_layer_that_was_truncated_before_its_digest_was_taken(
    write: Write, tmp_path: Path, packing: Packing, text: str
) -> None:
    cut = packed(LARGE, packing)[:-1000] if packing != "plain" else LARGE[:-30000]
    changes = {"digest": digest_of(cut), "size": len(cut)}
    files = layout(Image([Layer(LARGE, packing, descriptor=changes)]))
    files[f"blobs/sha256/{digest_of(cut)[7:]}"] = cut
    assert text in refusal(write(files), tmp_path)


@pytest.mark.parametrize("form", [old_archive, new_archive])
def test_truncated_layer_of_a_docker_archive(tmp_path: Path, form: Callable[..., Files]) -> None:
    files = form(Image([Layer(LARGE, stored=LARGE[:-30000])]))
    text = refusal(f"docker-archive:{to_tar(files, tmp_path / 'x.tar')}", tmp_path)
    wanted = "the blob has the digest" if form is new_archive else "the layer's tar (its diff_id) has the digest"
    assert f"layer 1 ({digest_of(LARGE)[:19]}): " in text
    assert wanted in text


def test_layer_that_is_no_tar(tmp_path: Path) -> None:
    assert all("layer 1 (" in text for text in refusals(Image([b"no tar at all" * 100]), tmp_path))


@pytest.mark.parametrize("data", [gzip.compress(bytes(80 << 20), 9), zstandard.compress(bytes(80 << 20))])
def test_bomb_is_refused_by_its_ratio(tmp_path: Path, data: bytes) -> None:
    layer = Layer(b"", "plain", descriptor={"digest": digest_of(data), "size": len(data)})
    files = layout(Image([layer]))
    files[f"blobs/sha256/{digest_of(data)[7:]}"] = data
    source = f"oci:{to_directory(files, tmp_path / 'layout')}"
    limits = pysquash.Limits(ratio=500, ratio_free_size=64 << 20)
    assert "the layer's compression ratio is" in refusal(source, tmp_path, limits=limits)
    assert "the layer's uncompressed size is" in refusal(source, tmp_path, limits=pysquash.Limits(layer_size=1 << 20))


@pytest.mark.parametrize("packing", ["gzip", "zstd"])
def test_archive_that_is_a_bomb_is_refused(tmp_path: Path, packing: Packing) -> None:
    files = {**layout(Image([tar()])), "zeros": bytes(80 << 20)}
    for transport in ("oci-archive", "docker-archive"):
        source = f"{transport}:{to_tar(files, tmp_path / transport, packing)}"
        text = refusal(source, tmp_path, limits=pysquash.Limits(ratio=500, ratio_free_size=64 << 20))
        assert "the layer's compression ratio is" in text
        assert "uncompressed size" in refusal(source, tmp_path, limits=pysquash.Limits(layer_size=1 << 20))


# --- documents that are not what their digests say -------------------------------------------------------------------


def chain() -> tuple[Blobs, dict[str, Document]]:
    """Make an image behind an index, and give the descriptors on the way to its layer."""
    blobs = Blobs()
    layer = tar(file("a", b"1"))
    rows = {"layer": blobs.put(layer, LAYER)}
    config = {"os": "linux", "architecture": "amd64", "rootfs": {"type": "layers", "diff_ids": [digest_of(layer)]}}
    rows["configuration"] = blobs.put(encoded(config), CONFIG)
    manifest = {"schemaVersion": 2, "config": rows["configuration"], "layers": [rows["layer"]]}
    rows["manifest"] = blobs.put(encoded(manifest), MANIFEST)
    rows["index"] = blobs.index([rows["manifest"]])
    return blobs, rows


@pytest.mark.parametrize("which", ["configuration", "manifest", "index"])
def test_document_with_another_digest(write: Write, tmp_path: Path, which: str) -> None:
    blobs, rows = chain()
    digest = rows[which]["digest"]
    blobs[digest] = blobs[digest].replace(b'"', b" ", 1)
    text = refusal(write(image_layout(blobs, [rows["index"]])), tmp_path)
    assert f"the {which} {digest[:19]} has the digest {digest_of(blobs[digest])}, not {digest}" in text


@pytest.mark.parametrize("which", ["configuration", "manifest", "index"])
@pytest.mark.parametrize("change", [-1, 1])
def test_document_with_another_size(write: Write, tmp_path: Path, which: str, change: int) -> None:
    blobs, rows = chain()
    digest, size = rows[which]["digest"], rows[which]["size"]
    blobs[digest] = blobs[digest][:-1] if change < 0 else blobs[digest] + b"\n"
    text = refusal(write(image_layout(blobs, [rows["index"]])), tmp_path)
    wanted = f"is larger than the {size} bytes" if change > 0 else f"has {size - 1} bytes, not {size}"
    assert f"the {which} {digest[:19]} {wanted}" in text


@pytest.mark.parametrize("which", ["layer", "configuration", "manifest", "index"])
def test_missing_blob(write: Write, tmp_path: Path, which: str) -> None:
    blobs, rows = chain()
    del blobs[rows[which]["digest"]]
    text = refusal(write(image_layout(blobs, [rows["index"]])), tmp_path)
    assert "there is no file" in text
    assert rows[which]["digest"][7:] in text


@pytest.mark.parametrize("form", [old_archive, new_archive])
def test_missing_files_of_a_docker_archive(tmp_path: Path, form: Callable[..., Files]) -> None:
    files = form(Image([tar(file("a", b"1"))]))
    [row] = json.loads(files["manifest.json"])  # type: ignore[arg-type]
    for number, name in enumerate([row["Config"], *row["Layers"]]):
        rest = {other: data for other, data in files.items() if other != name}
        text = refusal(f"docker-archive:{to_tar(rest, tmp_path / f'{number}.tar')}", tmp_path)
        assert f"there is no file '{name}' in it" in text or f"layer 1, '{name}', is not in it" in text


@pytest.mark.parametrize("size", [-1, 1.5, "5", None, True, 2**70])
def test_size_that_is_none(write: Write, tmp_path: Path, size: object) -> None:
    image = Image([Layer(tar(file("a")), descriptor={"size": size})])
    text = refusal(write(layout(image)), tmp_path)
    wanted = f"not {2**70}" if size == 2**70 else f"layer 1 has the size {size!r}"
    assert wanted in text


def test_document_said_to_be_huge_is_not_read(write: Write, tmp_path: Path) -> None:
    blobs, rows = chain()
    text = refusal(write(image_layout(blobs, [{**rows["index"], "size": 2**60}])), tmp_path)
    assert f"is {2**60}, the limit is {4 << 20}" in text


# --- digests that are none -------------------------------------------------------------------------------------------

HEX = "0123456789abcdef" * 4
HOSTILE: list[tuple[object, str]] = [
    ("sha256:../../../../../../etc/passwd", "which is none"),
    ("../../etc/passwd", "which is none"),
    ("sha256:", "which is none"),
    ("", "which is none"),
    (HEX, "which is none"),
    (f"sha256:{HEX}\n", "which is none"),
    (f"sha256:{HEX}\0", "which is none"),
    (f"sha256:{HEX[:-1]}\0", "which is none"),
    (f" sha256:{HEX}", "which is none"),
    (f"sha256:{HEX}/..", "which is none"),
    (f"sha256:{HEX}%2e", "which is none"),
    (f"sha256\\..:{HEX}", "which is none"),
    (f"sha256:{HEX[:-1]}٣", "which is none"),  # an Arabic digit three
    (f"sha256:{HEX[:-1]}é", "which is none"),
    (f"\u0455ha256:{HEX}", "which is none"),  # a Cyrillic letter
    (f"sha256:{HEX.upper()}", "not 64 hexadecimal digits"),
    (f"sha256:{HEX[:-1]}", "not 64 hexadecimal digits"),
    (f"sha256:{HEX}0", "not 64 hexadecimal digits"),
    (f"sha256:{HEX[:-1]}g", "not 64 hexadecimal digits"),
    (f"sha512:{HEX}", "not 128 hexadecimal digits"),
    (f"sha384:{HEX}", "not 96 hexadecimal digits"),
    (f"SHA256:{HEX}", "which is none"),
    ("md5:d41d8cd98f00b204e9800998ecf8427e", "which is none of sha256, sha384, sha512"),
    (f"sha256+b64:{HEX}", "which is none of sha256, sha384, sha512"),
    (f"blake3:{HEX}", "which is none of sha256, sha384, sha512"),
    ("sha256:" + "a" * 100_000, "not 64 hexadecimal digits"),
    ("a" * 100_000 + ":b", "which is none of sha256, sha384, sha512"),
    (None, "has the digest None, which is none"),
    (7, "has the digest 7, which is none"),
    ([f"sha256:{HEX}"], "which is none"),
    ({}, "which is none"),
]


@pytest.mark.parametrize(("digest", "text"), HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_digest_never_becomes_a_path(tmp_path: Path, digest: object, text: str) -> None:
    blobs, rows = chain()
    found = {
        "row 0 of index.json": image_layout(blobs, [{**rows["index"], "digest": digest}]),
        "row 0 of an index": image_layout(blobs, [blobs.index([{**rows["manifest"], "digest": digest}])]),
        "layer 1": layout(Image([Layer(tar(), descriptor={"digest": digest})])),
        "diff_id 1": layout(Image([tar()], config={"rootfs": {"type": "layers", "diff_ids": [digest]}})),
    }
    manifest = {"schemaVersion": 2, "config": {**rows["configuration"], "digest": digest}, "layers": []}
    found["the configuration"] = image_layout(blobs, [blobs.put(encoded(manifest), MANIFEST)])
    if not isinstance(digest, str):
        del found["diff_id 1"]
    for row, (where, files) in enumerate(found.items()):
        said = refusal(f"oci:{to_directory(files, tmp_path / str(row))}", tmp_path)
        assert f": {where} has " in said
        assert text in said


# --- documents that make no sense ------------------------------------------------------------------------------------

BAD_JSON = [
    (b"", "is no JSON: Expecting value"),
    (b"{", "is no JSON: Expecting"),
    (b"\xff\xfe", "is no JSON: 'utf-8' codec"),
    ("{}".encode("utf-16"), "is no JSON: 'utf-8' codec"),
    (b"\xef\xbb\xbf{}", "is no JSON: Unexpected UTF-8 BOM"),
    (b"{} {}", "is no JSON: Extra data"),
    (b"[" * 1_000_000, "is no JSON: maximum recursion depth"),
    (b'{"a":' * 500_000, "is no JSON: maximum recursion depth"),
    (b'{"layers":[],"layers":[]}', "is no JSON: the name 'layers' is there twice in one object"),
    (b'{"x":{"a":1,"b":2,"a":3}}', "is no JSON: the name 'a' is there twice in one object"),
    (b'{"x":NaN}', "is no JSON: NaN is no number"),
    (b'{"x":-Infinity}', "is no JSON: -Infinity is no number"),
    (b'{"x":' + b"1" * 10_000 + b"}", "is no JSON: Exceeds the limit"),
]


def nothing(count: int) -> bytes:
    """Give an object with very many names, and one of them twice: to find that out takes no time."""
    return b"{" + b",".join(b'"%d":0' % row for row in range(count)) + b',"0":1}'


@pytest.mark.parametrize(("data", "text"), [*BAD_JSON, (nothing(200_000), "the name '0' is there twice")])
@pytest.mark.parametrize("which", ["configuration", "manifest", "index", "index.json", "oci-layout", "manifest.json"])
def test_document_that_is_no_json(tmp_path: Path, which: str, data: bytes, text: str) -> None:
    assert text in refusal(bad_document(tmp_path, which, data), tmp_path)


@pytest.mark.parametrize("data", [b"[]", b"null", b'"text"', b"7", b"true", b"{}", b"[[]]", b"[null]"])
@pytest.mark.parametrize("which", ["configuration", "manifest", "index", "index.json", "oci-layout", "manifest.json"])
def test_document_that_is_something_else(tmp_path: Path, which: str, data: bytes) -> None:
    text = refusal(bad_document(tmp_path, which, data), tmp_path)
    if data == b"{}":
        assert "has no" in text or "is no" in text or "is an image layout of version None" in text or "not" in text
    else:
        assert "is no JSON object" in text or "manifest.json is no list of images" in text


def bad_document(folder: Path, which: str, data: bytes) -> str:
    """Write an image in which one document is some bytes."""
    blobs, rows = chain()
    files: Files
    if which == "manifest.json":
        files = {**old_archive(Image([tar()])), which: data}
        return f"docker-archive:{to_tar(files, folder / 'saved.tar')}"
    top = rows["index"]
    if which == "configuration":
        config = blobs.put(data, CONFIG)
        top = blobs.put(encoded({"schemaVersion": 2, "config": config, "layers": [rows["layer"]]}), MANIFEST)
    elif which == "manifest":
        top = blobs.put(data, MANIFEST)
    elif which == "index":
        top = blobs.put(data, INDEX)
    files = image_layout(blobs, [top])
    if which in files:
        files[which] = data
    return f"oci:{to_directory(files, folder / 'layout')}"


@pytest.mark.parametrize(
    ("rows", "text"),
    [
        ([{}], "Config in manifest.json is no list of texts"),
        ([{"Config": 1, "Layers": []}], "Config in manifest.json is no list of texts"),
        ([{"Config": "x", "Layers": "y"}], "Layers in manifest.json is no list of texts"),
        ([{"Config": "x", "Layers": [1]}], "Layers in manifest.json is no list of texts"),
        ([{"Config": "x", "Layers": [], "RepoTags": [None]}], "RepoTags in manifest.json is no list of texts"),
        ([{"Config": "../../../etc/passwd", "Layers": []}], "there is no file '../../../etc/passwd' in it"),
        ([{"Config": "/etc/passwd", "Layers": []}], "there is no file '/etc/passwd' in it"),
        ([{"Config": "x\0", "Layers": []}], "there is no file 'x\\x00' in it"),
        ([{"Config": "\ud800", "Layers": []}], "there is no file '\\ud800' in it"),
        ([{"Config": "", "Layers": []}], "there is no file '' in it"),
        ([{"Config": ".", "Layers": []}], "there is no file '.' in it"),
    ],
)
def test_rows_of_a_docker_archive_that_make_no_sense(tmp_path: Path, rows: list[Document], text: str) -> None:
    files = {**old_archive(Image([tar()])), "manifest.json": encoded(rows)}
    assert text in refusal(f"docker-archive:{to_tar(files, tmp_path / 'saved.tar')}", tmp_path)


@pytest.mark.parametrize("where", ["manifest", "index"])
def test_document_with_layers_and_manifests(write: Write, tmp_path: Path, where: str) -> None:
    blobs, rows = chain()
    if where == "manifest":
        top = blobs.image(Image([tar(file("a"))], manifest={"manifests": []}))
    else:
        top = blobs.index([rows["manifest"]], layers=[])
    text = refusal(write(image_layout(blobs, [top])), tmp_path)
    assert "has layers and manifests: it could be taken for one or the other" in text


def test_index_of_a_layout_with_layers_and_manifests(write: Write, tmp_path: Path) -> None:
    blobs, rows = chain()
    text = refusal(write(image_layout(blobs, [rows["index"]], layers=[])), tmp_path)
    assert "index.json has layers and manifests" in text


@pytest.mark.parametrize("own", [INDEX, DOCKER_MANIFEST, "text/plain", 7, []])
def test_manifest_that_says_it_is_of_another_type(write: Write, tmp_path: Path, own: object) -> None:
    image = Image([tar(file("a"))], manifest={"mediaType": own})
    text = refusal(write(layout(image)), tmp_path)
    assert f"says that it is {own!r}, and its descriptor '{MANIFEST}'" in text


def test_index_that_says_it_is_of_another_type(write: Write, tmp_path: Path) -> None:
    blobs, rows = chain()
    top = blobs.index([rows["manifest"]], mediaType=DOCKER_LIST)
    assert f"says that it is '{DOCKER_LIST}'" in refusal(write(image_layout(blobs, [top])), tmp_path)
    top = blobs.image(Image([tar()], manifest={"mediaType": INDEX}))
    assert "says that it is" in refusal(write(image_layout(blobs, [{**top, "mediaType": MANIFEST}])), tmp_path)
    files = image_layout(blobs, [rows["index"]], mediaType=MANIFEST)
    assert f"index.json says that it is '{MANIFEST}'" in refusal(write(files), tmp_path)


def test_manifest_called_an_index_and_an_index_called_a_manifest(write: Write, tmp_path: Path) -> None:
    blobs, rows = chain()
    called = {**rows["manifest"], "mediaType": INDEX}
    assert "has no list of manifests" in refusal(write(image_layout(blobs, [called])), tmp_path)
    called = {**blobs.index([rows["manifest"]], mediaType=None), "mediaType": MANIFEST}
    assert "the manifest has no list of layers" in refusal(write(image_layout(blobs, [called])), tmp_path)


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (None, "oci-layout"),
        (b'{"imageLayoutVersion": "2.0.0"}', "is an image layout of version '2.0.0', not 1.x"),
        (b'{"imageLayoutVersion": "10.0"}', "is an image layout of version '10.0', not 1.x"),
        (b'{"imageLayoutVersion": 1}', "is an image layout of version 1, not 1.x"),
        (b"{}", "is an image layout of version None, not 1.x"),
    ],
)
def test_layout_of_another_version_or_none(write: Write, tmp_path: Path, data: bytes | None, text: str) -> None:
    files = {name: content for name, content in layout(Image([tar()])).items() if name != "oci-layout"}
    if data is not None:
        files["oci-layout"] = data
    assert text in refusal(write(files), tmp_path)


@pytest.mark.parametrize("rows", [None, {}, "x", [1], [None], [[]]])
def test_index_of_a_layout_whose_rows_are_none(write: Write, tmp_path: Path, rows: object) -> None:
    files = {**layout(Image([tar()])), "index.json": encoded({"schemaVersion": 2, "manifests": rows})}
    text = refusal(write(files), tmp_path)
    assert "index.json has no list of manifests" in text or "row 0 of index.json has no descriptor" in text


# --- files that are none ---------------------------------------------------------------------------------------------


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes have no names here")
@pytest.mark.parametrize("kind", ["pipe", "directory"])
@pytest.mark.parametrize("which", ["layer", "configuration", "manifest", "index", "index.json", "oci-layout"])
def test_pipe_or_directory_as_a_file_of_a_layout(tmp_path: Path, kind: str, which: str) -> None:
    blobs, rows = chain()
    name = f"blobs/sha256/{rows[which]['digest'][7:]}" if which in rows else which
    folder = to_directory(image_layout(blobs, [rows["index"]]), tmp_path / "layout")
    (folder / name).unlink()
    if kind == "pipe":
        os.mkfifo(folder / name)
    else:
        (folder / name).mkdir()
    assert f"{name} is no regular file" in refusal(f"oci:{folder}", tmp_path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes have no names here")
@pytest.mark.parametrize("transport", ["oci-archive", "docker-archive"])
def test_archive_in_a_named_pipe(tmp_path: Path, transport: str) -> None:
    os.mkfifo(tmp_path / "pipe")
    source = f"{transport}:{tmp_path / 'pipe'}"
    output, options = tmp_path / "image.squashfs", pysquash.WriterOptions(timeout=0.2)
    with pytest.raises(pysquash.SourceError, match=r"pipe: no data for 0\.2 seconds"):
        pysquash.build([source], output, options=options)
    os.close(os.open(tmp_path / "pipe", os.O_WRONLY))  # lets the thread go that waits for a writer
    until = time.monotonic() + 10
    while any(each.name == "pysquash-ahead" for each in threading.enumerate()) and time.monotonic() < until:
        time.sleep(0.01)
    form = layout if transport == "oci-archive" else old_archive
    data = to_tar(form(Image([tar(file("a", b"1"))])), tmp_path / "saved.tar").read_bytes()
    for timeout in (None, 10):
        writer = threading.Thread(target=(tmp_path / "pipe").write_bytes, args=(data,), daemon=True)
        writer.start()
        pysquash.build([source], output, options=pysquash.WriterOptions(timeout=timeout))
        writer.join(10)
        assert output.stat().st_size


def test_file_in_the_place_of_the_blobs(tmp_path: Path) -> None:
    folder = to_directory({"oci-layout": b'{"imageLayoutVersion": "1.0.0"}', "blobs": b""}, tmp_path / "layout")
    blobs, rows = chain()
    (folder / "index.json").write_bytes(encoded({"manifests": [rows["index"]]}))
    assert blobs
    assert "there is no file blobs/sha256/" in refusal(f"oci:{folder}", tmp_path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes have no names here")
@pytest.mark.parametrize("type_flag", [b"6", b"5", b"3"])
@pytest.mark.parametrize("name", ["manifest.json", "x.json", "y/layer.tar"])
def test_pipe_directory_or_device_as_a_file_of_an_archive(tmp_path: Path, name: str, type_flag: bytes) -> None:
    layer = tar(file("a", b"1"))
    saved = encoded([{"Config": "x.json", "RepoTags": None, "Layers": ["y/layer.tar"]}])
    config = encoded({"rootfs": {"type": "layers", "diff_ids": [digest_of(layer)]}})
    members = {"manifest.json": saved, "x.json": config, "y/layer.tar": layer}
    parts = [header(each.encode(), type_flag) if each == name else file(each, data) for each, data in members.items()]
    path = tmp_path / "saved.tar"
    path.write_bytes(tar(*parts))
    text = refusal(f"docker-archive:{path}", tmp_path)
    assert "there is no file" in text or "layer 1, 'y/layer.tar', is not in it" in text


@pytest.mark.parametrize(
    "links",
    [
        {"layer.tar": "layer.tar"},
        {"layer.tar": "other", "other": "layer.tar"},
        {"layer.tar": "/etc/passwd"},
        {"layer.tar": "../../../../../../etc/passwd"},
        {"layer.tar": "."},
        {"layer.tar": f"{'x/' * 100}layer.tar"},
        {f"l{row}": f"l{row + 1}" for row in range(40)} | {"layer.tar": "l0"},
    ],
    ids=range(7),
)
def test_links_of_a_docker_archive_that_lead_nowhere(tmp_path: Path, links: dict[str, str]) -> None:
    config = encoded({"rootfs": {"type": "layers", "diff_ids": [digest_of(tar())]}})
    saved = encoded([{"Config": "x.json", "RepoTags": None, "Layers": ["layer.tar"]}])
    files: Files = {"manifest.json": saved, "x.json": config, "l40": b""}
    files |= {name: Link(target) for name, target in links.items()}
    text = refusal(f"docker-archive:{to_tar(files, tmp_path / 'saved.tar')}", tmp_path)
    assert "layer 1, 'layer.tar', is a link to " in text
    assert text.endswith(", which is not in it")


# --- archives that are none ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("transport", ["oci-archive", "docker-archive"])
@pytest.mark.parametrize("packing", ["plain", "gzip", "zstd"])
def test_archive_that_ends_early(tmp_path: Path, transport: str, packing: Packing) -> None:
    form = layout if transport == "oci-archive" else old_archive
    path = to_tar(form(Image([Layer(LARGE, "plain")])), tmp_path / "saved.tar", packing)
    data = path.read_bytes()
    for part in (0.999 if packing != "plain" else 0.9, 0.5, 0.1):
        path.write_bytes(data[: int(len(data) * part)])
        text = refusal(f"{transport}:{path}", tmp_path)
        assert "ends" in text


@pytest.mark.parametrize("transport", ["oci-archive", "docker-archive"])
@pytest.mark.parametrize("data", [b"", b"no tar", b"no tar" * 1000, bytes(10240), os.urandom(5000)])
def test_archive_that_is_no_tar(tmp_path: Path, transport: str, data: bytes) -> None:
    path = tmp_path / "x.tar"
    path.write_bytes(data)
    text = refusal(f"{transport}:{path}", tmp_path)
    assert "archive" in text or "there is no file" in text or "checksum" in text


@pytest.mark.parametrize("transport", ["oci-archive", "docker-archive"])
@pytest.mark.parametrize(
    ("data", "text"),
    [
        (header(b"a", b"x", (1 << 33) - 1), "extended header size is 8589934591, the limit is"),
        (header(b"a", b"L", (1 << 33) - 1), "extended header size is 8589934591, the limit is"),
        (pax((b"size", b"-512")) + header(b"a"), "size"),
        (header(b"a", size=b"\xff" * 12), "size"),
        (header(b"a", size=b"\x80" + b"\x7f" * 11), "the archive ends"),
        (file("../oci-layout"), "a name has '..' in it"),
    ],
    ids=range(6),
)
def test_archive_whose_headers_are_hostile(tmp_path: Path, transport: str, data: bytes, text: str) -> None:
    path = tmp_path / "x.tar"
    path.write_bytes(tar(data))
    assert text in refusal(f"{transport}:{path}", tmp_path)


def test_entries_of_an_archive_are_counted(tmp_path: Path) -> None:
    source = f"docker-archive:{to_tar(old_archive(Image([tar()])), tmp_path / 'x.tar')}"
    text = refusal(source, tmp_path, limits=pysquash.Limits(entry_count=3))
    assert "the number of entries is 4, the limit is 3" in text


def test_archive_compressed_twice_is_refused(tmp_path: Path) -> None:
    path = to_tar(layout(Image([tar()])), tmp_path / "x.tar", "gzip")
    path.write_bytes(gzip.compress(path.read_bytes()))
    assert "is compressed twice" in refusal(f"oci-archive:{path}", tmp_path)


def test_sparse_member_of_an_archive_is_no_file(tmp_path: Path) -> None:
    path = tmp_path / "x.tar"
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        info = tarfile.TarInfo("oci-layout")
        info.pax_headers = {"GNU.sparse.major": "0", "GNU.sparse.minor": "1", "GNU.sparse.realsize": "99"}
        info.pax_headers |= {"GNU.sparse.map": "0,0,99,0", "GNU.sparse.name": "oci-layout"}
        archive.addfile(info)
    path.write_bytes(buffer.getvalue())
    assert "there is no file 'oci-layout'" in refusal(f"oci-archive:{path}", tmp_path)
