"""Layers that are small, and ask for as much time or memory as they can.

Each function returns layers, base first, and takes a number by which to make less of it. A packer that takes the layers
at their word needs gigabytes or hours for the whole of each.
"""

from __future__ import annotations

import bz2
import gzip
import itertools
import lzma
from collections.abc import Callable, Iterable

import zstandard

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


# --- streams of streams ----------------------------------------------------------------------------------------------

_SKIPPABLE = b"\x50\x2a\x4d\x18\0\0\0\0"


def _many(compress: Callable[[bytes], bytes], streams: Iterable[bytes], share: int) -> list[bytes]:
    """Put as many streams as 4 MiB have room for after a layer, each kind in its turn."""
    once = b"".join(streams)
    return [compress(header(b"a") + END) + once * ((4 << 20) // share // len(once))]


@hostile
def _empty_gzip_members(share: int) -> list[bytes]:
    return _many(gzip.compress, [gzip.compress(b"", mtime=0)], share)


@hostile
def _empty_bzip2_streams(share: int) -> list[bytes]:
    return _many(bz2.compress, [bz2.compress(b"")], share)


@hostile
def _empty_xz_streams(share: int) -> list[bytes]:
    return _many(lzma.compress, [lzma.compress(b"")], share)


@hostile
def _xz_streams_of_large_dictionaries(share: int) -> list[bytes]:
    return _many(lzma.compress, [lzma.compress(b"\0", preset=9), lzma.compress(b""), bytes(4)], share)


@hostile
def _empty_zstd_frames(share: int) -> list[bytes]:
    return _many(zstandard.compress, [zstandard.compress(b"")], share)


@hostile
def _skippable_zstd_frames(share: int) -> list[bytes]:
    return _many(zstandard.compress, [_SKIPPABLE], share)


@hostile
def _zstd_frames_of_large_windows(share: int) -> list[bytes]:
    frames = []
    for window_log in (27, 10):
        parameters = zstandard.ZstdCompressionParameters(window_log=window_log)
        compressor = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
        frames += [compressor.compress(b"\0") + compressor.flush(), _SKIPPABLE]
    return _many(zstandard.compress, frames, share)


@hostile
def _streams_of_one_byte(share: int) -> list[bytes]:
    layers = []
    for compress in (gzip.compress, bz2.compress, lzma.compress, zstandard.compress):
        layers += _many(compress, [compress(b"\0"), compress(b""), compress(bytes(511))], 4 * share)
    return layers


def _zeros(size: int) -> bytes:
    compressor = zstandard.ZstdCompressor().compressobj()
    parts = [compressor.compress(header(b"zeros", size=size))]
    parts += [compressor.compress(bytes(1 << 20)) for _ in range(size >> 20)]
    return b"".join([*parts, compressor.compress(END), compressor.flush()])


@hostile
def _a_bomb_of_zeros(share: int) -> list[bytes]:
    """Up to `ratio_free_size`, any ratio is accepted."""
    return [_zeros((20 << 30) // share)]


@hostile
def _bombs_in_many_layers(share: int) -> list[bytes]:
    """Each of them is smaller than `ratio_free_size`."""
    return [_zeros(1 << 28)] * (400 // share)
