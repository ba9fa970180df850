"""Tars to begin with, and changes that leave most of them readable: header fields, pax records, whole blocks."""

from __future__ import annotations

import base64
import io
import random
import tarfile
from collections.abc import Callable, Iterator

from tests.tarbuild import BLOCK, END, gnu_long, header, padded, pax

__all__ = ["generated", "mended", "mutated", "seeds"]

_MAGICS = (b"ustar\x0000", b"ustar\x0000", b"ustar  ", b"")
_FIELDS = {
    "name": (0, 100),
    "mode": (100, 8),
    "uid": (108, 8),
    "gid": (116, 8),
    "size": (124, 12),
    "mtime": (136, 12),
    "checksum": (148, 8),
    "type": (156, 1),
    "target": (157, 100),
    "magic": (257, 8),
    "names": (265, 64),
    "major": (329, 8),
    "minor": (337, 8),
    "prefix": (345, 155),
}
_NUMBERS = (
    b"0",
    b"1",
    b"7",
    b"10",
    b"777",
    b"1000",
    b"2000",
    b"77777777777",
    b"",
    b" ",
    b"8",
    b"x",
    b"-1",
    b"0x1",
    b"1 2",
)
_NAMES = (
    b"a",
    b"d/b",
    b"./a",
    b"/abs",
    b"a/",
    b"d/",
    b"a//b",
    b"d/./c",
    b"..",
    b"a/../b",
    b"",
    b".",
    b"n" * 100,
    b"\xff",
    b"a\0b",
)
_KEYS = (
    b"path", b"linkpath", b"size", b"mtime", b"atime", b"uid", b"gid", b"uname", b"comment", b"hdrcharset",
    b"GNU.sparse.major", b"GNU.sparse.minor", b"GNU.sparse.realsize", b"GNU.sparse.size", b"GNU.sparse.map",
    b"GNU.sparse.name", b"GNU.sparse.offset", b"GNU.sparse.numbytes", b"GNU.sparse.numblocks",
    b"SCHILY.xattr.user.a", b"LIBARCHIVE.xattr.user.b", b"SCHILY.acl.access", b"SCHILY.dev",
    b"RHT.security.selinux", b"VENDOR.key",
)  # fmt: skip
_VALUES = (
    b"",
    b"0",
    b"1",
    b"3",
    b"512",
    b"1.5",
    b"-1",
    b"a",
    b"d/b",
    b"d/",
    b"x y",
    b"BINARY",
    b"0,3",
    b"a\0b",
    b"99999999999",
)

_RIGHT_VALUES = {
    b"size": b"3",
    b"mtime": b"12.5",
    b"atime": b"1.5",
    b"uid": b"5",
    b"gid": b"5",
    b"hdrcharset": b"BINARY",
}


def _name(rng: random.Random) -> bytes:
    return rng.choice((b"a", b"b", b"c", b"d/a", b"d/b", b"d/e/f", b"./g", b"h" * 90 + b"/i"))


def _content(rng: random.Random) -> bytes:
    return bytes([rng.randrange(97, 123)]) * rng.choice((0, 0, 1, 3, 511, 512, 513, 1500))


def _file(rng: random.Random) -> bytes:
    content = _content(rng)
    return header(_name(rng), rng.choice((b"0", b"0", b"\0", b"7")), len(content), magic=rng.choice(_MAGICS)) + padded(
        content
    )


def _directory(rng: random.Random) -> bytes:
    magic = rng.choice(_MAGICS)
    if rng.randrange(3):
        return header(rng.choice((b"d/", b"d", b"d/e/", b"./", b"new/")), b"5", rng.choice((0, 0, 4096)), magic=magic)
    return header(rng.choice((b"d/", b"d/e/", b"v7/")), b"\0", rng.choice((0, 512)), magic=magic)


def _special(rng: random.Random) -> bytes:
    return header(_name(rng), rng.choice((b"3", b"4", b"6")), rng.choice((0, 0, 512)), major=1, minor=rng.randrange(4))


def _link(rng: random.Random) -> bytes:
    return header(
        _name(rng),
        rng.choice((b"1", b"2", b"2")),
        rng.choice((0, 0, 0, 512)),
        target=_name(rng),
        magic=rng.choice(_MAGICS),
    )


def _extended(rng: random.Random) -> bytes:
    choice = rng.randrange(6)
    if choice == 0:
        return gnu_long(rng.choice((_name(rng), b"l" * 150, b"d/" + b"l" * 120)))
    if choice == 1:
        return gnu_long(rng.choice((_name(rng), b"t" * 150)), b"K")
    records = []
    for _ in range(rng.choice((1, 1, 2, 3))):
        key = rng.choice(_KEYS[:10] + _KEYS[19:])
        values = {b"path": _name(rng), b"linkpath": _name(rng), b"LIBARCHIVE.xattr.user.b": base64.b64encode(b"v")}
        records.append((key, values.get(key) or _RIGHT_VALUES.get(key, b"value")))
    return pax(*records, type_flag=b"g" if choice == 2 else b"x")


def _sparse(rng: random.Random) -> bytes:
    form, size = rng.randrange(4), 5000
    name = _name(rng)
    content = b"s" * 512 + b"t" * 100
    if form == 0:
        rows = b"".join(b"%011o\0%011o\0" % row for row in ((0, 512), (1024, 100), (size, 0)))
        tail = bytes(41) + rows.ljust(96, b"\0") + b"\0" + b"%011o\0" % size
        return header(name, b"S", 612, magic=b"ustar  ", tail=tail) + padded(content)
    if form == 1:
        numbers = ((b"GNU.sparse.offset", b"0"), (b"GNU.sparse.numbytes", b"512"))
        more = ((b"GNU.sparse.offset", b"1024"), (b"GNU.sparse.numbytes", b"100"))
        records = ((b"GNU.sparse.size", b"5000"), (b"GNU.sparse.numblocks", b"3"))
        last = ((b"GNU.sparse.offset", b"5000"), (b"GNU.sparse.numbytes", b"0"))
        return pax(*records, *numbers, *more, *last) + header(name, size=612) + padded(content)
    if form == 2:
        records = ((b"GNU.sparse.size", b"5000"), (b"GNU.sparse.map", b"0,512,1024,100,5000,0"))
        return pax(*records, (b"GNU.sparse.name", name)) + header(b"GNUSparseFile.1/s", size=612) + padded(content)
    text = padded(b"3\n0\n512\n1024\n100\n5000\n0\n")
    records = ((b"GNU.sparse.major", b"1"), (b"GNU.sparse.minor", b"0"))
    head = pax(*records, (b"GNU.sparse.name", name), (b"GNU.sparse.realsize", b"5000"))
    return head + header(b"GNUSparseFile.1/s", size=len(text) + 612) + text + padded(content)


_MEMBERS: tuple[Callable[[random.Random], bytes], ...] = (
    _file, _file, _file, _directory, _directory, _link, _link, _special, _extended, _extended, _sparse,
)  # fmt: skip


def generated(rng: random.Random) -> bytes:
    """Write a few entries of all kinds and dialects."""
    members = b"".join(rng.choice(_MEMBERS)(rng) for _ in range(rng.randrange(1, 7)))
    return members + _file(rng) + rng.choice((END, END, END, bytes(BLOCK), b"", END + _file(rng) + END, bytes(10240)))


def _by_tarfile(dialect: int) -> bytes:
    raw, name = io.BytesIO(), "d/" + "n" * (80 if dialect == tarfile.USTAR_FORMAT else 98) + "/f"
    with tarfile.open(fileobj=raw, mode="w", format=dialect) as archive:
        for path, kind, target in (
            ("d", tarfile.DIRTYPE, ""),
            (name, tarfile.REGTYPE, ""),
            ("s", tarfile.SYMTYPE, "d/" + "t" * 90),
            ("h", tarfile.LNKTYPE, name),
            ("p", tarfile.FIFOTYPE, ""),
        ):
            info = tarfile.TarInfo(path)
            info.type, info.linkname = kind, target
            info.size = 5 if kind == tarfile.REGTYPE else 0
            archive.addfile(info, io.BytesIO(b"hello"))
    return raw.getvalue()[:10240]


def seeds() -> Iterator[bytes]:
    """Give archives of each dialect and with each extension, at least one each."""
    for dialect in (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        yield _by_tarfile(dialect)
    rng = random.Random(1)
    for member in dict.fromkeys(_MEMBERS):
        for _ in range(6):
            yield header(b"a", size=3) + padded(b"abc") + member(rng) + _file(rng) + END


def mended(raw: bytes) -> bytes:
    """Give every block that looks like a header the checksum of its bytes."""
    out = bytearray(raw)
    for at in range(0, len(out) - BLOCK + 1, BLOCK):
        if out[at + 257 : at + 262] == b"ustar" or (out[at] and out[at + 100 : at + 104].isdigit()):
            total = sum(out[at : at + 148]) + 256 + sum(out[at + 156 : at + BLOCK])
            out[at + 148 : at + 156] = b"%06o\0 " % total
    return bytes(out)


def mutated(raw: bytes, rng: random.Random) -> bytes:
    """Change an archive in one to three places; checksums are right again most of the time."""
    out = bytearray(raw)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        _mutate(out, rng)
    return mended(bytes(out)) if rng.randrange(8) else bytes(out)


def _mutate(out: bytearray, rng: random.Random) -> None:
    blocks = max(1, len(out) // BLOCK)
    at = rng.randrange(blocks) * BLOCK
    headers = [start for start in range(0, len(out), BLOCK) if out[start + 257 : start + 262] == b"ustar"]
    if headers and rng.randrange(4):
        at = rng.choice(headers)
    choice = rng.randrange(13)
    if choice < 6:
        _change_field(out, at, rng)
    elif choice == 6 and out:
        out[rng.randrange(len(out))] = rng.randrange(256)
    elif choice == 7:
        del out[at : at + BLOCK]
    elif choice == 8:
        out[at:at] = out[at : at + BLOCK]
    elif choice == 9:
        out[at:at] = rng.choice((_file, _extended, _link, _directory))(rng)
    elif choice == 10:
        out[at:at] = pax(*((rng.choice(_KEYS), rng.choice(_VALUES)) for _ in range(rng.choice((1, 2)))))
    elif choice == 11:
        del out[rng.randrange(len(out) + 1) :]
    else:
        out[at:at] = rng.choice((bytes(BLOCK), rng.randbytes(BLOCK), bytes(rng.randrange(BLOCK))))


def _change_field(out: bytearray, at: int, rng: random.Random) -> None:
    name = rng.choice(tuple(_FIELDS))
    start, size = _FIELDS[name]
    if name == "type":
        value = rng.choice(b"\x000123456777SDVMNxgXLK").to_bytes(1, "big")
    elif name in ("name", "target", "prefix"):
        value = rng.choice(_NAMES)[:size]
    elif name == "magic":
        value = rng.choice((b"ustar\x0000", b"ustar  \0", b"", b"ustar\0", b"ustar00\0", b"USTAR\x0000"))
    elif rng.randrange(4):
        value = rng.choice(_NUMBERS)
        value = rng.choice((value, value.rjust(size - 1, b"0"), value.rjust(size, b" "), b"\0" + value, value + b" \0"))
    else:
        value = rng.choice((0x80, 0xFF, 0x81)).to_bytes(1, "big") + rng.randrange(1 << 16).to_bytes(size - 1, "big")
    out[at + start : at + start + size] = value[:size].ljust(size, b"\0")
