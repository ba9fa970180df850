"""Tar: the extended attributes in pax records.

In: records of an entry and global ones. Out: attributes that SquashFS can hold and Linux can serve.
Source: star(5), libarchive's tar(5), GNU tar's `--selinux` and `--xattrs`.
Rules kept here: SCHILY.xattr wins over RHT.security.selinux, and that over LIBARCHIVE.xattr, whose names are
percent-encoded and values base64; what is dropped is reported; global attributes are decoded once and shared.
Not here: parsing records (pax), how many attributes there may be (packing/entry_limits).
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from urllib.parse import unquote_to_bytes

from pysquash.errors import LimitError, printable
from pysquash.format.constants import XATTR_PREFIXES as STORED_PREFIXES
from pysquash.notices import WarningKind
from pysquash.options.writer import WriterOptions
from pysquash.sources.pax import ACL_PREFIX, SELINUX_KEY, XATTR_PREFIXES
from pysquash.tree.entry import Xattrs

__all__ = ["PaxXattrs"]

_SCHILY, _LIBARCHIVE = XATTR_PREFIXES
_NAME_SIZE = 255
_SHOWN_SIZE = 300
_ACCESS_KEY, _DEFAULT_KEY = b"SCHILY.acl.access", b"SCHILY.acl.default"
_MODE_ENTRY = re.compile(rb"(user|group|other)::([r-])([w-])([x-])(?:\s*#[^\n,]*)?")
_SHIFTS = {b"user": 6, b"group": 3, b"other": 0}


class PaxXattrs:
    """Decodes the attributes of a tar's entries."""

    def __init__(self, options: WriterOptions, notice: Callable[[WarningKind, str], None]) -> None:
        """Start without global attributes.

        Args:
            options: Which attributes are wanted; limits.xattr_value_size is kept here.
            notice: Takes warnings about the entry being parsed.
        """
        self._options = options
        self._notice = notice
        self._global_records: Mapping[bytes, bytes] = {}
        self._global: dict[bool, Xattrs] = {}

    def set_global(self, records: Mapping[bytes, bytes], *, where: str) -> None:
        """Replace the global records.

        Args:
            records: All of them that hold attributes and ACLs.
            where: What an error says of the place.

        Raises:
            LimitError: They have more names than an entry can have: each entry would.
        """
        names_size, limit = sum(len(name) + 1 for name in _decoded(records)), self._options.limits.xattr_list_size
        if names_size > limit:
            raise LimitError("size of global extended attributes' names", names_size, limit, where=where)
        self._global_records = dict(records)
        self._global.clear()

    def of_entry(self, records: Mapping[bytes, bytes], mode: int, *, is_for_users: bool) -> Xattrs:
        """Return an entry's attributes.

        Args:
            records: Its own records that hold attributes and ACLs.
            mode: Its permission bits, which an ACL may repeat.
            is_for_users: Whether it can have attributes `user.*`, as files and directories can.
        """
        if not self._global_records:
            return self._kept(records, mode, is_for_users=is_for_users)
        if records:
            return self._kept({**self._global_records, **records}, mode, is_for_users=is_for_users)
        if is_for_users not in self._global:
            self._global[is_for_users] = self._kept(self._global_records, mode, is_for_users=is_for_users)
        return self._global[is_for_users]

    def _kept(self, records: Mapping[bytes, bytes], mode: int, *, is_for_users: bool) -> Xattrs:
        kept, limit = [], self._options.limits.xattr_value_size
        for name, value in _decoded(records).items():
            if value is None:
                self._drop(name, "has a value that is not base64")
                continue
            space, dot, suffix = name.partition(b".")
            if space + dot not in STORED_PREFIXES or not suffix or len(name) > _NAME_SIZE or b"\0" in name:
                self._drop(name, "cannot be stored")
            elif space == b"user" and not is_for_users:
                self._drop(name, "is on something other than a file or directory")
            elif len(value) > limit:
                self._drop(name, f"has {len(value)} bytes, the limit is {limit}")
            else:
                kept.append((name, value))
        is_wanted = self._options.wants_xattr(b"system.posix_acl_access")
        if is_wanted and any(key.startswith(ACL_PREFIX) for key in records) and not _repeats_mode(records, mode):
            self._notice(WarningKind.ACL_DROPPED, "POSIX ACLs cannot be stored and are dropped")
        return tuple(kept)

    def _drop(self, name: bytes, why: str) -> None:
        if self._options.wants_xattr(name):
            self._notice(WarningKind.XATTR_DROPPED, f"xattr {printable(name)[:_SHOWN_SIZE]} {why} and is dropped")


def _decoded(records: Mapping[bytes, bytes]) -> dict[bytes, bytes | None]:
    """Return names and values, in the records' order; None for a LIBARCHIVE value that is not base64."""
    xattrs: dict[bytes, bytes | None] = {}
    for key, value in records.items():
        if key.startswith(_LIBARCHIVE):
            name = unquote_to_bytes(key[len(_LIBARCHIVE) :])
            try:
                xattrs[name] = base64.b64decode(value + b"=" * (-len(value) % 4), validate=True)
            except binascii.Error:
                xattrs[name] = None
    if SELINUX_KEY in records:
        xattrs[b"security.selinux"] = records[SELINUX_KEY]
    for key, value in records.items():
        if key.startswith(_SCHILY):
            xattrs[key[len(_SCHILY) :]] = value
    return xattrs


def _repeats_mode(records: Mapping[bytes, bytes], mode: int) -> bool:
    """Return whether the ACLs of an entry are just its permission bits: nothing is lost without them."""
    if any(value for key, value in records.items() if key.startswith(ACL_PREFIX) and key != _ACCESS_KEY):
        return False
    entries = [entry.strip() for entry in re.split(rb"[,\n]", records.get(_ACCESS_KEY, b"")) if entry.strip()]
    bits: dict[bytes, int] = {}
    for entry in entries:
        match = _MODE_ENTRY.fullmatch(entry)
        if match is None or match[1] in bits:
            return False
        bits[match[1]] = sum(4 >> row for row in range(3) if match[row + 2] != b"-")
    return not bits or mode & 0o777 == sum(value << _SHIFTS[who] for who, value in bits.items())
