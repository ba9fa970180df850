"""Tars that are small, and ask for as much time or memory as they can by what their headers say.

They join those of hostile_layers, which has the way to measure them.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable

from tests.fuzz.hostile_layers import entry, hostile
from tests.tarbuild import END, header, padded, pax

__all__: list[str] = []


def layer(parts: Iterable[bytes]) -> bytes:
    """Compress a tar part by part: memory of this process would be taken for that of the one that it measures."""
    compressor = zlib.compressobj(wbits=31)
    return b"".join([*map(compressor.compress, parts), compressor.compress(END), compressor.flush()])


def _xattrs(count: int, size: int, suffix: bytes = b"") -> list[tuple[bytes, bytes]]:
    return [(b"SCHILY.xattr.user.%05d" % number + suffix, b"v" * size) for number in range(count)]


@hostile
def _global_xattrs(share: int) -> list[bytes]:
    """Each entry has all of them, if nobody counts."""
    return [layer([pax(*_xattrs(20000, 1), type_flag=b"g"), *[entry(b"%d" % row) for row in range(4000 // share)]])]


@hostile
def _global_xattrs_and_one_of_their_own(share: int) -> list[bytes]:
    names = pax(*_xattrs(5000, 1), type_flag=b"g")
    own = [pax((b"SCHILY.xattr.user.own", b"%d" % row)) + entry(b"%d" % row) for row in range(80000 // share)]
    return [layer([names, *own])]


@hostile
def _global_keywords(share: int) -> list[bytes]:
    """Keywords that nobody knows, in many global headers, before many entries."""
    parts = []
    for number in range(40 // share):
        parts.append(pax(*[(b"c.%d.%d" % (number, row), b"x") for row in range(20000)], type_flag=b"g"))
        parts += [entry(b"%d/%d" % (number, row)) for row in range(100)]
    return [layer(parts)]


@hostile
def _many_small_global_headers(share: int) -> list[bytes]:
    """Each replaces what the one before it says of the attributes, which are decoded again."""
    big = pax(*_xattrs(5000, 1), type_flag=b"g")
    small = pax((b"SCHILY.xattr.user.x", b"y"), type_flag=b"g")
    return [layer([big, *[small + entry(b"%d" % row) for row in range(40000 // share)]])]


@hostile
def _xattrs_of_entries(share: int) -> list[bytes]:
    return [layer(pax(*_xattrs(17, 60000, b".%d" % row)) + entry(b"%d" % row) for row in range(1600 // share))]


@hostile
def _records_without_meaning(share: int) -> list[bytes]:
    """16 MiB of records of five bytes, in many headers."""
    data = padded(b"5 a=\n" * ((16 << 20) // 5 - 200))
    size = (16 << 20) // 5 * 5 - 1000
    return [layer(header(b"x", b"x", size) + data + entry(b"%d" % row) for row in range(8 // share))]


def _sparse(name: bytes, size: int, text: bytes, content: bytes = b"") -> bytes:
    records = pax((b"GNU.sparse.size", b"%d" % size), (b"GNU.sparse.map", text))
    return records + header(name, size=len(content)) + padded(content)


@hostile
def _holes(share: int) -> list[bytes]:
    return [layer([_sparse(b"%d" % row, 1 << 40, b"") for row in range(400 // share)])]


@hostile
def _one_hole_of_all_blocks(share: int) -> list[bytes]:
    return [layer([_sparse(b"f", (2 << 40) // share, b"")])]


@hostile
def _segments(share: int) -> list[bytes]:
    """A byte, a hole, a byte: in an upper layer, whose entries wait."""
    count = 400_000 // share
    text = b",".join(b"%d,1" % (row * 2) for row in range(count))
    return [END, layer(_sparse(b"%d" % row, count * 2, text, bytes(count)) for row in range(8))]


@hostile
def _empty_segments(share: int) -> list[bytes]:
    """A map of nothing but segments without bytes."""
    text = b"1,0," * 899_999 + b"1,0"
    return [layer(_sparse(b"%d" % row, 9, text) for row in range(16 // share))]
