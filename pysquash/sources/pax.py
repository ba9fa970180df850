"""Tar: pax extended headers, and which of their keywords count.

In: the data of `x` and `g` headers. Out: fields that replace those of the header, and records of extended attributes.
Source: POSIX.1-2001 pax, "pax Extended Header"; GNU tar's manual, star(5), libarchive's tar(5).
Rules kept here: a record is "length key=value" and a newline, to the letter; keywords that are neither known nor
harmless are reported, each once; global records are of bounded size, and what they mean is computed once.
Not here: the maps of sparse files (sparse), which names and values of attributes can be kept (pax_xattrs).
"""

from __future__ import annotations

import re
from collections.abc import Callable

from pysquash.sources.tar_header import MalformedError

__all__ = ["ACL_PREFIX", "SELINUX_KEY", "XATTR_PREFIXES", "Keywords", "PaxRecords", "pax_number", "pax_seconds"]

_LENGTH_DIGITS = 20
_DECIMAL = re.compile(rb"-?[0-9]{1,40}")
_TIME = re.compile(rb"(-?)([0-9]{1,40})(?:\.([0-9]*))?")

XATTR_PREFIXES = (b"SCHILY.xattr.", b"LIBARCHIVE.xattr.")
SELINUX_KEY = b"RHT.security.selinux"
ACL_PREFIX = b"SCHILY.acl."

_PAIR_KEYS = (b"GNU.sparse.offset", b"GNU.sparse.numbytes")
_MAP_KEY = b"GNU.sparse.map"

_FIELDS = frozenset(
    [b"path", b"linkpath", b"size", b"uid", b"gid", b"uname", b"gname", b"mtime", _MAP_KEY]
    + [b"GNU.sparse." + key for key in (b"major", b"minor", b"name", b"realsize", b"size", b"numblocks")]
)

_HARMLESS = frozenset(
    [
        b"atime",
        b"ctime",
        b"comment",
        b"charset",  # of a file's content, which is kept byte for byte
        b"SCHILY.dev",
        b"SCHILY.ino",
        b"SCHILY.nlink",
        b"SCHILY.filetype",
        b"SCHILY.tarfiletype",
        b"SCHILY.archtype",
        b"SCHILY.release",
        b"SCHILY.acl.type",
        b"LIBARCHIVE.creationtime",
        b"LIBARCHIVE.symlinktype",
        b"GNU.dumpdir",
        b"GNU.volume.label",
    ]
)
"""Keywords whose value SquashFS has no place for and whose loss changes no tree."""

_HARMLESS_RECORDS = frozenset([(b"hdrcharset", b"BINARY"), (b"hdrcharset", b"ISO-IR 10646 2000 UTF-8")])
"""Names are kept byte for byte, so these two say nothing new; another encoding is reported."""

_SKIP, _FIELD, _ATTRIBUTE, _PAIR, _CHARSET = range(5)
_MEMO_SIZE = 1 << 12


class Keywords(dict[bytes, int]):
    """Keywords and what becomes of them, decided when first seen."""

    def __init__(self, report: Callable[[bytes], None]) -> None:
        """Start with none seen.

        Args:
            report: Called with each keyword that is neither known nor harmless.
        """
        super().__init__()
        self.report = report

    def __missing__(self, key: bytes) -> int:
        """Decide on a keyword, and report it where its record is lost."""
        if key in _FIELDS:
            verdict = _FIELD
        elif key in _PAIR_KEYS:
            verdict = _PAIR
        elif key in _HARMLESS:
            verdict = _SKIP
        elif key == b"hdrcharset":
            verdict = _CHARSET
        elif key == SELINUX_KEY or key.startswith((*XATTR_PREFIXES, ACL_PREFIX)):
            return _ATTRIBUTE  # many, and each of its own: not noted
        else:
            self.report(key)
            verdict = _SKIP
        if len(self) >= _MEMO_SIZE:
            self.clear()
        self[key] = verdict
        return verdict


class PaxRecords:
    """The records of extended headers, the latest of each keyword.

    Attributes:
        fields: Records that replace fields of the header, or say that a file is sparse.
        attributes: Records that hold extended attributes and ACLs.
    """

    __slots__ = ("attributes", "fields")

    def __init__(self) -> None:
        """Start with none."""
        self.fields: dict[bytes, bytes] = {}
        self.attributes: dict[bytes, bytes] = {}

    def add(self, data: bytes, keywords: Keywords) -> None:
        """Add the records of one header.

        The map of a sparse file in the form 0.0, where keywords repeat, becomes that of the form 0.1.

        Args:
            data: The header's data.
            keywords: Says which records are kept.

        Raises:
            MalformedError: A record's length is wrong, or it has no keyword.
        """
        fields = self.fields
        pairs: list[bytes] = []
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
            key = data[blank + 1 : equals]
            verdict = keywords[key]
            if verdict == _FIELD:
                fields[key] = data[equals + 1 : end - 1]
            elif verdict == _ATTRIBUTE:
                self.attributes[key] = data[equals + 1 : end - 1]
            elif verdict == _PAIR:
                if key != _PAIR_KEYS[len(pairs) % 2]:
                    raise MalformedError("GNU.sparse.offset and GNU.sparse.numbytes do not alternate")
                pairs.append(data[equals + 1 : end - 1])
            elif verdict == _CHARSET and (key, data[equals + 1 : end - 1]) not in _HARMLESS_RECORDS:
                keywords.report(key)
            position = end
        if pairs:
            if len(pairs) % 2:
                raise MalformedError("GNU.sparse.offset without a GNU.sparse.numbytes")
            fields[_MAP_KEY] = b",".join(pairs)


def pax_number(key: bytes, value: bytes) -> int:
    """Read a whole number such as a size or an owner.

    Raises:
        MalformedError: It is not a number.
    """
    if not _DECIMAL.fullmatch(value):
        raise MalformedError(f"pax {key.decode('ascii', 'replace')} is {value[:40]!r}, not a number")
    return int(value)


def pax_seconds(value: bytes) -> tuple[int, bool]:
    """Read a time and round it down to seconds.

    Returns:
        The time, and whether the whole value is a decimal number; otherwise its first characters are.

    Raises:
        MalformedError: It does not begin with a number.
    """
    match = _TIME.match(value)
    if match is None:
        raise MalformedError(f"pax mtime is {value[:40]!r}, not a number of seconds")
    seconds = int(match[2])
    if match[1]:
        seconds = -seconds - 1 if (match[3] or b"").strip(b"0") else -seconds
    return seconds, match.end() == len(value)
