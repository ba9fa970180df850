"""Images that other tools make, read by us, and images of ours, read by others' libraries: the tree is the same."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import os
import random
import re
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import zstandard

import pysquash
from pysquash import Rule, SquashfsImage, SquashfsWriter, WriterOptions, check
from pysquash.format.constants import METADATA_SIZE
from tests.snapshot import (
    Seen,
    Tree,
    assert_same,
    kernel_tree,
    need_root,
    need_tool,
    reader_tree,
    remove,
    run,
    unavailable,
    walk,
)
from tests.tarbuild import END, header, padded, pax

KIB, MIB = 1 << 10, 1 << 20


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Make a tree of all that a file system can hold."""
    need_root()
    folder: Path = tmp_path_factory.mktemp("foreign") / "source"
    folder.mkdir()
    rng = random.Random(12)
    text = b" ".join(b"%d" % rng.randrange(10_000) for _ in range(12_000)) * 20
    data = rng.randbytes(40 * KIB)

    for size in (4 * KIB, 8 * KIB, 128 * KIB, MIB):
        for more in (-1, 0, 1):
            (folder / f"text-{size + more}").write_bytes(text[: size + more])
    (folder / "random").write_bytes(data)
    (folder / "same-as-random").write_bytes(data)
    (folder / "same-start").write_bytes(data[: 36 * KIB] + b"another end")
    (folder / "empty").write_bytes(b"")
    (folder / "empty-directory").mkdir()
    # Machine code, for the filters of xz.
    program = shutil.which("mksquashfs") or sys.executable
    (folder / "program").write_bytes(Path(program).read_bytes()[: 300 * KIB])
    with (folder / "holes").open("wb") as file:
        for position in (0, 500_000, 3 * MIB):
            file.seek(position)
            file.write(data[: 5 * KIB])
        file.truncate(5 * MIB + 1)
    with (folder / "hole").open("wb") as file:
        file.truncate(300 * KIB)

    names = folder / "names"
    names.mkdir()
    os.link(folder / "random", names / "hard-link")
    os.link(folder / "empty", names / "hard-link-to-nothing")
    (names / "symlink").symlink_to("../random")
    (names / "long-symlink").symlink_to("t" * 3000)
    os.link(names / "symlink", names / "hard-link-to-a-symlink", follow_symlinks=False)
    os.mkfifo(names / "fifo", 0o622)
    os.mknod(names / "socket", stat.S_IFSOCK | 0o700)
    os.mknod(names / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    os.mknod(names / "disk", stat.S_IFBLK | 0o660, os.makedev(259, 70_000))
    os.link(names / "disk", names / "hard-link-to-disk")
    for name in ("n" * 255, "Größe", b"no-\xff-text".decode("utf-8", "surrogateescape"), "new\nline", "-"):
        (names / name).write_bytes(os.fsencode(name))
    for row in range(600):
        place = folder / f"many/{row:04}"
        place.parent.mkdir(exist_ok=True)
        place.write_bytes(b"%d\n" % row * (row % 50))
        os.chown(place, row, 2000 + row % 7)
        place.chmod(row % 0o1000)
        os.utime(place, (row, 1_500_000_000 + row))
    deep = folder / Path(*["deep"] * 60)
    deep.mkdir(parents=True)
    (deep / "file").write_bytes(b"far below")

    os.setxattr(folder, "user.root", b"of the root")
    for place in (folder / "random", names, folder / "empty"):
        os.setxattr(place, "user.short", b"v")
        os.setxattr(place, "user.shared", b"the same long value in three places " * 10)
        os.setxattr(place, "trusted.binary", bytes(range(256)))
        os.setxattr(place, "security.empty", b"")
    os.setxattr(names / "fifo", "trusted.of-a-fifo", b"f")
    os.setxattr(names / "symlink", "trusted.of-a-symlink", b"s", follow_symlinks=False)
    for size in (64 * KIB, 3000):  # the first is more than most file systems have room for; see below for images
        try:
            os.setxattr(folder / "text-4096", "user.long", bytes(range(250)) * (size // 250))
            break
        except OSError:
            continue
    os.chown(folder, 1234, 4321)
    folder.chmod(0o751)
    (folder / "text-4095").chmod(0o6755)
    os.utime(folder, (0, 0xF000_0000))
    yield folder
    remove(folder)


@pytest.fixture(scope="module")
def wanted(source: Path) -> Tree:
    return walk(source)


def sized(size: int) -> str:
    return f"{size >> 10}K" if size < MIB else f"{size >> 20}M"


def has_compressor(tool: str, package: str, name: str) -> None:
    need_tool(tool, package)
    done = run([tool, *(["--help"] if tool == "tar2sqfs" else [])])
    if not re.search(rf"^\s+{name}\b", done.stdout + done.stderr, re.MULTILINE):
        unavailable(f"this {tool} has no {name}")


def assert_sound(image: Path, *, offset: int = 0, but: frozenset[Rule] = frozenset()) -> None:
    """See that a check finds nothing but what is said, and that no kernel reads lzma."""
    expected = set(but)
    with SquashfsImage(image, offset=offset) as opened:
        if opened.compressor_name == "lzma":
            expected.add(Rule.COMPRESSOR)
    findings = check(image, offset=offset)
    assert {finding.rule for finding in findings} == expected, findings


def made(command: Sequence[str | Path], *, stdin: Path | None = None) -> None:
    """Run a tool that makes an image."""
    with open(stdin or os.devnull, "rb") as file:
        done = subprocess.run(command, stdin=file, capture_output=True, text=True, errors="replace", check=False)
    assert done.returncode == 0, done.stderr + done.stdout


# --- mksquashfs ------------------------------------------------------------------------------------------------------

COMPRESSIONS = [
    "gzip",
    "gzip -Xcompression-level 1 -Xwindow-size 8",
    "gzip -Xstrategy filtered,huffman_only,run_length_encoded,fixed",
    "lzma",
    "lzo",
    "lzo -Xalgorithm lzo1x_1_15",
    "lz4",
    "lz4 -Xhc",
    "xz",
    "xz -Xbcj x86,sparc",
    "zstd",
    "zstd -Xcompression-level 1",
]


@pytest.mark.parametrize("block_size", [4 * KIB, MIB], ids=sized)
@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_images_of_mksquashfs(source: Path, wanted: Tree, tmp_path: Path, compression: str, block_size: int) -> None:
    name, *options = compression.split()
    has_compressor("mksquashfs", "squashfs-tools", name)
    image = tmp_path / "image"
    made(["mksquashfs", source, image, "-b", sized(block_size), "-comp", name, *options])
    assert_same(reader_tree(image), wanted)
    # mksquashfs 4.5 says that dictionaries are as large as a block, and gives metadata 8192 bytes all the same. That is
    # no slip of the check's: Linux cannot mount these images.
    is_broken = "-Xbcj" in options and block_size < METADATA_SIZE
    assert_sound(image, but=frozenset({Rule.XZ_DICTIONARY_OPTIONS, Rule.XZ_DICTIONARY} if is_broken else ()))
    if "-Xbcj" in options:
        # Behind xz's header of 12 bytes is that of a block: its size, and how many filters it has beside the last.
        raw = image.read_bytes()
        assert any(raw[found.end() + 7] & 3 for found in re.finditer(b"\xfd7zXZ\0", raw)), "no block has such a filter"


@pytest.mark.parametrize(
    "options",
    [
        "-exports",
        "-no-exports",
        "-no-fragments",
        "-always-use-fragments",
        "-noI",
        "-noId",
        "-noD",
        "-noF",
        "-noX",
        "-noI -noD -noF -noX",
        "-noI -noD -noF -noX -no-fragments",
        "-nopad",
        "-nopad -no-fragments -no-exports -b 4K",
        "-no-duplicates",
        "-no-sparse",
        "-no-duplicates -no-hardlinks",
        "-no-xattrs",
        "-comp xz -Xdict-size 8K -Xbcj x86,powerpc",
        "-o 12345",
        "-o 1048576 -nopad",
    ],
)
def test_options_of_mksquashfs(source: Path, wanted: Tree, tmp_path: Path, options: str) -> None:
    need_tool("mksquashfs", "squashfs-tools")
    image, given = tmp_path / "image", options.split()
    made(["mksquashfs", source, image, *given, *([] if "-b" in given else ["-b", "16K"])])
    if "-always-use-fragments" in given:
        # Of a hundred such images of 4.5.1 on a loaded machine, one has blocks in each other: unsquashfs is the judge.
        for _ in range(5):
            if run(["unsquashfs", "-quiet", "-no-progress", "-dest", tmp_path / "out", image]).returncode == 0:
                break
            shutil.rmtree(tmp_path / "out", ignore_errors=True)
            image.unlink()
            made(["mksquashfs", source, image, *given, "-b", "16K"])
    changes: dict[str, Any] = {}
    if "-no-xattrs" in given:
        changes["xattrs"] = ()
    expected = {path: dataclasses.replace(one, **changes) for path, one in wanted.items()}
    if "-no-hardlinks" in given:
        expected = {path: dataclasses.replace(one, links=(path,)) for path, one in expected.items()}
    offset = int(given[1]) if "-o" in given else 0
    assert_same(reader_tree(image, offset=offset), expected)
    assert_sound(image, offset=offset, but=frozenset({Rule.PADDING} if "-nopad" in given else ()))


def test_an_image_of_mksquashfs_that_was_added_to(source: Path, wanted: Tree, tmp_path: Path) -> None:
    # Its tables are written anew behind the first ones, and its data is in two places.
    need_tool("mksquashfs", "squashfs-tools")
    (tmp_path / "other").mkdir()
    (tmp_path / "other/added").write_bytes(b"later")
    made(["mksquashfs", source, tmp_path / "image"])
    made(["mksquashfs", tmp_path / "other", tmp_path / "image"])
    seen = reader_tree(tmp_path / "image")
    added = seen.pop(b"added")
    assert added == walk(tmp_path / "other")[b"added"]
    assert_same(seen, wanted, ignore_root=True)  # which is new
    assert_sound(tmp_path / "image")


# --- tars ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def source_tar(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    need_tool("tar", "tar")
    archive: Path = tmp_path_factory.mktemp("foreign-tar") / "source.tar"
    made(["tar", "--create", "--file", archive, "--format=posix", "--xattrs", "--xattrs-include=*", "-C", source, "."])
    return archive


@pytest.fixture(scope="module")
def wanted_of_tar(wanted: Tree) -> Tree:
    """Give what GNU tar takes of the tree: no sockets, and each name of a device on its own."""
    return {
        path: dataclasses.replace(one, links=(path,)) if one.kind == "block device" else one
        for path, one in wanted.items()
        if one.kind != "socket"
    }


@pytest.mark.parametrize(
    ("compression", "block_size"),
    [
        ("gzip", 4 * KIB),
        ("gzip level=1,window=8,filtered,huffman,rle,fixed", MIB),
        ("lzma", 128 * KIB),
        ("lzo", 4 * KIB),
        ("lzo", MIB),
        ("lz4", 4 * KIB),
        ("lz4 hc", MIB),
        ("xz", 4 * KIB),
        ("xz x86", 128 * KIB),
        ("zstd", 4 * KIB),
        ("zstd level=1", MIB),
    ],
)
def test_images_of_tar2sqfs(
    source_tar: Path, wanted_of_tar: Tree, tmp_path: Path, compression: str, block_size: int
) -> None:
    name, *options = compression.split()
    has_compressor("tar2sqfs", "squashfs-tools-ng", name)
    image = tmp_path / "image"
    command: list[str | Path] = [
        "tar2sqfs",
        "-q",
        "-b",
        str(block_size),
        "-c",
        name,
        *(["-X", *options] if options else []),
    ]
    made([*command, image], stdin=source_tar)
    assert_same(reader_tree(image), wanted_of_tar)
    assert_sound(image)


@pytest.mark.parametrize("options", ["--exportable", "--no-tail-packing", "--no-xattr", "--dev-block-size 1024"])
def test_options_of_tar2sqfs(source_tar: Path, wanted_of_tar: Tree, tmp_path: Path, options: str) -> None:
    need_tool("tar2sqfs", "squashfs-tools-ng")
    image = tmp_path / "image"
    made(["tar2sqfs", "-q", "-c", "gzip", *options.split(), image], stdin=source_tar)
    expected = wanted_of_tar
    if options == "--no-xattr":
        expected = {path: dataclasses.replace(one, xattrs=()) for path, one in expected.items()}
    assert_same(reader_tree(image), expected)
    assert_sound(image)


def test_an_image_of_sqfstar(source_tar: Path, wanted_of_tar: Tree, tmp_path: Path) -> None:
    need_tool("sqfstar", "squashfs-tools")
    made(["sqfstar", tmp_path / "image"], stdin=source_tar)
    # It takes no attributes of the root out of a tar.
    assert_same(reader_tree(tmp_path / "image"), wanted_of_tar, ignore_root=True)
    assert_sound(tmp_path / "image")


@pytest.mark.parametrize(("tool", "size"), [("sqfstar", 64 * KIB), ("tar2sqfs -q", 60 * KIB)])
def test_attributes_as_long_as_the_tools_take_them(tmp_path: Path, tool: str, size: int) -> None:
    # More than a directory of the host would take, so the kernel is the judge.
    need_root()
    need_tool(tool.split(maxsplit=1)[0], "squashfs-tools squashfs-tools-ng")
    value = random.Random(1).randbytes(size)
    long = pax((b"SCHILY.xattr.user.long", value), (b"SCHILY.xattr.user.short", b"v"))
    (tmp_path / "tar").write_bytes(long + header(b"a") + long + header(b"b", size=1) + padded(b"x") + END)
    made([*tool.split(), tmp_path / "image"], stdin=tmp_path / "tar")
    seen = reader_tree(tmp_path / "image")
    assert seen[b"a"].xattrs == seen[b"b"].xattrs == ((b"user.long", value), (b"user.short", b"v"))
    assert_same(seen, kernel_tree(tmp_path / "image", tmp_path))
    assert_sound(tmp_path / "image")


# --- a directory with an index ---------------------------------------------------------------------------------------


def name_of(row: int) -> bytes:
    """Give names of many lengths, in order, so that headers and blocks of the listing end anywhere."""
    return b"%05d" % row + b"-" * (row * 7 % 23)


@pytest.mark.parametrize(
    ("tool", "count"),
    [("mksquashfs", 70_000), ("tar2sqfs", 10_000), ("ours", 70_000)],  # tar2sqfs takes its time for more
)
def test_names_are_found_in_a_directory_with_an_index(tmp_path: Path, tool: str, count: int) -> None:
    image = tmp_path / "image"
    names = [name_of(row) for row in range(count)]
    if tool == "ours":
        with SquashfsWriter(image) as writer:
            for name in names:
                writer.add_file(b"d/" + name, b"")
    elif tool == "tar2sqfs":
        need_tool("tar2sqfs", "squashfs-tools-ng")
        (tmp_path / "tar").write_bytes(b"".join([header(b"d/" + name) for name in names]) + END)
        made(["tar2sqfs", "-q", "-c", "gzip", image], stdin=tmp_path / "tar")
    else:
        need_tool("mksquashfs", "squashfs-tools")
        need_root()
        (tmp_path / "tree/d").mkdir(parents=True)
        for name in names:
            os.mknod(os.fsencode(tmp_path / "tree/d") + b"/" + name, stat.S_IFREG | 0o644)
        made(["mksquashfs", tmp_path / "tree", image])
        remove(tmp_path / "tree")
    assert_sound(image)
    with SquashfsImage(image) as opened:
        folder = opened / "d"
        assert folder.inode.index_count > 20, "this does not test the index"
        assert [path.path for path in folder.iterdir()] == [b"d/" + name for name in names]
        number_of = {path.name.encode(): path.stat().st_ino for path in folder.iterdir()}
        for name in [*names[:300], *names[:: max(1, count // 5000 - 1)], *names[-300:]]:
            assert (folder / name).stat().st_ino == number_of[name]
        present = set(names)
        near = [b"0", b"00000-", b"~", b"\x01", b"\xff" * 255, b"99999", b"69999", b"7"]
        for name in names[::701]:
            near += [name + b"\x01", name + b"~", name[:-1], name[:-1] + b"\x7f", name[:4], name + b"-" * 30]
        for name in near:
            assert (folder / name).exists() is (name in present), name


# --- our images, read by libraries -----------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=["zstd", "gzip", "xz", "none"])
def ours(request: pytest.FixtureRequest, source_tar: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pack the tree, and a long directory beside it."""
    folder: Path = tmp_path_factory.mktemp("ours")
    (folder / "tar").write_bytes(b"".join([header(b"long/" + name_of(row)) for row in range(5000)]) + END)
    block_size = {"zstd": 4 * KIB, "gzip": 16 * KIB, "xz": 64 * KIB, "none": 8 * KIB}[request.param]
    options = WriterOptions(compressor=request.param, block_size=block_size)
    pysquash.tar2squashfs([source_tar, folder / "tar"], folder / "image", options=options)
    return folder / "image"


def without_xattrs(tree: Tree) -> Tree:
    return {path: dataclasses.replace(one, xattrs=()) for path, one in tree.items()}


def described(kind: int, content: bytes | None, device: tuple[int, int] | None, target: bytes) -> tuple[str, str]:
    """Give kind and content as a snapshot has them."""
    kinds = {
        stat.S_IFREG: "file",
        stat.S_IFDIR: "directory",
        stat.S_IFLNK: "symlink",
        stat.S_IFIFO: "fifo",
        stat.S_IFSOCK: "socket",
        stat.S_IFBLK: "block device",
        stat.S_IFCHR: "character device",
    }
    if content is not None:
        return kinds[kind], f"{len(content)} {hashlib.sha256(content).hexdigest()}"
    if device is not None:
        return kinds[kind], f"{device[0]}:{device[1]}"
    return kinds[kind], repr(target) if kind == stat.S_IFLNK else ""


def test_our_images_are_the_tree_that_they_were_made_of(ours: Path, wanted_of_tar: Tree) -> None:
    seen = reader_tree(ours)
    long = {path for path in seen if path == b"long" or path.startswith(b"long/")}
    assert len(long) == 5001
    assert_same({path: one for path, one in seen.items() if path not in long}, wanted_of_tar)


def test_pysquashfsimage_reads_our_images(ours: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It tells all but the xattrs."""
    from PySquashfsImage import SquashFsImage  # noqa: PLC0415

    # Its names are text, and it gives up on one that is not UTF-8.
    monkeypatch.setattr("PySquashfsImage.file.File.name", property(lambda file: file._name))
    seen: Tree = {}
    names: dict[int, list[bytes]] = {}
    with SquashFsImage.from_file(str(ours)) as image:
        waiting = [(b"", image.root)]
        while waiting:
            path, here = waiting.pop()
            kind = stat.S_IFMT(here.mode)
            kind_name, content = described(
                kind,
                here.read_bytes() if here.is_file else None,
                (here.major, here.minor) if here.is_block_device or here.is_char_device else None,
                here.inode._symlink if here.is_symlink else b"",
            )
            if not here.is_dir:
                names.setdefault(here.inode.inode_number, []).append(path)
            mode = stat.S_IMODE(here.mode)
            seen[path] = Seen(kind_name, mode, here.uid, here.gid, here.time, content, (path,), ())
            if here.is_dir:
                waiting += [(path + b"/" + name if path else name, one) for name, one in here.children.items()]
    for group in names.values():
        for name in group:
            seen[name] = dataclasses.replace(seen[name], links=tuple(sorted(group)))
    assert_same(seen, without_xattrs(reader_tree(ours)))


def test_dissect_reads_our_images(ours: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It tells nothing of xattrs."""
    # It asks for another package for zstd, whose function of this name is the same.
    monkeypatch.setitem(sys.modules, "backports.zstd", zstandard)
    from dissect.squashfs import SquashFS  # noqa: PLC0415

    seen: Tree = {}
    names: dict[int, list[bytes]] = {}
    with ours.open("rb") as file:
        image = SquashFS(file)
        waiting = [(b"", image.root)]
        while waiting:
            path, here = waiting.pop()
            number = here.header.rdev if here.is_device() else 0
            kind_name, content = described(
                here.type,
                here.open().read() if here.is_file() else None,
                (os.major(number), os.minor(number)) if here.is_device() else None,
                here.link.encode("utf-8", "surrogateescape") if here.is_symlink() else b"",
            )
            if not here.is_dir():
                names.setdefault(here.inode_number, []).append(path)
            mode, mtime = here.header.mode, here.header.mtime
            seen[path] = Seen(kind_name, mode, here.uid, here.gid, mtime, content, (path,), ())
            if here.is_dir():
                for one in here.iterdir():
                    name = one.name.encode("utf-8", "surrogateescape")
                    waiting.append((path + b"/" + name if path else name, one))
    for group in names.values():
        for name in group:
            seen[name] = dataclasses.replace(seen[name], links=tuple(sorted(group)))
    assert_same(seen, without_xattrs(reader_tree(ours)))


def test_dissect_finds_inodes_by_number(tmp_path: Path) -> None:
    """Through the export table, which the kernel uses for NFS only."""
    from dissect.squashfs import SquashFS  # noqa: PLC0415

    file = io.BytesIO()
    with SquashfsWriter(file, WriterOptions(compressor="gzip", exports=True)) as writer:
        for row in range(3000):
            writer.add_file(f"{row % 10}/{row}", b"%d" % row, mtime=row)
    file.seek(0)
    image = SquashFS(file)
    with SquashfsImage(file) as opened:
        for path in list(opened.root.walk())[::7]:
            status = path.stat()
            found = image._lookup_inode(status.st_ino)
            assert found.header.mtime == status.st_mtime
            assert found.header.inode_number == status.st_ino
