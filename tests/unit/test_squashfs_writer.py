"""SquashfsWriter: every kind, any order, and an output that is whole or not there."""

from __future__ import annotations

import io
import os
import stat
import sys
from pathlib import Path
from typing import Any

import pytest

import pysquash
from pysquash import LimitError, MergeError, OptionError, SourceError, SquashfsImage, SquashfsWriter, WriterOptions


def test_every_kind_in_any_order(tmp_path: Path) -> None:
    target = tmp_path / "image"
    with SquashfsWriter(target, WriterOptions(source_date_epoch=77)) as writer:
        writer.add_hard_link("z/link", "/a/file")  # before its target
        writer.add_file("/a/file", b"content", mode=0o4711, uid=1, gid=2, mtime=3, xattrs={"user.x": b"y"})
        writer.add_directory("a", mode=0o700)  # after what is in it
        writer.add_directory("", mode=0o711)
        writer.add_symlink("s", b"\xff")
        writer.add_device("b", "block", 8, 1, mode=0o660)
        writer.add_fifo("p")
        writer.add_socket("k")
        writer.add_file(".wh.kept", io.BytesIO(b"a name like any other"))
        assert not target.exists()
    assert writer.summary is not None
    with SquashfsImage(target) as image:
        file, link = (image / "a/file").stat(), (image / "z/link").stat()
        assert file == link
        assert (stat.S_IMODE(file.st_mode), file.st_uid, file.st_gid, file.st_mtime) == (0o4711, 1, 2, 3)
        assert (file.st_nlink, (image / "a/file").xattrs) == (2, {b"user.x": b"y"})
        assert stat.S_IMODE((image / "a").stat().st_mode) == 0o700
        assert stat.S_IMODE(image.root.stat().st_mode) == 0o711
        assert (image / "z").stat().st_mtime == 77  # implied
        assert (image / "s").readlink() == b"\xff"
        kinds = {path.path: stat.S_IFMT(path.stat().st_mode) for path in image.root.iterdir()}
        assert (kinds[b"b"], kinds[b"p"], kinds[b"k"]) == (stat.S_IFBLK, stat.S_IFIFO, stat.S_IFSOCK)
        assert (image / ".wh.kept").read_bytes() == b"a name like any other"


def test_host_files_and_trees(tmp_path: Path) -> None:
    (tmp_path / "tree/below").mkdir(parents=True)
    (tmp_path / "tree/below/file").write_bytes(b"deep")
    (tmp_path / "tree/below/file").chmod(0o640)
    with SquashfsWriter(tmp_path / "image") as writer:
        writer.add_tree(tmp_path / "tree", "srv")
        writer.add_file("copy", tmp_path / "tree/below/file")
        writer.add_file("other", tmp_path / "tree/below/file", mode=0o600)
    with SquashfsImage(tmp_path / "image") as image:
        assert (image / "srv/below/file").read_bytes() == (image / "copy").read_bytes() == b"deep"
        if sys.platform != "win32":
            assert stat.S_IMODE((image / "copy").stat().st_mode) == 0o640
        assert stat.S_IMODE((image / "other").stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda w: w.add_file("a", b""), MergeError, "a: more than one entry"),
        (lambda w: w.add_file("a/below", b""), MergeError, "must be a directory"),
        (lambda w: w.add_file("../x", b""), SourceError, r"'\.\.'"),
        (lambda w: w.add_file("", b""), SourceError, "needs a name"),
        (lambda w: w.add_file("x", "text"), OptionError, "is text"),
        (lambda w: w.add_file("x", b"", mode=0o10000), OptionError, "mode must be 0 to 4095"),
        (lambda w: w.add_file("x", b"", uid=-1), OptionError, "uid must be"),
        (lambda w: w.add_file("x", b"", mtime=1 << 32), OptionError, "mtime must be"),
        (lambda w: w.add_file("x", b"", color=1), OptionError, "unknown attributes: color"),
        (lambda w: w.add_file("x", b"", xattrs={"system.x": b""}), OptionError, "names are user"),
        (lambda w: w.add_file("x", b"", xattrs={"user.x": bytes(65537)}), LimitError, "65537, the limit is 65536"),
        (lambda w: w.add_file("n" * 256, b""), LimitError, "component size"),
        (lambda w: w.add_symlink("x", ""), LimitError, "target size is 0"),
        (lambda w: w.add_symlink("x", "t" * 4096), LimitError, "target size is 4096"),
        (lambda w: w.add_device("x", "block", 4096, 0), OptionError, "4096:0"),
        (lambda w: w.add_device("x", "tape", 1, 0), OptionError, "tape"),
        (lambda w: w.add_hard_link("x", ""), MergeError, "a hard link to the directory"),
        (lambda w: w.add_tree("/does/not/exist"), FileNotFoundError, "exist"),
    ],
)
def test_refusals_leave_nothing(tmp_path: Path, call: Any, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match), SquashfsWriter(tmp_path / "image") as writer:
        writer.add_file("a", b"first")
        call(writer)
    assert os.listdir(tmp_path) == []


def test_a_dangling_hard_link_is_found_at_the_end(tmp_path: Path) -> None:
    with pytest.raises(MergeError, match="does not exist"), SquashfsWriter(tmp_path / "image") as writer:
        writer.add_hard_link("x", "nowhere")
    assert os.listdir(tmp_path) == []


def test_outputs(tmp_path: Path) -> None:
    (tmp_path / "real").write_bytes(b"old")
    if sys.platform != "win32":
        (tmp_path / "link").symlink_to("real")
        with SquashfsWriter(tmp_path / "link"):
            pass
        assert (tmp_path / "link").is_symlink()
        assert (tmp_path / "real").read_bytes()[:4] == b"hsqs"
        os.umask(mask := os.umask(0))
        assert stat.S_IMODE((tmp_path / "real").stat().st_mode) == 0o666 & ~mask
    file = io.BytesIO(b"before")
    file.seek(6)
    with pytest.raises(ZeroDivisionError), SquashfsWriter(file) as writer:
        writer.add_file("a", bytes(range(256)) * 10_000)
        raise ZeroDivisionError
    assert file.getvalue() == b"before"
    with SquashfsWriter(file):
        pass
    assert file.getvalue()[:10] == b"beforehsqs"
    with pytest.raises(OptionError, match="seekable"):
        SquashfsWriter(sys.stdin)  # type: ignore[arg-type]


def test_build_takes_sources_files_and_defaults(tmp_path: Path) -> None:
    (tmp_path / "root/lib").mkdir(parents=True)
    (tmp_path / "root/lib/a").write_bytes(b"lower")
    report = pysquash.build(
        [f"dir:{tmp_path / 'root'}"],
        tmp_path / "image",
        files=[("lib/a", b"over", {"mode": 0o600})],
        default_files=[("lib/a", b"never", {}), ("lib/b", b"default", {})],
    )
    assert (report.entries["file"], report.hidden_files) == (2, 1)
    with SquashfsImage(tmp_path / "image") as image:
        assert (image / "lib/a").read_bytes() == b"over"
        assert (image / "lib/b").read_bytes() == b"default"
