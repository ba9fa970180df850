"""Limits of extended attributes and holes, for every source and also with an image for each layer."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest

import pysquash
from pysquash.errors import LimitError, OptionError
from pysquash.options.limits import Limits
from pysquash.options.writer import WriterOptions
from pysquash.packing.entry_limits import EntryLimits
from pysquash.tree.entry import Entry, Kind, Segment
from tests.tarbuild import END, header, padded, pax


def sparse(name: bytes, size: int, segments: tuple[Segment, ...] = ()) -> bytes:
    text = b",".join(b"%d,%d" % segment for segment in segments)
    content = b"d" * sum(length for _, length in segments)
    records = pax((b"GNU.sparse.size", b"%d" % size), (b"GNU.sparse.map", text))
    return records + header(name, size=len(content)) + padded(content)


def build(*layers: bytes, options: WriterOptions) -> bytes:
    file = io.BytesIO()
    pysquash.tar2squashfs([io.BytesIO(layer) for layer in layers], file, options=options)
    return file.getvalue()


def fails(*layers: bytes, match: str, **limits: int) -> None:
    options = WriterOptions(limits=Limits(**limits))
    with pytest.raises(LimitError, match=match):
        build(*layers, options=options)


class TestHoles:
    def test_100_gib_of_holes(self) -> None:
        """What a lastlog of a large user id is: 100 GiB, of which a few bytes are stored."""
        size = 100 << 30
        raw = build(sparse(b"lastlog", size, ((size - 4, 4),)) + END, options=WriterOptions())
        with pysquash.SquashfsImage(io.BytesIO(raw)) as image:
            path = image / "lastlog"
            assert path.stat().st_size == size
            with path.open("rb") as file:
                file.seek(size - 8)
                assert file.read() == b"\0\0\0\0dddd"

    def test_holes_are_not_content(self) -> None:
        raw = sparse(b"a", 1 << 30, ((0, 600),)) + sparse(b"b", 1 << 30, ((0, 400),)) + END
        assert build(raw, options=WriterOptions(limits=Limits(total_size=1000)))
        fails(raw, match="uncompressed size is 1000, the limit is 999", total_size=999)

    def test_holes_that_are_stored_as_zeros_are_content(self) -> None:
        raw = sparse(b"a", 1 << 20, ((0, 600),)) + END
        options = WriterOptions(find_holes=False, limits=Limits(total_size=1 << 20))
        with pysquash.SquashfsImage(io.BytesIO(build(raw, options=options))) as image:
            assert (image / "a").read_bytes() == b"d" * 600 + bytes((1 << 20) - 600)
        raw = sparse(b"a", (1 << 20) + 1, ((0, 600),)) + END
        with pytest.raises(LimitError, match="uncompressed size is 1048577"):
            build(raw, options=options)

    @pytest.mark.skipif(not hasattr(os, "SEEK_HOLE"), reason="needs a system that knows of holes")
    def test_holes_of_a_directory(self, tmp_path: Path) -> None:
        with (tmp_path / "f").open("wb") as file:
            file.truncate(1 << 30)
        options = WriterOptions(limits=Limits(total_size=1 << 20))
        pysquash.build([f"dir:{tmp_path}"], io.BytesIO(), options=options)
        with pytest.raises(LimitError, match="file size is 1073741824"):
            limits = Limits(file_size=1 << 20)
            pysquash.build([f"dir:{tmp_path}"], io.BytesIO(), options=WriterOptions(limits=limits))

    def test_file_size(self) -> None:
        size = 16 << 40
        fails(
            sparse(b"a", size + 1) + END, match=r"layer 1>: a: file size is 17592186044417, the limit is 17592186044416"
        )
        count = EntryLimits(WriterOptions(block_size=1 << 20)).count
        count(Entry(b"f", Kind.FILE, size=size, segments=()), "t")

    @pytest.mark.parametrize("block_size", [4096, 131072, 1 << 20])
    def test_blocks_of_holes_in_all_files(self, block_size: int) -> None:
        entry = Entry(b"f", Kind.FILE, size=block_size * 50, segments=())
        limits = EntryLimits(WriterOptions(block_size=block_size, limits=Limits(hole_block_count=100)))
        limits.count(entry, "t")
        limits.count(entry, "t")
        with pytest.raises(LimitError, match=rf"^t: f: .*{block_size} bytes in holes.* is 150, the limit is 100"):
            limits.count(entry, "t")

    def test_stored_blocks_do_not_count(self) -> None:
        size = 4096 * 50
        entry = Entry(b"f", Kind.FILE, size=size, segments=((0, size),))
        EntryLimits(WriterOptions(block_size=4096, limits=Limits(hole_block_count=1))).count(entry, "t")

    def test_a_hole_of_16_tib_in_small_blocks(self) -> None:
        raw = sparse(b"a", 16 << 40) + END
        with pytest.raises(
            LimitError, match="4096 bytes in holes of sparse files is 4294967296, the limit is 16777216"
        ):
            build(raw, options=WriterOptions(block_size=4096))

    def test_segments_in_all_layers(self) -> None:
        layer = sparse(b"a", 99, ((0, 1), (5, 1), (9, 1))) + END
        assert build(layer, layer, options=WriterOptions(limits=Limits(segment_count=6)))
        fails(layer, layer, match="segments in sparse files is 6, the limit is 5", segment_count=5)


class TestXattrs:
    def test_names_of_an_inode(self) -> None:
        names = [b"user.%059d" % row for row in range(1024)]  # 64 bytes each, 65 with the NUL
        raw = pax(*[(b"SCHILY.xattr." + name, b"v") for name in names]) + header(b"f") + END
        fails(raw, match=r"layer 1>: f: size of extended attributes' names is 66560, the limit is 65536")
        names.pop()
        entry = Entry(b"f", Kind.FILE, xattrs=tuple((name, b"v") for name in names[:1008]))
        EntryLimits(WriterOptions()).count(entry, "t")

    def test_all_of_them(self) -> None:
        layer = pax((b"SCHILY.xattr.user.a", b"v" * 1000)) + header(b"f") + END
        cost = 2 * (len("user.a") + 1 + 1000 + 128)
        assert build(layer, layer, options=WriterOptions(limits=Limits(xattr_total_size=cost)))
        what = f"size of all extended attributes is {cost}, the limit is {cost - 1}"
        fails(layer, layer, match=what, xattr_total_size=cost - 1)

    def test_global_ones_count_for_each_entry(self) -> None:
        raw = pax((b"SCHILY.xattr.user.a", b"v" * 1000), type_flag=b"g") + header(b"f") + header(b"g") + END
        fails(raw, match="size of all extended attributes is 2270", xattr_total_size=2000)

    def test_linux_lists_no_more(self) -> None:
        with pytest.raises(OptionError, match="xattr_list_size can be at most 65536"):
            Limits(xattr_list_size=65537)


def test_an_image_for_each_layer_counts_the_same(tmp_path: Path) -> None:
    layer = sparse(b"a", 1 << 30, ((0, 600),)) + pax((b"SCHILY.xattr.user.a", b"v")) + header(b"f") + END
    for limits, match in (
        (Limits(total_size=599), "uncompressed size is 600"),
        (Limits(hole_block_count=100), "in holes"),
        (Limits(xattr_total_size=100), "all extended attributes"),
    ):
        path = tmp_path / "layer.tar"
        path.write_bytes(layer)
        with pytest.raises(LimitError, match=match):
            pysquash.build_layers([str(path)], tmp_path / "out", options=WriterOptions(limits=limits))
