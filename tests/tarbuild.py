"""Raw tar headers of every dialect, also of those that nobody should write. For tests only."""

from __future__ import annotations

__all__ = ["BLOCK", "END", "gnu_long", "header", "padded", "pax", "pax_records", "with_checksum"]

BLOCK = 512
END = bytes(2 * BLOCK)


def header(
    name: bytes,
    type_flag: bytes = b"0",
    size: int | bytes = 0,
    *,
    mode: int | bytes = 0o644,
    uid: int | bytes = 0,
    gid: int | bytes = 0,
    mtime: int | bytes = 0,
    target: bytes = b"",
    magic: bytes = b"ustar\x0000",
    major: int | bytes = 0,
    minor: int | bytes = 0,
    prefix: bytes = b"",
    tail: bytes = b"",
    checksum: bytes | None = None,
) -> bytes:
    """Make one header; a number given as bytes stands in its field as it is."""

    def number(value: int | bytes, width: int) -> bytes:
        text = b"%0*o\0" % (width - 1, value) if isinstance(value, int) else value
        return text.ljust(width, b"\0")

    raw = b"".join(
        [
            name.ljust(100, b"\0"),
            number(mode, 8),
            number(uid, 8),
            number(gid, 8),
            number(size, 12),
            number(mtime, 12),
            b" " * 8,
            type_flag,
            target.ljust(100, b"\0"),
            magic.ljust(8, b"\0"),
            bytes(64),
            number(major, 8),
            number(minor, 8),
            tail.ljust(167, b"\0") if tail else prefix.ljust(155, b"\0") + bytes(12),
        ]
    )
    assert len(raw) == BLOCK
    return with_checksum(raw) if checksum is None else raw[:148] + checksum.ljust(8, b"\0") + raw[156:]


def with_checksum(header: bytes) -> bytes:
    """Return a header with the right checksum."""
    blanked = header[:148] + b" " * 8 + header[156:]
    return blanked[:148] + b"%06o\0 " % sum(blanked) + blanked[156:]


def padded(data: bytes) -> bytes:
    """Fill data up to whole blocks."""
    return data + bytes(-len(data) % BLOCK)


def pax_records(*pairs: tuple[bytes, bytes]) -> bytes:
    """Make extended header records."""
    out = b""
    for key, value in pairs:
        rest = b" " + key + b"=" + value + b"\n"
        length = len(rest) + 1
        while len(b"%d" % length) + len(rest) != length:
            length += 1
        out += b"%d" % length + rest
    return out


def pax(*pairs: tuple[bytes, bytes], type_flag: bytes = b"x") -> bytes:
    """Make a whole extended header."""
    data = pax_records(*pairs)
    return header(b"PaxHeaders/x", type_flag, len(data)) + padded(data)


def gnu_long(value: bytes, type_flag: bytes = b"L") -> bytes:
    """Make GNU's long name (L) or long link (K) entry."""
    data = value + b"\0"
    return header(b"././@LongLink", type_flag, len(data), magic=b"ustar  ") + padded(data)
