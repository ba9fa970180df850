"""Tar: the 512-byte header, its checksum and its numbers.

In: the stream's bytes. Out: the header's raw fields, and numbers out of octal or base-256 fields.
Source: POSIX.1-1988 "ustar Interchange Format", GNU tar's manual "Basic Tar Format".
Rules kept here: a number field is octal digits with blanks around them, up to the first NUL, or base-256; anything else
is malformed.
Not here: what the fields mean together (tar), extended headers (pax), sparse maps (sparse).
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Mapping
from zlib import adler32

__all__ = [
    "BLOCK_SIZE",
    "CHECKSUM_FIELD",
    "GNU_MAGIC",
    "HEADER",
    "USTAR_MAGIC",
    "ZERO_BLOCK",
    "ZERO_NUMBER",
    "MalformedError",
    "Numbers",
    "OwnerOf",
    "checksum",
    "is_checksum_right",
    "names_of_owners",
]

BLOCK_SIZE = 512
ZERO_BLOCK = bytes(BLOCK_SIZE)
ZERO_NUMBER = bytes(12)
"""A size field of zeros only."""

USTAR_MAGIC = b"ustar\0"
GNU_MAGIC = b"ustar "

HEADER = struct.Struct("100s8s8s8s12s12s8sc100s6s66x8s8s155s12x")
"""name, mode, uid, gid, size, mtime, checksum, type, link name, magic, device major, device minor, prefix."""

_USER_NAME_START, _GROUP_NAME_START, _GROUP_NAME_END = 265, 297, 329
_CHECKSUM_START = 148
_CHECKSUM_SIZE = 8

CHECKSUM_FIELD = slice(_CHECKSUM_START, _CHECKSUM_START + _CHECKSUM_SIZE)
"""The checksum field in a header."""

OwnerOf = Callable[[bytes, bytes, int, int], tuple[int, int]]
"""Gives uid and gid for an entry's user name, group name, uid and gid."""

_OCTAL = re.compile(rb" *([0-7]*) *(?:\0.*)?", re.DOTALL)

_MEMO_SIZE = 1 << 16


class MalformedError(Exception):
    """A part of a tar cannot be what it should be. The reader adds where, and raises SourceError."""


class Numbers(dict[bytes, int]):
    """Number fields and their values: `numbers[field]`, decoded when first seen.

    Fields repeat from entry to entry, owners and modes above all, and a look-up is ten times faster than decoding.
    """

    def __missing__(self, field: bytes) -> int:
        """Decode a field.

        Raises:
            MalformedError: It is neither octal nor base-256.
        """
        if len(self) >= _MEMO_SIZE:
            self.clear()
        value = self[field] = _number(field)
        return value


def _number(field: bytes) -> int:
    if field[0] & 0x80:
        # GNU base-256: two's complement in all bits but the first, which is the marker.
        bits = len(field) * 8 - 1
        value = int.from_bytes(field, "big") & (1 << bits) - 1
        return value - (1 << bits) if value >> bits - 1 else value
    match = _OCTAL.fullmatch(field)
    if match is None:
        raise MalformedError(f"{field!r} is not a number")
    return int(match[1] or b"0", 8)


def checksum(data: bytes, position: int) -> int:
    """Sum the header's bytes, those of the checksum field included.

    The low half of Adler-32 is one more than the sum of the bytes, modulo 65521. Half a header sums to less than
    that, so two of them give the exact sum, eight times faster than `sum`.
    """
    middle = position + BLOCK_SIZE // 2
    first = adler32(data[position:middle]) & 0xFFFF
    return first + (adler32(data[middle : position + BLOCK_SIZE]) & 0xFFFF) - 2


def is_checksum_right(header: bytes, field: bytes, numbers: Numbers) -> bool:
    """Tell whether a header has the sum that its checksum field says.

    "the simple sum of all bytes in the header block ... with the checksum field as if it were blanks". Old tars summed
    signed bytes; their headers are accepted as well.

    Args:
        header: 512 bytes.
        field: Its checksum field.
        numbers: Decodes the field.
    """
    try:
        wanted = numbers[field]
    except MalformedError:
        return False
    blanked = checksum(header, 0) - sum(field) + _CHECKSUM_SIZE * ord(" ")
    if blanked == wanted:
        return True
    rest = header[:_CHECKSUM_START] + header[_CHECKSUM_START + _CHECKSUM_SIZE :]
    return blanked - 256 * sum(byte > 0x7F for byte in rest) == wanted


def names_of_owners(data: bytes, position: int, records: Mapping[bytes, bytes]) -> tuple[bytes, bytes]:
    """Return the user name and the group name of an entry: from its pax records, or else from its header.

    The magic is not checked: v7 headers have zeros in these fields, and mksquashfs reads them from every header.

    Args:
        data: Buffered bytes of the archive.
        position: Where the header starts in them.
        records: The entry's pax records.
    """
    user = data[position + _USER_NAME_START : position + _GROUP_NAME_START]
    group = data[position + _GROUP_NAME_START : position + _GROUP_NAME_END]
    user, group = user.partition(b"\0")[0], group.partition(b"\0")[0]
    return records.get(b"uname", user), records.get(b"gname", group)
