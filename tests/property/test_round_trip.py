"""Image to tar to image, and image to image: the same tree, and the same bytes where the order is the same."""

from __future__ import annotations

import io
import os
import random
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import pysquash
from pysquash import SquashfsImage, SquashfsWriter, WriterOptions
from pysquash.options.limits import Limits
from pysquash.reader.archive import to_tar
from pysquash.reader.entries import image_entries
from tests.property.test_reader import WHOLE, attributes, contents, names

OPTIONS = WriterOptions(block_size=4096, workers=1)
Files = dict[bytes, tuple[bytes, dict[str, Any]]]


trees = st.dictionaries(
    names.filter(lambda name: not name.startswith(b".wh.")), st.tuples(contents, attributes), max_size=8
)


def packed(files: Files) -> bytes:
    file = io.BytesIO()
    with SquashfsWriter(file, OPTIONS) as writer:
        first = None
        for name, (content, described) in sorted(files.items()):
            writer.add_file(b"d/" + name, content, **described)
            if first is None:
                first = b"d/" + name
                writer.add_hard_link(b"link to it", first)
                writer.add_symlink(b"s", name, mtime=5)
                writer.add_device(b"n", "character", 4095, 0xFFFFF)
    return file.getvalue()


def described(raw: bytes) -> list[tuple[Any, bytes]]:
    """All that an image holds, in its order."""
    with SquashfsImage(io.BytesIO(raw)) as image:
        rows = []
        for entry, here in image_entries(image.root):
            entry.xattrs = tuple(sorted(entry.xattrs))
            rows.append((entry, b"".join(here.blocks()) if here.is_file() else b""))
        return rows


@given(files=trees)
@example(files={})
@example(
    files={
        b"\xff\xfe": (b"x", {"mode": 0o7777, "uid": 2**32 - 1, "mtime": 2**32 - 1, "xattrs": {"user.a": b"\0\n=\xff"}})
    }
)
def test_through_a_tar(files: Files) -> None:
    raw = packed(files)
    tar = io.BytesIO()
    with SquashfsImage(io.BytesIO(raw)) as image:
        assert image.to_tar(tar) == []
    again = io.BytesIO()
    tar.seek(0)
    pysquash.tar2squashfs([tar], again, options=OPTIONS)
    assert described(again.getvalue()) == described(raw)


@given(files=trees)
def test_image_to_image(files: Files, tmp_path_factory: pytest.TempPathFactory) -> None:
    raw = packed(files)
    path = tmp_path_factory.mktemp("image") / "image"
    path.write_bytes(raw)
    again = io.BytesIO()
    pysquash.build([f"sqfs:{path}"], again, options=OPTIONS)
    assert described(again.getvalue()) == described(raw)


SPARSE = [
    (b"\xff\xfe/a name that is no text", [(0, 5000), (3 << 20, 10)], 5 << 20),
    (b"ends in data", [(2 << 20, 7)], (2 << 20) + 7),
    (b"a hole", [], 9 << 20),
    (b"x" * 200, [(1 << 20, 4096), (9 << 20, 4096)], 10 << 20),
]


def test_large_holes_stay_holes(tmp_path: Path) -> None:
    folder = tmp_path / "tree"
    for name, runs, size in SPARSE:
        place = Path(os.fsdecode(os.path.join(os.fsencode(folder), name)))
        place.parent.mkdir(parents=True, exist_ok=True)
        with place.open("wb") as file:
            for start, length in runs:
                file.seek(start)
                file.write(random.Random(start).randbytes(length))
            file.truncate(size)
    image, tar, again, copy = (tmp_path / name for name in ("image", "tar", "again", "copy"))
    pysquash.build([f"dir:{folder}"], image)
    with SquashfsImage(image) as opened, tar.open("wb") as file:
        assert opened.to_tar(file) == []
    assert tar.stat().st_size < 1_500_000  # of 26 MB
    pysquash.tar2squashfs([tar], again)
    assert pysquash.diff(image, again) == []
    pysquash.build([f"sqfs:{image}"], copy)
    assert copy.read_bytes() == image.read_bytes()
    if shutil.which("tar"):
        target = tmp_path / "extracted"
        target.mkdir()
        subprocess.run(["tar", "-C", target, "-xf", tar], check=True)
        for name, _, size in SPARSE:
            place = Path(os.fsdecode(os.path.join(os.fsencode(target), name)))
            original = Path(os.fsdecode(os.path.join(os.fsencode(folder), name)))
            assert place.stat().st_size == size
            assert place.read_bytes() == original.read_bytes()


def test_an_image_under_a_layer(tmp_path: Path) -> None:
    (tmp_path / "base").write_bytes(WHOLE)
    (tmp_path / "over").mkdir()
    (tmp_path / "over/new").write_bytes(b"new")
    pysquash.build([f"sqfs:{tmp_path / 'base'}", f"dir:{tmp_path / 'over'}"], tmp_path / "image")
    with SquashfsImage(tmp_path / "image") as image, SquashfsImage(tmp_path / "base") as base:
        assert (image / "new").read_bytes() == b"new"
        assert (image / "a/b").read_bytes() == (base / "a/b").read_bytes()
        assert (image / "a/b").xattrs == (base / "a/b").xattrs


def test_sockets_are_left_out_of_a_tar_and_said() -> None:
    file = io.BytesIO()
    with SquashfsWriter(file) as writer:
        writer.add_socket("run/socket")
    with SquashfsImage(file) as image:
        assert to_tar(image.root, io.BytesIO()) == ["run/socket: a tar cannot hold a socket"]


def test_damage_and_limits_are_source_errors(tmp_path: Path) -> None:
    (tmp_path / "none").write_bytes(b"none")
    with pytest.raises(pysquash.SourceError, match="sqfs:.*none: .*too short"):
        pysquash.build([f"sqfs:{tmp_path / 'none'}"], tmp_path / "image")
    damaged = bytearray(WHOLE)
    inode_table_start = int.from_bytes(WHOLE[64:72], "little")
    damaged[inode_table_start + 2 : inode_table_start + 40] = bytes(38)
    (tmp_path / "damaged").write_bytes(damaged)
    with pytest.raises(pysquash.SourceError, match="inode table"):
        pysquash.build([f"sqfs:{tmp_path / 'damaged'}"], tmp_path / "image")
    (tmp_path / "whole").write_bytes(WHOLE)
    with pytest.raises(pysquash.LimitError, match="path depth is 2, the limit is 1"):
        pysquash.build(
            [f"sqfs:{tmp_path / 'whole'}"], tmp_path / "image", options=WriterOptions(limits=Limits(depth=1))
        )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["damaged", "none", "whole"]
