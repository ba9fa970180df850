"""Tar: turns a tar stream into entries, strictly and in one pass.

In: a layer, plain or compressed. Out: a `Source`: entries with checked names and numbers, and their content.
Source: POSIX.1-1988 ustar, POSIX.1-2001 pax, GNU tar's manual; v7 archives by what they lack.
Rules kept here: a damaged, truncated or contradictory header is an error that says where; nothing is resolved,
stripped or cut short in silence; content is never held whole unless it is small.
Not here: decompression (compression/stream); the bytes in hand (tar_buffer); numbers and checksums (tar_header); pax
records (pax); sparse maps (sparse); which of two equal names stands, and where links lead (tree/merge).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NoReturn

from pysquash.compression.stream import Layer, LayerStream, StreamChecks
from pysquash.errors import LimitError, SourceError, UnsupportedEntryError, printable
from pysquash.format.constants import XATTR_PREFIXES
from pysquash.notices import Notice, Warn, WarningKind
from pysquash.options import DuplicatePolicy, WriterOptions
from pysquash.sources.path_limits import check_path_limits
from pysquash.sources.pax import parse_records, pax_number, pax_seconds, pax_xattrs
from pysquash.sources.sparse import SPARSE_KEYS, checked_segments, old_gnu_map, pax_map, text_map
from pysquash.sources.tar_buffer import ChunkBuffer
from pysquash.sources.tar_header import (
    BLOCK_SIZE,
    HEADER,
    USTAR_MAGIC,
    ZERO_BLOCK,
    MalformedError,
    Numbers,
    OwnerOf,
    checksum,
    is_checksum_right,
    names_of_owners,
)
from pysquash.tree.entry import HIGHEST_MTIME, Entry, Kind, Xattrs

__all__ = ["TarSource"]

_FILE_TYPES = frozenset(b"0\x007S")
_KINDS = {
    ord("1"): Kind.HARD_LINK,
    ord("2"): Kind.SYMLINK,
    ord("3"): Kind.CHARACTER_DEVICE,
    ord("4"): Kind.BLOCK_DEVICE,
    ord("5"): Kind.DIRECTORY,
    ord("6"): Kind.FIFO,
    ord("D"): Kind.DIRECTORY,  # GNU: a directory whose data is a list of its names
}
_PAX_TYPES = frozenset(b"xX")  # X is what Solaris wrote before POSIX settled on x
_EXTENDED_TYPES = _PAX_TYPES | frozenset(b"gLK")
_NOT_FROM_GLOBAL = (b"path", b"linkpath", b"size")
_SPARSE_COUNT_LIMIT = 1_000_000
_KNOWN_PARENTS_SIZE = 1 << 16
_ID_LIMIT = 1 << 32
_MAJOR_LIMIT, _MINOR_LIMIT = 1 << 12, 1 << 20


class TarSource(ChunkBuffer):
    """One tar layer; a `Source`.

    Attributes:
        name: What messages call it.
    """

    def __init__(
        self,
        layer: Layer,
        *,
        name: str,
        options: WriterOptions,
        warn: Warn,
        checks: StreamChecks | None = None,
        owner_of: OwnerOf | None = None,
    ) -> None:
        """Open the layer.

        Args:
            layer: A path, a binary file object, an iterable of bytes, or a callable that returns one of these.
            name: What messages call it.
            options: ignore_zeros, strict and limits are kept here.
            warn: Takes what is noteworthy and no error.
            checks: Sees every byte of the stream, or None.
            owner_of: Has the last word on owners, or None for the numbers as they are.
        """
        super().__init__(LayerStream(layer, name=name, limits=options.limits, checks=checks), self._ends_early)
        self.name = name
        self._options = options
        self._limits = options.limits
        self._warn = warn
        self._owner_of = owner_of
        self._content_left = 0  # of the entry yielded last
        self._content_padding = 0
        self._numbers = Numbers()
        self._good_parents: set[bytes] = {b""}
        self._global_records: dict[bytes, bytes] = {}
        # Of the entry being parsed, for messages:
        self._entry_start = 0
        self._entry_name: bytes | None = None

    @property
    def duplicates(self) -> DuplicatePolicy | None:
        """As the options say."""
        return None

    def read(self, size: int) -> bytes:
        """Give the next bytes of the content of the entry yielded last, without holes.

        Args:
            size: Bytes, at most what is left.

        Raises:
            SourceError: The stream ends before that many, or is damaged.
        """
        if size > self._content_left:
            raise ValueError(f"{size} bytes asked for, {self._content_left} are left of this entry")
        self._content_left -= size
        return self._take(size)

    def __iter__(self) -> Iterator[Entry]:
        """Yield the entries in the archive's order.

        Raises:
            SourceError: The archive is malformed.
            UnsupportedEntryError: An entry is of a kind that cannot be represented.
            LimitError: A limit is exceeded.
        """
        try:
            yield from self._entries()
        except MalformedError as error:
            self._fail(str(error))

    # --- entries ---------------------------------------------------------------------------------------------------

    def _entries(self) -> Iterator[Entry]:
        """Parse header after header. The common case, a header without extensions, stays in this function."""
        numbers, unpack, file_kind, no_names = self._numbers, HEADER.unpack_from, Kind.FILE, (b"", b".", b"..")
        no_records: dict[bytes, bytes] = {}
        records: list[tuple[bytes, bytes]] = []  # of the pax header in front of the entry
        long_name = long_target = None  # of GNU's L and K entries in front of it
        pending_start: int | None = None  # where the first of them stands
        expected_sums: dict[bytes, int] = {}
        good_parents = self._good_parents
        name_limit, path_limit = self._limits.component_size, self._limits.path_size
        while True:
            left = self._content_left + self._content_padding
            if left:
                self._content_left = self._content_padding = 0
                self._skip(left)
            position = self._position
            buffer = self._buffer
            if len(buffer) - position < BLOCK_SIZE:
                if not self._fill(BLOCK_SIZE):
                    self._end_without_zeros(pending_start)
                    return
                position = 0
                buffer = self._buffer
            self._entry_start = self._start + position if pending_start is None else pending_start
            self._entry_name = None
            if not buffer[position] and buffer[position : position + BLOCK_SIZE] == ZERO_BLOCK:
                self._position = position + BLOCK_SIZE
                if pending_start is not None:
                    self._fail("the archive ends behind an extended header, without the entry that it is for")
                if self._is_end():
                    return
                continue
            (
                name,
                mode,
                uid,
                gid,
                size_field,
                mtime_field,
                sum_field,
                type_field,
                target,
                magic,
                major,
                minor,
                prefix,
            ) = unpack(buffer, position)
            # The sum over all bytes that a right header has: memoised by its field, because decoding is most of the
            # cost.
            expected = expected_sums.get(sum_field)
            if expected is None or checksum(buffer, position) != expected:
                header = buffer[position : position + BLOCK_SIZE]
                if not is_checksum_right(header, sum_field, numbers):
                    self._fail("the header's checksum is wrong")
                if len(expected_sums) >= _KNOWN_PARENTS_SIZE:
                    expected_sums.clear()
                expected_sums[sum_field] = checksum(buffer, position)
            self._position = position + BLOCK_SIZE
            entry_type = type_field[0]
            size = numbers[size_field]
            if size < 0:
                self._fail(f"size is {size}")

            if entry_type in _EXTENDED_TYPES:
                if pending_start is None:
                    pending_start = self._entry_start
                data = self._extended_header(size)
                if entry_type in _PAX_TYPES:
                    if records:
                        self._fail("two pax headers in front of one entry")
                    records = parse_records(data)
                elif entry_type == ord("g"):
                    self._take_global(data)
                    if not records and long_name is None and long_target is None:
                        pending_start = None
                elif entry_type == ord("L"):
                    long_name = self._long_name(data)
                else:
                    long_target = self._long_name(data)
                continue

            name = name.partition(b"\0")[0]
            if prefix[0] and magic == USTAR_MAGIC and entry_type != ord("S"):
                # "joined only when the magic is ustar\0": GNU incremental archives keep times there.
                name = prefix.partition(b"\0")[0] + b"/" + name
            target = target.partition(b"\0")[0]
            if long_name is not None:
                name, long_name = long_name, None
            if long_target is not None:
                target, long_target = long_target, None
            entry = Entry(b"", file_kind)
            entry.offset = self._entry_start
            self._entry_name = name
            mode_bits, owner, group, seconds = numbers[mode], numbers[uid], numbers[gid], numbers[mtime_field]
            own_records = no_records
            if records or self._global_records:
                own_records = {**self._global_records, **dict(records)}
                name = self._override(own_records, b"path", name)
                target = self._override(own_records, b"linkpath", target)
                self._entry_name = name
                if b"size" in own_records:
                    size = pax_number(b"size", own_records[b"size"])
                    if size < 0:
                        self._fail(f"size is {size}")
                if b"uid" in own_records:
                    owner = pax_number(b"uid", own_records[b"uid"])
                if b"gid" in own_records:
                    group = pax_number(b"gid", own_records[b"gid"])
                if b"mtime" in own_records:
                    seconds = pax_seconds(own_records[b"mtime"])
                # A hard link's own attributes are ignored, so there is nothing to say of them.
                is_for_users = entry_type in _FILE_TYPES or _KINDS.get(entry_type) in (Kind.DIRECTORY, Kind.HARD_LINK)
                entry.xattrs = self._xattrs(own_records, is_for_users=is_for_users)
            pending_start = None

            # Content first: whatever the entry turns out to be, the next header is behind it.
            entry.size = self._content_left = size
            self._content_padding = -size % BLOCK_SIZE
            if entry_type in _FILE_TYPES:
                if entry_type == ord("S") or (own_records and any(key in own_records for key in SPARSE_KEYS)):
                    header = buffer[position : position + BLOCK_SIZE]
                    name = self._make_sparse(entry, header, entry_type, name, records, own_records)
                if name.endswith(b"/"):
                    if size:
                        self._fail(f"a regular file of {size} bytes whose name ends in '/'")
                    entry.kind = Kind.DIRECTORY  # how v7 archives say it
            else:
                kind = _KINDS.get(entry_type)
                if kind is None:
                    records = []
                    self._skip_unknown(entry_type)
                    continue
                entry.kind, entry.size = kind, 0
                if kind is Kind.HARD_LINK:
                    entry.target = self._path(target)
                elif kind is Kind.SYMLINK:
                    entry.target = self._symlink_target(target)
                    mode_bits = 0o777  # what every extraction on Linux gives it, whatever the header says
                elif kind is Kind.BLOCK_DEVICE or kind is Kind.CHARACTER_DEVICE:
                    entry.device = self._device(numbers[major], numbers[minor])
            if records:
                records = []

            # A name whose parent was checked before needs a look at its last component only.
            plain = name[2:] if name[:2] == b"./" else name
            if plain[-1:] == b"/":
                plain = plain.rstrip(b"/")
            parent, _, last = plain.rpartition(b"/")
            if parent in good_parents and last not in no_names and len(last) <= name_limit and len(plain) <= path_limit:
                entry.path = plain
            else:
                entry.path = self._path(name)
            entry.mode = mode_bits & 0o7777
            if self._owner_of is not None:
                owner, group = self._owner_of(*names_of_owners(buffer, position, own_records), owner, group)
            if not 0 <= owner < _ID_LIMIT or not 0 <= group < _ID_LIMIT:
                self._fail(f"owner {owner}:{group} is outside 0 to {_ID_LIMIT - 1}")
            entry.uid, entry.gid = owner, group
            entry.mtime = seconds if 0 <= seconds <= HIGHEST_MTIME else self._clamped(seconds)
            yield entry

    def _extended_header(self, size: int) -> bytes:
        """Take the data of a header that describes the next entry."""
        limit = self._limits.extended_header_size
        if size > limit:
            raise LimitError(
                "an extended header's size", size, limit, where=f"{self.name}: at byte {self._entry_start}"
            )
        data = self._take(size)
        self._skip(-size % BLOCK_SIZE)
        return data

    def _take_global(self, data: bytes) -> None:
        # "applied per POSIX, never path, linkpath or size", which would make all entries one
        for key, value in parse_records(data):
            if key in _NOT_FROM_GLOBAL:
                self._notice(WarningKind.PAX_KEYWORD_IGNORED, f"global pax header: {key.decode('ascii')} is ignored")
            elif value:
                self._global_records[key] = value
            else:
                self._global_records.pop(key, None)

    def _long_name(self, data: bytes) -> bytes:
        name = data.rstrip(b"\0")
        if b"\0" in name:
            self._entry_name = name
            self._fail("a long name has a NUL in it")
        return name

    def _override(self, records: dict[bytes, bytes], key: bytes, value: bytes) -> bytes:
        """Give a record's value in place of the header's; an empty record stands for the header's own."""
        override = records.get(key)
        if not override:
            return value
        if b"\0" in override:
            self._entry_name = override
            self._fail(f"pax {key.decode('ascii')} has a NUL in it")
        return override

    def _make_sparse(
        self,
        entry: Entry,
        header: bytes,
        entry_type: int,
        name: bytes,
        records: list[tuple[bytes, bytes]],
        own_records: dict[bytes, bytes],
    ) -> bytes:
        """Read a sparse file's map and real size into the entry, and give its real name."""
        stored_size = self._content_left
        if entry_type == ord("S"):
            real_size, fields = old_gnu_map(header, self._next_block, self._numbers, _SPARSE_COUNT_LIMIT)
        else:
            name = own_records.get(b"GNU.sparse.name", name)
            if b"\0" in name:
                self._fail("GNU.sparse.name has a NUL in it")
            self._entry_name = name
            size_text = own_records.get(b"GNU.sparse.realsize", own_records.get(b"GNU.sparse.size"))
            if size_text is None:
                self._fail("a sparse file without GNU.sparse.realsize or GNU.sparse.size")
            real_size = pax_number(b"GNU.sparse.realsize", size_text)
            pairs = pax_map(records)
            if pairs is None:
                taken_size, pairs = text_map(self._next_data_block, _SPARSE_COUNT_LIMIT)
                stored_size -= taken_size
            fields = pairs
        entry.segments = checked_segments(fields, real_size, stored_size)
        entry.size = real_size
        limit = self._limits.layer_size
        if real_size > limit:
            raise LimitError("a sparse file's size", real_size, limit, where=f"{self.name}: {printable(name)}")
        return name

    def _next_block(self) -> bytes:
        return self._take(BLOCK_SIZE)

    def _next_data_block(self) -> bytes:
        if self._content_left < BLOCK_SIZE:
            self._fail("the sparse map does not end within the file's data")
        return self.read(BLOCK_SIZE)

    # --- fields ----------------------------------------------------------------------------------------------------

    def _path(self, name: bytes) -> bytes:
        """Check and normalise a name: no empty or "." components, never a ".."."""
        components = [part for part in name.split(b"/") if part not in (b"", b".")]
        if b".." in components:
            self._fail("a name has '..' in it")
        if not name:
            self._fail("an entry without a name")
        limits, path = self._limits, b"/".join(components)
        longest = max(map(len, components), default=0)
        check_path_limits(path, longest, len(components), limits, source=self.name)
        parent = b"/".join(components[:-1])
        if len(components) < limits.depth:
            if len(self._good_parents) >= _KNOWN_PARENTS_SIZE:
                self._good_parents.clear()
                self._good_parents.add(b"")
            self._good_parents.add(parent)
        return path

    def _symlink_target(self, target: bytes) -> bytes:
        if not target:
            self._fail("a symlink without a target")
        limit = self._limits.target_size
        if len(target) > limit:
            raise LimitError(
                "symlink target size", len(target), limit, where=f"{self.name}: {printable(self._entry_name or b'')}"
            )
        return target

    def _device(self, major: int, minor: int) -> tuple[int, int]:
        if not 0 <= major < _MAJOR_LIMIT or not 0 <= minor < _MINOR_LIMIT:
            self._fail(f"device {major}:{minor} is outside 0:0 to {_MAJOR_LIMIT - 1}:{_MINOR_LIMIT - 1}")
        return major, minor

    def _clamped(self, seconds: int) -> int:
        kept = max(0, min(seconds, HIGHEST_MTIME))
        text = f"modification time {seconds} is outside 0 to {HIGHEST_MTIME}; {kept} is stored"
        self._notice(WarningKind.TIME_CLAMPED, text)
        return kept

    def _xattrs(self, records: dict[bytes, bytes], *, is_for_users: bool) -> Xattrs:
        """Keep the attributes that SquashFS can hold and Linux can serve: users' are of files and directories only."""
        kept, limit = [], self._limits.xattr_value_size
        for name, value in pax_xattrs(records):
            space, dot, suffix = name.partition(b".")
            if space + dot not in XATTR_PREFIXES or not suffix or len(name) > 255 or b"\0" in name:
                self._drop_xattr(name, "cannot be stored")
            elif space == b"user" and not is_for_users:
                self._drop_xattr(name, "is on something other than a file or directory")
            elif len(value) > limit:
                self._drop_xattr(name, f"has {len(value)} bytes, the limit is {limit}")
            else:
                kept.append((name, value))
        has_acl = any(key.startswith(b"SCHILY.acl.") for key in records)
        if has_acl and self._options.wants_xattr(b"system.posix_acl_access"):
            self._notice(WarningKind.ACL_DROPPED, "POSIX ACLs cannot be stored and are dropped")
        return tuple(kept)

    def _drop_xattr(self, name: bytes, why: str) -> None:
        if self._options.wants_xattr(name):
            self._notice(WarningKind.XATTR_DROPPED, f"xattr {printable(name)[:300]} {why} and is dropped")

    def _skip_unknown(self, entry_type: int) -> None:
        """Pass over an entry of a type that is no file system object, or not of this archive."""
        if entry_type == ord("V"):  # GNU volume label
            return
        if entry_type == ord("M"):
            raise UnsupportedEntryError(
                "the rest of a file from another volume",
                source=self.name,
                entry=self._entry_name,
                offset=self._entry_start,
            )
        self._notice(WarningKind.ENTRY_SKIPPED, f"type {chr(entry_type)!r} is unknown; the entry is skipped")

    # --- the end ---------------------------------------------------------------------------------------------------

    def _is_end(self) -> bool:
        """Behind a block of zeros: tell whether the archive is at its end, and if so read the stream to its own."""
        if self._options.ignore_zeros:
            return False
        second = self._fill(BLOCK_SIZE) if len(self._buffer) - self._position < BLOCK_SIZE else True
        if not second or self._buffer[self._position : self._position + BLOCK_SIZE] != ZERO_BLOCK:
            self._notice_end("the archive ends with one block of zeros instead of two")
        # To the very end, because checksums and digests are over all of it.
        has_more = False
        while True:
            rest = self._buffer[self._position :]
            if not has_more and rest.strip(b"\0"):
                has_more = True
            self._position = len(self._buffer)
            if not self._fill(1):
                break
        if has_more:
            self._notice_end("there is more behind the end of the archive, and it is ignored; see ignore_zeros")
        return True

    def _end_without_zeros(self, pending_start: int | None) -> None:
        left = len(self._buffer) - self._position
        if left:
            self._fail(f"the archive ends inside a header, at byte {self._start + self._position + left}")
        if pending_start is not None:
            self._fail("the archive ends behind an extended header, without the entry that it is for")
        if not self._options.ignore_zeros:
            self._notice_end("the archive ends without blocks of zeros")

    def _ends_early(self, missing_size: int) -> NoReturn:
        end = self._start + len(self._buffer)
        self._fail(f"the archive ends {missing_size} bytes early, at byte {end}")

    def _notice_end(self, text: str) -> None:
        self._entry_name = None
        self._entry_start = self._start + self._position
        self._notice(WarningKind.END_OF_ARCHIVE, text)

    def _notice(self, kind: WarningKind, text: str) -> None:
        """Warn of something about the entry being parsed, or fail with it where the caller is strict."""
        if self._options.strict:
            self._fail(text)
        self._warn(Notice(kind, text, self.name, self._entry_name, self._entry_start))

    def _fail(self, text: str) -> NoReturn:
        raise SourceError(text, source=self.name, entry=self._entry_name, offset=self._entry_start)
