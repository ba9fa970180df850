"""Verification: what went in is what comes out, and anything else is an error that leaves nothing behind."""

from __future__ import annotations

import io
import os
import random
from pathlib import Path
from typing import Any

import pytest

from pysquash import (
    ImageError,
    OptionError,
    SquashfsImage,
    SquashfsWriter,
    VerificationError,
    WriterOptions,
    build,
    tar2squashfs,
)
from pysquash.format.codec import Codec
from pysquash.format.constants import NO_FRAGMENT
from pysquash.format.records import BASIC_FILE, EXTENDED_FILE, INODE_HEADER, METADATA_HEADER, SUPERBLOCK
from pysquash.tree.entry import Kind
from pysquash.writer.data import DataWriter
from pysquash.writer.output import Output
from tests.tarbuild import END, header, padded

OPTIONS = WriterOptions(verify=True, block_size=4096, workers=1, compressor="none")
DATA = random.Random(5).randbytes(9000)


def write(target: Any, options: WriterOptions = OPTIONS) -> None:
    """Make an image with something of everything."""
    with SquashfsWriter(target, options) as writer:
        writer.add_file("d/large", DATA, mode=0o640, uid=5, xattrs={"user.a": b"a value", "trusted.b": b"another"})
        writer.add_file("d/tail", DATA[:100], mtime=77)
        writer.add_file("d/same tail", DATA[:100])
        writer.add_file("d/holes", DATA[:4096] + bytes(8192) + b"end")
        writer.add_file("d/zeros", bytes(5000))
        writer.add_file("empty", b"")
        writer.add_hard_link("link", "d/large")
        writer.add_symlink("s", "d/large", uid=9)
        writer.add_device("n", "character", 1, 3)


def test_what_is_right_passes() -> None:
    for compressor in ("zstd", "gzip", "xz", "none"):
        file = io.BytesIO(b"in front")
        file.seek(8)
        write(file, WriterOptions(verify=True, block_size=4096, compressor=compressor, exports=True))
        with SquashfsImage(file, offset=8) as image:
            assert (image / "link").read_bytes() == DATA


def test_layers_with_hidden_and_sparse_content_pass(tmp_path: Path) -> None:
    base = header(b"hidden", size=200) + padded(DATA[:200]) + header(b"kept", b"1", target=b"hidden")
    upper = header(b"hidden", size=3) + padded(b"new")
    report = tar2squashfs(
        [io.BytesIO(base + END), io.BytesIO(upper + END)],
        tmp_path / "image",
        [("added", b"by default", {})],
        options=OPTIONS,
    )
    assert report.seconds["verify"] > 0
    with SquashfsImage(tmp_path / "image") as image:
        assert (image / "kept").read_bytes() == DATA[:200]
        assert (image / "hidden").read_bytes() == b"new"
    folder = tmp_path / "tree"
    folder.mkdir()
    with (folder / "sparse").open("wb") as file:
        file.write(DATA)
        file.seek(3 << 20)
        file.write(b"in the middle")
        file.truncate(5 << 20)
    build([f"dir:{folder}"], tmp_path / "image", options=OPTIONS)


def flip(monkeypatch: pytest.MonkeyPatch, position: int, mask: int) -> None:
    """Have a byte of the image change between writing and reading."""
    reopened = Output.reopened

    def changed(self: Output) -> Any:
        self._file.seek(position)
        byte = self._file.read(1)[0]
        self._file.seek(position)
        self._file.write(bytes([byte ^ mask]))
        self._file.seek(self._base + self.position)
        return reopened(self)

    monkeypatch.setattr(Output, "reopened", changed)


def meaningless(image: SquashfsImage) -> set[int]:
    """Find the bytes of an image that say nothing, or nothing that is not known from elsewhere."""
    found = {*field_bytes(0, "mkfs_time", SUPERBLOCK), *field_bytes(0, "flags", SUPERBLOCK)}
    for path in image.root.walk():
        inode = path.inode
        if inode.kind is not Kind.FILE:
            continue
        at = image.superblock.inode_table_start + METADATA_HEADER.size + inode.ref + INODE_HEADER.size
        body = EXTENDED_FILE if inode.is_extended else BASIC_FILE
        if all(extent.is_hole or extent.word < 0 for extent in image.data.extents(inode)):
            found |= field_bytes(at, "blocks_start", body)
        if inode.fragment_index == NO_FRAGMENT:
            found |= field_bytes(at, "fragment_offset", body)
    return found


def field_bytes(start: int, field: str, codec: Codec[Any]) -> set[int]:
    """Find where a record's field is stored."""
    ones = (1 << 64) - 1
    width = {"Q": 64, "L": 32, "H": 16}
    letters = codec.format[1:]
    fields = codec.record._fields
    values = [ones >> 64 - width[letter] if name == field else 0 for letter, name in zip(letters, fields, strict=True)]
    return {start + row for row, byte in enumerate(codec.pack(*values)) if byte}


def test_no_flipped_bit_goes_unnoticed(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = io.BytesIO()
    write(plain)
    with SquashfsImage(plain) as image:
        used = image.superblock.bytes_used
        skipped = meaningless(image)
        starts = range(96, image.superblock.inode_table_start, 500)  # data: every so many bytes
        behind = range(image.superblock.inode_table_start, used)
    for position in [*range(96), *starts, *behind]:
        if position in skipped:
            continue
        for mask in (0x01, 0x80):
            with monkeypatch.context() as patch:
                flip(patch, position, mask)
                with pytest.raises(ImageError):
                    write(io.BytesIO())


def test_wrong_content_is_named_and_leaves_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    store = DataWriter.store

    def wrong(self: DataWriter, size: int, read: Any, segments: Any = None) -> Any:
        return store(self, size, lambda length: read(length)[::-1], segments)

    monkeypatch.setattr(DataWriter, "store", wrong)
    with pytest.raises(VerificationError, match="content is not what went in") as caught:
        write(tmp_path / "image")
    assert {problem.split(":")[0] for problem in caught.value.problems} >= {"d/large", "d/tail", "d/holes"}
    assert os.listdir(tmp_path) == []


def test_an_output_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with (tmp_path / "image").open("wb") as file, pytest.raises(OptionError, match="must be readable"):
        write(file)
