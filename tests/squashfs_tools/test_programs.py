"""The programs as they are called: what later versions have, and what stays when something fails."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

import pysquash
from pysquash import SquashfsImage
from tests.snapshot import Tree, reader_tree
from tests.tarbuild import END, header, with_checksum

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="owners and permissions are those of POSIX")


def run(
    folder: Path, *arguments: str, tool: str = "mksquashfs", stdin: bytes = b"", epoch: str | None = None
) -> subprocess.CompletedProcess[bytes]:
    environment = {name: value for name, value in os.environ.items() if name != "SOURCE_DATE_EPOCH"}
    environment["PYTHONPATH"] = os.pathsep.join(sys.path)
    if epoch is not None:
        environment["SOURCE_DATE_EPOCH"] = epoch
    command = [sys.executable, "-m", f"pysquash.{tool}", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, input=stdin, capture_output=True, check=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Make a folder with a tree in it."""
    tree = tmp_path / "tree"
    (tree / "sub" / "deep").mkdir(parents=True)
    (tree / "sub" / "file").write_bytes(b"content\n")
    (tree / "sub" / "deep" / "bottom").write_bytes(b"bottom\n")
    (tree / "short").write_bytes(b"short\n")
    (tree / "link").symlink_to("short")
    for path in sorted(tree.rglob("*"), reverse=True):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() else 0o644)
        os.utime(path, (1_000_000, 1_000_000), follow_symlinks=False)
    os.utime(tree / "short", (2_000_000, 2_000_000))
    os.utime(tree, (1_000_000, 1_000_000))
    return tmp_path


def made(folder: Path, *options: str, **more: str) -> Tree:
    done = run(folder, "tree", "image", "-noappend", "-quiet", *options, **more)  # type: ignore[arg-type]
    assert done.returncode == 0, done.stderr.decode()
    assert pysquash.check(folder / "image") == []
    return reader_tree(folder / "image")


def made_at(folder: Path) -> int:
    """Give the image's own time, as the superblock has it."""
    return int.from_bytes((folder / "image").read_bytes()[8:12], "little")


def tar(*members: tuple[str, dict[str, object]]) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for name, fields in members:
            info = tarfile.TarInfo(name)
            for field, value in fields.items():
                setattr(info, field, value)
            archive.addfile(info, io.BytesIO(bytes(info.size)))
    return file.getvalue()


def test_owners_are_moved(folder: Path) -> None:
    before = made(folder)
    after = made(folder, "-uid-gid-offset", "1000")
    assert {path: (seen.uid + 1000, seen.gid + 1000) for path, seen in before.items()} == {
        path: (seen.uid, seen.gid) for path, seen in after.items()
    }
    done = run(folder, "tree", "other", "-force-uid", "4294967295", "-uid-gid-offset", "1")
    assert done.returncode == 1
    assert b"id_offset" not in done.stderr
    assert not (folder / "other").exists()


def test_symbolic_permissions(folder: Path) -> None:
    (folder / "tree").chmod(0o750)
    assert made(folder, "-root-mode", "o=x,g+s")[b""].mode == 0o2751
    tree = made(folder, "-root-mode", "o=x", "-force-file-mode", "go-r,u+x", "-force-dir-mode", "g+s")
    assert tree[b""].mode == 0o2750  # -force-dir-mode counts for the root too, and -root-mode is ignored
    assert (tree[b"short"].mode, tree[b"sub"].mode, tree[b"link"].mode) == (0o700, 0o2755, 0o777)


def test_the_newest_time(folder: Path) -> None:
    tree = made(folder, "-repro")
    assert (made_at(folder), tree[b"short"].mtime, tree[b"sub"].mtime) == (2_000_000, 2_000_000, 1_000_000)
    first = (folder / "image").read_bytes()
    made(folder, "-repro")
    assert (folder / "image").read_bytes() == first
    tree = made(folder, "-inode-time", "inode", "-mkfs-time", "5")
    assert ({seen.mtime for seen in tree.values()}, made_at(folder)) == ({2_000_000}, 5)
    made(folder, "-all-time", "7", "-mkfs-time", "inode")
    assert made_at(folder) == 7
    tree = made(folder, "-root-time", "inode", "-mkfs-time", "inode", epoch="1500000")
    assert (tree[b""].mtime, tree[b"short"].mtime, made_at(folder)) == (1_500_000, 1_500_000, 1_500_000)
    tree = made(folder, "-root-time", "inode")
    assert (tree[b""].mtime, tree[b"sub"].mtime) == (2_000_000, 1_000_000)


def test_one_time_for_all(folder: Path) -> None:
    tree = made(folder, "-repro-time", "77")
    assert ({seen.mtime for seen in tree.values()}, made_at(folder)) == ({77}, 77)
    tree = made(folder, epoch="1500000")
    assert (tree[b"short"].mtime, tree[b"sub"].mtime, made_at(folder)) == (1_500_000, 1_000_000, 1_500_000)


def test_attributes_are_added(folder: Path) -> None:
    tree = made(folder, "-xattrs-add", "user.a=0t\\101", "-xattrs-add", "trusted.b=0x00")
    assert tree[b"short"].xattrs == ((b"trusted.b", b"\0"), (b"user.a", b"A"))
    assert tree[b"sub"].xattrs == tree[b"short"].xattrs
    assert tree[b"link"].xattrs == ((b"trusted.b", b"\0"),)
    tree = made(folder, "-xattrs-add", "user.a=1", "-xattrs-add", "trusted.b=2", "-xattrs-include", "^user[.]")
    assert tree[b"short"].xattrs == ((b"user.a", b"1"),)
    tree = made(folder, "-xattrs-add", "user.a=1", "-xattrs-add", "trusted.b=2", "-xattrs-exclude", "^user[.]")
    assert tree[b"short"].xattrs == ((b"trusted.b", b"2"),)


def test_pseudo_files_of_later_versions(folder: Path) -> None:
    tree = made(folder, "-p", "short x user.x=0x6869", "-p", "new/er/x f 640 1 2 echo", "-pd", "D 9 711 3 4")
    assert tree[b"short"].xattrs == ((b"user.x", b"hi"),)
    assert [(tree[path].mode, tree[path].uid, tree[path].mtime) for path in (b"new", b"new/er")] == [(0o711, 3, 9)] * 2
    tree = made(folder, "-p", "followed h tree/link", "-p", "itself l tree/link")
    assert tree[b"followed"].links == (b"followed", b"short")
    assert tree[b"itself"].kind == "symlink"
    tree = made(folder, "-all-root", "-pseudo-override", "-p", "n f 644 5 6 echo")
    assert (tree[b"n"].uid, tree[b"n"].gid, tree[b"short"].uid) == (5, 6, 0)


@pytest.mark.parametrize(
    "definition",
    [
        "gone/new f 644 0 0 echo",
        "gone/new d 755 0 0",
        "gone/new l tree/short",
        "gone/new L short",
        "gone/new m 644 0 0",
        "gone/new x user.a=1",
        "short/new f 644 0 0 echo",
        "link/new s 777 0 0 target",
        "link/file m 600 1 1",
        "new x user.a=1",
    ],
)
def test_definitions_without_a_parent_directory_are_refused(folder: Path, definition: str) -> None:
    (folder / "tree" / "link").unlink()
    (folder / "tree" / "link").symlink_to("sub")
    done = run(folder, "tree", "image", "-p", definition)
    assert (done.returncode, done.stderr.count(b"\n")) == (1, 1)
    assert not (folder / "image").exists()
    made(folder, "-p", "new m 600 1 1")  # changes nothing, with a warning


@pytest.mark.parametrize("definition", ["sub/new d 700 0 0", "sub m 700 0 0", "short x user.a=1", "sub d 700 0 0"])
def test_definitions_do_not_change_the_old_image(folder: Path, definition: str) -> None:
    made(folder)
    assert run(folder, "tree/short", "image", "-p", definition).returncode == 1


def test_depth_is_for_directories(folder: Path) -> None:
    assert run(folder, "-", "image", "-tar", "-max-depth", "1", stdin=tar(("a", {}))).returncode == 1


def test_so_many_directories_down(folder: Path) -> None:
    assert set(made(folder, "-max-depth", "1")) == {b"", b"short", b"link", b"sub"}
    assert b"sub/deep/bottom" not in made(folder, "-max-depth", "2")
    assert b"sub/deep/bottom" in made(folder, "-max-depth", "3")


def test_directories_that_a_tar_does_not_describe(folder: Path) -> None:
    archive = tar(("a/b/file", {"size": 3}), ("c", {"type": tarfile.DIRTYPE, "mode": 0o700}))
    options = ["-default-mode", "u=rwx,go=", "-default-uid", "5", "-default-gid", "6", "-quiet"]
    assert run(folder, "-", "image", "-tar", *options, stdin=archive).returncode == 0
    tree = reader_tree(folder / "image")
    assert [(tree[path].mode, tree[path].uid, tree[path].gid) for path in (b"", b"a", b"a/b")] == [(0o700, 5, 6)] * 3
    assert (tree[b"c"].mode, tree[b"c"].uid) == (0o700, 0)


def test_owners_of_a_tar_by_number(folder: Path) -> None:
    archive = tar(("file", {"uid": 4000, "gid": 4001, "uname": "root", "gname": "no such group"}))
    assert run(folder, "image", tool="sqfstar", stdin=archive).returncode == 0
    seen = reader_tree(folder / "image")[b"file"]
    assert (seen.uid, seen.gid) == (0, 4001)
    assert run(folder, "-numeric-owner", "-force", "image", tool="sqfstar", stdin=archive).returncode == 0
    assert reader_tree(folder / "image")[b"file"].uid == 4000


@pytest.mark.parametrize("magic", [b"ustar\x0000", b"ustar  \0", bytes(8), b"\0\0\0\0\0\x0000", b"tar\0\x0000"])
def test_owner_names_count_under_any_magic(folder: Path, magic: bytes) -> None:
    raw = bytearray(header(b"file", uid=4000, gid=4001, magic=magic))
    raw[265:269], raw[297:301] = b"root", b"root"
    archive = with_checksum(bytes(raw)) + END
    assert run(folder, "image", tool="sqfstar", stdin=archive).returncode == 0
    seen = reader_tree(folder / "image")[b"file"]
    assert (seen.uid, seen.gid) == (0, 0)


@pytest.mark.parametrize("options", [["-e", "short"], ["-ef", "list"], ["-ef", "list", "-e", "short"]])
def test_excludes_of_a_tar_must_be_patterns(folder: Path, options: list[str]) -> None:
    """Without -wildcards or -regex, excludes name inodes of this machine, and a tar has none."""
    (folder / "list").write_bytes(b"short\n")
    archive = tar(("short", {}), ("other", {}))
    done = run(folder, "-", "image", "-tar", *options, stdin=archive)
    assert (done.returncode, done.stderr.count(b"\n")) == (1, 1)
    assert b"-wildcards" in done.stderr
    assert not (folder / "image").exists()
    for kind in "-wildcards", "-regex":
        assert run(folder, "-", "image", "-tar", "-noappend", kind, *options, stdin=archive).returncode == 0
        assert set(reader_tree(folder / "image")) == {b"", b"other"}
    assert run(folder, "-ef", "list", "-force", "image", tool="sqfstar", stdin=archive).returncode == 0
    assert set(reader_tree(folder / "image")) == {b"", b"other"}


@pytest.mark.parametrize(
    ("arguments", "archive", "has"),
    [
        (["-comp", "zstd", "-Xcompression-level", "99"], tar(("a", {})), b"-Xcompression-level"),
        (["-Xwindow-size", "99"], tar(("a", {})), b"-Xwindow-size"),
        (["-comp", "xz", "-Xdict-size", "2M"], tar(("a", {})), b"-Xdict-size"),
        ([], tar(("a/" * 3000, {})), b"the limit is"),
        ([], tar(("one", {})) + tar(("two", {})), b"-ignore-zeros"),
    ],
)
def test_messages_name_options_of_this_program(folder: Path, arguments: list[str], archive: bytes, has: bytes) -> None:
    """Not those of `pysquash build`, and no parameter of a Python function."""
    text = run(folder, "-", "image", "-tar", *arguments, stdin=archive).stderr
    assert has in text
    assert not re.search(rb"--|[a-z]_[a-z]", text)


def test_concatenated_tars(folder: Path) -> None:
    two = tar(("one", {})) + tar(("two", {}))
    assert run(folder, "-ignore-zeros", "image", tool="sqfstar", stdin=two).returncode == 0
    assert set(reader_tree(folder / "image")) == {b"", b"one", b"two"}


def test_what_fails_leaves_the_old_image(folder: Path) -> None:
    made(folder)
    before = (folder / "image").read_bytes()
    for options in (
        ["-p", "bad f 644 0 0 exit 3"],
        ["-noappend", "-p", "bad f 644 0 0 exit 3"],
        ["-root-becomes", "a/b"],
    ):
        done = run(folder, "tree", "image", *options)
        assert (done.returncode, done.stderr.count(b"Traceback")) == (1, 0)
        assert (folder / "image").read_bytes() == before
        assert sorted(os.listdir(folder)) == ["image", "tree"]


def test_an_empty_file_is_written_in_place_and_stays_empty_on_failure(folder: Path) -> None:
    with open(folder / "image", "x+b") as held:
        assert run(folder, "tree", "image", "-noappend", "-p", "bad f 644 0 0 exit 3").returncode == 1
        assert held.seek(0, io.SEEK_END) == 0
        assert run(folder, "tree", "image", "-noappend").returncode == 0
        held.seek(0)
        assert held.read(4) == b"hsqs"


def test_the_image_is_not_packed_into_itself(folder: Path) -> None:
    assert run(folder, "tree", "tree/image", "-quiet").returncode == 0
    assert run(folder, "tree", "tree/image", "-quiet", "-noappend").returncode == 0
    assert b"image" not in reader_tree(folder / "tree" / "image")


def test_appending_keeps_what_is_in_front(folder: Path) -> None:
    assert run(folder, "tree", "image", "-offset", "4096", "-quiet").returncode == 0
    with open(folder / "image", "r+b") as file:
        file.write(b"in front")
    assert run(folder, "tree/sub", "image", "-offset", "4096", "-quiet", "-all-root").returncode == 0
    assert (folder / "image").read_bytes()[:8] == b"in front"
    assert {b"short", b"sub", b"file", b"deep"} <= set(reader_tree(folder / "image", offset=4096))


def test_what_is_said(folder: Path) -> None:
    done = run(folder, "tree", "image", "-info", "-info-file", "list")
    text = done.stdout.decode()
    assert "file /sub/file, uncompressed size 8 bytes\n" in text
    assert "symlink /link -> short\n" in text
    assert (folder / "list").read_text().splitlines() == [line for line in text.splitlines() if line[:1].islower()]
    assert "Number of files 3\nNumber of directories 3\n" in text
    assert "gzip compressed, data block size 131072" in text
    done = run(folder, "tree", "other", "-quiet")
    assert (done.stdout, done.stderr) == (b"", b"")
    done = run(folder, "tree", "third", "-quiet", "-percentage")
    assert done.returncode == 0


@pytest.mark.parametrize("compressor", ["gzip", "xz", "zstd"])
def test_options_of_the_image_stay_when_it_is_appended_to(folder: Path, compressor: str) -> None:
    first = ["-comp", compressor, "-b", "64K", "-noI", "-no-exports", "-tailends"]
    made(folder, *first)
    assert run(folder, "tree/short", "image", "-comp", "lz4", "-quiet").returncode == 0
    with SquashfsImage(folder / "image") as image:
        assert (image.compressor_name, image.superblock.block_size) == (compressor, 65536)
        assert {"uncompressed inodes", "always fragments", "duplicates"} <= set(image.flag_names)
        assert "exportable" not in image.flag_names
    assert b"short_1" in reader_tree(folder / "image")


def test_what_is_there_keeps_its_attributes_when_something_is_appended(folder: Path) -> None:
    before = made(folder, "-xattrs-add", "user.old=1", "-all-time", "5")
    options = ["-no-xattrs", "-all-root", "-all-time", "9"]
    done = run(folder, "tree/sub", "image", "-keep-as-directory", *options)
    assert done.returncode == 0
    after = reader_tree(folder / "image")
    assert {path: seen for path, seen in after.items() if path in before and path} == {
        path: seen for path, seen in before.items() if path
    }
    assert after[b"sub_1/file"].xattrs == ()
    assert run(folder, "tree/sub/file", "image", "-xattrs-add", "user.new=1", "-xattrs-exclude", "old").returncode == 0
    after = reader_tree(folder / "image")
    assert (after[b"file"].xattrs, after[b"short"].xattrs) == (((b"user.new", b"1"),), ((b"user.old", b"1"),))
