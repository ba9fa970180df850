"""Container images given as something else: recognised, and the source string to write is named."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import pysquash
from pysquash.sources.saved_image import SavedImage, SavedImageNames
from tests.oci.builder import (
    Files,
    Image,
    Packing,
    encoded,
    file,
    layout,
    new_archive,
    old_archive,
    platform_row,
    skopeo_directory,
    tar,
    to_directory,
    to_tar,
)
from tests.oci.judge import build, refusal

IMAGE = Image([tar(file("etc/os", b"1")), tar(file("etc/os", b"2"))], tags=("x:1",), platform="linux/amd64")
PLATFORM = ["--platform", "linux/amd64"]
FORMS: dict[str, tuple[Callable[[Image], Files], str]] = {
    "layout": (layout, "oci-archive:"),
    "old": (old_archive, "docker-archive:"),
    "new": (new_archive, "oci-archive:"),
    "directory": (skopeo_directory, "dir:DIRECTORY after extracting it"),
}


def piped(data: bytes, *arguments: object) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "pysquash", "build", *map(str, arguments)]
    return subprocess.run(command, input=data, capture_output=True, check=False)


@pytest.mark.parametrize("packing", ["plain", "gzip", "zstd"])
@pytest.mark.parametrize("form", FORMS)
def test_an_archive_without_its_transport(form: str, packing: Packing, tmp_path: Path) -> None:
    make, instead = FORMS[form]
    path = to_tar(make(IMAGE), tmp_path / "saved.tar", packing)
    if instead.endswith(":"):
        instead += str(path)
    text = refusal(str(path), tmp_path)
    assert f"not a root file system: write {instead}; tar:{path} packs the files of the archive themselves" in text
    with pytest.raises(pysquash.SourceError, match="is a container image"):
        pysquash.build([pysquash.Part(str(path), ["blobs"])], tmp_path / "image")
    # And one who insists gets what is in it.
    pysquash.build([f"tar:{path}"], tmp_path / "image")
    with pysquash.SquashfsImage(tmp_path / "image") as image:
        assert {b"manifest.json", b"oci-layout"} & {each.path for each in image.root.iterdir()}


@pytest.mark.parametrize("form", FORMS)
def test_an_archive_from_a_pipe(form: str, tmp_path: Path) -> None:
    make, instead = FORMS[form]
    saved = to_tar(make(IMAGE), tmp_path / "saved.tar").read_bytes()
    done = piped(saved, "-", "-o", tmp_path / "image")
    assert done.returncode == 1
    assert f"write {instead}{'-' if instead.endswith(':') else ''}; tar:- packs".encode() in done.stderr
    assert not (tmp_path / "image").exists()
    assert piped(saved, "tar:-", "-q", "-o", tmp_path / "image").returncode == 0


@pytest.mark.parametrize(
    ("make", "source"),
    [
        (layout, "oci-archive:-"),
        (layout, "oci-archive:-:x:1"),
        (layout, "docker-archive:-"),
        (old_archive, "docker-archive:-"),
        (old_archive, "docker-archive:-:image:1"),
        (new_archive, "docker-archive:-"),
        (new_archive, "oci-archive:-"),
    ],
)
@pytest.mark.parametrize("packing", ["plain", "gzip"])
def test_an_archive_on_standard_input(
    make: Callable[[Image], Files], source: str, packing: Packing, tmp_path: Path
) -> None:
    image = Image(IMAGE.layers, tags=("x:1",) if make is not old_archive else ("image:1",), platform="linux/amd64")
    path = to_tar(make(image), tmp_path / "saved.tar", packing)
    done = piped(path.read_bytes(), source, "-q", "-o", tmp_path / "piped", *PLATFORM)
    assert done.returncode == 0, done.stderr
    wanted = build(f"{source.partition(':')[0]}:{path}", tmp_path, platform="linux/amd64")
    assert (tmp_path / "piped").read_bytes() == wanted.path.read_bytes()
    with path.open("rb") as stdin:  # a file, which has positions
        command = [sys.executable, "-m", "pysquash", "build", source, "-q", "-o", str(tmp_path / "file"), *PLATFORM]
        assert subprocess.run(command, stdin=stdin, check=False).returncode == 0
    assert (tmp_path / "file").read_bytes() == wanted.path.read_bytes()
    assert sorted(each.name for each in tmp_path.iterdir() if each.name.startswith(".")) == []


def test_nothing_on_standard_input(tmp_path: Path) -> None:
    for transport in ("oci-archive", "docker-archive"):
        done = piped(b"", f"{transport}:-", "-o", tmp_path / "image")
        assert done.returncode == 1
        assert done.stderr.count(b"\n") == 1


def test_data_after_a_compressed_archive_is_a_warning(tmp_path: Path) -> None:
    path = to_tar(layout(IMAGE), tmp_path / "saved.tar.gz", "gzip")
    path.write_bytes(path.read_bytes() + b"garbage")
    found = build(f"oci-archive:{path}", tmp_path, platform="linux/amd64")
    assert found.warnings == (f"oci-archive:{path}: data after the end of the gzip stream is ignored",)
    assert "data after the end of the gzip stream" in refusal(f"oci-archive:{path}", tmp_path, strict=True)


# --- names -----------------------------------------------------------------------------------------------------------

_HEX = "0123456789abcdef" * 4
SAVED: dict[str, tuple[Sequence[str], SavedImage]] = {
    "docker 1.9": (
        [f"{_HEX}/", f"{_HEX}/VERSION", f"{_HEX}/json", f"{_HEX}/layer.tar", "repositories"],
        SavedImage.DOCKER,
    ),
    "docker 24": ([f"{_HEX}/", f"{_HEX}/layer.tar", f"{_HEX}.json", "manifest.json"], SavedImage.DOCKER),
    "docker 25": (["blobs/", "blobs/sha256/", f"blobs/sha256/{_HEX}", "index.json"], SavedImage.OCI),
    "buildkit": (["blobs/", "blobs/sha256/", f"blobs/sha256/{_HEX}", "index.json", "oci-layout"], SavedImage.OCI),
    "crane": ([f"sha256:{_HEX}", f"{_HEX}.tar.gz", "manifest.json"], SavedImage.DOCKER),
    "podman": ([f"{_HEX}.tar", f"{_HEX}.json", "manifest.json", "repositories"], SavedImage.DOCKER),
    "kaniko": ([f"{_HEX}.tar.gz", "manifest.json"], SavedImage.DOCKER),
    "bazel": (["layer1.tar", "config.json", "manifest.json"], SavedImage.DOCKER),
    "by hand": (["c.json", "1/", "1/layer.tar", "manifest.json"], SavedImage.DOCKER),
    "manifest first": (["manifest.json", "c.json", "l.tar"], SavedImage.DOCKER),
    "layout first": (["oci-layout"], SavedImage.OCI),
    "sha512": (["blobs/", "blobs/sha512/", f"blobs/sha512/{_HEX * 2}"], SavedImage.OCI),
    "skopeo dir": (["version", "manifest.json", _HEX], SavedImage.DIRECTORY),
    "skopeo dir, sorted": ([_HEX, _HEX[::-1], "manifest.json", "version"], SavedImage.DIRECTORY),
    "skopeo dir, all": ([f"{_HEX}.manifest.json", _HEX[::-1], "manifest.json", "version"], SavedImage.DIRECTORY),
}
ROOTS: dict[str, Sequence[str]] = {
    "root": ["bin", "etc/", "etc/passwd", "manifest.json", "layer.tar"],
    "directories": ["bin/", "boot/", "etc/", "blobs/", "blobs/sha256/", "etc/x"],
    "only directories": ["bin/", "boot/", "blobs/", "blobs/sha256/"],
    "web application": ["index.html", "manifest.json", "data.tar"],
    "package": ["package.json"],
    "application": ["manifest.json", "index.json", "repositories"],
    "tars": ["a.tar", "b.tar.gz"],
    "deeper": ["x/blobs/sha256/" + _HEX],
    "no digest": ["blobs/", "blobs/sha256/", "blobs/sha256/abc"],
    "empty": [],
}


def recognised(names: Sequence[str]) -> SavedImage | None:
    seen = SavedImageNames()
    for name in ["", *names]:
        found = seen.add(name.rstrip("/").encode(), is_directory=name.endswith("/"))
        if found is not None or not seen.is_possible:
            return found
    return seen.whole()


@pytest.mark.parametrize("form", SAVED)
def test_names_of_saved_images(form: str) -> None:
    names, wanted = SAVED[form]
    assert recognised(names) is wanted


@pytest.mark.parametrize("form", ROOTS)
def test_names_of_roots(form: str) -> None:
    assert recognised(ROOTS[form]) is None


@given(
    first=st.sampled_from(["etc/passwd", "bin/sh", "usr/lib/", "x", "a/b/c", "README"]), form=st.sampled_from([*SAVED])
)
def test_nothing_is_recognised_after_a_name_of_a_root(first: str, form: str) -> None:
    assert recognised([first, *SAVED[form][0]]) is None


# --- directories -----------------------------------------------------------------------------------------------------


def test_directories_of_other_images(tmp_path: Path) -> None:
    for make, instead in ((layout, "write oci:"), (new_archive, "write oci:"), (old_archive, "docker-archive:-")):
        path = to_directory(make(IMAGE), tmp_path / f"{make.__name__}")
        text = refusal(f"dir:{path}", tmp_path)
        assert "is a container image" in text
        assert instead in text
    (path / "etc").mkdir()
    (path / "etc/passwd").write_bytes(b"")
    assert "manifest.json" in build(f"dir:{path}", tmp_path).names  # a root that has such files


def test_a_directory_that_skopeo_wrote(tmp_path: Path) -> None:
    path = to_directory(skopeo_directory(IMAGE), tmp_path / "dir")
    found = build(f"dir:{path}", tmp_path, platform="linux/amd64")
    assert found.names == {"etc": "directory", "etc/os": "2"}
    assert len(found.report.digests_verified) == 6
    assert f"write dir:{path}" in refusal(str(path), tmp_path)
    blobs = [each for each in path.iterdir() if len(each.name) == 64]
    for blob in blobs:
        good = blob.read_bytes()
        blob.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
        assert "digest" in refusal(f"dir:{path}", tmp_path, platform="linux/amd64")
        blob.write_bytes(good[:-1])
        assert "bytes" in refusal(f"dir:{path}", tmp_path, platform="linux/amd64")
        blob.unlink()
        assert "there is no file" in refusal(f"dir:{path}", tmp_path, platform="linux/amd64")
        blob.with_name(blob.name + ".tar").write_bytes(good)  # as version 1.0 has layers
        build(f"dir:{path}", tmp_path, platform="linux/amd64")
        blob.with_name(blob.name + ".tar").rename(blob)


def test_a_directory_with_an_index(tmp_path: Path) -> None:
    other = Image([tar(file("other", b"3"))], platform="linux/s390x")
    path = to_directory(skopeo_directory(IMAGE, other), tmp_path / "dir")
    assert set(build(f"dir:{path}", tmp_path, platform="linux/s390x").names) == {"other"}
    assert set(build(f"dir:{path}", tmp_path, platform="linux/amd64").names) == {"etc", "etc/os"}
    assert "has no image for linux/arm64" in refusal(f"dir:{path}", tmp_path, platform="linux/arm64")
    assert platform_row("linux/s390x")["architecture"] == "s390x"


@pytest.mark.parametrize(
    ("version", "manifest", "text"),
    [
        (b"Directory Transport Version: 2.0\n", None, "not that of a Directory Transport Version 1.x"),
        (b"Directory Transport Version", None, "not that of a Directory Transport Version 1.x"),
        (None, b"{", "manifest.json is no JSON"),
        (None, encoded({"schemaVersion": 1}), "schema 1"),
        (None, encoded({"schemaVersion": 2, "mediaType": "x/y"}), "has no image"),
        (None, encoded({"schemaVersion": 2, "layers": [], "manifests": []}), "layers and manifests"),
        (None, b" " * (5 << 20), "the limit is"),
    ],
)
def test_directories_that_are_wrong(version: bytes | None, manifest: bytes | None, text: str, tmp_path: Path) -> None:
    files = skopeo_directory(IMAGE)
    files["version"] = version or files["version"]
    files["manifest.json"] = manifest or files["manifest.json"]
    assert text in refusal(f"dir:{to_directory(files, tmp_path / 'dir')}", tmp_path)


def test_a_version_that_is_something_else(tmp_path: Path) -> None:
    path = to_directory({"version": b"1.0\n", "etc/os": b"1"}, tmp_path / "dir")
    assert set(build(f"dir:{path}", tmp_path).names) == {"version", "etc", "etc/os"}
    path = to_directory({"version/x": b"1.0\n"}, tmp_path / "other")
    assert set(build(f"dir:{path}", tmp_path).names) == {"version", "version/x"}


def test_the_image_is_not_written_into_the_directory_that_is_read(tmp_path: Path) -> None:
    path = to_directory(skopeo_directory(IMAGE), tmp_path / "dir")
    with pytest.raises(pysquash.OptionError, match="are the same file"):
        pysquash.build([f"dir:{path}"], path / "manifest.json", platform="linux/amd64")


# --- transports mixed up ---------------------------------------------------------------------------------------------


def test_transports_mixed_up(tmp_path: Path) -> None:
    old = to_tar(old_archive(IMAGE), tmp_path / "old.tar")
    directory = to_directory(layout(IMAGE), tmp_path / "layout")
    skopeo = to_directory(skopeo_directory(IMAGE), tmp_path / "skopeo")
    both = to_tar(layout(IMAGE), tmp_path / "oci.tar")
    legacy = to_tar({"repositories": b"{}", f"{_HEX}/layer.tar": tar()}, tmp_path / "legacy.tar")
    assert f"but a docker archive: write docker-archive:{old}:x" in refusal(f"oci-archive:{old}:x", tmp_path)
    assert f"is a file, not a directory: write oci-archive:{both}" in refusal(f"oci:{both}", tmp_path)
    assert f"but a directory of skopeo: write dir:{skopeo}" in refusal(f"oci:{skopeo}", tmp_path)
    for transport in ("oci-archive", "docker-archive"):
        assert f"is a directory, not an archive: write oci:{directory}" in refusal(f"{transport}:{directory}", tmp_path)
        assert f"is a directory, not an archive: write dir:{skopeo}" in refusal(f"{transport}:{skopeo}", tmp_path)
    text = refusal(f"docker-archive:{legacy}", tmp_path)
    assert "is not an archive of `docker save` (1.10 or newer): there is no file 'manifest.json' in it" in text


def test_tar_transport(tmp_path: Path) -> None:
    (tmp_path / "layer.tar").write_bytes(tar(file("a", b"1")))
    assert set(build(f"tar:{tmp_path}/layer.tar", tmp_path).names) == {"a"}
    assert "a path is missing" in refusal("tar:", tmp_path)
    assert "is a directory: write dir:" in refusal(f"tar:{tmp_path}", tmp_path)
    with pytest.raises(FileNotFoundError):
        pysquash.build([f"tar:{tmp_path}/missing"], tmp_path / "image")
