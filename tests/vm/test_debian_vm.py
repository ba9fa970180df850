"""A real root made ready for a VM: Debian as a container image, with all options at once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import pysquash
from examples import boot
from pysquash import ConfigOutput, Owners, Part, WriterOptions
from tests.snapshot import (
    IS_CI,
    assert_same,
    kernel_tree,
    mounted,
    need_root,
    need_tool,
    reader_tree,
    run,
    unsquashfs_tree,
)
from tests.vm.images import container_image, layer


@pytest.fixture(scope="module")
def debian(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Give a Debian root as a container image. Where none is in the cache, only CI takes the minute to make one."""
    need_root()
    cached = boot.cache_folder() / "debian-minbase.tar"
    if not IS_CI and not cached.exists():
        pytest.skip("no Debian root is in the cache: tests/compat/test_debian.py makes one")
    need_tool("debootstrap", "debootstrap")
    tar = boot.debian_root(boot.cache_folder())
    config = {"User": "www-data", "Cmd": ["/bin/sh"], "Env": ["PATH=/usr/bin"]}
    return container_image(tmp_path_factory.mktemp("debian"), [tar.read_bytes()], config)


def test_a_debian_root_for_a_vm(debian: str, tmp_path: Path) -> None:
    (tmp_path / "kernel.tar").write_bytes(layer({"boot/vmlinuz": "k", "lib/modules/6/x.ko": "m", "etc/passwd": "no"}))
    image = tmp_path / "root.squashfs"
    report = pysquash.build(
        [debian, Part(str(tmp_path / "kernel.tar"), ["boot", "lib/modules"])],
        image,
        files=[("lib/init/agent", b"#!/bin/sh\necho agent\n", {"mode": 0o755})],
        symlinks=[("sbin/vminit", "/lib/init/agent", {})],
        directories=[("lib/new/deep", {"mode": 0o700})],
        vm=True,
        config=ConfigOutput(file=tmp_path / "config.json", in_image="config.json", format="oci"),
        exclude=["usr/share/doc", "usr/share/locale/**", "*.pyc"],
        owners=Owners(users=[(0, 0, 65_536)], groups=[(0, 0, 65_536)]),
        platform="linux/amd64",
        options=WriterOptions(verify=True, strict=True),
    )
    assert not report.warnings
    seen = kernel_tree(image, tmp_path)
    assert_same(reader_tree(image), seen)
    assert_same(unsquashfs_tree(image, tmp_path), seen)
    for name in ("usr/lib/init/agent", "usr/sbin/vminit", "usr/lib/modules/6/x.ko", "boot/vmlinuz", "overlay", "rom"):
        assert name.encode() in seen
    assert seen[b"tmp"].mode == 0o1777
    assert seen[b"lib"].kind == "symlink"
    assert not [path for path in seen if path.startswith((b"usr/share/doc/", b"usr/share/locale/"))]
    assert b"usr/share/locale" in seen
    user = json.loads((tmp_path / "config.json").read_text())["process"]["user"]
    assert (user["uid"], user["gid"]) == (33, 33)
    with mounted(image, tmp_path) as point:
        done = run(["chroot", point, "/sbin/vminit"])
        assert done.stdout == "agent\n", done.stderr
        assert run(["chroot", point, "id", "-u", "www-data"]).stdout == "33\n"
