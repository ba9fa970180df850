"""Extraction: the whole tree as it is in the image, what cannot be restored is said, and nothing leaves its place."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import io
import json
import os
import random
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pysquash import (
    CorruptImageError,
    ImageError,
    Limits,
    PathNotFoundError,
    Rule,
    SquashfsImage,
    SquashfsWriter,
    WriterOptions,
)
from pysquash.extract import destination as destination_module
from pysquash.extract import extract as extract_module
from tests.snapshot import Tree, assert_same, kernel_tree, need_root, remove, walk

if sys.platform == "win32":
    pytest.skip("modes, owners and symlinks are those of Unix", allow_module_level=True)
import resource

DATA = random.Random(4).randbytes(300_000)
NOBODY = 65534
CAPABILITY = bytes.fromhex("0100000200200000" + "00" * 12)


def image_of(fill: Callable[[SquashfsWriter], None], **options: Any) -> bytes:
    file = io.BytesIO()
    with SquashfsWriter(file, WriterOptions(workers=1, **options)) as writer:
        fill(writer)
    return file.getvalue()


def opened(raw: bytes) -> SquashfsImage:
    return SquashfsImage(io.BytesIO(raw))


def fill_with_everything(writer: SquashfsWriter) -> None:
    """Add what there is to restore. Owners are not needed for it, so that anyone's test can compare the rest."""
    writer.add_directory("", mode=0o751, mtime=1_000_000_000)
    writer.add_file("file", DATA, mode=0o644, uid=1, gid=2, mtime=1_234_567_890)
    writer.add_file("empty", b"", mode=0o400, mtime=5)
    writer.add_file("set-id", b"x", mode=0o6755, uid=3, gid=4)
    writer.add_file("no-mode", b"secret", mode=0, uid=5, mtime=6)
    writer.add_file("future", b"x", mtime=2**32 - 1)
    writer.add_file("labelled", b"x", uid=7, xattrs={"user.a": b"b" * 100, "user.empty": b"", "trusted.t": b"\0\1"})
    # Changing the owner would take this away.
    writer.add_file("able", b"x", mode=0o755, uid=8, xattrs={"security.capability": CAPABILITY})
    writer.add_file("holes", DATA[:4096] + bytes(1 << 20) + DATA[:4096] + bytes(500_000), mtime=9)
    writer.add_file("zeros", bytes(1 << 20))
    writer.add_symlink("link", "file", uid=9, gid=10, mtime=11)
    writer.add_symlink("far", "/nowhere/at/all", xattrs={"trusted.on-a-link": b"v"})
    writer.add_hard_link("d/second-name", "file")
    writer.add_hard_link("z/third-name", "file")
    writer.add_hard_link("z/link-to-a-link", "link")
    writer.add_directory("d", mode=0o2770, uid=12, gid=13, mtime=14, xattrs={"user.d": b"directory"})
    writer.add_directory("d/closed", mode=0, uid=15, mtime=16)
    writer.add_file("d/closed/inside", b"in a directory of no mode", mtime=17)
    writer.add_directory("d/sticky/deep", mode=0o1777, mtime=18)
    writer.add_device("null", "character", 1, 3, mode=0o666, uid=19, mtime=20)
    writer.add_device("disk", "block", 259, 70_000, mode=0o660, xattrs={"trusted.x": b"y"})
    writer.add_hard_link("z/same-disk", "disk")
    writer.add_fifo("fifo", mode=0o622, uid=21, mtime=22)
    writer.add_socket("socket", mode=0o750, mtime=23)
    writer.add_file(b"bytes-\xff", b"a name that is no text")
    for row in range(500):
        writer.add_file(f"many/{row:03}", b"%d" % row * row, mode=row, mtime=row)


EVERYTHING = image_of(fill_with_everything, block_size=4096)


@contextlib.contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


@contextlib.contextmanager
def no_descriptor_lost() -> Iterator[None]:
    before = sorted(os.listdir("/dev/fd"))
    yield
    assert sorted(os.listdir("/dev/fd")) == before


def by_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do as on a system that has no directory descriptors."""
    monkeypatch.setattr(destination_module, "_HAS_DESCRIPTORS", False)


@pytest.fixture(params=["by descriptor", "by path"])
def either_way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "by path":
        by_path(monkeypatch)
    return str(request.param)


# --- what is restored ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mask", [0, 0o022, 0o077, 0o777])
@pytest.mark.parametrize("target", ["new", "existing"])
def test_everything_is_restored_whatever_the_umask(tmp_path: Path, mask: int, target: str) -> None:
    need_root()
    (tmp_path / "image").write_bytes(EVERYTHING)
    place = tmp_path / "out"
    if target == "existing":
        place.mkdir(0o500)
    with umask(mask), no_descriptor_lost(), SquashfsImage(tmp_path / "image") as image:
        assert image.extract(place) == []
    assert_same(walk(place), kernel_tree(tmp_path / "image", tmp_path))
    for name, data_size in (("holes", 8192), ("zeros", 0)):
        assert os.stat(place / name).st_blocks * 512 <= data_size + 8192, f"{name} has no holes any more"


def test_without_being_root_the_rest_is_restored(tmp_path: Path) -> None:
    """All that any user may restore, compared with the image itself."""
    with opened(EVERYTHING) as image:
        lines = image.extract(tmp_path / "out")
        for path in image.root.walk():
            place, status = tmp_path / "out" / os.fsdecode(path.path), path.stat()
            if b"closed/" in path.path or not os.path.lexists(place):  # for root only
                continue
            seen = place.lstat()
            assert stat.S_IFMT(seen.st_mode) == stat.S_IFMT(status.st_mode)
            assert seen.st_mtime == status.st_mtime
            if not path.is_symlink():
                assert stat.S_IMODE(seen.st_mode) & 0o1777 == stat.S_IMODE(status.st_mode) & 0o1777
            if path.is_file(follow_symlinks=False) and os.access(place, os.R_OK):
                assert place.read_bytes() == path.read_bytes()
        assert (tmp_path / "out/file").samefile(tmp_path / "out/d/second-name")
        assert os.readlink(tmp_path / "out/link") == "file"
    assert os.geteuid() == 0 or any("the owner could not be restored" in line for line in lines)
    os.chmod(tmp_path / "out/d/closed", 0o700)  # so that the folder can be removed


def test_an_owner_that_no_file_can_have_is_left_out(tmp_path: Path) -> None:
    def fill(writer: SquashfsWriter) -> None:
        writer.add_file("f", b"x", uid=2**32 - 1, mode=0o4755)
        writer.add_symlink("s", "t", gid=2**32 - 1)

    with opened(image_of(fill)) as image:
        lines = image.extract(tmp_path / "out")
    assert "f: the owner could not be restored: nothing can belong to 4294967295 (and 1 more)" in lines
    assert "f: a set-ID bit could not be restored: it would be that of another owner" in lines
    assert stat.S_IMODE((tmp_path / "out/f").stat().st_mode) == 0o755


def test_devices_set_id_bits_and_attributes_are_left_out_on_demand(tmp_path: Path) -> None:
    """Each option alone, and all of them, compared with the whole tree."""
    need_root()
    without: dict[str, Callable[[Tree], Tree]] = {
        "devices": lambda tree: {path: one for path, one in tree.items() if not one.kind.endswith("device")},
        "setuid": lambda tree: {
            path: dataclasses.replace(
                one,
                mode=one.mode & ~0o6000,
                xattrs=tuple(pair for pair in one.xattrs if pair[0] != b"security.capability"),
            )
            for path, one in tree.items()
        },
        "xattrs": lambda tree: {path: dataclasses.replace(one, xattrs=()) for path, one in tree.items()},
    }
    with opened(EVERYTHING) as image:
        image.extract(tmp_path / "whole")
        whole = walk(tmp_path / "whole")
        for names in (["devices"], ["setuid"], ["xattrs"], list(without)):
            place, wanted = tmp_path / "-".join(names), whole
            for name in names:
                wanted = without[name](wanted)
                assert wanted != whole
            chosen = {name: name not in names for name in without}
            lines = image.extract(place, devices=chosen["devices"], setuid=chosen["setuid"], xattrs=chosen["xattrs"])
            assert lines == []
            assert_same(walk(place), wanted)
    (tmp_path / "image").write_bytes(EVERYTHING)
    program = Path(sys.executable).with_name("pysquash")
    options = [f"--no-{name}" for name in without]
    done = subprocess.run(
        [program, "extract", "image", *options, "-d", "out"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert_same(walk(tmp_path / "out"), walk(tmp_path / "-".join(without)))


# --- some paths only -------------------------------------------------------------------------------------------------


def fill_for_subsets(writer: SquashfsWriter) -> None:
    writer.add_file("a/x/1", b"1")
    writer.add_file("a/x/2", b"2")
    writer.add_file("a/y", b"y")
    writer.add_file("a-b/z", b"z")  # sorts between "a" and "a/" where paths are compared as a whole
    writer.add_hard_link("b/first", "a/y")
    writer.add_hard_link("b/second", "a/y")
    writer.add_symlink("l", "a/x")
    writer.add_directory("a", mode=0o710, mtime=33)
    writer.add_directory("", mode=0o711, mtime=44)


@pytest.mark.parametrize(
    ("paths", "wanted"),
    [
        (["a/x"], "a a/x a/x/1 a/x/2"),
        (["a/x/1", "a/y"], "a a/x a/x/1 a/y"),
        (["a/y", "a-b/z", "a/x/2"], "a a/x a/x/2 a/y a-b a-b/z"),
        (["a/x", "a/x/1", "a/x"], "a a/x a/x/1 a/x/2"),
        (["a/x/1", "a", b"/a/"], "a a/x a/x/1 a/x/2 a/y"),
        (["l"], "l"),
        (["l/1"], "a a/x a/x/1"),  # where the symlink leads, which is where the file is
        ([Path("b") / "second", "b/first"], "b b/first b/second"),
        (["b/../a/y"], "a a/y"),
        (["a-b", ""], "a a/x a/x/1 a/x/2 a/y a-b a-b/z b b/first b/second l"),
    ],
)
def test_paths_with_what_is_below_and_above_them(
    tmp_path: Path, either_way: str, paths: list[str | bytes | Path], wanted: str
) -> None:
    with opened(image_of(fill_for_subsets)) as image:
        image.extract(tmp_path / "out", paths)
    tree = walk(tmp_path / "out")
    assert sorted(tree) == sorted(name.encode() for name in ["", *wanted.split()])
    assert (tree[b""].mode, tree[b""].mtime) == (0o711, 44)
    if b"a" in tree:
        assert (tree[b"a"].mode, tree[b"a"].mtime) == (0o710, 33)
    if b"b/first" in tree and b"b/second" in tree:
        assert set(tree[b"b/first"].links) >= {b"b/first", b"b/second"}


@pytest.mark.parametrize("path", ["nothing", "a/nothing", "a/y/below", "l/nothing", "a/y/.."])
def test_a_path_that_is_not_there_is_found_before_anything_is_written(tmp_path: Path, path: str) -> None:
    with opened(image_of(fill_for_subsets)) as image, pytest.raises(PathNotFoundError, match="no such path"):
        image.extract(tmp_path / "out", ["a", path])
    assert not (tmp_path / "out").exists()


# --- where it may go -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["", "/", "/."])
@pytest.mark.parametrize("target", ["real", "nowhere"])
def test_a_destination_that_is_a_symlink_is_refused(tmp_path: Path, either_way: str, end: str, target: str) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(target)
    with opened(EVERYTHING) as image, no_descriptor_lost(), pytest.raises(FileExistsError, match="link is a symlink"):
        image.extract(f"{tmp_path}/link{end}")
    assert os.listdir(tmp_path / "real") == []
    assert sorted(os.listdir(tmp_path)) == ["link", "real"]


def test_a_destination_that_is_not_empty_or_no_directory_is_refused(tmp_path: Path, either_way: str) -> None:
    (tmp_path / "full/.hidden").mkdir(parents=True)
    (tmp_path / "file").write_bytes(b"kept")
    for name, match in (("full", "not empty"), ("full/", "not empty"), ("file", "no directory")):
        with opened(EVERYTHING) as image, pytest.raises(FileExistsError, match=match):
            image.extract(f"{tmp_path}/{name}")
    with opened(EVERYTHING) as image, pytest.raises(FileNotFoundError):
        image.extract(tmp_path / "not/there")
    assert (tmp_path / "file").read_bytes() == b"kept"
    assert sorted(path.name for path in tmp_path.rglob("*")) == [".hidden", "file", "full"]


# --- images that mean harm -------------------------------------------------------------------------------------------


def patched(raw: bytes, old: bytes, new: bytes) -> bytes:
    assert raw.count(old) == 1
    assert len(old) == len(new)
    return raw.replace(old, new)


@pytest.fixture
def outside(tmp_path: Path) -> Iterator[Path]:
    """Give a directory that is to stay as it is, beside the destination."""
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "kept").write_bytes(b"kept")
    os.utime(folder, (1, 1))
    before = walk(folder)
    yield folder
    assert_same(walk(folder), before)
    assert set(os.listdir(tmp_path)) <= {"outside", "out", "moved"}


@pytest.mark.parametrize("name", [b"..", b".", b"/x", b"a/b", b"../x", b"../../outside/new", b"x\0y"])
@pytest.mark.parametrize("kind", ["file", "directory", "symlink"])
def test_names_that_lead_elsewhere_are_refused(
    tmp_path: Path, outside: Path, either_way: str, name: bytes, kind: str
) -> None:
    harmless = b"#" * len(name)

    def fill(writer: SquashfsWriter) -> None:
        if kind == "file":
            writer.add_file(harmless, b"harm")
        elif kind == "directory":
            writer.add_file(harmless + b"/new", b"harm")
        else:
            writer.add_symlink(harmless, "outside")

    raw = patched(image_of(fill, compressor="none"), harmless, name)
    with opened(raw) as image, no_descriptor_lost(), pytest.raises(CorruptImageError, match="name"):
        image.extract(tmp_path / "out")


@pytest.mark.parametrize("first", ["symlink", "directory"])
@pytest.mark.parametrize("second", ["file", "directory", "hard link", "fifo"])
def test_a_name_that_is_there_twice_is_not_written_through(
    tmp_path: Path, outside: Path, either_way: str, first: str, second: str
) -> None:
    def fill(writer: SquashfsWriter) -> None:
        if first == "symlink":
            writer.add_symlink("same-a", str(outside if second == "directory" else outside / "new"))
        else:
            writer.add_file("same-a/kept", b"harm")
        if second == "file":
            writer.add_file("same-b", b"harm")
        elif second == "directory":
            writer.add_file("same-b/kept", b"harm")
            writer.add_file("same-b/new", b"harm")
        elif second == "hard link":
            writer.add_file("other", b"harm")
            writer.add_hard_link("same-b", "other")
        else:
            writer.add_fifo("same-b")

    raw = patched(image_of(fill, compressor="none"), b"same-b", b"same-a")
    with opened(raw) as image, no_descriptor_lost():
        with pytest.raises(CorruptImageError, match="duplicate name 'same-a' in /") as caught:
            image.extract(tmp_path / "out")
        assert caught.value.rule is Rule.NAME_UNIQUE


def test_symlinks_out_of_the_image_stay_symlinks(tmp_path: Path, outside: Path, either_way: str) -> None:
    def fill(writer: SquashfsWriter) -> None:
        writer.add_symlink("absolute", str(outside))
        writer.add_symlink("relative", "../outside")
        writer.add_hard_link("z", "absolute")
        writer.add_file("file", b"x")

    with opened(image_of(fill)) as image:
        image.extract(tmp_path / "out")
    assert os.readlink(tmp_path / "out/absolute") == os.readlink(tmp_path / "out/z") == str(outside)
    assert os.readlink(tmp_path / "out/relative") == "../outside"


@pytest.mark.parametrize("damage", [b"\7\0\0\0out\0ide", b"\7\0\0\0\0utside", b"\0\0\0\0outside"])
def test_a_symlink_that_no_system_has_is_an_error_of_ours(tmp_path: Path, either_way: str, damage: bytes) -> None:
    raw = image_of(lambda writer: writer.add_symlink("link", "outside"), compressor="none")
    damaged = patched(raw, b"\7\0\0\0outside", damage)
    with opened(damaged) as image, pytest.raises(ImageError, match="link: no file system"):
        image.extract(tmp_path / "out")


def test_an_attribute_that_no_system_has_is_said(tmp_path: Path) -> None:
    def fill(writer: SquashfsWriter) -> None:
        writer.add_file("f", b"x", xattrs={"user.abc": b"d", "user.ok": b"e"})

    with opened(patched(image_of(fill, compressor="none"), b"abc", b"a\0c")) as image:
        lines = [line for line in image.extract(tmp_path / "out") if "owner" not in line]
    assert lines == ["f: the extended attribute user.a\\x00c could not be restored: there are no such names"]
    assert os.getxattr(tmp_path / "out/f", "user.ok") == b"e"


def swapping(monkeypatch: pytest.MonkeyPatch, at: bytes, swap: Callable[[], None]) -> None:
    """Have somebody else move things when a path's turn comes."""
    write = extract_module._write

    def first_swap(here: Any, *rest: Any) -> None:
        if here.path == at:
            swap()
        write(here, *rest)

    monkeypatch.setattr(extract_module, "_write", first_swap)


@pytest.mark.parametrize("swapped", ["", "a", "a/b"])
def test_directories_that_are_exchanged_meanwhile_are_still_those_that_were_made(
    tmp_path: Path, outside: Path, monkeypatch: pytest.MonkeyPatch, swapped: str
) -> None:
    def fill(writer: SquashfsWriter) -> None:
        writer.add_directory("a", mode=0o700, mtime=1)
        for name in ("a/b/1", "a/b/2", "a/c", "a/kept", "z"):
            writer.add_file(name, b"harm", mtime=2)

    def swap() -> None:
        os.rename(tmp_path / "out" / swapped, tmp_path / "moved")
        (tmp_path / "out" / swapped).symlink_to(outside)

    swapping(monkeypatch, b"a/b/2", swap)
    with opened(image_of(fill)) as image, no_descriptor_lost():
        image.extract(tmp_path / "out")
    names = {path.relative_to(tmp_path / "moved").as_posix() for path in (tmp_path / "moved").rglob("*")}
    below = f"{swapped}/" if swapped else ""
    wanted = {"a", "a/b", "a/b/1", "a/b/2", "a/c", "a/kept", "z"}
    assert names == {name.removeprefix(below) for name in wanted if name.startswith(below)}


def test_the_first_name_of_a_hard_link_is_not_looked_for_behind_a_symlink(
    tmp_path: Path, outside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fill(writer: SquashfsWriter) -> None:
        writer.add_file("a/b/kept", b"ours")
        writer.add_hard_link("z", "a/b/kept")

    leave = destination_module._DescriptorTree._leave

    def leave_and_swap(tree: Any) -> None:
        leave(tree)
        if tree._stack[-1].path == b"a":
            os.rename(tmp_path / "out/a/b", tmp_path / "moved")
            (tmp_path / "out/a/b").symlink_to(outside)

    monkeypatch.setattr(destination_module._DescriptorTree, "_leave", leave_and_swap)
    with opened(image_of(fill)) as image, no_descriptor_lost(), pytest.raises(NotADirectoryError, match="z"):
        image.extract(tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("mode", [0o777, 0o500])
def test_nobody_else_may_enter_before_it_is_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: int) -> None:
    def fill(writer: SquashfsWriter) -> None:
        writer.add_directory("", mode=0o755)
        writer.add_directory("a", mode=0o777)
        writer.add_file("a/z", b"x")

    modes: list[int] = []

    def look() -> None:
        modes.extend(stat.S_IMODE((tmp_path / "out" / name).stat().st_mode) for name in ("", "a"))

    (tmp_path / "out").mkdir()
    (tmp_path / "out").chmod(mode)
    swapping(monkeypatch, b"a/z", look)
    with umask(0), opened(image_of(fill)) as image:
        image.extract(tmp_path / "out")
    assert modes == [0o700, 0o700]
    look()
    assert modes[2:] == [0o755, 0o777]


def test_a_directory_that_is_moved_away_does_not_lead_there(
    tmp_path: Path, outside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # So deep that those on top are closed meanwhile, and found again from below.
    deep = "d/" * 100

    def fill(writer: SquashfsWriter) -> None:
        writer.add_file(deep + "f", b"x")
        writer.add_file(deep + "z", b"x")

    swapping(monkeypatch, (deep + "z").encode(), lambda: os.rename(tmp_path / "out" / ("d/" * 10), outside / "d"))
    with opened(image_of(fill)) as image, no_descriptor_lost(), pytest.raises(OSError, match="was moved while"):
        image.extract(tmp_path / "out")
    remove(outside / "d")
    os.utime(outside, (1, 1))


# --- what goes wrong -------------------------------------------------------------------------------------------------


def damaged(raw: bytes) -> bytes:
    """Damage the data of a file in the middle of many."""
    with opened(raw) as image:
        inode = (image / "many/250").inode
        assert inode.block_count
        at = inode.blocks_start
    return raw[:at] + bytes(8) + raw[at + 8 :]


def fill_with_many(writer: SquashfsWriter) -> None:
    for row in range(500):
        writer.add_file(f"many/{row:03}", b"%d" % row * 3000)


MANY = image_of(fill_with_many, block_size=4096)


def test_damage_in_the_middle_is_raised_and_nothing_stays_open(tmp_path: Path, either_way: str) -> None:
    with opened(damaged(MANY)) as image, no_descriptor_lost(), pytest.raises(CorruptImageError, match="data at byte"):
        image.extract(tmp_path / "out")


def test_a_full_disk_is_raised_with_the_path_and_nothing_stays_open(
    tmp_path: Path, either_way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, left = os.write, iter(range(400))

    def write_until_full(descriptor: int, data: bytes) -> int:
        if next(left, None) is None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(descriptor, data)

    with opened(MANY) as image, no_descriptor_lost(), pytest.raises(OSError, match="No space.*many/") as caught:
        monkeypatch.setattr(os, "write", write_until_full)
        image.extract(tmp_path / "out")
    assert caught.value.errno == errno.ENOSPC


@contextlib.contextmanager
def descriptors(count: int) -> Iterator[None]:
    """Allow so many descriptors more than are open."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/dev/fd")) - 1 + count, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_no_descriptors_left_is_raised_and_nothing_stays(tmp_path: Path, count: int) -> None:
    too_many = pytest.raises(OSError, match="Too many open files")
    with opened(MANY) as image, no_descriptor_lost(), descriptors(count), too_many as caught:
        image.extract(tmp_path / "out")
    assert caught.value.errno == errno.EMFILE
    assert not (tmp_path / "out").exists()


def fill_with_depth(writer: SquashfsWriter) -> None:
    for depth in range(40):
        folder = "d/" * depth
        writer.add_file(f"{folder}first", b"%d" % depth, mode=0o640, mtime=depth)
        writer.add_fifo(f"{folder}pipe", mtime=depth)
        writer.add_symlink(f"{folder}symlink", "first")
        writer.add_directory(f"{folder}z/y/x", mtime=depth)
        writer.add_hard_link(f"{folder}z/y/x/w", f"{folder}first")
        writer.add_hard_link(f"{folder}zz", f"{folder}z/y/x/w")


@pytest.mark.parametrize("count", [6, 7, 8, 12, 30])
@pytest.mark.parametrize("fill", [fill_with_depth, fill_with_many], ids=["deep", "many"])
def test_few_descriptors_are_enough(tmp_path: Path, count: int, fill: Callable[[SquashfsWriter], None]) -> None:
    raw = image_of(fill, block_size=4096)
    with opened(raw) as image, no_descriptor_lost():
        image.extract(tmp_path / "wanted")
        with descriptors(count):
            image.extract(tmp_path / "out")
    assert_same(walk(tmp_path / "out"), walk(tmp_path / "wanted"))


def test_the_command_works_with_twenty_descriptors(tmp_path: Path) -> None:
    (tmp_path / "image").write_bytes(image_of(fill_with_depth))
    program = Path(sys.executable).with_name("pysquash")
    command = ["sh", "-c", f"ulimit -n 20; exec {program} extract -q image -d out"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(walk(tmp_path / "out")) == len(list(opened(image_of(fill_with_depth)).root.walk()))


@pytest.mark.parametrize("mode", [None, 0o755, 0o510])
def test_what_was_made_is_removed_after_a_failure(tmp_path: Path, either_way: str, mode: int | None) -> None:
    def fill(writer: SquashfsWriter) -> None:
        writer.add_directory("", mode=0)
        fill_with_depth(writer)
        writer.add_file("a/closed/f", b"x")
        writer.add_directory("a/closed", mode=0)
        writer.add_symlink("a/up", "../..")
        writer.add_symlink("a/kept", str(tmp_path / "kept"))
        fill_with_many(writer)

    (tmp_path / "kept").mkdir()
    (tmp_path / "kept/file").write_bytes(b"kept")
    if mode is not None:
        (tmp_path / "out").mkdir(mode)
        (tmp_path / "out").chmod(mode)
    found = pytest.raises(CorruptImageError, match="data at byte")
    with opened(damaged(image_of(fill, block_size=4096))) as image, no_descriptor_lost(), found:
        image.extract(tmp_path / "out")
    assert sorted(path.name for path in tmp_path.rglob("*")) == sorted(["file", "kept"] + ["out"] * (mode is not None))
    assert mode is None or stat.S_IMODE((tmp_path / "out").stat().st_mode) == mode


def test_an_interrupt_removes_what_was_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    swapping(monkeypatch, b"many/250", interrupt)
    with opened(MANY) as image, no_descriptor_lost(), pytest.raises(KeyboardInterrupt):
        image.extract(tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_depth_does_not_keep_from_removing(tmp_path: Path) -> None:
    depth = 2000

    def fill(writer: SquashfsWriter) -> None:
        writer.add_file("d/" * depth + "f", b"x")
        fill_with_many(writer)

    raw = damaged(image_of(fill, block_size=4096, limits=Limits(path_size=1 << 16, depth=depth + 1)))
    with opened(raw) as image, no_descriptor_lost(), pytest.raises(CorruptImageError):
        image.extract(tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_writes_that_take_a_part_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write
    with opened(image_of(lambda writer: writer.add_file("f", DATA + bytes(1 << 18) + DATA))) as image:
        monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, data[:5000]))
        image.extract(tmp_path / "out")
        monkeypatch.undo()
        assert (tmp_path / "out/f").read_bytes() == DATA + bytes(1 << 18) + DATA


@pytest.mark.parametrize("error", [errno.EMLINK, errno.EPERM, errno.EOPNOTSUPP])
def test_where_there_are_no_more_hard_links_files_are_written_again(
    tmp_path: Path, either_way: str, monkeypatch: pytest.MonkeyPatch, error: int
) -> None:
    def fill(writer: SquashfsWriter) -> None:
        writer.add_file("0", DATA, mode=0o640, mtime=3)
        for row in range(1, 6):
            writer.add_hard_link(str(row), "0")

    link, calls = os.link, iter(range(10))

    def refuse_the_third(*args: Any, **kwargs: Any) -> None:
        if next(calls) == 2:
            raise OSError(error, os.strerror(error))
        link(*args, **kwargs)

    monkeypatch.setattr(os, "link", refuse_the_third)
    with opened(image_of(fill)) as image:
        lines = [line for line in image.extract(tmp_path / "out") if "owner" not in line]
    assert lines == [f"3: a hard link could not be restored: {os.strerror(error)}"]
    tree = walk(tmp_path / "out")
    assert [tree[b"%d" % row].links for row in (0, 3)] == [(b"0", b"1", b"2"), (b"3", b"4", b"5")]
    assert len({(tree[b"%d" % row].content, tree[b"%d" % row].mode, tree[b"%d" % row].mtime) for row in range(6)}) == 1


# --- without being root ----------------------------------------------------------------------------------------------

UNPRIVILEGED = """
import json, os, sys
import pysquash
image = pysquash.SquashfsImage(sys.argv[1])
os.chdir(sys.argv[2])  # a place that its owner may write to, below one that he may not enter
os.setgroups([])
os.setgid(int(sys.argv[3]))
os.setuid(int(sys.argv[3]))
os.umask(0o077)
print(json.dumps(image.extract("out")))
print(sorted(os.listdir("/dev/fd")))
"""


@pytest.fixture
def extracted_by_nobody(tmp_path: Path) -> Callable[[bytes], tuple[list[str], Tree]]:
    """Give what extracts an image as another user, and reads as root what that made."""
    need_root()

    def run(raw: bytes) -> tuple[list[str], Tree]:
        (tmp_path / "image").write_bytes(raw)
        (tmp_path / "home").mkdir()
        os.chown(tmp_path / "home", NOBODY, NOBODY)
        command = [sys.executable, "-c", UNPRIVILEGED, f"{tmp_path}/image", f"{tmp_path}/home", str(NOBODY)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        lines: list[str] = json.loads(done.stdout.splitlines()[0])
        return lines, walk(tmp_path / "home/out")

    return run


def test_another_user_restores_what_he_may_and_hears_of_the_rest(
    tmp_path: Path, extracted_by_nobody: Callable[[bytes], tuple[list[str], Tree]]
) -> None:
    lines, seen = extracted_by_nobody(EVERYTHING)
    wanted = kernel_tree(tmp_path / "image", tmp_path)
    devices = (b"disk", b"null", b"z/same-disk")
    assert_same(
        seen,
        {
            path: dataclasses.replace(
                one,
                uid=NOBODY,
                gid=NOBODY,
                mode=one.mode & ~0o6000,
                xattrs=tuple(pair for pair in one.xattrs if pair[0].startswith(b"user.")),
            )
            for path, one in wanted.items()
            if path not in devices
        },
    )
    denied = os.strerror(errno.EPERM)
    owners = len({one.links for one in wanted.values()}) - 2
    assert lines == [
        f"disk: a block device could not be restored: {denied} (and 1 more)",
        f"null: a character device could not be restored: {denied}",
        "d: a set-ID bit could not be restored: it would be that of another owner (and 1 more)",
        f"able: the extended attribute security.capability could not be restored: {denied}",
        f"far: the extended attribute trusted.on-a-link could not be restored: {denied}",
        f"labelled: the extended attribute trusted.t could not be restored: {denied}",
        f"/: the owner could not be restored: {denied} (and {owners - 1} more)",
    ]


def test_set_id_bits_are_restored_with_the_owner_only(
    extracted_by_nobody: Callable[[bytes], tuple[list[str], Tree]],
) -> None:
    def fill(writer: SquashfsWriter) -> None:
        writer.add_directory("", uid=NOBODY, gid=NOBODY)
        writer.add_file("mine", b"x", mode=0o6755, uid=NOBODY, gid=NOBODY)
        writer.add_file("roots", b"x", mode=0o6755)
        writer.add_file("of-another-group", b"x", mode=0o2755, uid=NOBODY)
        writer.add_directory("shared", mode=0o3777, uid=1, gid=NOBODY)

    _, seen = extracted_by_nobody(image_of(fill))
    assert {path: one.mode for path, one in seen.items() if path} == {
        b"mine": 0o6755,
        b"roots": 0o755,
        b"of-another-group": 0o755,
        b"shared": 0o1777,
    }


def test_hard_links_out_of_directories_that_are_closed_to_their_owner(
    extracted_by_nobody: Callable[[bytes], tuple[list[str], Tree]],
) -> None:
    def fill(writer: SquashfsWriter) -> None:
        for name, mode in (("all", 0o700), ("search", 0o100), ("none", 0)):
            writer.add_directory(f"a/{name}", mode=mode, mtime=5)
            writer.add_file(f"a/{name}/first", name.encode(), mtime=6)
            writer.add_hard_link(f"b/{name}", f"a/{name}/first")

    lines, seen = extracted_by_nobody(image_of(fill))
    assert seen[b"b/all"].links == (b"a/all/first", b"b/all")
    assert seen[b"b/search"].links == (b"a/search/first", b"b/search")
    assert seen[b"b/none"].links == (b"b/none",)
    assert seen[b"b/none"].content == seen[b"a/none/first"].content
    assert f"b/none: a hard link could not be restored: {os.strerror(errno.EACCES)}" in lines
    assert {seen[b"a/" + name].mtime for name in (b"all", b"search", b"none")} == {5}


# --- deep ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["d", "a-directory-s-name"])
def test_a_thousand_levels_with_256_descriptors(tmp_path: Path, name: str) -> None:
    depth = 1000  # with the longer name, no path of the host can say the whole of it

    def fill(writer: SquashfsWriter) -> None:
        for level in range(0, depth, 50):
            for row in range(20):
                writer.add_file(f"{name}/" * level + f"f{row}", b"%d" % level)
            writer.add_hard_link(f"{name}/" * level + "z", "f1")
        writer.add_file(f"{name}/" * (depth - 1) + "last", b"deep", mtime=7)
        writer.add_hard_link("zz", f"{name}/" * (depth - 1) + "last")

    raw = image_of(fill, limits=Limits(path_size=1 << 16))
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, limits[1]))
    try:
        with opened(raw) as image, no_descriptor_lost():
            image.extract(tmp_path / "out")
            wanted = [path.path for path in image.root.walk()]
        seen = walk(tmp_path / "out")
        assert sorted(seen) == sorted(wanted)
        assert len(seen[b"f1"].links) == 1 + depth // 50
        assert seen[b"zz"].links[-1] == b"zz"
        assert len(seen[b"zz"].links) == 2
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        remove(tmp_path / "out")


# --- by whole paths --------------------------------------------------------------------------------------------------


def test_by_path_the_tree_is_the_same_but_for_special_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    need_root()
    by_path(monkeypatch)
    (tmp_path / "image").write_bytes(EVERYTHING)
    with umask(0o077), no_descriptor_lost(), SquashfsImage(tmp_path / "image") as image:
        lines = image.extract(tmp_path / "out")
    specials = {"block device", "character device", "fifo", "socket"}

    def supported(tree: Tree) -> Tree:
        """Symlinks have no attributes and no further names there."""
        return {
            path: one
            if one.kind != "symlink"
            else dataclasses.replace(one, uid=0, gid=0, mtime=0, xattrs=(), links=(path,))
            for path, one in tree.items()
            if one.kind not in specials
        }

    assert_same(supported(walk(tmp_path / "out")), supported(kernel_tree(tmp_path / "image", tmp_path)))
    assert lines == [
        "disk: a block device could not be restored: this system has none (and 1 more)",
        "null: a character device could not be restored: this system has none",
        "fifo: a fifo could not be restored: this system has none",
        "socket: a socket could not be restored: this system has none",
    ]


SPECIAL_NAMES = ["con", "NUL", "aux.txt", "com1", "Lpt9.log", "con .x"]
SPECIAL_NAMES += ["a:b", "C:", "a\\b", "..\\b", "q?", "a|b", "a\x1fb", "dot.", "space "]


@pytest.mark.parametrize("name", SPECIAL_NAMES)
@pytest.mark.parametrize("kind", ["file", "directory", "below", "hard link"])
def test_by_path_names_that_mean_something_else_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, kind: str
) -> None:
    by_path(monkeypatch)

    def fill(writer: SquashfsWriter) -> None:
        if kind == "file":
            writer.add_file(name, b"harm")
        elif kind == "directory":
            writer.add_directory(f"d/{name}")
        elif kind == "below":
            writer.add_file(f"{name}/f", b"harm")
        else:
            writer.add_file("A", b"first")
            writer.add_hard_link(name, "A")

    refusal = pytest.raises(OSError, match="this system has no such names")
    with opened(image_of(fill)) as image, no_descriptor_lost(), refusal as caught:
        image.extract(tmp_path / "out")
    assert not isinstance(caught.value, ImageError)
    assert {path.name for path in (tmp_path / "out").rglob("*")} <= {"d", "A"}


@pytest.mark.parametrize("name", ["con", "a:b"])
def test_by_path_a_symlink_of_such_a_name_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    by_path(monkeypatch)
    with opened(image_of(lambda writer: writer.add_symlink(name, "target"))) as image:
        lines = image.extract(tmp_path / "out")
    assert f"{name}: a symlink could not be restored: {name}: this system has no such names" in lines
    assert os.listdir(tmp_path / "out") == []


@pytest.mark.parametrize("name", ["console", "com10", "xcon", "a.con", ".hidden", "comx", "nul-and-more"])
def test_by_path_names_that_only_look_so_are_fine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    by_path(monkeypatch)
    with opened(image_of(lambda writer: writer.add_file(name, b"x"))) as image:
        image.extract(tmp_path / "out")
    assert (tmp_path / "out" / name).read_bytes() == b"x"
