"""Whole trees of every kind and attribute: what GNU tar extracts, the kernel and unsquashfs read out of the image."""

from __future__ import annotations

import io
import tarfile
import tempfile
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import pysquash
from tests.snapshot import assert_same, extract, kernel_tree, need_root, need_tool, remove, unsquashfs_tree, walk

names = st.binary(min_size=1, max_size=20).filter(
    lambda name: b"/" not in name and b"\0" not in name and name not in (b".", b"..") and not name.startswith(b".wh.")
)
ids = st.integers(0, 2000) | st.sampled_from([65534, 65535, 1 << 31, (1 << 32) - 2])
values = st.binary(max_size=20) | st.sampled_from([b"shared" * 50, bytes(range(256)) * 2])  # ext4 has room for 4 KiB
xattr_names = st.sampled_from(["user.a", "user.long name", "trusted.b", "security.c"])
contents = (
    st.binary(max_size=200)
    | st.integers(0, 3).map(lambda row: bytes([row + 1]) * 5000)
    | st.sampled_from([4095, 4096, 4097, 8192, 12289]).map(lambda size: bytes(range(1, 252)) * 60 + bytes(size))
    | st.sampled_from([1, 4096, 9999]).map(bytes)
)
KINDS = [tarfile.REGTYPE] * 3 + [tarfile.SYMTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.LNKTYPE]

Member = tuple[tarfile.TarInfo, bytes]


@st.composite
def trees(draw: st.DrawFn) -> list[Member]:
    """Draw a tree as tar members: directories first, then what is in them, with hard links to files and all else."""
    directories = [b""]
    members: list[Member] = []
    taken = {b""}

    def describe(path: bytes, kind: bytes) -> tarfile.TarInfo:
        taken.add(path)
        info = tarfile.TarInfo(path.decode("utf-8", "surrogateescape") or "./")
        info.type, info.mode = kind, draw(st.integers(0, 0o7777))
        info.uid, info.gid = draw(ids), draw(ids)
        info.mtime = draw(st.integers(0, 0xFFFF_FFFF))
        # user. attributes are for files and directories only, which is the kernel's rule.
        if kind in (tarfile.REGTYPE, tarfile.DIRTYPE) or draw(st.booleans()):
            info.pax_headers = {
                f"SCHILY.xattr.{name}": value.decode("utf-8", "surrogateescape")
                for name, value in draw(st.dictionaries(xattr_names, values, max_size=3)).items()
                if not name.startswith("user.") or kind in (tarfile.REGTYPE, tarfile.DIRTYPE)
            }
        return info

    def place() -> bytes | None:
        parent, name = draw(st.sampled_from(directories)), draw(names)
        path = parent + b"/" + name if parent else name
        return None if path in taken else path

    members.append((describe(b"", tarfile.DIRTYPE), b""))
    for _ in range(draw(st.integers(0, 4))):
        path = place()
        if path is not None:
            directories.append(path)
            members.append((describe(path, tarfile.DIRTYPE), b""))
    linkable: list[str] = []
    for kind in draw(st.lists(st.sampled_from(KINDS), max_size=10)):
        path = place()
        if path is None or (kind == tarfile.LNKTYPE and not linkable):
            continue
        info, content = describe(path, kind), b""
        if kind == tarfile.LNKTYPE:
            info.linkname = draw(st.sampled_from(linkable))
            info.pax_headers = {}
        elif kind == tarfile.SYMTYPE:
            info.linkname = draw(names).decode("utf-8", "surrogateescape")
        elif kind in (tarfile.CHRTYPE, tarfile.BLKTYPE):
            info.devmajor, info.devminor = draw(st.integers(1, 4095)), draw(st.integers(0, 0xFFFFF))
        elif kind == tarfile.REGTYPE:
            content = draw(contents)
            info.size = len(content)
        if kind != tarfile.LNKTYPE:
            linkable.append(info.name)
        members.append((info, content))
    return members


def write(members: list[Member], path: Path) -> None:
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT, errors="surrogateescape", encoding="utf-8") as archive:
        for info, content in members:
            archive.addfile(info, io.BytesIO(content))


@pytest.fixture(autouse=True)
def _tools() -> None:
    need_root()
    need_tool("unsquashfs", "squashfs-tools")
    need_tool("tar", "tar")


@given(trees())
@settings(max_examples=60)
@example([])
def test_the_image_holds_what_gnu_tar_extracts(members: list[Member]) -> None:
    folder = Path(tempfile.mkdtemp(prefix="pysquash-test-"))
    try:
        layer, image, extracted = folder / "layer.tar", folder / "image.squashfs", folder / "extracted"
        write(members, layer)
        pysquash.tar2squashfs([layer], image, options=pysquash.WriterOptions(block_size=4096))
        extracted.mkdir()
        assert extract(layer, extracted)
        seen = kernel_tree(image, folder)
        assert_same(seen, walk(extracted), ignore_root=not members)
        assert_same(unsquashfs_tree(image, folder), seen)
    finally:
        remove(folder)
