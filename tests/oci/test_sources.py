"""Where images come from: transports, references, indexes and platforms, and the types of layers."""

from __future__ import annotations

import os
import platform as host
import sys
from pathlib import Path

import pytest

import pysquash
from pysquash.sources.oci.documents import INDEX_TYPES
from pysquash.sources.oci.platforms import Platform
from tests.oci.builder import (
    ATTESTATION,
    CONFIG,
    DOCKER_LAYER,
    DOCKER_LIST,
    DOCKER_MANIFEST,
    GONE,
    INDEX,
    LAYER,
    MANIFEST,
    REFERENCE,
    Blobs,
    Document,
    Files,
    Image,
    Layer,
    Packing,
    digest_of,
    encoded,
    file,
    image_layout,
    layout,
    named,
    new_archive,
    old_archive,
    platform_row,
    tar,
    to_directory,
    to_tar,
)
from tests.oci.judge import build, refusal, sources
from tests.snapshot import run

HERE = Platform.parse(None)
ELSEWHERE = "linux/s390x"


def saying(text: str, **changes: object) -> Image:
    """Make an image with one file, "a", that has some text."""
    return Image([tar(file("a", text.encode()))], **changes)  # type: ignore[arg-type]


def written(files: Files, folder: Path) -> str:
    return f"oci:{to_directory(files, folder / 'layout')}"


def row_of(blobs: Blobs, text: str, platform: str | None = None, **descriptor: object) -> Document:
    """Keep an image, for a platform that its descriptor and its configuration say, and give its descriptor."""
    says = {"platform": platform_row(platform)} if platform else {}
    return blobs.image(saying(text, platform=platform or "linux/amd64", descriptor={**says, **descriptor}))


# --- types of layers -------------------------------------------------------------------------------------------------

SUFFIXES: list[tuple[str, Packing]] = [("", "plain"), ("gzip", "gzip"), ("zstd", "zstd")]
OCI_TYPES = [
    (f"{base}{'+' if suffix else ''}{suffix}", packing)
    for base in (LAYER, "application/vnd.oci.image.layer.nondistributable.v1.tar")
    for suffix, packing in SUFFIXES
]
DOCKER_TYPES = [
    (f"{base}{'.' if suffix else ''}{suffix}", packing)
    for base in (DOCKER_LAYER, "application/vnd.docker.image.rootfs.foreign.diff.tar")
    for suffix, packing in SUFFIXES
]


@pytest.mark.parametrize(("media_type", "packing"), OCI_TYPES + DOCKER_TYPES)
def test_types_of_layers_that_are_read(tmp_path: Path, media_type: str, packing: Packing) -> None:
    is_docker = media_type in dict(DOCKER_TYPES)
    image = Image([Layer(tar(file("a", b"1")), packing, media_type=media_type)], is_docker=is_docker)
    assert build(written(layout(image), tmp_path), tmp_path).names == {"a": "1"}


@pytest.mark.parametrize("packing", ["plain", "gzip", "zstd", "gzip members", "zstd frames"])
@pytest.mark.parametrize("media_type", [LAYER, f"{LAYER}+gzip", f"{DOCKER_LAYER}.gzip", f"{DOCKER_LAYER}.zstd"])
def test_compression_is_told_by_the_first_bytes_and_not_by_the_type(
    tmp_path: Path, media_type: str, packing: Packing
) -> None:
    image = Image([Layer(tar(file("a", b"1")), packing, media_type=media_type)])
    assert build(written(layout(image), tmp_path), tmp_path).names == {"a": "1"}


@pytest.mark.parametrize(
    ("media_type", "text"),
    [
        (f"{LAYER}+gzip+encrypted", "layer 1 is encrypted"),
        (f"{LAYER}+encrypted", "layer 1 is encrypted"),
        ("application/vnd.in-toto+json", "layer 1 is 'application/vnd.in-toto+json', which is no layer"),
        ("application/vnd.oci.image.layer.v1.erofs", "which is no layer"),
        (f"{LAYER}+lz4", "which is no layer"),
        ("text/plain", "which is no layer"),
        ("", "layer 1 is '', which is no layer"),
    ],
)
def test_types_of_layers_that_are_refused(tmp_path: Path, media_type: str, text: str) -> None:
    image = Image([Layer(tar(file("a")), media_type=media_type)])
    assert text in refusal(written(layout(image), tmp_path), tmp_path)


def test_manifest_of_schema_1_is_refused(tmp_path: Path) -> None:
    blobs = Blobs()
    old_type = "application/vnd.docker.distribution.manifest.v1+prettyjws"
    row = blobs.put(encoded({"schemaVersion": 1, "fsLayers": []}), old_type)
    text = refusal(written(image_layout(blobs, [row]), tmp_path), tmp_path)
    assert "there is: a manifest of schema 1, which is not read" in text


@pytest.mark.parametrize("version", [1, 3, "2", None])
def test_manifest_of_another_schema_version_is_refused(tmp_path: Path, version: object) -> None:
    image = saying("1", manifest={"schemaVersion": version})
    assert f"is a manifest of schema {version!r}, not 2" in refusal(written(layout(image), tmp_path), tmp_path)


def test_artifact_is_refused_by_what_it_is(tmp_path: Path) -> None:
    blobs = Blobs()
    empty = blobs.put(b"{}", "application/vnd.oci.empty.v1+json")
    chart = blobs.put(b"{}", "application/vnd.cncf.helm.config.v1+json")
    for row, (config, kind) in enumerate([(empty, "application/x-thing"), (chart, None)]):
        document = {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [empty]}
        manifest = blobs.put(encoded({**document, "artifactType": kind} if kind else document), MANIFEST)
        source = written(image_layout(blobs, [manifest]), tmp_path / str(row))
        wanted = kind or "application/vnd.cncf.helm.config.v1+json"
        assert f"is no image, but an artifact of type '{wanted}'" in refusal(source, tmp_path)


def test_artifact_manifest_alone_is_refused(tmp_path: Path) -> None:
    blobs = Blobs()
    kind = "application/vnd.oci.artifact.manifest.v1+json"
    text = refusal(written(image_layout(blobs, [blobs.put(b"{}", kind)]), tmp_path), tmp_path)
    assert f"there is: '{kind}', which is no image" in text


def test_dockers_media_types_are_read(tmp_path: Path) -> None:
    blobs = Blobs()
    row = blobs.image(Image([tar(file("a", b"1"))], is_docker=True))
    assert row["mediaType"] == DOCKER_MANIFEST
    index = blobs.index([row], media_type=DOCKER_LIST)
    assert build(written(image_layout(blobs, [index]), tmp_path), tmp_path).names == {"a": "1"}


def test_documents_without_their_own_media_type_are_read(tmp_path: Path) -> None:
    blobs = Blobs()
    index = blobs.index([blobs.image(saying("1", manifest={"mediaType": GONE}))], mediaType=GONE)
    files = image_layout(blobs, [index], mediaType=GONE)
    assert build(written(files, tmp_path), tmp_path).names == {"a": "1"}


# --- configurations --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "text"),
    [
        ({"rootfs": GONE}, 'the configuration\'s rootfs is not of type "layers"'),
        ({"rootfs": {"type": "base", "diff_ids": []}}, 'the configuration\'s rootfs is not of type "layers"'),
        ({"rootfs": {"type": "layers", "diff_ids": []}}, "has 1 layers, and its configuration 0 diff_ids"),
        ({"rootfs": {"type": "layers"}}, "has 1 layers, and its configuration 0 diff_ids"),
        ({"rootfs": {"type": "layers", "diff_ids": ["sha256:" + "0" * 64] * 2}}, "and its configuration 2 diff_ids"),
        ({"rootfs": {"type": "layers", "diff_ids": "sha256"}}, "rootfs.diff_ids is no list of texts"),
        ({"rootfs": {"type": "layers", "diff_ids": [1]}}, "rootfs.diff_ids is no list of texts"),
        ({"rootfs": {"type": "layers", "diff_ids": ["sha256:0"]}}, "diff_id 1 has the digest 'sha256:0'"),
    ],
)
def test_configuration_that_does_not_fit_its_layers(tmp_path: Path, config: Document, text: str) -> None:
    for source in sources(saying("1", config=config), tmp_path).values():
        assert text in refusal(source, tmp_path)


def test_configuration_may_say_what_nobody_knows(tmp_path: Path) -> None:
    config: Document = {"os.features": ["win32k"], "x": [{"y": 1.5}], "config": None, "history": GONE, "created": None}
    for source in sources(saying("1", config=config), tmp_path).values():
        assert build(source, tmp_path).names == {"a": "1"}


# --- references ------------------------------------------------------------------------------------------------------

TWO = (saying("one", tags=["one", "first:1.0"]), saying("two", tags=["two"]))


@pytest.mark.parametrize(("reference", "text"), [("one", "one"), ("first:1.0", "one"), ("two", "two")])
def test_image_is_found_by_its_name(tmp_path: Path, reference: str, text: str) -> None:
    source = written(layout(*TWO), tmp_path)
    archive = to_tar(layout(*TWO), tmp_path / "layout.tar")
    assert build(f"{source}:{reference}", tmp_path).names == {"a": text}
    assert build(f"oci-archive:{archive}:{reference}", tmp_path).names == {"a": text}


@pytest.mark.parametrize(
    ("reference", "text"),
    [("image:one", "one"), ("first:1.0", "one"), ("image:two", "two"), ("@0", "one"), ("@1", "two")],
)
def test_image_in_a_docker_archive_is_found_by_its_name_or_row(tmp_path: Path, reference: str, text: str) -> None:
    for name, files in (("old", old_archive(*TWO)), ("new", new_archive(*TWO))):
        source = f"docker-archive:{to_tar(files, tmp_path / name)}:{reference}"
        assert build(source, tmp_path).names == {"a": text}


def test_latest_need_not_be_said_of_a_docker_archive(tmp_path: Path) -> None:
    files = old_archive(saying("1", tags=["host:5000/x:latest"]), saying("2", tags=["y:1"]))
    source = f"docker-archive:{to_tar(files, tmp_path / 'saved.tar')}"
    assert build(f"{source}:host:5000/x", tmp_path).names == {"a": "1"}


@pytest.mark.parametrize("tag", ["x:latest", "docker.io/x:latest", "docker.io/library/x:latest"])
@pytest.mark.parametrize("reference", ["x", "x:latest", "library/x", "docker.io/library/x", "docker.io/x:latest"])
def test_names_of_docker_hub_are_the_same_in_full_and_in_short(tmp_path: Path, tag: str, reference: str) -> None:
    files = old_archive(saying("1", tags=[tag]), saying("2", tags=["x:other", "No Name: At All", "y/x:latest"]))
    source = f"docker-archive:{to_tar(files, tmp_path / 'saved.tar')}"
    assert build(f"{source}:{reference}", tmp_path).names == {"a": "1"}
    assert "has no image 'quay.io/x'" in refusal(f"{source}:quay.io/x", tmp_path)


def test_image_is_found_by_its_digest(tmp_path: Path) -> None:
    files = layout(*TWO)
    source = written(files, tmp_path)
    blobs = Blobs()
    digest = blobs.image(TWO[1])["digest"]
    assert build(f"{source}:{digest}", tmp_path).names == {"a": "two"}
    assert build(f"{source}:@{digest}", tmp_path).names == {"a": "two"}
    missing = digest_of(b"another")
    assert f"has no image '{missing}'; there are: first:1.0, one, two" in refusal(f"{source}:{missing}", tmp_path)


def test_several_images_and_no_name_is_an_error_that_lists_them(tmp_path: Path) -> None:
    source = written(layout(*TWO), tmp_path)
    archive = f"docker-archive:{to_tar(old_archive(*TWO), tmp_path / 'old.tar')}"
    assert "has several images, of which one must be named: first:1.0, one, two" in refusal(source, tmp_path)
    assert "has several images, of which one must be named: image:one, image:two" in refusal(archive, tmp_path)


def test_name_that_is_not_there_is_an_error_that_lists_those_that_are(tmp_path: Path) -> None:
    source = written(layout(*TWO), tmp_path)
    archive = f"docker-archive:{to_tar(new_archive(saying('1', tags=[])), tmp_path / 'new.tar')}"
    assert "has no image 'three'; there are: first:1.0, one, two" in refusal(f"{source}:three", tmp_path)
    assert "has no image '@7'; there are: @0" in refusal(f"{archive}:@7", tmp_path)
    assert "there are: none that have a name" in refusal(
        f"{written(layout(saying('1', tags=[])), tmp_path / 'unnamed')}:x", tmp_path
    )


def test_names_out_of_documents_are_printed_on_one_line(tmp_path: Path) -> None:
    source = written(layout(saying("1", tags=["x\n\x1b[2Jy", "\ud800"]), saying("2")), tmp_path)
    assert "\\n\\x1b[2Jy" in refusal(source, tmp_path)


@pytest.mark.parametrize("tags", [[], ["one"], ["one", "two"]])
def test_image_alone_needs_no_name_however_many_it_has(tmp_path: Path, tags: list[str]) -> None:
    assert build(written(layout(saying("1", tags=tags)), tmp_path), tmp_path).names == {"a": "1"}


def test_path_may_have_colons(tmp_path: Path) -> None:
    place = to_directory(layout(saying("1")), tmp_path / "a:b" / "c:latest")
    assert build(f"oci:{place}", tmp_path).names == {"a": "1"}
    assert build(f"oci:{place}:latest", tmp_path).names == {"a": "1"}
    assert "has no image 'other'" in refusal(f"oci:{place}:other", tmp_path)


@pytest.mark.parametrize("transport", ["oci", "oci-archive", "docker-archive"])
def test_path_that_is_missing_or_not_there_is_an_error(
    tmp_path: Path, transport: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    to_directory(layout(saying("1")), tmp_path / "layout")
    monkeypatch.chdir(tmp_path / "layout")
    assert "a path is missing" in refusal(f"{transport}:", tmp_path)
    assert "a path is missing" in refusal(f"{transport}::latest", tmp_path)
    assert "No such file" in refusal(f"{transport}:{tmp_path}/nowhere:latest", tmp_path)


def test_a_directory_is_no_archive_and_an_archive_no_directory(tmp_path: Path) -> None:
    place, archive = to_directory(layout(saying("1")), tmp_path / "layout"), to_tar(layout(TWO[0]), tmp_path / "x.tar")
    assert "directory" in refusal(f"oci-archive:{place}", tmp_path).lower()
    assert "directory" in refusal(f"oci:{archive}", tmp_path).lower()


# --- archives --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("packing", ["plain", "gzip", "zstd", "bzip2", "xz"])
def test_archives_may_be_compressed(tmp_path: Path, packing: Packing) -> None:
    image = Image([tar(file("a", b"1")), tar(file("b", b"2"))])
    for transport, files in (("oci-archive", layout(image)), ("docker-archive", old_archive(image))):
        source = f"{transport}:{to_tar(files, tmp_path / transport, packing)}"
        assert build(source, tmp_path).names == {"a": "1", "b": "2"}


def test_archive_may_come_out_of_a_pipe(tmp_path: Path) -> None:
    data = to_tar(old_archive(saying("1")), tmp_path / "saved.tar").read_bytes()
    reading, writing = os.pipe()
    assert len(data) < 65536
    os.write(writing, data)
    os.close(writing)
    try:
        assert build(f"docker-archive:/dev/fd/{reading}", tmp_path).names == {"a": "1"}
    finally:
        os.close(reading)


@pytest.mark.parametrize("form", ["layout", "old archive", "new archive"])
@pytest.mark.parametrize("size", [1 << 20, (3 << 20) + 1])
def test_a_large_member_may_stand_in_front_of_those_that_are_wanted(tmp_path: Path, form: str, size: int) -> None:
    """An archive's headers are found by seeking: what has been read ahead of where the file stands is another place."""
    image = Image([tar(file("a", b"1"), file("large", os.urandom(size).hex().encode())), tar(file("b", b"2"))])
    files = {"layout": layout, "old archive": old_archive, "new archive": new_archive}[form](image)
    files = {"-large": os.urandom(size), **files, "zz-large": os.urandom(size)}
    transport = "oci-archive" if form == "layout" else "docker-archive"
    assert {"a": "1", "b": "2"}.items() <= build(
        f"{transport}:{to_tar(files, tmp_path / 'x.tar')}", tmp_path
    ).names.items()


def test_names_in_an_archive_may_begin_with_a_dot(tmp_path: Path) -> None:
    files = {f"./{name}": data for name, data in layout(saying("1")).items()}
    assert build(f"oci-archive:{to_tar(files, tmp_path / 'x.tar')}", tmp_path).names == {"a": "1"}


def test_layer_that_is_there_twice_is_read_through_the_link(tmp_path: Path) -> None:
    layer = tar(file("a", b"1"))
    files = old_archive(Image([layer, tar(file("b", b"2")), layer]))
    assert sum(not isinstance(data, bytes) for data in files.values()) == 1
    source = f"docker-archive:{to_tar(files, tmp_path / 'saved.tar')}"
    assert build(source, tmp_path).names == {"a": "1", "b": "2"}


def test_docker_archive_may_be_a_layout_only(tmp_path: Path) -> None:
    source = f"docker-archive:{to_tar(layout(saying('1')), tmp_path / 'saved.tar')}"
    assert build(source, tmp_path).names == {"a": "1"}
    assert build(f"{source}:latest", tmp_path).names == {"a": "1"}


def test_compressed_layers_of_a_docker_archive_are_read(tmp_path: Path) -> None:
    files = layout(Image([Layer(tar(file("a", b"1")), "zstd")]))
    names = {name: data for name, data in files.items() if name.startswith("blobs/")}
    config = next(name for name, data in names.items() if isinstance(data, bytes) and b"diff_ids" in data)
    layer = next(name for name, data in names.items() if isinstance(data, bytes) and data.startswith(b"\x28\xb5"))
    files["manifest.json"] = encoded([{"Config": config, "RepoTags": ["x:1"], "Layers": [layer]}])
    built = build(f"docker-archive:{to_tar(files, tmp_path / 'saved.tar')}", tmp_path)
    assert built.names == {"a": "1"}
    assert len(built.report.digests_verified) == 3


def test_what_was_verified_is_in_the_report(tmp_path: Path) -> None:
    image = Image([tar(file("a", b"1")), tar(file("b", b"2"))])
    forms = sources(image, tmp_path)
    diff_ids = {f"diff_id {digest_of(layer.tar)}" for layer in image.rows}
    for form, count in {"layout": 6, "layout in a tar": 6, "old archive": 3, "new archive": 5}.items():
        verified = build(forms[form], tmp_path).report.digests_verified
        assert len(verified) == len(set(verified)) == count, form
        assert diff_ids <= set(verified)


@pytest.mark.parametrize("algorithm", ["sha256", "sha384", "sha512"])
def test_digests_of_every_registered_algorithm(tmp_path: Path, algorithm: str) -> None:
    layer = tar(file("a", b"1"))
    blobs = Blobs()
    rootfs = {"type": "layers", "diff_ids": [digest_of(layer, algorithm)]}
    config = {"os": "linux", "architecture": "amd64", "rootfs": rootfs}
    manifest = {
        "schemaVersion": 2,
        "config": blobs.put(encoded(config), CONFIG, algorithm=algorithm),
        "layers": [blobs.put(layer, LAYER, algorithm=algorithm)],
    }
    row = blobs.put(encoded(manifest), MANIFEST, algorithm=algorithm)
    built = build(written(image_layout(blobs, [row]), tmp_path), tmp_path)
    assert built.names == {"a": "1"}
    assert all(f"{algorithm}:" in line for line in built.report.digests_verified)


# --- indexes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("depth", range(5))
def test_indexes_nest_four_deep(tmp_path: Path, depth: int) -> None:
    blobs = Blobs()
    row = blobs.nested(row_of(blobs, "1"), depth)
    assert build(written(image_layout(blobs, [row]), tmp_path), tmp_path).names == {"a": "1"}


def test_indexes_nested_five_deep_are_refused(tmp_path: Path) -> None:
    blobs = Blobs()
    row = blobs.nested(row_of(blobs, "1"), 5)
    text = refusal(written(image_layout(blobs, [row]), tmp_path), tmp_path)
    assert "the depth of nested indexes is 5, the limit is 4" in text


def test_index_in_which_an_image_is_after_one_without_is_searched_on(tmp_path: Path) -> None:
    blobs = Blobs()
    rows = [
        blobs.index([row_of(blobs, "other", ELSEWHERE)]),
        blobs.index([]),
        blobs.index([row_of(blobs, "here", str(HERE))]),
    ]
    assert build(written(image_layout(blobs, rows), tmp_path), tmp_path).names == {"a": "here"}


def test_unknown_types_and_attestations_are_passed_over(tmp_path: Path) -> None:
    blobs = Blobs()
    rows = [
        blobs.put(b"no document", "application/x-unknown"),
        row_of(blobs, "attestation", str(HERE), annotations={ATTESTATION: "attestation-manifest"}),
        row_of(blobs, "unknown", "unknown/unknown"),
        row_of(blobs, "right", str(HERE)),
    ]
    assert build(written(image_layout(blobs, [blobs.index(rows)]), tmp_path), tmp_path).names == {"a": "right"}


def test_attestations_alone_are_no_image(tmp_path: Path) -> None:
    blobs = Blobs()
    rows = [row_of(blobs, "unknown", "unknown/unknown")]
    text = refusal(written(image_layout(blobs, rows), tmp_path), tmp_path)
    assert f"has no image for {HERE}; there is: nothing" in text


def test_empty_index_is_an_error(tmp_path: Path) -> None:
    text = refusal(written(image_layout(Blobs(), []), tmp_path), tmp_path)
    assert f"has no image for {HERE}; there is: nothing" in text


# --- platforms -------------------------------------------------------------------------------------------------------


def test_machines_own_platform_is_the_default(tmp_path: Path) -> None:
    assert {"x86_64": "amd64", "aarch64": "arm64"}.get(host.machine(), HERE.architecture) == HERE.architecture
    blobs = Blobs()
    rows = [row_of(blobs, "other", ELSEWHERE), row_of(blobs, "windows", "windows/amd64"), row_of(blobs, "1", str(HERE))]
    source = written(image_layout(blobs, rows), tmp_path)
    assert build(source, tmp_path).names == {"a": "1"}
    assert build(source, tmp_path, platform=ELSEWHERE).names == {"a": "other"}
    assert build(source, tmp_path, platform="windows/amd64").names == {"a": "windows"}


def test_platform_that_is_not_there_is_an_error_that_lists_those_that_are(tmp_path: Path) -> None:
    blobs = Blobs()
    rows = [row_of(blobs, "1", "linux/amd64"), row_of(blobs, "2", "linux/arm/v7"), row_of(blobs, "3", "linux/amd64")]
    source = written(image_layout(blobs, rows), tmp_path)
    text = refusal(source, tmp_path, platform="linux/riscv64")
    assert "has no image for linux/riscv64; there is: linux/amd64, linux/arm/v7" in text


def test_error_about_many_platforms_is_short(tmp_path: Path) -> None:
    blobs = Blobs()
    rows = [row_of(blobs, "1", f"linux/{number}{'x' * 500}\n") for number in range(100)]
    text = refusal(written(image_layout(blobs, rows), tmp_path), tmp_path)
    assert text.split("; there is: ")[1].count("linux/") == 10
    assert text.endswith("and 90 more")


@pytest.mark.parametrize(
    ("wanted", "there"),
    [
        ("linux/amd64", "linux/x86_64"),
        ("linux/x86_64", "linux/amd64"),
        ("linux/x86-64", "linux/amd64/v1"),
        ("linux/aarch64", "linux/arm64"),
        ("linux/arm64", "linux/arm64/v8"),
        ("linux/arm64/v8", "linux/arm64"),
        ("LINUX/AARCH64", "linux/arm64/v8"),
        ("linux/armhf", "linux/arm/v7"),
        ("linux/arm/v7", "linux/arm"),
        ("linux/arm/7", "linux/arm/v7"),
        ("linux/arm", "linux/arm/v6"),
        ("linux/i386", "linux/386"),
        ("linux/amd64/v3", "linux/amd64/v3"),
    ],
)
def test_platforms_that_are_the_same(tmp_path: Path, wanted: str, there: str) -> None:
    blobs = Blobs()
    rows = [row_of(blobs, "other", ELSEWHERE), row_of(blobs, "1", there)]
    source = written(image_layout(blobs, rows), tmp_path)
    assert build(source, tmp_path, platform=wanted).names == {"a": "1"}


@pytest.mark.parametrize(
    ("wanted", "there"),
    [
        ("linux/amd64", "linux/arm64"),
        ("linux/amd64", "windows/amd64"),
        ("linux/amd64", "linux/amd64/v3"),
        ("linux/amd64/v3", "linux/amd64/v2"),
        ("linux/arm/v6", "linux/arm/v7"),
        ("linux/arm/v6", "linux/arm"),
        ("linux/arm64", "linux/arm64/v9"),
        ("linux/arm64", "linux/arm/v8"),
    ],
)
def test_platforms_that_are_not_the_same(tmp_path: Path, wanted: str, there: str) -> None:
    blobs = Blobs()
    source = written(image_layout(blobs, [row_of(blobs, "1", there)]), tmp_path)
    assert "has no image for" in refusal(source, tmp_path, platform=wanted)


def test_first_of_several_that_fit_is_taken(tmp_path: Path) -> None:
    blobs = Blobs()
    rows = [row_of(blobs, text, "linux/arm/" + text) for text in ("v5", "v7", "v6")]
    rows += [row_of(blobs, text, "linux/arm64") for text in ("first", "second")]
    source = written(image_layout(blobs, rows), tmp_path)
    assert build(source, tmp_path, platform="linux/arm64").names == {"a": "first"}
    assert build(source, tmp_path, platform="linux/arm/v6").names == {"a": "v6"}
    assert build(source, tmp_path, platform="linux/arm").names == {"a": "v5"}


def test_one_name_for_several_platforms(tmp_path: Path) -> None:
    blobs = Blobs()
    rows = [each for text in ("linux/s390x", "linux/arm64") for each in named(row_of(blobs, text, text), "tag")]
    source = written(image_layout(blobs, rows), tmp_path)
    assert build(f"{source}:tag", tmp_path, platform="linux/arm64").names == {"a": "linux/arm64"}
    assert build(source, tmp_path, platform="linux/s390x").names == {"a": "linux/s390x"}


def test_image_alone_for_another_architecture_is_a_warning(tmp_path: Path) -> None:
    for source in sources(saying("1", platform=ELSEWHERE), tmp_path).values():
        built = build(source, tmp_path)
        assert built.names == {"a": "1"}
        text = f"{source}: is an image for {ELSEWHERE}, and this machine is {HERE}: name it with --platform"
        assert built.warnings == (text,)
        assert text in refusal(source, tmp_path, strict=True)


def test_image_alone_is_taken_or_refused_by_the_platform_that_is_asked_for(tmp_path: Path) -> None:
    for source in sources(saying("1", platform=ELSEWHERE), tmp_path).values():
        built = build(source, tmp_path, platform=ELSEWHERE, strict=True)
        assert (built.names, built.warnings) == ({"a": "1"}, ())
        text = refusal(source, tmp_path, platform="linux/arm64")
        assert "is an image for linux/s390x, not for linux/arm64" in text


@pytest.mark.parametrize("platform", [None, "linux/amd64", "linux/arm/v7", "freebsd/riscv64"])
@pytest.mark.parametrize(
    "config",
    [
        {"os": GONE, "architecture": GONE},
        {"os": "", "architecture": ""},
        {"os": None, "architecture": None},
        {"os": GONE, "architecture": GONE, "variant": GONE},
    ],
)
def test_configuration_without_a_platform_fits_any(tmp_path: Path, config: Document, platform: str | None) -> None:
    for source in sources(saying("1", config=config), tmp_path).values():
        built = build(source, tmp_path, platform=platform, strict=True)
        assert (built.names, built.warnings) == ({"a": "1"}, ())


def test_configuration_without_a_system_fits_any_of_its_architecture(tmp_path: Path) -> None:
    for source in sources(saying("1", platform="linux/arm64", config={"os": GONE}), tmp_path).values():
        assert build(source, tmp_path, platform="windows/arm64", strict=True).names == {"a": "1"}
        assert "is an image for arm64, not for linux/s390x" in refusal(source, tmp_path, platform=ELSEWHERE)


def test_variant_alone_is_no_other_architecture(tmp_path: Path) -> None:
    for source in sources(saying("1", platform=f"{HERE}/v99"), tmp_path).values():
        assert build(source, tmp_path, strict=True).names == {"a": "1"}


def test_image_without_layers(tmp_path: Path) -> None:
    """It has an empty root, as one image, as images to stack, and below other sources."""
    for form, source in sources(Image([]), tmp_path).items():
        assert build(source, tmp_path, strict=True).names == {}
        images = pysquash.build_layers([source], tmp_path / f"layers {form}")
        assert [path.name for path in images.paths] == ["000.squashfs"]
        (tmp_path / "x.tar").write_bytes(tar(file("a", b"1")))
        images = pysquash.build_layers([source, str(tmp_path / "x.tar")], tmp_path / f"more layers {form}")
        assert [path.name for path in images.paths] == ["000.squashfs"]
        command = [sys.executable, "-m", "pysquash", "build", source, "--layers", str(tmp_path / f"program {form}")]
        done = run(command)
        assert (done.returncode, done.stderr.count("\n")) == (0, 1)
        assert "1 image, 4.0 KiB; mounted, lowerdir=000" in done.stderr


def test_configuration_may_leave_the_variant_out(tmp_path: Path) -> None:
    blobs = Blobs()
    variant = {"platform": platform_row("linux/arm/v6")}
    row = blobs.image(saying("1", platform="linux/arm", descriptor=variant))
    source = written(image_layout(blobs, [row]), tmp_path)
    assert build(source, tmp_path, platform="linux/arm/v6").names == {"a": "1"}


@pytest.mark.parametrize("text", ["amd64", "linux", "linux/", "/amd64", "linux/arm/v7/x", "", "linux//v8"])
def test_what_is_no_platform_is_an_error(tmp_path: Path, text: str) -> None:
    source = written(layout(saying("1")), tmp_path)
    assert "platform must be os/arch or os/arch/variant" in refusal(source, tmp_path, platform=text)


def test_platform_and_media_types_that_are_no_texts(tmp_path: Path) -> None:
    blobs = Blobs()
    row = row_of(blobs, "1")
    cases: list[tuple[Document, str]] = [
        ({"platform": "linux/amd64"}, "has the platform 'linux/amd64'"),
        ({"platform": []}, "has the platform []"),
        ({"mediaType": 1}, "has the media type 1"),
        ({"annotations": {REFERENCE: 1}}, "has annotations that are no texts"),
        ({"annotations": ["x"]}, "has annotations that are no texts"),
    ]
    for number, (changes, text) in enumerate(cases):
        source = written(image_layout(blobs, [{**row, **changes}]), tmp_path / str(number))
        assert f"row 0 of index.json {text}" in refusal(source, tmp_path)


# --- limits ----------------------------------------------------------------------------------------------------------


def test_layers_are_counted(tmp_path: Path) -> None:
    image = Image([tar(file("a", b"1"))] * 4)
    for source in sources(image, tmp_path).values():
        assert build(source, tmp_path, limits=pysquash.Limits(layer_count=4)).names == {"a": "1"}
        text = refusal(source, tmp_path, limits=pysquash.Limits(layer_count=3))
        assert "the number of layers is 4, the limit is 3" in text


@pytest.mark.parametrize(("count", "is_read"), [(512, True), (513, False)])
def test_512_layers_are_read(tmp_path: Path, count: int, is_read: bool) -> None:
    image = Image([Layer(tar(file("a", b"1")), "plain")] * count)
    for files in (layout(image), old_archive(image)):
        is_layout = "oci-layout" in files
        archive = to_tar(files, tmp_path / f"{is_layout}.tar")
        source = f"{'oci' if is_layout else 'docker'}-archive:{archive}"
        if is_read:
            assert build(source, tmp_path).names == {"a": "1"}
        else:
            assert "the number of layers is 513, the limit is 512" in refusal(source, tmp_path)


MIB_4 = 4 << 20


@pytest.mark.parametrize(("size", "is_read"), [(MIB_4, True), (MIB_4 + 1, False)])
@pytest.mark.parametrize("which", ["manifest", "config", "index", "index.json", "manifest.json", "docker config"])
def test_documents_have_4_mib_at_most(tmp_path: Path, which: str, size: int, is_read: bool) -> None:
    def filled(document: bytes) -> bytes:
        return document + b" " * (size - len(document))

    blobs = Blobs()
    layer = blobs.layer(Layer(tar(file("a", b"1"))))
    rootfs = {"type": "layers", "diff_ids": [digest_of(tar(file("a", b"1")))]}
    config_data = encoded({"os": "linux", "architecture": "amd64", "rootfs": rootfs})
    config = blobs.put(filled(config_data) if "config" in which else config_data, CONFIG)
    manifest_data = encoded({"schemaVersion": 2, "config": config, "layers": [layer]})
    manifest = blobs.put(filled(manifest_data) if which == "manifest" else manifest_data, MANIFEST)
    index_data = encoded({"schemaVersion": 2, "manifests": [manifest]})
    index = blobs.put(filled(index_data) if which == "index" else index_data, INDEX)
    files = image_layout(blobs, [index])
    transport = "oci-archive"
    if which == "index.json":
        files[which] = filled(files[which])  # type: ignore[arg-type]
    if which in ("manifest.json", "docker config"):
        transport = "docker-archive"
        names = [f"blobs/{row['digest'].replace(':', '/')}" for row in (config, layer)]
        saved = encoded([{"Config": names[0], "RepoTags": None, "Layers": names[1:]}])
        files["manifest.json"] = filled(saved) if which == "manifest.json" else saved
    source = f"{transport}:{to_tar(files, tmp_path / 'x.tar')}"
    if is_read:
        assert build(source, tmp_path).names == {"a": "1"}
    else:
        assert f"is {size}, the limit is {MIB_4}" in refusal(source, tmp_path)


def test_types_of_indexes_are_those_of_the_builder() -> None:
    assert {INDEX, DOCKER_LIST} == INDEX_TYPES
