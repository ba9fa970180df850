"""The tar reader on anything: equal to tarfile on what that writes, and only our errors on what nobody should write."""

from __future__ import annotations

import io
import tarfile
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import pysquash
from pysquash.errors import InputError
from pysquash.options.writer import WriterOptions
from pysquash.sources.tar import TarSource
from pysquash.tree.entry import Entry, Kind
from tests.tarbuild import END, gnu_long, header, padded, pax

FORMATS = {"ustar": tarfile.USTAR_FORMAT, "gnu": tarfile.GNU_FORMAT, "pax": tarfile.PAX_FORMAT}
TYPES = {
    tarfile.REGTYPE: Kind.FILE,
    tarfile.DIRTYPE: Kind.DIRECTORY,
    tarfile.SYMTYPE: Kind.SYMLINK,
    tarfile.FIFOTYPE: Kind.FIFO,
    tarfile.CHRTYPE: Kind.CHARACTER_DEVICE,
    tarfile.LNKTYPE: Kind.HARD_LINK,
}

names = st.lists(
    st.text(
        st.characters(codec="utf-8", exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=30
    ).filter(lambda text: text not in (".", "..") and len(text.encode()) <= 80),
    min_size=1,
    max_size=4,
).map("/".join)


@st.composite
def members(draw: st.DrawFn, big_numbers: bool) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(draw(names))
    info.type = draw(st.sampled_from(list(TYPES)))
    info.mode = draw(st.integers(0, 0o7777))
    owners = st.integers(0, 0xFFFF_FFFF if big_numbers else 0o7777777)
    info.uid, info.gid, info.mtime = draw(owners), draw(owners), draw(st.integers(0, 0xFFFF_FFFF))
    content = draw(st.binary(max_size=2000)) if info.type == tarfile.REGTYPE else b""
    info.size = len(content)
    if info.type in (tarfile.SYMTYPE, tarfile.LNKTYPE):
        info.linkname = draw(names)
    if info.type == tarfile.CHRTYPE:
        info.devmajor, info.devminor = draw(st.integers(0, 4095)), draw(st.integers(0, 0xFFFFF))
    return info, content


def archive(drawn: list[tuple[tarfile.TarInfo, bytes]], name: str) -> bytes:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=FORMATS[name]) as file:
        for info, content in drawn:
            file.addfile(info, io.BytesIO(content))
    return raw.getvalue()


def entries_of(layer: Any) -> list[tuple[Entry, bytes]]:
    source = TarSource(layer, name="t", options=WriterOptions(), warn=lambda _line: None)
    try:
        return [(entry, source.read(entry.stored_size)) for entry in source]
    finally:
        source.close()


@pytest.mark.parametrize("name", ["gnu", "pax"])
@given(data=st.data())
def test_equals_tarfile(name: str, data: st.DataObject) -> None:
    drawn = data.draw(st.lists(members(big_numbers=True), max_size=5))
    found = entries_of(io.BytesIO(archive(drawn, name)))
    assert len(found) == len(drawn)
    for (entry, stored), (info, content) in zip(found, drawn, strict=True):
        assert entry.path == info.name.encode()
        assert entry.kind == TYPES[info.type]
        assert entry.mode == (0o777 if info.type == tarfile.SYMTYPE else info.mode)
        assert (entry.uid, entry.gid, entry.mtime) == (info.uid, info.gid, info.mtime)
        assert stored == content
        assert entry.target == info.linkname.encode()
        if info.type == tarfile.CHRTYPE:
            assert entry.device == (info.devmajor, info.devminor)


@given(st.lists(members(big_numbers=True), max_size=4), st.lists(st.integers(1, 3000), min_size=1, max_size=5))
@example([], [1])
def test_chunks_do_not_matter(drawn: list[tuple[tarfile.TarInfo, bytes]], sizes: list[int]) -> None:
    raw = archive(drawn, "pax")
    chunks: list[bytes] = []
    at = 0
    while at < len(raw):
        size = sizes[len(chunks) % len(sizes)]
        chunks.append(raw[at : at + size])
        at += size
    assert entries_of(iter(chunks)) == entries_of(io.BytesIO(raw))


SEED = b"".join(
    [
        header(b"dir/", b"5"),
        pax((b"path", b"dir/long"), (b"mtime", b"1.5"), (b"SCHILY.xattr.user.a", b"b")),
        header(b"x", size=700) + padded(b"y" * 700),
        gnu_long(b"dir/" + b"n" * 150) + header(b"x", b"2", target=b"long"),
        header(b"link", b"1", target=b"dir/long"),
        pax((b"GNU.sparse.size", b"9000"), (b"GNU.sparse.map", b"0,5,8000,5"))
        + header(b"s", size=10)
        + padded(b"0123456789"),
        header(b"dev", b"3", major=1, minor=3),
        header(b"dir/.wh.gone"),
        END,
    ]
)


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """Change, remove, repeat or insert a few bytes or blocks, and mend checksums half of the time."""
    raw = bytearray(SEED)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(raw) - 1))
        kind = draw(st.sampled_from(["flip", "cut", "block", "insert", "repeat"]))
        if kind == "flip":
            raw[at] = draw(st.integers(0, 255))
        elif kind == "cut":
            del raw[at:]
        elif kind == "block":
            del raw[at // 512 * 512 : at // 512 * 512 + 512]
        elif kind == "insert":
            raw[at:at] = draw(st.binary(max_size=20))
        else:
            raw[at:at] = raw[at : at + 512]
        if not raw:
            return b""
    if draw(st.booleans()):
        for at in range(0, len(raw) - 511, 512):
            if raw[at + 257 : at + 262] == b"ustar":
                total = sum(raw[at : at + 148]) + 256 + sum(raw[at + 156 : at + 512])
                raw[at + 148 : at + 156] = b"%06o\0 " % total
    return bytes(raw)


@given(mutated() | st.binary(max_size=2000))
@settings(max_examples=400)
@example(SEED)
def test_only_our_errors_and_no_output(raw: bytes) -> None:
    output = io.BytesIO()
    try:
        pysquash.tar2squashfs([io.BytesIO(raw)], output, options=WriterOptions(workers=1))
    except InputError as error:
        assert str(error)
        assert output.getvalue() == b""
    else:
        assert output.getvalue()[:4] == b"hsqs"
        assert len(output.getvalue()) % 4096 == 0
