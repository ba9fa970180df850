"""diff: each thing that can differ is named, and nothing else is."""

from __future__ import annotations

import io
import random
import tarfile
from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pysquash import Limits, SquashfsWriter, WriterOptions, diff, tar2squashfs


def image(change: Callable[[SquashfsWriter], None] | None = None, **options: object) -> io.BytesIO:
    file = io.BytesIO()
    with SquashfsWriter(file, WriterOptions(workers=1, **options)) as writer:  # type: ignore[arg-type]
        if change is not None:
            change(writer)
        for name, content in (("a", b"a" * 10_000), ("b", b"b")):
            if change is None or f"without {name}" not in (change.__doc__ or ""):
                writer.add_file(name, content, mtime=5)
        if change is None or "without link" not in (change.__doc__ or ""):
            writer.add_hard_link("link", "b")
        writer.add_symlink("s", "target")
        writer.add_device("n", "character", 1, 3)
    return file


def test_the_same_tree_by_other_means_is_the_same() -> None:
    assert diff(image(), image(compressor="gzip", block_size=4096, fragments=False, exports=True)) == []


def changed_mode(writer: SquashfsWriter) -> None:
    """without a."""
    writer.add_file("a", b"a" * 10_000, mtime=5, mode=0o600, uid=1, gid=2)


def changed_time(writer: SquashfsWriter) -> None:
    """without a."""
    writer.add_file("a", b"a" * 10_000, mtime=6, xattrs={"user.x": b"y"})


def changed_content(writer: SquashfsWriter) -> None:
    """without a."""
    writer.add_file("a", b"a" * 9_999 + b"b", mtime=5)


def changed_size(writer: SquashfsWriter) -> None:
    """without a."""
    writer.add_file("a", b"a", mtime=5)


def changed_kind(writer: SquashfsWriter) -> None:
    """without a."""
    writer.add_fifo("a", mtime=5, mode=0o644)


def broken_link(writer: SquashfsWriter) -> None:
    """without link."""
    writer.add_file("link", b"b", mtime=5)


def more(writer: SquashfsWriter) -> None:
    """Keep all."""
    writer.add_file("more", b"")


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (changed_mode, [(b"a", "mode"), (b"a", "uid"), (b"a", "gid")]),
        (changed_time, [(b"a", "mtime"), (b"a", "xattrs")]),
        (changed_content, [(b"a", "content")]),
        (changed_size, [(b"a", "size")]),
        (changed_kind, [(b"a", "kind"), (b"a", "size")]),
        (broken_link, [(b"b", "links"), (b"link", "links")]),
        (more, [(b"more", "only in the second")]),
    ],
)
def test_what_differs_is_named(change: Callable[[SquashfsWriter], None], found: list[tuple[bytes, str]]) -> None:
    differences = diff(image(), image(change))
    assert [(difference.path, difference.what) for difference in differences] == found
    assert all(str(difference) for difference in differences)
    back = diff(image(change), image())
    assert [difference.path for difference in back] == [path for path, _ in found]


@given(
    parts=st.lists(st.tuples(st.booleans(), st.integers(1, 9000)), min_size=1, max_size=8),
    block_sizes=st.tuples(st.sampled_from([4096, 8192, 65536]), st.sampled_from([4096, 8192, 65536])),
    change=st.none() | st.integers(0, 80_000),
)
@example(parts=[(False, 9000)], block_sizes=(4096, 8192), change=8999)  # of a hole, the last byte
def test_content_is_compared_whatever_the_blocks_and_holes(
    parts: list[tuple[bool, int]], block_sizes: tuple[int, int], change: int | None
) -> None:
    content = bytearray()
    for is_data, size in parts:
        content += random.Random(size).randbytes(size) if is_data else bytes(size)
    other = bytearray(content)
    if change is not None:
        other[change % len(other)] ^= 1
    images = []
    for block_size, raw in zip(block_sizes, (content, other), strict=True):
        images.append(io.BytesIO())
        with SquashfsWriter(images[-1], WriterOptions(workers=1, block_size=block_size)) as writer:
            writer.add_file("f", bytes(raw))
    assert [difference.what for difference in diff(*images)] == ([] if change is None else ["content"])


def test_holes_of_terabytes_are_compared_at_once() -> None:
    images = [huge(b"end"), huge(b"end"), huge(b"End")]
    assert diff(images[0], images[1]) == []
    assert [difference.what for difference in diff(images[0], images[2])] == ["content"]


def huge(end: bytes) -> io.BytesIO:
    """Make an image with a file that begins with a hole of 64 GiB."""
    file = io.BytesIO()
    segments = ((64 << 30, len(end)),)
    fields = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "f"}
    stored = f"1\n{segments[0][0]}\n{len(end)}\n".encode().ljust(512, b"\0") + end
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w", format=tarfile.PAX_FORMAT) as archive:
        info = tarfile.TarInfo("f")
        info.size = len(stored)
        info.pax_headers = {**fields, "GNU.sparse.realsize": str(segments[0][0] + len(end))}
        archive.addfile(info, io.BytesIO(stored))
    tar.seek(0)
    tar2squashfs([tar], file, options=WriterOptions(block_size=1 << 20, limits=Limits(layer_size=1 << 40)))
    return file
