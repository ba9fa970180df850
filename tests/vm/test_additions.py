"""Files, symlinks and directories that a caller adds, and the defaults of a VM: where they land, and over what."""

from __future__ import annotations

import io
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest

import pysquash
from pysquash.cli.additions import parse_directory, parse_file, parse_parts, parse_symlink
from pysquash.vm.defaults import DEFAULT_DIRECTORIES, DEFAULT_FILES
from tests.snapshot import assert_same, kernel_tree, reader_tree
from tests.vm.images import PASSWD, built, layer, names, text

BASE = layer({"usr/": None, "usr/lib/": None, "lib": "-> usr/lib", "etc/": None, "etc/passwd": PASSWD})


def mode(image: pysquash.SquashfsImage, name: str) -> int:
    return stat.S_IMODE((image / name).stat().st_mode)


def test_files_land_through_symlinked_parents(tmp_path: Path) -> None:
    image = built(tmp_path, [BASE], files=[("/lib/modules/x", b"module", {"mode": 0o600, "uid": 7, "gid": 8})])
    assert text(image, "usr/lib/modules/x") == "module"
    status = (image / "usr/lib/modules/x").stat()
    assert (stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid) == (0o600, 7, 8)
    assert (image / "lib").is_symlink()


def test_symlinks_go_over_all_sources(tmp_path: Path) -> None:
    image = built(
        tmp_path, [BASE], symlinks=[("etc/passwd", "/run/passwd", {}), ("lib/x", b"../y", {"uid": 5})], files=[]
    )
    assert (image / "etc/passwd").readlink() == b"/run/passwd"
    assert (image / "usr/lib/x").readlink() == b"../y"
    assert ((image / "usr/lib/x").stat().st_uid, mode(image, "usr/lib/x")) == (5, 0o777)


@pytest.mark.parametrize(
    ("symlink", "match"),
    [
        (("a", ""), "symlink target size is 0"),
        (("a", "x" * 4096), "symlink target size is 4096"),
        (("a", "x\0y"), "no NUL"),
        (("", "x"), "needs a name"),
        (("../a", "x"), r"no '\.\.'"),
    ],
)
def test_symlinks_that_are_none(symlink: tuple[str, str], match: str, tmp_path: Path) -> None:
    with pytest.raises(pysquash.InputError, match=match):
        built(tmp_path, [BASE], symlinks=[(*symlink, {})])
    assert not (tmp_path / "image.squashfs").exists()


def test_directories_are_made_with_those_above_and_keep_what_they_have(tmp_path: Path) -> None:
    base = layer({"a/": None, "link": "-> a"}, uid=5)
    image = built(
        tmp_path,
        [base],
        directories=[
            ("a", {}),
            ("link/b/c", {"mode": 0o2750, "uid": 3}),
            ("new", {}),
            ("link", {"mode": 0o700}),
            ("/", {"mode": 0o711}),
        ],
    )
    assert names(image) == ["a", "a/b", "a/b/c", "link", "new"]
    assert (mode(image, "a"), (image / "a").stat().st_uid, (image / "a").stat().st_mtime) == (0o700, 5, 1_600_000_000)
    assert (mode(image, "a/b/c"), (image / "a/b/c").stat().st_uid) == (0o2750, 3)
    assert (mode(image, "a/b"), mode(image, "new"), mode(image, "")) == (0o755, 0o755, 0o711)


def test_a_file_is_in_the_way_of_a_directory(tmp_path: Path) -> None:
    for name in ("etc/passwd", "etc/passwd/x"):
        with pytest.raises(pysquash.MergeError, match="etc/passwd must be a directory, but is a file"):
            built(tmp_path, [BASE], directories=[(name, {})])


def test_vm_adds_what_is_missing(tmp_path: Path) -> None:
    image = built(tmp_path, [layer({"./": None})], vm=True)
    for name, wanted in DEFAULT_DIRECTORIES.items():
        assert (image / name).is_dir()
        assert mode(image, name) == wanted
    assert {name: text(image, name) for name in DEFAULT_FILES} == DEFAULT_FILES
    assert (text(image, "etc/hostname"), text(image, "etc/resolv.conf"), mode(image, "tmp")) == ("vm\n", "", 0o1777)
    assert names(image) == sorted([*DEFAULT_DIRECTORIES, *DEFAULT_FILES, "etc"])


def test_vm_leaves_what_is_there(tmp_path: Path) -> None:
    base = layer(
        {
            "private/etc/": None,
            "etc": "-> private/etc",
            "private/etc/resolv.conf": "-> ../run/not/there",
            "private/etc/hosts": "mine",
            "run": "-> var/run",
            "tmp/": None,
            "sys": "a file",
        },
        uid=4,
    )
    image = built(tmp_path, [base], vm=True)
    assert (image / "private/etc/resolv.conf").readlink() == b"../run/not/there"
    assert (image / "run").readlink() == b"var/run"
    assert text(image, "private/etc/hosts") == "mine"
    assert text(image, "private/etc/hostname") == "vm\n"
    assert text(image, "sys") == "a file"
    assert (mode(image, "tmp"), (image / "tmp").stat().st_uid) == (0o755, 4)


def test_vm_describes_a_directory_that_no_layer_describes(tmp_path: Path) -> None:
    image = built(tmp_path, [layer({"tmp/x": "x", "t/": None, "mnt": "-> t"})], vm=True)
    assert mode(image, "tmp") == 0o1777
    assert (image / "mnt").is_symlink()


def test_vm_over_an_etc_that_is_a_file(tmp_path: Path) -> None:
    with pytest.raises(pysquash.MergeError, match="etc must be a directory, but is a file"):
        built(tmp_path, [layer({"etc": "x"})], vm=True)


def test_a_directory_of_yours_comes_after_the_defaults(tmp_path: Path) -> None:
    image = built(tmp_path, [layer({})], vm=True, directories=[("tmp", {}), ("mnt", {"mode": 0o700})])
    assert (mode(image, "tmp"), mode(image, "mnt")) == (0o1777, 0o700)


def test_default_files_come_before_those_of_a_vm_and_after_files(tmp_path: Path) -> None:
    image = built(
        tmp_path,
        [BASE],
        vm=True,
        files=[("etc/hosts", b"file", {})],
        default_files=[("etc/hosts", b"default", {}), ("etc/hostname", io.BytesIO(b"default"), {})],
    )
    assert (text(image, "etc/hosts"), text(image, "etc/hostname")) == ("file", "default")


def test_the_kernel_sees_the_same(tmp_path: Path) -> None:
    with built(
        tmp_path,
        [BASE],
        vm=True,
        files=[("lib/f", b"f", {"uid": 9})],
        symlinks=[("s", "lib/f", {})],
        directories=[("lib/d/e", {"mode": 0o700})],
    ):
        pass
    image = tmp_path / "image.squashfs"
    assert_same(kernel_tree(image, tmp_path), reader_tree(image))


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("etc/a=b", ("etc/a", Path("b"), {})),
        ("a=b=c", ("a", Path("b=c"), {})),
        (r"a\=b=c", ("a=b", Path("c"), {})),
        ("a,b=c,d", ("a,b", Path("c,d"), {})),
        ("a=b,mode=4755", ("a", Path("b"), {"mode": 0o4755})),
        ("a=b,uid=1,gid=2,mode=0", ("a", Path("b"), {"uid": 1, "gid": 2, "mode": 0})),
        ("a=b,c,uid=1", ("a", Path("b,c"), {"uid": 1})),
        (r"a=b\,uid=1", ("a", Path("b,uid=1"), {})),
        (r"a=b\,uid=1,uid=2", ("a", Path("b,uid=1"), {"uid": 2})),
        ("a=b,owner=1", ("a", Path("b,owner=1"), {})),
        (r"a=C:\x\y", ("a", Path(r"C:\x\y"), {})),
    ],
)
def test_how_files_are_written_on_the_command_line(given: str, wanted: object) -> None:
    assert parse_file(given) == wanted


@pytest.mark.parametrize("given", ["", "a", "=b", "a=", "a=,mode=644", "a=b,mode=8", "a=b,mode=17777", "a=b,mode="])
@pytest.mark.parametrize("tail", ["", ",uid=1"])
def test_what_is_no_file_on_the_command_line(given: str, tail: str) -> None:
    with pytest.raises(click.BadParameter):
        parse_file(given + tail)


@pytest.mark.parametrize("given", ["a=b,uid=x", "a=b,gid=4294967296", "a=b,uid=-1", "a=b,uid=1,uid=1"])
def test_owners_that_are_none_on_the_command_line(given: str) -> None:
    with pytest.raises(click.BadParameter):
        parse_file(given)


def test_directories_and_symlinks_on_the_command_line() -> None:
    assert parse_directory("a/b") == ("a/b", {})
    assert parse_directory("a:1777") == ("a", {"mode": 0o1777})
    assert parse_directory("a:755:700,uid=3") == ("a:755", {"mode": 0o700, "uid": 3})
    assert parse_directory("a:b") == ("a:b", {})
    assert parse_symlink("a=../b,c,gid=4") == ("a", "../b,c", {"gid": 4})
    for given in ("", ":755"):
        with pytest.raises(click.BadParameter):
            parse_directory(given)


def test_parts_on_the_command_line_are_read_once_for_each_source() -> None:
    parts = parse_parts([("oci:k", "boot"), ("x.tar", "a"), ("oci:k", "lib/modules")])
    assert parts == [pysquash.Part("oci:k", ["boot", "lib/modules"]), pysquash.Part("x.tar", ["a"])]


def call(folder: Path, *arguments: object, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "pysquash", "build", "-q", "-o", "image", *map(str, arguments)]
    return subprocess.run(command, cwd=folder, input=given, capture_output=True, check=False)


def test_all_of_it_on_the_command_line(tmp_path: Path) -> None:
    (tmp_path / "base.tar").write_bytes(BASE)
    (tmp_path / "more.tar").write_bytes(layer({"boot/k": "kernel", "other": "x"}))
    (tmp_path / "a,b").write_text("comma")
    (tmp_path / "link").symlink_to("a,b")
    arguments: list[Any] = ["base.tar", "--verify", "--vm", "--part", "more.tar", "boot", "--exclude", "passwd"]
    arguments += ["--file", "lib/x=link,mode=711", "--default-file", "etc/y=/dev/stdin", "--symlink", "z=lib"]
    arguments += ["--mkdir", "lib/d:700", "--owner", "5:6"]
    done = call(tmp_path, *arguments, given=b"standard input")
    assert done.returncode == 0, done.stderr
    with pysquash.SquashfsImage(tmp_path / "image") as image:
        found = names(image)
        assert {"usr/lib/x", "usr/lib/d", "boot/k", "z", "rom"} <= set(found)
        assert not {"other", "etc/passwd"} & set(found)
        assert (text(image, "usr/lib/x"), mode(image, "usr/lib/x")) == ("comma", 0o711)
        assert text(image, "etc/y") == "standard input"
        assert mode(image, "usr/lib/d") == 0o700
        assert {(path.stat().st_uid, path.stat().st_gid) for path in image.root.walk()} == {(5, 6)}


@pytest.mark.parametrize(
    ("arguments", "code", "match"),
    [
        ([], 2, b"there is no SOURCE"),
        (["base.tar", "--file", "a"], 2, b"is not DEST=SRC"),
        (["base.tar", "--file", "a=missing"], 1, b"missing: No such file"),
        (["base.tar", "--exclude", ".."], 2, b"can be for nothing"),
        (["base.tar", "--owner", "root"], 2, b"is not UID:GID"),
        (["base.tar", "--owner", "0:0", "--map-users", "0:1:2"], 2, b"are mapped, or are the same"),
        (["base.tar", "--map-groups", "0:1"], 2, b"is not FROM:TO:COUNT"),
        (["base.tar", "--map-groups", "5:1:2"], 1, b"group 0 is in none of the ranges 5:1:2"),
        (["base.tar", "--config-out", "c"], 2, b"none of the sources is a container image"),
        (["base.tar", "--config-format", "oci"], 2, b"to a file, into the image, or both"),
        (["base.tar", "--part", "base.tar", "boot"], 1, b"base.tar: has nothing at boot"),
    ],
)
def test_errors_are_one_line_and_leave_nothing(arguments: list[str], code: int, match: bytes, tmp_path: Path) -> None:
    (tmp_path / "base.tar").write_bytes(BASE)
    done = call(tmp_path, *arguments)
    assert (done.returncode, match in done.stderr) == (code, True), done.stderr
    assert code == 2 or done.stderr.count(b"\n") == 1
    assert os.listdir(tmp_path) == ["base.tar"]
