"""Tar: pax extended headers.

In: the data of an `x` or `g` header. Out: its records in order, and what they say of numbers, times and xattrs.
Source: POSIX.1-2001 pax, "pax Extended Header".
Rules kept here: a record is "length key=value" and a newline, to the letter; SCHILY.xattr wins over LIBARCHIVE.xattr,
whose names are percent-encoded and values base64.
Not here: GNU.sparse (sparse), which record overrides which header field (tar).
"""

from __future__ import annotations

import base64
import binascii
import re
from urllib.parse import unquote_to_bytes

from pysquash.sources.tar_header import MalformedError

__all__ = ["parse_records", "pax_number", "pax_seconds", "pax_xattrs"]

_LENGTH_DIGITS = 20
_DECIMAL = re.compile(rb"-?[0-9]{1,40}")
_TIME = re.compile(rb"(-?)([0-9]{1,40})(?:\.([0-9]*))?")


def parse_records(data: bytes) -> list[tuple[bytes, bytes]]:
    """Parse an extended header's records.

    Raises:
        MalformedError: A record's length is wrong, or it has no key.
    """
    records = []
    position = 0
    while position < len(data):
        blank = data.find(b" ", position, position + _LENGTH_DIGITS)
        digits = data[position:blank] if blank > 0 else b""
        if not digits.isdigit():
            if not data[position:].strip(b"\0"):  # some writers round the header's size up
                break
            raise MalformedError(f"pax record at byte {position} does not start with its length")
        end = position + int(digits)
        equals = data.find(b"=", blank + 1, end)
        if end > len(data) or end <= blank + 1 or data[end - 1] != 0x0A or equals <= blank + 1:
            raise MalformedError(f"pax record at byte {position} is not 'length key=value'")
        records.append((data[blank + 1 : equals], data[equals + 1 : end - 1]))
        position = end
    return records


def pax_number(key: bytes, value: bytes) -> int:
    """Read a whole number such as a size or an owner.

    Raises:
        MalformedError: It is none.
    """
    if not _DECIMAL.fullmatch(value):
        raise MalformedError(f"pax {key.decode('ascii', 'replace')} is {value[:40]!r}, not a number")
    return int(value)


def pax_seconds(value: bytes) -> int:
    """Read a time and round it down to seconds.

    Raises:
        MalformedError: It is no decimal number.
    """
    match = _TIME.fullmatch(value)
    if match is None:
        raise MalformedError(f"pax mtime is {value[:40]!r}, not a number of seconds")
    seconds = int(match[2])
    if match[1]:
        return -seconds - 1 if (match[3] or b"").strip(b"0") else -seconds
    return seconds


def pax_xattrs(records: dict[bytes, bytes]) -> list[tuple[bytes, bytes]]:
    """Collect extended attributes, full names and values, in the records' order.

    Raises:
        MalformedError: A LIBARCHIVE value is not base64.
    """
    xattrs = {}
    for key, value in records.items():
        if key.startswith(b"LIBARCHIVE.xattr."):
            name = unquote_to_bytes(key[17:])
            try:
                xattrs[name] = base64.b64decode(value + b"=" * (-len(value) % 4), validate=True)
            except binascii.Error as error:
                raise MalformedError(f"pax {key.decode('ascii', 'replace')}: {error}") from None
    for key, value in records.items():
        if key.startswith(b"SCHILY.xattr."):
            xattrs[key[13:]] = value
    return list(xattrs.items())
