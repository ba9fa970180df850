"""A real root: Debian, packages of pip's over it, and a layer that deletes and replaces. It mounts, and it runs."""

from __future__ import annotations

import gzip
import io
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

import pysquash
from examples import boot
from tests.snapshot import assert_same, extract, kernel_tree, mounted, need_root, need_tool, run, unsquashfs_tree, walk


@pytest.fixture(scope="session")
def debian_root() -> Path:
    """Make a minimal Debian root, as a tar; from the cache if it is there."""
    need_root()
    need_tool("debootstrap", "debootstrap")
    return boot.debian_root(boot.cache_folder())


def pip_layer(folder: Path) -> Path:
    """Install packages with pip into a folder, as a layer."""
    target = folder / "usr/lib/python3/dist-packages"
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--disable-pip-version-check"]
    done = run([*command, "--target", target, "construct", "click", "hypothesis"])
    assert done.returncode == 0, done.stderr
    layer = folder.with_suffix(".tar")
    assert run(["tar", "-C", folder, "--owner=0", "--group=0", "--numeric-owner", "-cf", layer, "usr"]).returncode == 0
    return layer


def changing_layer(path: Path) -> Path:
    """Delete a file and a directory, empty another one, replace a file, and add one through the lib symlink."""
    files = {
        "etc/.wh.issue": b"",
        "usr/share/.wh.doc": b"",
        "var/lib/dpkg/info/.wh..wh..opq": b"",
        "etc/motd": b"Replaced.\n",
        "lib/through-the-symlink": b"In usr/lib.\n",
    }
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size, info.mode, info.mtime = len(content), 0o640, 1_700_000_000
            archive.addfile(info, io.BytesIO(content))
    return path


def test_three_layers_pack_mount_and_run(debian_root: Path, tmp_path: Path) -> None:
    (tmp_path / "pip").mkdir()
    layers = [debian_root, pip_layer(tmp_path / "pip"), changing_layer(tmp_path / "changes.tar")]
    zipped = []
    for layer in layers:
        zipped.append(tmp_path / f"{layer.name}.gz")
        with layer.open("rb") as plain, gzip.open(zipped[-1], "wb", compresslevel=1) as packed:
            shutil.copyfileobj(plain, packed, 1 << 20)
    image = tmp_path / "root.squashfs"
    report = pysquash.tar2squashfs(zipped, image)
    assert report.layers == 3
    assert report.hidden_files > 100  # what was below usr/share/doc and in dpkg's info
    assert not report.warnings

    # What extracting gives: the whiteouts by hand, between the layers.
    extracted = tmp_path / "extracted"
    extracted.mkdir()
    assert extract(layers[0], extracted)
    assert extract(layers[1], extracted)
    (extracted / "etc/issue").unlink()
    shutil.rmtree(extracted / "usr/share/doc")
    info = extracted / "var/lib/dpkg/info"
    for name in info.iterdir():
        name.unlink()
    assert extract(layers[2], extracted)
    for marker in ("etc/.wh.issue", "usr/share/.wh.doc", "var/lib/dpkg/info/.wh..wh..opq"):
        (extracted / marker).unlink()
    wanted = walk(extracted)
    seen = kernel_tree(image, tmp_path)
    assert seen[b"usr/lib/through-the-symlink"].content.startswith("12 ")
    assert seen[b"lib"].kind == "symlink"
    # Extraction touches the directories that it changes; the image keeps what the layers say of them.
    touched = {path for path in wanted if wanted[path].kind == "directory" and wanted[path].mtime != seen[path].mtime}
    assert touched <= {b"", b"etc", b"usr", b"usr/lib", b"usr/lib/python3", b"usr/share", b"var/lib/dpkg/info"}
    for path in touched:
        del wanted[path], seen[path]
    assert_same(seen, wanted)
    again = unsquashfs_tree(image, tmp_path)
    assert_same({path: again[path] for path in seen}, seen)

    with mounted(image, tmp_path) as point:
        done = run(
            ["chroot", point, "/bin/sh", "-c", ". /etc/os-release && echo $ID && cat /etc/motd && ls /etc/issue"]
        )
    assert done.stdout == "debian\nReplaced.\n"
    assert "No such file" in done.stderr


def test_one_image_for_all_workers_chunks_and_hash_seeds(debian_root: Path, tmp_path: Path) -> None:
    changes = changing_layer(tmp_path / "changes.tar")
    images = {}
    for workers in (1, 2, 8):
        images[f"{workers} workers"] = tmp_path / f"{workers}.squashfs"
        options = pysquash.WriterOptions(workers=workers)
        pysquash.tar2squashfs([debian_root, changes], images[f"{workers} workers"], options=options)

    def odd_chunks() -> object:
        with debian_root.open("rb") as file:
            size = 1
            while chunk := file.read(size % 99_991 + 1):
                yield chunk
                size = size * 31 + 7

    images["odd chunks"] = tmp_path / "chunks.squashfs"
    pysquash.tar2squashfs([odd_chunks, changes], images["odd chunks"])  # type: ignore[list-item]
    for seed in ("0", "12345"):
        images[f"hash seed {seed}"] = tmp_path / f"seed-{seed}.squashfs"
        done = subprocess.run(
            [sys.executable, "-m", "pysquash", "build", "-q", debian_root, changes, "-o", images[f"hash seed {seed}"]],
            env={**os.environ, "PYTHONHASHSEED": seed, "SOURCE_DATE_EPOCH": ""},
            check=False,
        )
        assert done.returncode == 0
    reference = images["1 workers"].read_bytes()
    assert [name for name, image in images.items() if image.read_bytes() != reference] == []
