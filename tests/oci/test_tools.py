"""Images that skopeo, umoci and buildah write, in every form and compression, judged by umoci and GNU tar."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import pysquash
from tests.snapshot import Tree, assert_same, gnu_tar_tree, kernel_tree, need_root, need_tool, run, walk

POLICY = '{"default": [{"type": "insecureAcceptAnything"}]}'
TRANSPORTS = ("oci", "oci-archive", "docker-archive")


@pytest.fixture(scope="module", autouse=True)
def _tools() -> None:
    need_root()
    for tool in ("skopeo", "umoci", "buildah", "tar"):
        need_tool(tool, tool)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tools")
    (folder / "policy.json").write_text(POLICY)
    return folder


def tool(*command: str | Path) -> str:
    done = run(command)
    assert done.returncode == 0, f"{command}: {done.stderr}"
    return done.stdout.strip()


def skopeo(folder: Path, *command: str) -> None:
    tool("skopeo", f"--policy={folder / 'policy.json'}", "copy", "--quiet", *command)


# --- what is done to a root, step by step; each step becomes a layer -------------------------------------------------


def make(root: Path) -> None:
    for name in ("usr/lib/modules/6.1", "etc/conf.d", "var/cache", "home/me", "d/e/f", "replaced/deep", "emptied"):
        (root / name).mkdir(parents=True)
    (root / "lib").symlink_to("usr/lib")
    (root / "abs").symlink_to("/etc/conf.d")
    (root / "dangling").symlink_to("../../nowhere")
    for row in range(60):
        (root / "var/cache" / f"{row}").write_bytes(b"%d" % row * (row * 500 + 1))
    (root / "etc/passwd").write_text("root:x:0:0::/:/bin/sh\n")
    (root / "usr/lib/large").write_bytes(os.urandom(700_000))
    with open(root / "usr/lib/holes", "wb") as file:
        file.seek(3 << 20)
        file.write(b"end")
    os.link(root / "etc/passwd", root / "etc/passwd-")
    os.link(root / "etc/passwd", root / "home/me/passwd")
    (root / "d/e/f/deep").write_text("1")
    (root / "replaced/deep/file").write_text("2")
    (root / "emptied/one").write_text("3")
    (root / "ünïcode \n name").write_text("4")
    (root / ("long" * 40)).mkdir()
    (root / ("long" * 40) / ("name" * 50)).write_text("5")
    os.mkfifo(root / "var/pipe", 0o622)
    os.mknod(root / "var/null", 0o20666, os.makedev(1, 3))
    os.chmod(root / "usr/lib/large", 0o4755)
    os.chown(root / "home/me", 1000, 100_000)
    os.setxattr(root / "usr/lib/large", "security.capability", b"\1\0\0\2" + bytes(16))
    os.setxattr(root / "etc", "user.note", b"\0\1binary")


def change(root: Path) -> None:
    (root / "var/cache/3").unlink()
    (root / "etc/passwd").unlink()
    (root / "etc/passwd").write_text("another one\n")
    (root / "lib/modules/6.1/new.ko").write_text("through the link")
    shutil.rmtree(root / "d/e")
    (root / "d/e").write_text("a file now")
    shutil.rmtree(root / "replaced")
    (root / "replaced").mkdir(mode=0o700)
    (root / "replaced/new").write_text("new")
    (root / "emptied/one").unlink()
    os.chmod(root / "var/cache", 0o1777)
    (root / "dangling").unlink()
    (root / "dangling").mkdir()
    (root / "dangling/x").write_text("x")


def change_back(root: Path) -> None:
    (root / "var/cache/3").write_text("back again")
    (root / "d/e").unlink()
    (root / "d/e").mkdir()
    (root / "d/e/f").write_text("f")
    shutil.rmtree(root / "dangling")
    (root / "abs").unlink()
    (root / "abs").write_text("no link now")


STEPS: tuple[Callable[[Path], None], ...] = (make, change, change_back)


@pytest.fixture(scope="module")
def by_umoci(folder: Path) -> str:
    """Write an image of three layers with umoci."""
    name = f"{folder / 'umoci'}:latest"
    tool("umoci", "init", "--layout", folder / "umoci")
    tool("umoci", "new", "--image", name)
    for number, step in enumerate(STEPS):
        place = folder / f"bundle-{number}"
        tool("umoci", "unpack", "--image", name, place)
        step(place / "rootfs")
        tool("umoci", "repack", "--image", name, place)
        shutil.rmtree(place)
    tool("umoci", "config", "--image", name, "--config.cmd", "/bin/sh", "--config.env", "A=b")
    return f"oci:{name}"


@pytest.fixture(scope="module")
def by_buildah(folder: Path) -> str:
    """Write an image of three layers with buildah: from scratch, so without a network, and as root."""
    storage = [f"--root={folder / 'storage'}", f"--runroot={folder / 'run'}", "--storage-driver=vfs"]
    policy = f"--signature-policy={folder / 'policy.json'}"
    base = "scratch"
    try:
        for number, step in enumerate(STEPS):
            container = tool("buildah", *storage, "from", policy, "--pull-never", base)
            step(Path(tool("buildah", *storage, "mount", container)))
            base = f"localhost/step:{number}"
            tool("buildah", *storage, "commit", policy, "--quiet", container, base)
            tool("buildah", *storage, "rm", container)
        tool("buildah", *storage, "push", policy, "--quiet", base, f"oci:{folder / 'buildah'}:latest")
    finally:
        run(["buildah", *storage, "rmi", "--all", "--force"])
    return f"oci:{folder / 'buildah'}:latest"


@pytest.fixture(scope="module", params=["umoci", "buildah"])
def image(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue(f"by_{request.param}"))


def unpacked(source: str, folder: Path) -> Tree:
    """Let umoci extract an image."""
    place = folder / "bundle"
    tool("umoci", "unpack", "--image", source.removeprefix("oci:"), place)
    try:
        return walk(place / "rootfs")
    finally:
        shutil.rmtree(place)


def built(source: str, folder: Path) -> Path:
    path = folder / f"{len(os.listdir(folder))}.squashfs"
    report = pysquash.build([source], path, options=pysquash.WriterOptions(verify=True))
    assert report.layers == 3
    assert not report.warnings
    return path


def test_image_is_what_umoci_extracts(image: str, tmp_path: Path) -> None:
    seen = kernel_tree(built(image, tmp_path), tmp_path)
    assert len(seen) > 80
    assert_same(seen, unpacked(image, tmp_path), ignore_root=True)


def test_first_layer_is_what_gnu_tar_extracts(image: str, tmp_path: Path) -> None:
    layers = blobs_of_layers(image)
    path = tmp_path / "image.squashfs"
    pysquash.tar2squashfs(layers[:1], path)
    assert_same(kernel_tree(path, tmp_path), gnu_tar_tree(layers[:1], tmp_path), ignore_root=True)


def blobs_of_layers(source: str) -> list[Path]:
    """Find the files of an image's layers, without any of what is tested."""
    layout = Path(source.removeprefix("oci:").removesuffix(":latest"))

    def blob(descriptor: dict[str, str]) -> Path:
        return layout / "blobs" / descriptor["digest"].replace(":", "/")

    [row] = json.loads((layout / "index.json").read_bytes())["manifests"]
    return [blob(each) for each in json.loads(blob(row).read_bytes())["layers"]]


def test_copies_in_every_form_give_the_same_image(image: str, folder: Path, tmp_path: Path) -> None:
    wanted = built(image, tmp_path).read_bytes()
    for transport in TRANSPORTS:
        copy = f"{transport}:{tmp_path / transport}:some/name:1.0"
        skopeo(folder, image, copy)
        for source in (copy, copy.removesuffix(":some/name:1.0")):
            assert built(source, tmp_path).read_bytes() == wanted, source
    skopeo(folder, image, f"dir:{tmp_path / 'dir'}")
    assert built(f"dir:{tmp_path / 'dir'}", tmp_path).read_bytes() == wanted


@pytest.mark.parametrize("compression", ["zstd", "gzip"])
def test_copies_in_another_compression_give_the_same_image(
    image: str, folder: Path, tmp_path: Path, compression: str
) -> None:
    copy = f"oci:{tmp_path / 'copy'}:latest"
    skopeo(folder, f"--dest-compress-format={compression}", "--dest-compress-level=1", image, copy)
    magic = {"zstd": b"\x28\xb5\x2f\xfd", "gzip": b"\x1f\x8b"}[compression]
    assert all(blob.read_bytes().startswith(magic) for blob in blobs_of_layers(copy))
    assert built(copy, tmp_path).read_bytes() == built(image, tmp_path).read_bytes()


@pytest.mark.parametrize("kind", ["v2s2", "oci"])
def test_copies_as_docker_and_oci_manifests_give_the_same_image(
    image: str, folder: Path, tmp_path: Path, kind: str
) -> None:
    skopeo(folder, f"--format={kind}", image, f"dir:{tmp_path / 'dir'}")
    copy = f"oci-archive:{tmp_path / 'copy.tar'}"
    skopeo(folder, f"dir:{tmp_path / 'dir'}", copy)
    assert built(copy, tmp_path).read_bytes() == built(image, tmp_path).read_bytes()


def test_archive_of_several_images(by_umoci: str, by_buildah: str, folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    skopeo(folder, by_umoci, f"oci:{copy}:one")
    skopeo(folder, by_buildah, f"oci:{copy}:two")
    assert built(f"oci:{copy}:one", tmp_path).read_bytes() == built(by_umoci, tmp_path).read_bytes()
    assert built(f"oci:{copy}:two", tmp_path).read_bytes() == built(by_buildah, tmp_path).read_bytes()
    with pytest.raises(pysquash.SourceError, match="of which one must be named: one, two"):
        built(f"oci:{copy}", tmp_path)
