"""Every knob of the writer: kernel and unsquashfs read the tree back, and mksquashfs says the same of its images."""

from __future__ import annotations

import errno
import functools
import os
import random
import re
import shutil
import struct
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import pysquash
from examples import boot
from pysquash import Rule, SquashfsImage, SquashfsWriter, WriterOptions, check
from pysquash.format.constants import DATA_START, NO_TABLE, SuperblockFlag
from pysquash.format.records import SUPERBLOCK, Superblock
from pysquash.format.words import DATA_RAW
from pysquash.options.sort_file import read_sort_file
from tests.snapshot import (
    Tree,
    assert_same,
    kernel_tree,
    mounted,
    need_root,
    need_tool,
    remove,
    run,
    unsquashfs_tree,
    walk,
)

KIB = 1 << 10
BLOCK_SIZE = 16 * KIB

Options = dict[str, Any]


class Knob(NamedTuple):
    """Options of ours, and the same for mksquashfs; None where it has none that says so."""

    options: Options
    arguments: str | None

    def __str__(self) -> str:
        return (self.arguments or str(self.options) or "default").replace("-X", "")


COMPRESSIONS = [
    Knob({"compressor": "gzip"}, "-comp gzip"),
    Knob({"compressor": "gzip", "level": 1}, "-comp gzip -Xcompression-level 1"),
    Knob(
        {"compressor": "gzip", "compressor_options": {"window-size": 8}},
        "-comp gzip -Xwindow-size 8",
    ),
    *(
        Knob({"compressor": "gzip", "compressor_options": {"strategy": each}}, f"-comp gzip -Xstrategy {each}")
        for each in (
            "default",
            "filtered",
            "huffman_only",
            "run_length_encoded",
            "fixed",
            "default,filtered,huffman_only,run_length_encoded,fixed",
        )
    ),
    Knob({"compressor": "xz"}, "-comp xz"),
    *(
        Knob({"compressor": "xz", "compressor_options": {"dict-size": each}}, f"-comp xz -Xdict-size {each}")
        for each in ("100%", "75%", "50%", "8192")
    ),
    *(
        Knob({"compressor": "xz", "compressor_options": {"bcj": each}}, f"-comp xz -Xbcj {each}")
        for each in ("x86", "arm", "armthumb", "powerpc", "sparc", "ia64", "x86,arm,armthumb,powerpc,sparc,ia64")
    ),
    Knob({"compressor": "lz4"}, "-comp lz4"),
    Knob({"compressor": "lz4", "compressor_options": {"hc": True}}, "-comp lz4 -Xhc"),
    Knob({"compressor": "lzo"}, "-comp lzo"),
    Knob({"compressor": "lzo", "compressor_options": {"algorithm": "lzo1x_1"}}, "-comp lzo -Xalgorithm lzo1x_1"),
    Knob({"compressor": "lzo", "compressor_options": {"algorithm": "lzo1x_999"}}, "-comp lzo -Xalgorithm lzo1x_999"),
    Knob({"compressor": "lzo", "level": 8}, "-comp lzo -Xcompression-level 8"),
    Knob({"compressor": "lzma"}, "-comp lzma"),
    Knob({"compressor": "zstd"}, "-comp zstd -Xcompression-level 3"),
    Knob({"compressor": "zstd", "level": 15}, "-comp zstd"),
    Knob({"compressor": "zstd", "level": 19}, "-comp zstd -Xcompression-level 19"),
    Knob({"compressor": "none"}, "-comp gzip -noI -noD -noF -noX"),
]

WRITER = [
    Knob({}, ""),
    Knob({"tail_ends": False}, "-no-tailends"),
    Knob({"fragments": False}, "-no-fragments"),
    Knob({"fragments": False, "tail_ends": False}, "-no-fragments -no-tailends"),
    Knob({"find_duplicates": False}, "-no-duplicates"),
    Knob({"find_holes": False}, "-no-sparse"),
    Knob({"hard_links": False}, "-no-hardlinks"),
    Knob({"xattrs": False}, "-no-xattrs"),
    Knob({"padded": False}, "-nopad"),
    *(
        Knob({"uncompressed": parts}, arguments)
        for parts, arguments in (
            (["inodes"], "-noI"),
            (["ids"], "-noId"),
            (["inodes", "ids"], "-noI -noId"),
            (["data"], "-noD"),
            (["fragments"], "-noF"),
            (["data", "fragments"], "-noD -noF"),
            (["xattrs"], "-noX"),
            (["inodes", "ids", "data", "fragments", "xattrs"], "-noI -noId -noD -noF -noX"),
        )
    ),
]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Make a tree with something for each knob to be about."""
    need_root()
    folder: Path = tmp_path_factory.mktemp("knobs") / "source"
    folder.mkdir()
    rng = random.Random(5)
    text = b" ".join(b"%d" % rng.randrange(10_000) for _ in range(20_000))
    (folder / "text").write_bytes(text)
    (folder / "same-as-text").write_bytes(text)
    (folder / "short").write_bytes(text[:900])
    (folder / "same-as-short").write_bytes(text[:900])
    (folder / "one-block").write_bytes(text[: 128 * KIB])
    (folder / "empty").write_bytes(b"")
    (folder / "random").write_bytes(rng.randbytes(50 * KIB))
    (folder / "zeros").write_bytes(text[:20_000] + bytes(300 * KIB) + b"end")
    (folder / "only-zeros").write_bytes(bytes(70_000))
    with (folder / "holes").open("wb") as file:
        for position in (0, 200_000):
            file.seek(position)
            file.write(text[:5000])
        file.truncate(400_000)
    program = shutil.which("mksquashfs") or sys.executable  # machine code, for xz's filters
    (folder / "program").write_bytes(Path(program).read_bytes()[: 200 * KIB])
    os.link(folder / "text", folder / "hard-link")
    (folder / "symlink").symlink_to("text")
    os.link(folder / "symlink", folder / "hard-link-to-a-symlink", follow_symlinks=False)
    os.mkfifo(folder / "fifo")
    for row in range(500):
        place = folder / f"many/{row:04}"
        place.parent.mkdir(exist_ok=True)
        place.write_bytes(b"%d\n" % row * (row % 50))
        os.chown(place, row % 300, 2000 + row % 300)
        os.setxattr(place, "user.row", b"the number of this row is %d, whatever it is good for" % (row % 200))
    os.setxattr(folder / "text", "user.a", b"value")
    os.setxattr(folder / "text", "user.other", b"value")
    os.setxattr(folder / "text", "trusted.a", b"value")
    os.setxattr(folder / "text", "security.a", b"value")
    yield folder
    remove(folder)


@pytest.fixture(scope="module")
def wanted(source: Path) -> Tree:
    return walk(source)


def need(knob: Knob) -> None:
    """Skip what needs a package that not every machine can have."""
    options = knob.options
    if options.get("compressor") == "lzo" and ("level" in options or "compressor_options" in options):
        pytest.importorskip("lzo", reason="python-lzo is not installed")


def pack(source: Path, image: Path, options: Options, *, workers: int = 2) -> None:
    with SquashfsWriter(image, WriterOptions(workers=workers, **options)) as writer:
        writer.add_tree(source)


def mksquashfs(source: Path, image: Path, arguments: str) -> None:
    need_tool("mksquashfs", "squashfs-tools")
    # Of two -tailends and -no-tailends the last one counts; ours packs tail ends unless told otherwise.
    done = run(["mksquashfs", source, image, "-no-progress", "-no-exports", "-tailends", *arguments.split()])
    assert done.returncode == 0, done.stderr + done.stdout


def superblock(image: Path) -> Superblock:
    record: Superblock = SUPERBLOCK.unpack(image.read_bytes()[:DATA_START])
    return record


def compressor_options(image: Path) -> str | None:
    """Give the options with the metadata header before them; None where the flag says that there are none."""
    data = image.read_bytes()
    if not superblock(image).flags & SuperblockFlag.COMPRESSOR_OPTIONS:
        return None
    (word,) = struct.unpack_from("<H", data, DATA_START)
    return data[DATA_START : DATA_START + 2 + (word & 0x7FFF)].hex()


def raw_tables(image: Path) -> dict[str, bool]:
    """Tell of each table whether its first metadata block is stored as it is."""
    data, record = image.read_bytes(), superblock(image)
    starts = {"inodes": record.inode_table_start, "directories": record.directory_table_start}
    lists = {
        "fragments": record.fragment_table_start,
        "exports": record.export_table_start,
        "ids": record.id_table_start,
    }
    if record.xattr_table_start != NO_TABLE:
        (starts["xattrs"],) = struct.unpack_from("<Q", data, record.xattr_table_start)
        lists["xattr ids"] = record.xattr_table_start + 16
    for name, place in lists.items():
        if place != NO_TABLE and (name != "fragments" or record.fragment_count):
            (starts[name],) = struct.unpack_from("<Q", data, place)
    return {name: bool(struct.unpack_from("<H", data, start)[0] & 0x8000) for name, start in starts.items()}


def assert_reads_back(image: Path, folder: Path, wanted: Tree, *, without_kernel: bool = False) -> None:
    """See that unsquashfs, the kernel and check all take the image, and find what is wanted.

    Linux has had xz's filter for ia64 for as long as it ran on one; the test of it does without the kernel.
    """
    assert_same(unsquashfs_tree(image, folder), wanted)
    with SquashfsImage(image) as opened:
        is_for_linux = opened.compressor_name != "lzma"
    if is_for_linux and not without_kernel:
        assert_same(kernel_tree(image, folder), wanted)
    findings = check(image)
    assert {finding.rule for finding in findings} == (set() if is_for_linux else {Rule.COMPRESSOR}), findings


@pytest.mark.parametrize("knob", COMPRESSIONS, ids=str)
def test_every_compression_reads_back_and_is_described_as_by_mksquashfs(
    knob: Knob, source: Path, wanted: Tree, tmp_path: Path
) -> None:
    need(knob)
    images = [tmp_path / "one", tmp_path / "three"]
    for image, workers in zip(images, (1, 3), strict=True):
        pack(source, image, {"block_size": BLOCK_SIZE, **knob.options}, workers=workers)
    assert images[0].read_bytes() == images[1].read_bytes()
    assert_reads_back(images[0], tmp_path, wanted, without_kernel="ia64" in str(knob))
    theirs = tmp_path / "theirs"
    assert knob.arguments is not None
    mksquashfs(source, theirs, f"{knob.arguments} -b {BLOCK_SIZE}")
    assert SuperblockFlag(superblock(images[0]).flags) == SuperblockFlag(superblock(theirs).flags)
    assert superblock(images[0]).compressor == superblock(theirs).compressor
    assert compressor_options(images[0]) == compressor_options(theirs)


@pytest.mark.parametrize(
    "options",
    [
        {"compressor": "gzip", "compressor_options": {"window-size": 8}},
        {"compressor": "xz"},
        *(
            {"compressor": "xz", "compressor_options": {"bcj": each}}
            for each in ("x86", "x86,arm,armthumb,powerpc,sparc")
        ),
        {"compressor": "lz4"},
        {"compressor": "lzo"},
        {"compressor": "zstd", "level": 22},
        {"compressor": "none"},
    ],
    ids=str,
)
def test_every_compression_mounts_with_the_smallest_blocks(
    options: Options, source: Path, wanted: Tree, tmp_path: Path
) -> None:
    """mksquashfs 4.5.1 does not manage that with xz's filters: it asks for too small a dictionary."""
    image = tmp_path / "image"
    pack(source, image, {"block_size": 4 * KIB, **options})
    assert_reads_back(image, tmp_path, wanted)


@pytest.mark.parametrize("knob", WRITER, ids=str)
def test_every_knob_of_the_writer_reads_back_and_is_described_as_by_mksquashfs(
    knob: Knob, source: Path, wanted: Tree, tmp_path: Path
) -> None:
    options = {"compressor": "gzip", "block_size": BLOCK_SIZE, **knob.options}
    images = [tmp_path / "one", tmp_path / "three"]
    for image, workers in zip(images, (1, 3), strict=True):
        pack(source, image, options, workers=workers)
    assert images[0].read_bytes() == images[1].read_bytes()
    image = images[0]
    if not options.get("hard_links", True):
        wanted = {path: replace(seen, links=(path,)) for path, seen in wanted.items()}
    if not options.get("xattrs", True):
        wanted = {path: replace(seen, xattrs=()) for path, seen in wanted.items()}
    # An unpadded file has no whole sectors for a loop device; it is for where something follows it.
    findings = frozenset() if options.get("padded", True) else frozenset([Rule.PADDING])
    if findings:
        assert_same(unsquashfs_tree(image, tmp_path), wanted)
        assert {finding.rule for finding in check(image)} <= findings
        assert image.stat().st_size == superblock(image).bytes_used
    else:
        assert_reads_back(image, tmp_path, wanted)
    theirs = tmp_path / "theirs"
    mksquashfs(source, theirs, f"-b {BLOCK_SIZE} {knob.arguments}")
    assert SuperblockFlag(superblock(image).flags) == SuperblockFlag(superblock(theirs).flags)
    assert compressor_options(image) == compressor_options(theirs)
    assert raw_tables(image) == raw_tables(theirs)
    assert superblock(image).inode_count == superblock(theirs).inode_count
    assert image.stat().st_size == pytest.approx(theirs.stat().st_size, rel=0.02)


def test_exports_are_raw_with_inodes(source: Path, tmp_path: Path) -> None:
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    for parts, arguments in (([], ""), (["inodes"], "-noI"), (["ids"], "-noId")):
        pack(source, ours, {"compressor": "gzip", "exports": True, "uncompressed": parts})
        mksquashfs(source, theirs, f"-noappend -exports {arguments}")
        assert raw_tables(ours) == raw_tables(theirs)
        assert superblock(ours).flags == superblock(theirs).flags


@functools.cache
def blocks_of(image: Path, name: str) -> tuple[int, int, int]:
    """Tell of a file how many bytes are in holes, whether its tail is in a fragment, and where it starts."""
    with SquashfsImage(image) as opened:
        inode = (opened / name).inode
        holes = sum(extent.size for extent in opened.data.extents(inode) if extent.is_hole)
        return holes, inode.fragment_index, inode.blocks_start


def test_what_each_knob_does_to_the_data(source: Path, tmp_path: Path) -> None:
    no_fragment = (1 << 32) - 1
    made: dict[str, Path] = {}
    knobs: dict[str, Options] = {
        "default": {},
        "no tail ends": {"tail_ends": False},
        "no fragments": {"fragments": False},
        "no duplicates": {"find_duplicates": False},
        "no holes": {"find_holes": False},
        "no hard links": {"hard_links": False},
        "raw data": {"uncompressed": {"data"}},
        "raw fragments": {"uncompressed": {"fragments"}},
    }
    for name, options in knobs.items():
        made[name] = tmp_path / name
        pack(source, made[name], {"block_size": 4 * KIB, **options})

    assert blocks_of(made["default"], "text")[1] != no_fragment
    assert blocks_of(made["default"], "short")[1] != no_fragment
    assert blocks_of(made["no tail ends"], "text")[1] == no_fragment
    assert blocks_of(made["no tail ends"], "short")[1] != no_fragment
    assert blocks_of(made["no fragments"], "text")[1] == no_fragment
    assert blocks_of(made["no fragments"], "short")[1] == no_fragment

    assert blocks_of(made["default"], "text")[2] == blocks_of(made["default"], "same-as-text")[2]
    assert blocks_of(made["no duplicates"], "text")[2] != blocks_of(made["no duplicates"], "same-as-text")[2]
    assert blocks_of(made["no duplicates"], "text")[2] == blocks_of(made["no duplicates"], "hard-link")[2]
    assert blocks_of(made["no hard links"], "text")[2] == blocks_of(made["no hard links"], "hard-link")[2]

    for name in ("zeros", "only-zeros", "holes"):
        assert blocks_of(made["default"], name)[0] > 60_000
        assert blocks_of(made["no holes"], name)[0] == 0

    for name, is_raw in (("default", False), ("raw data", True), ("raw fragments", False)):
        with SquashfsImage(made[name]) as opened:
            inode = (opened / "text").inode
            words = [extent.word for extent in opened.data.extents(inode)]
            assert {bool(word & DATA_RAW) for word in words[:-1]} == {is_raw}
            assert opened.fragments is not None
            word = opened.fragments[inode.fragment_index].size_word
            assert bool(word & DATA_RAW) is (name == "raw fragments")


@pytest.mark.parametrize("find_holes", [True, False])
def test_holes_that_a_tar_records_are_holes_as_others_are(find_holes: bool, tmp_path: Path) -> None:
    """With -no-sparse, mksquashfs -tar stores them as well."""
    need_root()
    need_tool("tar", "tar")
    folder = tmp_path / "folder"
    folder.mkdir()
    with (folder / "holes").open("wb") as file:
        file.write(b"text" * (KIB))  # whole pages: other maps mksquashfs 4.5.1 takes for damage
        file.truncate(KIB * KIB)
    layer = tmp_path / "layer.tar"
    assert run(["tar", "-C", folder, "--sparse", "-cf", layer, "holes"]).returncode == 0
    assert layer.stat().st_size < 100_000
    image, theirs = tmp_path / "image", tmp_path / "theirs"
    pysquash.tar2squashfs([layer], image, options=WriterOptions(find_holes=find_holes, verify=True))
    need_tool("mksquashfs", "squashfs-tools")
    arguments = [] if find_holes else ["-no-sparse"]
    with layer.open("rb") as file:
        command: list[str | Path] = ["mksquashfs", "-", theirs, "-tar", "-no-progress", "-tailends", *arguments]
        subprocess.run(command, stdin=file, check=True, capture_output=True)
    with mounted(image, tmp_path) as ours_point, mounted(theirs, tmp_path) as their_point:
        assert (ours_point / "holes").read_bytes() == (their_point / "holes").read_bytes()
        assert (ours_point / "holes").stat().st_blocks == (their_point / "holes").stat().st_blocks
        assert ((ours_point / "holes").stat().st_blocks * 512 > 1_000_000) is not find_holes


@pytest.mark.parametrize(
    ("options", "kept"),
    [
        ({}, {"user.a", "user.other", "trusted.a", "security.a"}),
        ({"xattrs": False}, set()),
        ({"xattrs": False, "xattrs_include": "user"}, set()),
        ({"xattrs_include": "^user."}, {"user.a", "user.other"}),
        ({"xattrs_include": r"\.a$"}, {"user.a", "trusted.a", "security.a"}),
        ({"xattrs_exclude": "^(security|trusted)[.]"}, {"user.a", "user.other"}),
        ({"xattrs_exclude": "t"}, {"user.a"}),
        ({"xattrs_include": "^user", "xattrs_exclude": "a"}, {"user.other"}),
    ],
)
def test_which_xattrs_are_kept(options: Options, kept: set[str], source: Path, tmp_path: Path) -> None:
    image = tmp_path / "image"
    pack(source, image, {"verify": True, **options})
    with mounted(image, tmp_path) as point:
        try:
            found = set(os.listxattr(point / "text"))
        except OSError as error:  # an image without any has no support for them
            assert error.errno == errno.EOPNOTSUPP
            found = set()
    assert found == kept
    assert bool(superblock(image).flags & SuperblockFlag.NO_XATTRS) is (not kept)


def test_priorities_order_as_those_of_mksquashfs(source: Path, wanted: Tree, tmp_path: Path) -> None:
    file, image, theirs = tmp_path / "priorities", tmp_path / "image", tmp_path / "theirs"
    file.write_text("# contents\nmany -20\nmany/0311 50\nprogram 7\nrandom\t100\nzeros 8\n")
    pack(source, image, {"block_size": 4 * KIB, "fragments": False, "sort_priorities": read_sort_file(file)})
    assert_reads_back(image, tmp_path, wanted)
    need_tool("mksquashfs", "squashfs-tools")
    mksquashfs(source, theirs, f"-b 4K -no-fragments -sort {file}")
    names = ["random", "many/0311", "zeros", "program", "holes", "many/0299"]
    for each in (image, theirs):
        starts = [blocks_of(each, name)[2] for name in names]
        assert starts == sorted(starts)


@pytest.mark.parametrize("knob", [*WRITER, Knob({"compressor": "lzma"}, None)], ids=str)
def test_every_knob_passes_verification(knob: Knob, source: Path, tmp_path: Path) -> None:
    options = WriterOptions(verify=True, block_size=8 * KIB, **knob.options)
    report = pysquash.build([f"dir:{source}"], tmp_path / "image", options=options)
    assert report.entries["hard_link"] == (2 if options.hard_links else 0)
    assert (report.duplicate_files > 0) is options.find_duplicates


@pytest.fixture(scope="module")
def real_tree(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Take a part of a Debian root: programs, scripts and texts, some 20 MB."""
    need_root()
    need_tool("debootstrap", "debootstrap")
    folder: Path = tmp_path_factory.mktemp("real")
    with tarfile.open(boot.debian_root(boot.cache_folder())) as archive:
        for member in archive:
            if re.match(r"(\./)?(usr/bin/[a-g]|etc/|usr/share/perl)", member.name) and member.isreg():
                content = archive.extractfile(member)
                assert content is not None
                place = folder / member.name
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(content.read())
    yield folder
    remove(folder)


@pytest.mark.parametrize(
    "knob",
    [
        Knob({"compressor": "gzip"}, "-comp gzip"),
        Knob({"compressor": "gzip", "compressor_options": {"window-size": 10}}, "-comp gzip -Xwindow-size 10"),
        Knob(
            {"compressor": "gzip", "level": 4, "compressor_options": {"strategy": "default,filtered"}},
            "-comp gzip -Xcompression-level 4 -Xstrategy default,filtered",
        ),
        Knob({"compressor": "xz"}, "-comp xz"),
        Knob({"compressor": "xz", "compressor_options": {"bcj": "x86"}}, "-comp xz -Xbcj x86"),
        Knob({"compressor": "xz", "compressor_options": {"dict-size": "25%"}}, "-comp xz -Xdict-size 25%"),
        Knob({"compressor": "lz4"}, "-comp lz4"),
        Knob({"compressor": "lz4", "compressor_options": {"hc": True}}, "-comp lz4 -Xhc"),
        Knob({"compressor": "lzo", "compressor_options": {"algorithm": "lzo1x_999"}}, "-comp lzo"),
        Knob({"compressor": "lzo", "compressor_options": {"algorithm": "lzo1x_1"}}, "-comp lzo -Xalgorithm lzo1x_1"),
        Knob({"compressor": "lzma"}, "-comp lzma"),
        Knob({"compressor": "zstd"}, "-comp zstd -Xcompression-level 3"),
        Knob({"compressor": "zstd", "level": 15}, "-comp zstd"),
        Knob({"tail_ends": False}, "-comp zstd -Xcompression-level 3 -no-tailends"),
        Knob({"fragments": False}, "-comp zstd -Xcompression-level 3 -no-fragments"),
    ],
    ids=str,
)
def test_images_are_as_large_as_those_of_mksquashfs(knob: Knob, real_tree: Path, tmp_path: Path) -> None:
    need(knob)
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    pack(real_tree, ours, knob.options)
    assert knob.arguments is not None
    mksquashfs(real_tree, theirs, knob.arguments)
    assert superblock(ours).bytes_used <= superblock(theirs).bytes_used * 1.005
