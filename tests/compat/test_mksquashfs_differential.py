"""mksquashfs and sqfstar beside ours: the rows of mksquashfs_rows.py, each run through both and compared."""

from __future__ import annotations

import gzip
import io
import os
import random
import shlex
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from pysquash import SquashfsImage
from pysquash.format.constants import DATA_START, NO_FRAGMENT, SuperblockFlag
from pysquash.tree.entry import Kind
from tests.compat.mksquashfs_rows import ROWS, Row
from tests.snapshot import Tree, assert_same, need_root, need_tool, remove, run, unsquashfs_tree

KIB = 1 << 10
_NOW = "now"
_TIMEOUT, _SHORT_TIMEOUT = 60, 3  # the short one for what does not come to an end with theirs

Layout = dict[bytes, tuple[str, bool]]


# --- inputs ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    need_root()
    need_tool("mksquashfs", "squashfs-tools")
    need_tool("setfattr", "attr")
    folder = tmp_path_factory.mktemp("drop-in")
    _make_tree(folder / "tree")
    (folder / "etc" / "conf.d").mkdir(parents=True)
    (folder / "etc" / "hosts").write_bytes(b"127.0.0.1 localhost\n")
    (folder / "etc" / "conf.d" / "short").write_bytes(b"short too\n")
    os.chmod(folder / "etc", 0o750)
    (folder / "file").write_bytes(b"a file\n")
    os.chmod(folder / "file", 0o640)
    (folder / "other" / "sub").mkdir(parents=True)
    for name in ("short", "sub/old", "old"):
        (folder / "other" / name).write_bytes(f"old {name}\n".encode())
    (folder / "starts").mkdir()
    for row in range(3):
        (folder / "starts" / str(row)).write_bytes(random.Random(1).randbytes(256 * KIB) + b"end %d" % row)
    (folder / "link").symlink_to("etc")
    (folder / "excludes").write_text("# not these\n\nshort\nsub/deep\n")
    (folder / "patterns").write_text("sub/d*\n... *.gz\n")
    (folder / "pseudo").write_text("# these\n\nq d 700 0 0\nq/w f 644 0 0 echo a \\\n b\n")
    (folder / "sorting").write_text("short -5\nsub 10\nsub/deep -9\nlong 3\n")
    (folder / "sorting-missing").write_text("nowhere 5\n")
    (folder / "sorting-bad").write_text("short 99999\n")
    (folder / "recovery").write_bytes(b"")
    (folder / "empty").write_bytes(b"")
    _make_tars(folder)
    image = folder / "image"
    assert run(["mksquashfs", folder / "tree", image, "-quiet", "-no-progress", "-no-xattrs"]).returncode == 0
    assert run(["unsquashfs", "-pf", folder / "image.pseudo", image]).returncode == 0
    yield folder
    remove(folder)


def _make_tree(folder: Path) -> None:
    """Make a tree with something for each option to be about."""
    rng = random.Random(7)
    text = b" ".join(b"%d" % rng.randrange(10_000) for _ in range(60_000))
    (folder / "sub" / "deep").mkdir(parents=True)
    (folder / "empty-directory").mkdir(mode=0o700)
    for name, content in {
        "long": text[: 300 * KIB + 77],
        "same-as-long": text[: 300 * KIB + 77],
        "one-block": text[: 128 * KIB],
        "short": text[:900],
        "same-as-short": text[:900],
        "Upper": b"upper\n",
        ".dot": b"dot\n",
        "empty": b"",
        "zeros": text[:20_000] + bytes(600 * KIB) + b"end",
        "random": rng.randbytes(50 * KIB),
        "sub/a.gz": rng.randbytes(3000),
        "sub/deep/b.gz": rng.randbytes(5000),
        "sub/deep/.hidden": b"hidden\n",
        "linked-1": b"two names\n",
    }.items():
        (folder / name).write_bytes(content)
    with (folder / "holes").open("wb") as file:
        file.write(b"start")
        file.seek(400 * KIB)
        file.write(b"end")
    os.link(folder / "linked-1", folder / "sub" / "linked-2")
    (folder / "symlink").symlink_to("sub/a.gz")
    os.mkfifo(folder / "fifo", 0o600)
    os.mknod(folder / "device", 0o20660, os.makedev(1, 3))
    os.chown(folder / "short", 1, 2)
    os.chown(folder / "sub", 65534, 100)
    os.chmod(folder / "sub" / "a.gz", 0o4751)
    os.chmod(folder / "sub" / "deep", 0o1777)
    os.setxattr(folder / "short", "user.comment", b"a comment")
    os.setxattr(folder / "sub", "trusted.note", b"\0\1\2")
    for row, (at, directories, files) in enumerate(os.walk(folder, topdown=False)):
        for name in [*directories, *files]:
            os.utime(Path(at) / name, (1_500_000_000 + row, 1_500_000_000 + row), follow_symlinks=False)
    os.utime(folder, (1_600_000_000, 1_600_000_000))


Member = tuple[str, str, str]
"""A name, a type as in ls -l (h for a hard link), a content or a target."""

ODD_TARS: dict[str, list[Member]] = {
    "whiteouts": [("d/.wh.gone", "-", ""), ("d/.wh..wh..opq", "-", ""), ("d/here", "-", "x")],
    "twice": [("a", "-", "one"), ("b", "h", "a"), ("a", "-", "two two"), ("b", "-", "three")],
    "file-then-directory": [("a", "-", "x"), ("a", "d", "")],
    "directory-then-file": [("a", "d", ""), ("a", "-", "x")],
    "dangling": [("a", "-", "x"), ("b", "h", "nothing")],
    "link-to-directory": [("d", "d", ""), ("b", "h", "d"), ("z", "-", "x")],
    "implied": [("d/e/f", "-", "x"), ("d", "d", ""), ("g/h", "-", "y")],
    "root": [("./", "d", ""), ("./a", "-", "x")],
    "empty": [],
    "absolute": [("/a", "-", "x"), ("//b//c", "-", "y")],
    "below-symlink": [("d", "d", ""), ("a", "l", "d"), ("a/f", "-", "x")],
    "below-file": [("a", "-", "x"), ("a/f", "-", "x")],
    "full-directory-then-file": [("a/f", "-", "x"), ("a", "-", "x")],
    "climbing": [("a/../b", "-", "x")],
    "link-to-later": [("link", "h", "later"), ("later", "-", "x")],
    "dotted": [("c/./d", "-", "x")],
    "names": [("named", "n", "x"), ("unknown", "u", "x")],
}
_TYPES = {"d": tarfile.DIRTYPE, "l": tarfile.SYMTYPE, "h": tarfile.LNKTYPE}


def _make_tars(folder: Path) -> None:
    plain = ["tar", "-C", str(folder / "tree"), "--sort=name", "--numeric-owner"]
    names = sorted(os.listdir(folder / "tree"))
    for name, options in {
        "plain": ["--format=pax", "--xattrs", "--xattrs-include=*"],
        "gnu": ["--format=gnu", "-S"],
    }.items():
        assert run([*plain, *options, "-cf", folder / f"tar:{name}", "--", *names]).returncode == 0
    for name, members in ODD_TARS.items():
        (folder / f"tar:{name}").write_bytes(_tar(members))
    raw = (folder / "tar:plain").read_bytes()
    (folder / "tar:truncated").write_bytes(raw[:5000])
    (folder / "tar:garbage").write_bytes(bytes(range(1, 256)) * 20)
    (folder / "tar:nothing").write_bytes(b"")
    (folder / "tar:compressed").write_bytes(gzip.compress(raw))
    (folder / "tar:two").write_bytes(_tar([("one", "-", "1")]) + _tar([("two", "-", "2")]))


def _tar(members: list[Member]) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, kind, text in members:
            info = tarfile.TarInfo(name)
            info.type, info.mtime = _TYPES.get(kind, tarfile.REGTYPE), 1_400_000_000
            info.mode = 0o751 if kind == "d" else 0o640
            if kind in "nu":
                info.uid, info.gid = 5000, 6000
                info.uname, info.gname = ("daemon", "daemon") if kind == "n" else ("no-such-user", "no-such-group")
            content = text.encode() if info.isreg() else b""
            info.size = len(content)
            if kind in "lh":
                info.linkname = text
            archive.addfile(info, io.BytesIO(content))
    return file.getvalue()


# --- running ---------------------------------------------------------------------------------------------------


def call(work: Path, row: Row, program: list[str], image: Path) -> int | None:
    """Run a row; give the exit code, or None where a signal or the time ended it."""
    options = shlex.split(row.options)
    stdin: bytes = b""
    if row.given.startswith("tar:"):
        sources, stdin = ["-"], (work / row.given).read_bytes()
    elif row.given in ("names", "names0"):
        end = b"\0" if row.given == "names0" else b"\n"
        sources, stdin = ["-"], end.join([b"tree", b"tree/sub", b"tree/short", b"file", b""])
    else:
        sources = ["-"] if row.given == "nothing" else row.given.split()
    if row.tool == "sqfstar":
        split = options.index("--") if "--" in options else len(options)
        command = [*program, *options[:split], str(image), *options[split + 1 :]]
    else:
        # In front, because -e takes all that is behind it.
        command = [*program, *sources, str(image), "-no-progress", "-quiet", *options]
    environment = {name: value for name, value in os.environ.items() if name != "SOURCE_DATE_EPOCH"}
    if row.epoch is not None:
        environment["SOURCE_DATE_EPOCH"] = row.epoch
    environment["PYTHONPATH"] = os.pathsep.join(sys.path)
    try:
        done = subprocess.run(
            command,
            input=stdin,
            cwd=work,
            env=environment,
            capture_output=True,
            check=False,
            timeout=_TIMEOUT if row.their_code is not None else _SHORT_TIMEOUT,
        )
    except subprocess.TimeoutExpired:
        return None
    assert b"Traceback" not in done.stderr, done.stderr.decode()
    return done.returncode if done.returncode >= 0 else None


def ours(tool: str) -> list[str]:
    return [sys.executable, "-m", f"pysquash.{tool}"]


def prepare(work: Path, row: Row, program: Callable[[str], list[str]], image: Path) -> None:
    """Make the image that is there before."""
    if row.first == "junk":
        image.write_bytes(b"this is no image" * 1000)
    elif row.first == "empty":
        image.write_bytes(b"")
    elif row.first is not None:
        before = Row("before", f"-all-time 1234567890 {row.first}", given="other")
        assert call(work, before, program("mksquashfs"), image) == 0


# --- comparing -------------------------------------------------------------------------------------------------


def offset_of(row: Row) -> int:
    words = shlex.split(row.options)
    for name in ("-offset", "-o"):
        if name in words:
            text = words[words.index(name) + 1]
            return int(text.removesuffix("K")) * (KIB if text.endswith("K") else 1)
    return 0


def settled(tree: Tree, before: float) -> Tree:
    """Take the times out that are those of the run."""
    return {path: replace(seen, mtime=-1) if seen.mtime >= int(before) - 1 else seen for path, seen in tree.items()}


def cut(image: Path, row: Row) -> Path:
    """Cut off what stands in front of an image, which unsquashfs 4.5 may not pass over."""
    offset = offset_of(row)
    if not offset:
        return image
    raw = image.read_bytes()
    assert not raw[:offset].strip(b"\0")
    behind = image.with_name(image.name + "-cut")
    behind.write_bytes(raw[offset:])
    return behind


def facts(image: Path, row: Row, before: float) -> dict[str, object]:
    """What the superblock and the compressor's options say."""
    raw = image.read_bytes()
    with SquashfsImage(image) as opened:
        superblock = opened.superblock
        flags = SuperblockFlag(superblock.flags)
        if "-no-xattrs" not in row.options:
            flags &= ~SuperblockFlag.NO_XATTRS  # theirs says what was asked for, ours what there is
        options = b""
        if flags & SuperblockFlag.COMPRESSOR_OPTIONS:
            options = raw[
                DATA_START : DATA_START + 2 + int.from_bytes(raw[DATA_START : DATA_START + 2], "little") % 0x8000
            ]
        made = int.from_bytes(raw[8:12], "little")
        return {
            "compressor": opened.compressor_name,
            "compressor options": options,
            "block size": superblock.block_size,
            "flags": flags,
            "inodes": superblock.inode_count,
            "ids": superblock.id_count,
            "time": _NOW if made >= int(before) - 1 else made,
            "padded": len(raw) % 4096 == 0,
        }


def documented(their_facts: dict[str, object], row: Row) -> dict[str, object]:
    """Leave out the export table that 4.6 and later write for a tar, although their help says that they do not."""
    words = shlex.split(row.options)
    if "-tar" not in words or "-exports" in words:
        return their_facts
    flags = their_facts["flags"]
    assert isinstance(flags, SuperblockFlag)
    return {**their_facts, "flags": flags & ~SuperblockFlag.EXPORTABLE}


def layout(image: Path) -> tuple[Layout, int]:
    """Where each file has holes and whether it has a fragment, and how much content is stored in all."""
    found: Layout = {}
    stored: dict[object, int] = {}
    with SquashfsImage(image) as opened:
        block_size = opened.superblock.block_size
        for path in opened.root.walk():
            inode = path.inode
            if inode.kind is not Kind.FILE:
                continue
            shape, has_tail = "", inode.fragment_index != NO_FRAGMENT
            tail = inode.size % block_size if has_tail else 0
            for extent in opened.data.extents(inode):
                shape += "." if extent.is_hole else "#"
                if not extent.is_hole and not (has_tail and len(shape) > inode.block_count):
                    stored[extent.start] = extent.size
            if has_tail:
                stored[inode.fragment_index, inode.fragment_offset] = tail
            found[path.path] = shape, has_tail
    return found, sum(stored.values())


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_row(work: Path, row: Row) -> None:
    our_image, their_image = work / "ours.image", work / "theirs.image"
    for image in (our_image, their_image):
        image.unlink(missing_ok=True)
    before = time.time()
    prepare(work, row, ours, our_image)
    kept = our_image.read_bytes() if our_image.exists() else None
    code = call(work, row, ours(row.tool), our_image)
    assert code == row.code
    if code:  # whatever was there is there, and nothing else is
        assert (our_image.read_bytes() if our_image.exists() else None) == kept
        assert not [name for name in os.listdir(work) if name.endswith(".tmp")]
    tree = None
    if code == 0:
        tree = settled(unsquashfs_tree(cut(our_image, row), work), before)
        assert {os.fsencode(path) for path in row.has} <= set(tree)
        assert not {os.fsencode(path) for path in row.has_not} & set(tree)
    if row.since != "4.5" and not _is_new_enough(row.since):
        return
    prepare(work, row, lambda tool: [tool], their_image)
    their_code = call(work, row, [row.tool], their_image)
    if row.verdict != "same":
        assert row.why
        if row.their_code is not None:
            assert their_code == row.their_code
        return
    assert their_code == row.their_code
    if tree is None:
        return
    mine, other = cut(our_image, row), cut(their_image, row)
    assert_same(tree, settled(unsquashfs_tree(other, work), before))
    assert facts(mine, row, before) == documented(facts(other, row, before), row)
    (our_layout, our_size), (their_layout, their_size) = layout(mine), layout(other)
    assert our_layout == their_layout
    assert our_size == their_size


def _is_new_enough(version: str) -> bool:
    first = run(["mksquashfs", "-version"]).stdout.split()[2]
    return tuple(map(int, first.split("-")[0].split(".")[:2])) >= tuple(map(int, version.split(".")))


def test_sorted_content_comes_first(work: Path) -> None:
    """Their 4.5 and ours put content in the order of the priorities."""
    orders = []
    for program in (ours("mksquashfs"), ["mksquashfs"]):
        image = work / "sorted.image"
        image.unlink(missing_ok=True)
        row = Row("", "-sort sorting -no-fragments -no-duplicates")
        assert call(work, row, program, image) == 0
        with SquashfsImage(image) as opened:
            starts = {
                path: (opened.root / os.fsdecode(path)).inode.blocks_start
                for path in (b"sub/a.gz", b"long", b"Upper", b"short", b"sub/deep/b.gz")
            }
        orders.append(sorted(starts, key=lambda path: starts[path]))
    assert orders[0] == orders[1] == [b"sub/a.gz", b"long", b"Upper", b"short", b"sub/deep/b.gz"]
