"""The same tar through tar2sqfs and through `pysquash build`, with the options that both have: the same tree."""

from __future__ import annotations

import io
import random
import subprocess
import tarfile
from pathlib import Path

import pytest

import pysquash
from pysquash import SquashfsImage, WriterOptions
from tests.snapshot import Tree, assert_same, need_root, need_tool, reader_tree, unsquashfs_tree

MEMBERS = [
    ("./", tarfile.DIRTYPE, 0o750, b"", ""),
    ("./d", tarfile.DIRTYPE, 0o1777, b"", ""),
    ("./d/short", tarfile.REGTYPE, 0o4711, b"short\n", ""),
    ("./d/long", tarfile.REGTYPE, 0o640, random.Random(1).randbytes(300_000), ""),
    ("./d/copy", tarfile.REGTYPE, 0o600, random.Random(1).randbytes(300_000), ""),
    ("./d/holes", tarfile.REGTYPE, 0o644, b"a" + bytes(1 << 20) + b"b", ""),
    ("./d/empty", tarfile.REGTYPE, 0o644, b"", ""),
    ("./link", tarfile.SYMTYPE, 0o777, b"", "d/short"),
    ("./hard", tarfile.LNKTYPE, 0o644, b"", "./d/long"),
    ("./pipe", tarfile.FIFOTYPE, 0o622, b"", ""),
    ("./null", tarfile.CHRTYPE, 0o666, b"", ""),
    ("./made/up/file", tarfile.REGTYPE, 0o644, b"parents that nobody describes\n", ""),
]


@pytest.fixture(scope="module")
def tar(tmp_path_factory: pytest.TempPathFactory) -> Path:
    need_root()
    need_tool("tar2sqfs", "squashfs-tools-ng")
    need_tool("unsquashfs", "squashfs-tools")
    path = tmp_path_factory.mktemp("tar2sqfs") / "layer.tar"
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as archive:
        for row, (name, kind, mode, content, target) in enumerate(MEMBERS):
            info = tarfile.TarInfo(name)
            info.type, info.mode, info.size, info.linkname = kind, mode, len(content), target
            info.uid, info.gid, info.mtime = row, 70_000 + row, 1_600_000_000 + row
            if kind == tarfile.CHRTYPE:
                info.devmajor, info.devminor = 1, 3
            if kind == tarfile.REGTYPE:
                info.pax_headers = {"SCHILY.xattr.user.row": str(row)}
            archive.addfile(info, io.BytesIO(content))
    return path


def facts(image: Path) -> tuple[Tree, object]:
    """Give the tree, and what the superblock says that the options decide.

    Through our reader: unsquashfs 4.5.1 refuses what tar2sqfs 1.2.0 makes with lz4.
    """
    with SquashfsImage(image) as opened:
        superblock = opened.superblock
    has_exports = superblock.export_table_start != 0xFFFF_FFFF_FFFF_FFFF
    return reader_tree(image), (superblock.compressor, superblock.block_size, has_exports)


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        (["-c", "zstd", "-X", "level=3"], WriterOptions(level=3)),
        (["-c", "zstd", "-X", "level=19", "-b", "1M"], WriterOptions(level=19, block_size=1 << 20)),
        (["-c", "gzip", "-b", "4K"], WriterOptions(compressor="gzip", block_size=4096)),
        (["-c", "gzip", "-X", "level=1"], WriterOptions(compressor="gzip", level=1)),
        (["-c", "xz"], WriterOptions(compressor="xz")),
        (["-c", "lz4"], WriterOptions(compressor="lz4")),
        (["-c", "lz4", "-X", "hc"], WriterOptions(compressor="lz4", compressor_options={"hc": True})),
        (["-c", "lzma"], WriterOptions(compressor="lzma")),
        (["-c", "zstd", "-e"], WriterOptions(level=15, exports=True)),
        (["-c", "zstd", "-T"], WriterOptions(level=15, tail_ends=False)),
        (["-c", "zstd", "-x"], WriterOptions(level=15, xattrs=False)),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_the_same_tar_makes_the_same_tree(tar: Path, tmp_path: Path, theirs: list[str], ours: WriterOptions) -> None:
    one, two = tmp_path / "theirs", tmp_path / "ours"
    with tar.open("rb") as file:
        subprocess.run(["tar2sqfs", "-q", *theirs, str(one)], stdin=file, check=True, capture_output=True)
    pysquash.tar2squashfs([tar], two, options=ours)
    (their_tree, their_facts), (our_tree, our_facts) = facts(one), facts(two)
    assert_same(our_tree, their_tree)  # what both make up has the time 0
    assert_same(unsquashfs_tree(two, tmp_path), our_tree)
    assert our_facts == their_facts
    assert two.stat().st_size <= one.stat().st_size * 1.005 + 4096
