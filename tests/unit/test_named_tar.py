"""What is given as a tar and is none: the error says what it seems to be, and what to write instead."""

from __future__ import annotations

import bz2
import gzip
import io
import zipfile
from pathlib import Path

import pytest

import pysquash
from pysquash import SourceError, WriterOptions
from tests.tarbuild import END, header

OPTIONS = WriterOptions(workers=1)


def error_of(content: bytes, tmp_path: Path) -> str:
    path = tmp_path / "layer"
    path.write_bytes(content)
    with pytest.raises(SourceError) as caught:
        pysquash.build([str(path)], tmp_path / "out", options=OPTIONS)
    assert not (tmp_path / "out").exists()
    with pytest.raises(SourceError):
        pysquash.tar2squashfs([io.BytesIO(content)], tmp_path / "out", options=OPTIONS)
    return str(caught.value)


def squashfs() -> bytes:
    file = io.BytesIO()
    with pysquash.SquashfsWriter(file, OPTIONS) as writer:
        writer.add_file("a", b"1")
    return file.getvalue()


def zipped() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a", bytes(1000))
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (squashfs(), "a SquashFS image: as a source of `build` it is sqfs:PATH"),
        (gzip.compress(squashfs(), mtime=0), "a SquashFS image"),
        (zipped(), "a zip archive"),
        (b"\x04\x22\x4d\x18" + bytes(range(256)) * 3, "a file compressed with lz4"),
        (gzip.compress(gzip.compress(END, mtime=0), mtime=0), "a file compressed twice"),
        (b"\x89LZO\0\r\n\x1a\n" + bytes(600), "a file compressed with lzop"),
        (b"LRZI\0\6" + bytes(600), "a file compressed with lrzip"),
        (b"GRZipII\0\2\4:)" + bytes(600), "a file compressed with grzip"),
        (bz2.compress(bz2.compress(END)), "a file compressed twice, inside with bzip2"),
        (b"<html>404 Not Found</html>\n" * 40, "text: '<html>404 Not Found</html>'"),
        (b"short", "text: 'short'"),
        (("\N{SNOWMAN}" * 400).encode(), "text: '\N{SNOWMAN}"),
        (b"\n" * 600, "text, all of it blank"),
    ],
)
def test_it_is_said_what_it_looks_like(content: bytes, text: str, tmp_path: Path) -> None:
    assert f"layer: at byte 0: is not a tar archive; it looks like {text}" in error_of(content, tmp_path)


def test_nothing_is_guessed_of_the_rest(tmp_path: Path) -> None:
    noise = bytes(range(128, 256)) * 8
    assert "the header's checksum is wrong" in error_of(noise, tmp_path)
    # Behind a first entry, it is a tar that is damaged.
    assert "byte 512: the header's checksum is wrong" in error_of(header(b"a") + b"x" * 1024, tmp_path)


@pytest.mark.parametrize("content", [b"", gzip.compress(b"", mtime=0)])
def test_nothing_at_all_is_no_tar(content: bytes, tmp_path: Path) -> None:
    assert "is empty: a tar has at least its end" in error_of(content, tmp_path)


def test_an_archive_with_nothing_in_it_is_a_tar(tmp_path: Path) -> None:
    for content in (END, bytes(512)):
        pysquash.tar2squashfs([io.BytesIO(content)], tmp_path / "out", options=OPTIONS)


def test_what_no_file_is_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("folder").mkdir()
    Path("image").mkdir()
    for name in ("index.json", "oci-layout"):
        (Path("image") / name).touch()
    for source, text in [
        ("folder", "folder: is a directory: write dir:folder"),
        ("image", "image: is a directory with a container image: write oci:image"),
        ("ocii:image", "ocii:image: there is no such file; a source is a tar, or one of dir:PATH, sqfs:FILE, oci:DIR"),
    ]:
        with pytest.raises(SourceError) as caught:
            pysquash.build([source], "out", options=OPTIONS)
        assert str(caught.value).startswith(text)
    for source, name in [("dir:nope", "nope"), ("missing.tar", "missing.tar"), ("sqfs:nope", "nope")]:
        with pytest.raises(FileNotFoundError) as missing:
            pysquash.build([source], "out", options=OPTIONS)
        assert str(missing.value.filename).endswith(name)
        assert isinstance(missing.value.filename, str)
