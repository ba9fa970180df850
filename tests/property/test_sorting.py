"""The order of contents in the image: as it was asked for, whatever the sources, and the tree is the same."""

from __future__ import annotations

import io
import itertools
import random
import tarfile
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

import pysquash
from pysquash import SquashfsImage, SquashfsWriter, WriterOptions
from pysquash.format.constants import NO_FRAGMENT

BLOCK_SIZE = 4096

names = st.sampled_from([b"a", b"b", b"c", b"d", b"a.b", b"a-b", b"\xff"])
paths = st.lists(names, min_size=1, max_size=3).map(b"/".join)
sizes = st.sampled_from([0, 20, 100, BLOCK_SIZE, BLOCK_SIZE + 20, 3 * BLOCK_SIZE, 3 * BLOCK_SIZE + 50])
orders = st.sampled_from([None, "path", "size"])
priorities = st.dictionaries(paths | st.just(b""), st.integers(-3, 3), max_size=4)


def content_of(row: int, size: int) -> bytes:
    """Give bytes that nothing else has in any block or tail."""
    return random.Random(row).randbytes(size)


@st.composite
def layers(draw: st.DrawFn) -> list[list[tuple[bytes, bytes, bytes | None]]]:
    """Draw files and hard links: path, content, and the path that a link leads to."""
    row = itertools.count()
    drawn = []
    for _ in range(draw(st.integers(1, 3))):
        taken: dict[bytes, bytes | None] = {}
        layer: list[tuple[bytes, bytes, bytes | None]] = []
        for path in draw(st.lists(paths, max_size=8, unique=True)):
            parts = path.split(b"/")
            above = {b"/".join(parts[:length]) for length in range(1, len(parts))}
            if above & taken.keys() or any(other.startswith(path + b"/") for other in taken):
                continue
            files = [other for other, link in taken.items() if link is None]
            link = draw(st.sampled_from(files)) if files and draw(st.integers(0, 3)) == 0 else None
            taken[path] = link
            layer.append((path, b"" if link else content_of(next(row), draw(sizes)), link))
        drawn.append(layer)
    return drawn


def archive(layer: list[tuple[bytes, bytes, bytes | None]]) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT, errors="surrogateescape") as tar:
        for path, content, link in layer:
            info = tarfile.TarInfo(path.decode("utf-8", "surrogateescape"))
            info.size = len(content)
            if link is not None:
                info.type, info.linkname = tarfile.LNKTYPE, link.decode("utf-8", "surrogateescape")
            tar.addfile(info, io.BytesIO(content))
    return file.getvalue()


def tree_of(image: SquashfsImage) -> dict[bytes, tuple[Any, ...]]:
    """Tell all that there is but where contents are."""
    links: dict[int, list[bytes]] = {}
    found = {}
    for path in image.root.walk():
        status = path.stat()
        links.setdefault(status.st_ino, []).append(path.path)
        content = path.read_bytes() if path.is_file() else b""
        found[path.path] = status.st_mode, status.st_nlink, content, links[status.st_ino]
    return found


def places(image: SquashfsImage) -> list[tuple[int, int, int, bytes]]:
    """Give where each content is, once for each, with its path: the first block, and the tail."""
    found = []
    for path in image.root.walk():
        inode = path.inode
        if path.is_file() and inode.size:
            found.append((inode.blocks_start, inode.fragment_index, inode.fragment_offset, path.path))
    return found


def assert_in_order(image: SquashfsImage, order: str | None, wanted: dict[bytes, int]) -> None:
    """See that contents are where their paths' keys say, blocks among blocks and tails among tails."""

    def key(path: bytes) -> tuple[Any, ...]:
        nearest = 0
        parts = path.split(b"/")
        for length in range(len(parts) + 1):
            nearest = wanted.get(b"/".join(parts[:length]), nearest)
        size = (image / path).inode.size if order == "size" else 0
        return -nearest, size, (parts if order else [])

    first: dict[tuple[int, int, int], tuple[Any, ...]] = {}
    for start, index, offset, path in places(image):
        place = start, index, offset
        first[place] = min(first.get(place, key(path)), key(path))
    with_blocks = sorted((place[0], each) for place, each in first.items() if place[0])
    with_tails = sorted((place[1:], each) for place, each in first.items() if place[1] != NO_FRAGMENT)
    for rows in (with_blocks, with_tails):
        keys = [each for _, each in rows]
        assert keys == sorted(keys)


@given(layers(), orders, priorities, st.booleans())
@settings(max_examples=150)
def test_contents_are_in_the_order_that_was_asked_for(
    drawn: list[list[tuple[bytes, bytes, bytes | None]]], order: Any, wanted: dict[bytes, int], with_callable: bool
) -> None:
    tars = [archive(layer) for layer in drawn]
    images = {}
    # Even one that says nothing is an order, for which what turns out to be needless is not stored.
    priorities = wanted.get if with_callable else wanted
    for name, options in {
        "plain": {},
        "sorted": {"sort_by": order, "sort_priorities": priorities, "verify": True},
        "three workers": {"sort_by": order, "sort_priorities": priorities, "workers": 3},
    }.items():
        output = io.BytesIO()
        chosen = WriterOptions(**{"block_size": BLOCK_SIZE, "workers": 1, **options})
        report = pysquash.tar2squashfs([(tar,) for tar in tars], output, options=chosen)
        images[name] = output.getvalue(), report
    assert images["sorted"][0] == images["three workers"][0]
    for field in ("entries", "hidden_files"):
        assert getattr(images["sorted"][1], field) == getattr(images["plain"][1], field)
    with SquashfsImage(io.BytesIO(images["plain"][0])) as plain, SquashfsImage(io.BytesIO(images["sorted"][0])) as ours:
        assert tree_of(ours) == tree_of(plain)
        if order is not None or wanted:
            assert_in_order(ours, order, wanted)
        elif not with_callable:
            assert images["sorted"][0] == images["plain"][0]


@given(layers(), orders, priorities)
@settings(max_examples=50)
def test_the_writer_orders_as_well(
    drawn: list[list[tuple[bytes, bytes, bytes | None]]], order: Any, wanted: dict[bytes, int]
) -> None:
    output = io.BytesIO()
    options = WriterOptions(block_size=BLOCK_SIZE, sort_by=order, sort_priorities=wanted, verify=True)
    with SquashfsWriter(output, options) as writer:
        for path, content, link in drawn[0]:
            if link is None:
                writer.add_file(path, content)
            else:
                writer.add_hard_link(path, link)
    with SquashfsImage(output) as image:
        for path, content, link in drawn[0]:
            if link is None:
                assert (image / path).read_bytes() == content
        if order is not None or wanted:
            assert_in_order(image, order, wanted)
