"""Layers that are small, and ask for as much time or memory as they can.

Each function returns layers, base first, and takes a number by which to make less of it. A packer that takes the layers
at their word needs gigabytes or hours for the whole of each.
"""

from __future__ import annotations

import gzip
import itertools
from collections.abc import Callable, Iterable

from tests.tarbuild import END, header, pax

__all__ = ["HOSTILE_LAYERS"]

HOSTILE_LAYERS: dict[str, Callable[[int], list[bytes]]] = {}


def hostile(make: Callable[[int], list[bytes]]) -> Callable[[int], list[bytes]]:
    HOSTILE_LAYERS[make.__name__.strip("_").replace("_", "-")] = make
    return make


def entry(path: bytes, kind: bytes = b"0", target: bytes = b"") -> bytes:
    """Return an entry without content, with pax records where its name or target is long."""
    records = [(key, value) for key, value in ((b"path", path), (b"linkpath", target)) if len(value) > 100]
    return (pax(*records) if records else b"") + header(path[:100], kind, target=target[:100])


def layer(entries: Iterable[bytes]) -> bytes:
    return gzip.compress(b"".join([*entries, END]), mtime=0)


# --- directories that no entry describes -----------------------------------------------------------------------------


def _implicit(count: int) -> bytes:
    return layer(entry(b"%07d/" % number + b"abc/" * 1000 + b"f") for number in range(count))


@hostile
def _implicit_directories(share: int) -> list[bytes]:
    return [_implicit(5000 // share)]


@hostile
def _implicit_directories_of_an_upper_layer(share: int) -> list[bytes]:
    return [layer([entry(b"a")]), _implicit(5000 // share)]


@hostile
def _implicit_directories_of_whiteouts(share: int) -> list[bytes]:
    names = (entry(b"%07d/" % number + b"abc/" * 1000 + b".wh.f") for number in range(5000 // share))
    return [layer([entry(b"a")]), layer(names)]


# --- symlinks --------------------------------------------------------------------------------------------------------


def _maze(links: int, detours: int) -> list[bytes]:
    """Return a directory in which each symlink leads through the next one, after many steps to and fro."""
    target = b"x/../" * detours
    symlinks = [
        entry(b"d/s%d" % number, b"2", target + (b"s%d" % (number + 1) if number < links - 1 else b"."))
        for number in range(links)
    ]
    return [entry(b"d", b"5"), entry(b"d/t"), entry(b"d/x", b"5"), *symlinks]


@hostile
def _long_symlink_maze(share: int) -> list[bytes]:
    links = (entry(b"l%d" % number, b"1", b"d/s0/t") for number in range(8000 // share))
    return [layer([*_maze(250, 750), *links])]


@hostile
def _remembered_symlink_maze(share: int) -> list[bytes]:
    links = (entry(b"l%d" % number, b"1", b"d/s0/t") for number in range(200_000 // share))
    return [layer([*_maze(20, 90), *links])]


@hostile
def _many_ways_through_a_maze(share: int) -> list[bytes]:
    names = [b"s%d" % number for number in range(20)]
    ways = itertools.islice(itertools.product(names, repeat=3), 8000 // share)
    links = (entry(b"l%d" % row, b"1", b"d/" + b"/".join(way) + b"/t") for row, way in enumerate(ways))
    return [layer([*_maze(20, 30), *links])]


@hostile
def _entries_below_a_maze(share: int) -> list[bytes]:
    files = (entry(b"d/s0/f%d" % number) for number in range(200_000 // share))
    return [layer([*_maze(20, 90), *files])]
