"""Tars that GNU tar, bsdtar and Python's tarfile read alike: the image holds the same tree."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.tar_judges import JUDGES, Tree, missing_judges, ours
from tests.tarbuild import END, gnu_long, header, padded, pax

MISSING = missing_judges()
pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0, reason="needs Linux, and root to extract devices"
)
if MISSING and not os.environ.get("CI"):
    pytest.skip(f"not installed: {', '.join(MISSING)} (tar, libarchive-tools)", allow_module_level=True)

TAR_STREAM = Path(__file__).parent / "tar_stream" / "archive.tar"
"""Written by tar_stream/make_archive.cjs, which is JavaScript."""

SIZES = [0, 1, 511, 512, 513, 1024, 4096, 8**11 - 1]
MAGICS = {"v7": b"", "ustar": b"ustar\x0000", "gnu": b"ustar  "}
FIRST = header(b"t", size=1) + padded(b"t")
NEXT = header(b"x/f", size=3) + padded(b"abc") + header(b"g")


def check_same_tree(raw: bytes, *, judges: tuple[str, ...] = tuple(JUDGES), is_silent: bool = False) -> Tree:
    """Assert that the judges and pysquash leave the same tree."""
    trees = {name: JUDGES[name](raw) for name in judges}
    outcome = ours(raw)
    assert outcome.tree is not None, outcome.error
    for name, tree in trees.items():
        assert tree == outcome.tree, name
    if is_silent:
        assert not outcome.warnings
    # Whatever is warned of is an error with `strict`, and nothing else is.
    assert outcome.is_strict_error == bool(outcome.warnings)
    return outcome.tree


@pytest.mark.parametrize("dialect", MAGICS)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("type_flag", [b"2", b"3", b"4", b"5", b"6"])
def test_types_without_data_have_none_whatever_their_size(type_flag: bytes, size: int, dialect: str) -> None:
    if dialect == "v7" and type_flag in b"34":
        type_flag = b"6"  # v7 has no devices, and readers disagree about their numbers
    raw = header(b"y", type_flag, size, target=b"t", magic=MAGICS[dialect], major=1, minor=3)
    assert len(check_same_tree(FIRST + raw + NEXT + END, is_silent=True)) == 5


@pytest.mark.parametrize("dialect", MAGICS)
@pytest.mark.parametrize("size", SIZES)
def test_hard_link_with_a_size_and_no_data(size: int, dialect: str) -> None:
    """It may come before a header or before the end of the archive."""
    link = header(b"y", b"1", size, target=b"t", magic=MAGICS[dialect])
    for raw in (FIRST + link + NEXT + END, FIRST + link + END, FIRST + link):
        assert b"y" in check_same_tree(raw, is_silent=not size and raw.endswith(END))


@pytest.mark.parametrize("size", [1, 511, 512, 513, 4096])
def test_hard_link_with_data(size: int) -> None:
    """bsdtar writes such, and reads it; `pax -o linkdata` does."""
    content = b"c" * size
    raw = header(b"t", size=size) + padded(content) + header(b"y", b"1", size, target=b"t") + padded(content) + NEXT
    check_same_tree(raw + END, judges=("bsdtar",))
    assert ours(raw + END).is_strict_error


@pytest.mark.parametrize("dialect", MAGICS)
@pytest.mark.parametrize("size", SIZES)
def test_v7_directory_with_a_size(size: int, dialect: str) -> None:
    raw = header(b"y/", b"\0", size, magic=MAGICS[dialect])
    assert check_same_tree(FIRST + raw + NEXT + END, is_silent=True)[b"y"].kind == "d"
    if size:
        raw = pax((b"size", b"%d" % size)) + header(b"y/", b"\0", magic=MAGICS[dialect])
        check_same_tree(FIRST + raw + NEXT + END)


@pytest.mark.parametrize("type_flag", [b"1", b"2", b"3", b"4", b"5", b"6"])
@pytest.mark.parametrize("size", SIZES[1:])
def test_pax_size_of_types_without_data(type_flag: bytes, size: int) -> None:
    """bsdtar takes the next entries for data; POSIX, GNU tar and tarfile say that there is none."""
    raw = FIRST + pax((b"size", b"%d" % size)) + header(b"y", type_flag, target=b"t") + NEXT + END
    check_same_tree(raw, judges=("GNU tar", "tarfile"))
    assert ours(raw).is_strict_error


@pytest.mark.parametrize("size", [0, 1, 511, 512, 513, 4096])
def test_gnu_directory_with_a_list_of_names(size: int) -> None:
    names = (b"Yf\0" * size)[: max(0, size - 1)] + b"\0" * bool(size)
    raw = header(b"y", b"D", size, magic=MAGICS["gnu"]) + padded(names) + NEXT + END
    check_same_tree(raw, judges=("GNU tar", "bsdtar"), is_silent=True)


@pytest.mark.parametrize("dialect", MAGICS)
@pytest.mark.parametrize("type_flag", [b"0", b"\0", b"7"])
@pytest.mark.parametrize("size", [0, 1, 511, 512, 513, 4096])
def test_files(size: int, type_flag: bytes, dialect: str) -> None:
    raw = header(b"y", type_flag, size, magic=MAGICS[dialect]) + padded(b"d" * size) + NEXT + END
    check_same_tree(raw, is_silent=True)
    raw = pax((b"size", b"%d" % size)) + header(b"y", type_flag, magic=MAGICS[dialect]) + padded(b"d" * size) + NEXT
    check_same_tree(raw + END, is_silent=True)


class Member(NamedTuple):
    """An entry to write: its type, size, and in which way its name is written."""

    type_flag: bytes
    size: int
    magic: bytes
    name_size: int
    is_name_in_pax: bool


@st.composite
def members(draw: st.DrawFn) -> Member:
    type_flag = draw(st.sampled_from([b"0", b"\0", b"7", b"1", b"2", b"3", b"4", b"5", b"6", b"/"]))
    size = draw(st.sampled_from(SIZES if type_flag not in b"\x0007" else SIZES[:-1]))
    name_size = 5 if type_flag == b"/" else draw(st.sampled_from([5, 99, 100, 101, 250]))
    return Member(type_flag, size, draw(st.sampled_from([b"ustar\x0000", b"ustar  "])), name_size, draw(st.booleans()))


def archive(drawn: list[Member], end: bytes) -> bytes:
    """Write an archive; "/" is a directory as v7 has it."""
    raw = [FIRST]
    for row, member in enumerate(drawn):
        name = b"d/%0*d" % (member.name_size - 2, row)
        if len(name) > 100:
            raw.append(pax((b"path", name)) if member.is_name_in_pax else gnu_long(name))
        type_flag, is_directory = member.type_flag, member.type_flag == b"/"
        if is_directory:
            name, type_flag = name + b"/", b"\0"
        raw.append(header(name[:100], type_flag, member.size, target=b"t", major=1, minor=3, magic=member.magic))
        if type_flag in b"\x0007" and not is_directory:
            raw.append(padded((b"%d" % row * member.size)[: member.size]))
    return b"".join(raw) + end


@given(st.lists(members(), min_size=1, max_size=8), st.sampled_from([END, bytes(512), b"", bytes(10240)]))
@settings(max_examples=60)
def test_any_types_and_sizes(drawn: list[Member], end: bytes) -> None:
    """Once bsdtar has seen a pax header, it expects data after each hard link with a size; so it is not asked."""
    check_same_tree(archive(drawn, end), judges=("GNU tar", "tarfile"))


def test_what_tar_stream_writes() -> None:
    """The library writes sizes of directories, hard links, devices and FIFOs, and no data."""
    tree = check_same_tree(TAR_STREAM.read_bytes())
    assert len(tree) == 19
    assert tree[b"bin/applet-7"].value == b"busybox"
    assert tree[b"bin/link"].first_name == b"bin/busybox"
    assert tree[b"dev/pipe"].kind == "p"
    assert tree[b"last"].kind == "f"
