"""Tar: turns a tar stream into entries, strictly and in one pass.

In: a layer, plain or compressed. Out: a `Source`: entries with checked names and numbers, and their content.
Source: POSIX.1-1988 ustar, POSIX.1-2001 pax, GNU tar's manual; v7 archives by what they lack.
Rules kept here: a damaged, truncated or contradictory header is an error that says where; what GNU tar, bsdtar and
Python's tarfile read alike is read like that, with a warning; content is never held whole unless it is small.
Not here: decompression (compression/stream); the bytes in hand (tar_buffer); the end of the archive, messages
(tar_framing); numbers and checksums (tar_header); pax records (pax, pax_xattrs); sparse maps (sparse); which of two
equal names wins, and where links lead (tree/merge).
"""

from __future__ import annotations

from collections.abc import Iterator

from pysquash.compression.stream import Layer, LayerStream, StreamChecks
from pysquash.errors import LimitError, UnsupportedEntryError, printable
from pysquash.notices import Warn, WarningKind
from pysquash.options.writer import DuplicatePolicy, WriterOptions
from pysquash.sources.path_limits import check_path_limits
from pysquash.sources.pax import Keywords, PaxRecords, pax_number, pax_seconds
from pysquash.sources.pax_xattrs import PaxXattrs
from pysquash.sources.sparse import SPARSE_KEYS, checked_segments, old_gnu_map, pax_map, text_map
from pysquash.sources.tar_framing import TarFraming
from pysquash.sources.tar_header import (
    BLOCK_SIZE,
    HEADER,
    USTAR_MAGIC,
    ZERO_BLOCK,
    ZERO_NUMBER,
    MalformedError,
    OwnerOf,
    checksum,
    is_checksum_right,
    names_of_owners,
)
from pysquash.tree.entry import HIGHEST_MTIME, Entry, Kind

__all__ = ["TarSource"]

_FILE_TYPES = frozenset(b"0\x007S")
_USERS_TYPES = _FILE_TYPES | frozenset(b"15D")
"""Types that can have attributes user.*. A hard link's own are ignored, so there is nothing to report about them."""

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
_NOT_FROM_GLOBAL = frozenset([b"path", b"linkpath", b"size"])
_KNOWN_PARENTS_SIZE = 1 << 16
_ID_LIMIT = 1 << 32
_MAJOR_LIMIT, _MINOR_LIMIT = 1 << 12, 1 << 20
_SHOWN_SIZE = 300


class TarSource(TarFraming):
    """One tar layer; a `Source`."""

    has_xattrs = True
    """Whether entries have extended attributes; False where nobody asks for them."""

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
            options: ignore_zeros, strict, timeout and limits are kept here.
            warn: Takes what is noteworthy and no error.
            checks: Sees every byte of the stream, or None.
            owner_of: Has the last word on owners, or None for the numbers as they are.
        """
        stream = LayerStream(
            layer,
            name=name,
            limits=options.limits,
            checks=checks,
            timeout=options.timeout,
            garbage=self._notice_end,
        )
        super().__init__(stream, name=name, options=options, warn=warn)
        self._owner_of = owner_of
        self._good_parents: set[bytes] = {b""}
        self._keywords = Keywords(self._notice_keyword)
        self._global = PaxRecords()
        self._global_size = 0
        self._xattrs = PaxXattrs(options, self._notice)

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
        records: PaxRecords | None = None  # of the pax headers before the entry
        long_name = long_target = None  # of GNU's L and K entries before it
        pending_start: int | None = None  # where the first of them starts
        expected_sums: dict[bytes, int] = {}
        good_parents = self._good_parents
        name_limit, path_limit = self._limits.component_size, self._limits.path_size
        while True:
            left = self._content_left
            if left:
                self._content_left = 0
                self._skip(left)
            left = self._content_padding
            if left:
                self._content_padding = 0
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
                    self._notice_pending()
                    records = long_name = long_target = pending_start = None
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
            if not size and not size_field[0] and size_field != ZERO_NUMBER:
                self._notice_malformed(f"the size field {size_field!r} begins with NUL and is read as 0")

            if entry_type in _EXTENDED_TYPES:
                if pending_start is None:
                    pending_start = self._entry_start
                data = self._extended_header(size)
                if entry_type in _PAX_TYPES:
                    if records is None:
                        records = PaxRecords()
                    else:
                        self._notice_malformed(
                            "two pax headers before one entry; of equal keywords the later one counts"
                        )
                    records.add(data, self._keywords)
                elif entry_type == ord("g"):
                    self._take_global(data)
                    if records is None and long_name is None and long_target is None:
                        pending_start = None
                elif entry_type == ord("L"):
                    long_name = self._long_name(data)
                else:
                    long_target = self._long_name(data)
                continue

            name = header_name = name.partition(b"\0")[0]
            if prefix[0] and magic == USTAR_MAGIC and entry_type != ord("S"):
                # Joined only when the magic is ustar\0: GNU incremental archives keep times there.
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
            if records is not None or self._global.fields or self._global.attributes:
                if records is None:
                    records = PaxRecords()
                own_records = {**self._global.fields, **records.fields} if self._global.fields else records.fields
                name = self._override(own_records, b"path", name)
                target = self._override(own_records, b"linkpath", target)
                self._entry_name = name
                if b"GNU.sparse.name" in own_records and not any(key in own_records for key in SPARSE_KEYS):
                    name = self._override(own_records, b"GNU.sparse.name", name)
                    self._notice_malformed("GNU.sparse.name names a file that is not sparse")
                if own_records.get(b"size"):
                    size = self._pax_size(own_records[b"size"], entry_type)
                if own_records.get(b"uid"):
                    owner = pax_number(b"uid", own_records[b"uid"])
                if own_records.get(b"gid"):
                    group = pax_number(b"gid", own_records[b"gid"])
                if own_records.get(b"mtime"):
                    seconds = self._pax_mtime(own_records[b"mtime"])
                if self.has_xattrs:
                    is_for_users = entry_type in _USERS_TYPES
                    entry.xattrs = self._xattrs.of_entry(records.attributes, mode_bits, is_for_users=is_for_users)
                records = None
            pending_start = None

            # Content first: whatever the entry turns out to be, the next header follows it.
            entry.size = self._content_left = size
            self._content_padding = -size % BLOCK_SIZE
            if entry_type in _FILE_TYPES:
                if entry_type == ord("S") or (own_records and any(key in own_records for key in SPARSE_KEYS)):
                    header = buffer[position : position + BLOCK_SIZE]
                    name = self._make_sparse(entry, header, entry_type, name, own_records)
                if name.endswith(b"/"):  # how v7 archives mark a directory
                    if size:
                        self._take_v7_size(entry, entry_type, header_name)
                    entry.kind = Kind.DIRECTORY
                elif not entry_type and header_name[-1:] == b"/":
                    # GNU tar and bsdtar make it a file, tarfile a directory.
                    self._notice_malformed("only the name in the header itself ends in '/': it is taken for a file")
            else:
                kind = _KINDS.get(entry_type)
                if kind is None:
                    self._skip_unknown(entry_type)
                    continue
                entry.kind, entry.size = kind, 0
                if size and entry_type != ord("D"):
                    self._content_left = self._size_of_link_data(size) if kind is Kind.HARD_LINK else 0
                    self._content_padding = -self._content_left % BLOCK_SIZE
                if kind is Kind.HARD_LINK:
                    if not target:
                        self._drop_link()
                        continue
                    entry.target = self._path(target)
                elif kind is Kind.SYMLINK:
                    entry.target = self._symlink_target(target)
                    mode_bits = 0o777  # what every extraction on Linux gives it, whatever the header says
                elif kind is Kind.BLOCK_DEVICE or kind is Kind.CHARACTER_DEVICE:
                    entry.device = self._device(numbers[major], numbers[minor])
                elif kind is Kind.DIRECTORY and not name:
                    self._notice_malformed("a directory without a name is taken for the root")
                    name = b"/"

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

    def _take_global(self, data: bytes) -> None:
        """Apply a global header; never path, linkpath or size, which would make all entries one, nor a sparse map."""
        records, limit = PaxRecords(), self._limits.extended_header_size
        records.add(data, self._keywords)
        for key in [key for key in records.fields if key in _NOT_FROM_GLOBAL or key.startswith(b"GNU.")]:
            del records.fields[key]
            self._notice(WarningKind.PAX_KEYWORD_IGNORED, f"global pax header: {key.decode('ascii')} is ignored")
        for old, new in (
            (self._global.fields, records.fields),
            (self._global.attributes, records.attributes),
        ):
            for key, value in new.items():
                if key in old:
                    self._global_size -= len(key) + len(old.pop(key))
                if value:
                    old[key] = value
                    self._global_size += len(key) + len(value)
        where = f"{self.name}: at byte {self._entry_start}"
        if self._global_size > limit:
            what = "size of global pax records"
            raise LimitError(what, self._global_size, limit, where=where, name="extended_header_size")
        if records.attributes:
            self._xattrs.set_global(self._global.attributes, where=where)

    def _long_name(self, data: bytes) -> bytes:
        name, _, rest = data.partition(b"\0")
        if rest.strip(b"\0"):
            self._entry_name = name
            self._notice_malformed("a long name has a NUL in it, and is cut there")
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
        own_records: dict[bytes, bytes],
    ) -> bytes:
        """Read a sparse file's map and real size into the entry, and give its real name."""
        stored_size, count_limit = self._content_left, self._limits.segment_count
        if entry_type == ord("S"):
            real_size, fields = old_gnu_map(header, self._next_block, self._numbers, count_limit)
        else:
            name = own_records.get(b"GNU.sparse.name", name)
            if b"\0" in name:
                self._fail("GNU.sparse.name has a NUL in it")
            self._entry_name = name
            size_text = own_records.get(b"GNU.sparse.realsize", own_records.get(b"GNU.sparse.size"))
            if size_text is None:
                self._fail("a sparse file without GNU.sparse.realsize or GNU.sparse.size")
            real_size = pax_number(b"GNU.sparse.realsize", size_text)
            pairs = pax_map(own_records, count_limit)
            if pairs is None:
                taken_size, pairs = text_map(self._next_data_block, count_limit)
                stored_size -= taken_size
            fields = pairs
        entry.segments = checked_segments(fields, real_size, stored_size)
        entry.size = real_size
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
            raise LimitError("symlink target size", len(target), limit, where=self._where())
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

    def _pax_size(self, value: bytes, entry_type: int) -> int:
        size = pax_number(b"size", value)
        if size < 0:
            self._fail(f"size is {size}")
        if size and entry_type in b"23456":
            # bsdtar reads so much data, GNU tar and tarfile none.
            self._notice_malformed(f"pax size {size} of an entry without data is ignored")
        return size

    def _pax_mtime(self, value: bytes) -> int:
        seconds, is_whole = pax_seconds(value)
        if not is_whole:
            self._notice_malformed(f"pax mtime is {value[:40]!r}; {seconds} is stored")
        return seconds

    def _take_v7_size(self, entry: Entry, entry_type: int, header_name: bytes) -> None:
        """Decide on a file with a size whose name ends in '/': v7 archives mark directories so, and no data follows."""
        if entry_type or entry.segments is not None or not header_name.endswith(b"/"):
            self._fail(f"a regular file of {entry.size} bytes whose name ends in '/'")
        self._content_left = self._content_padding = entry.size = 0

    def _size_of_link_data(self, size: int) -> int:
        """Return how much data follows a hard link: none where the next block is a header.

        `pax -o linkdata` puts the file's content there; other programs write the target's size, and nothing.
        """
        if self._is_at_header():
            self._notice_malformed(f"a hard link has the size {size}; no data follows")
            return 0
        self._notice_malformed(f"a hard link has {size} bytes of data, which are skipped")
        return size

    def _drop_link(self) -> None:
        text = "a hard link without a target"
        if not self._options.lenient:
            self._fail(text)
        self._notice(WarningKind.LINK_DROPPED, f"{text} is dropped")

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

    def _notice_malformed(self, text: str) -> None:
        self._notice(WarningKind.HEADER_MALFORMED, text)

    def _notice_keyword(self, key: bytes) -> None:
        text = f"pax keyword {printable(key)[:_SHOWN_SIZE]} is unknown, and its records are ignored"
        self._notice(WarningKind.PAX_KEYWORD_IGNORED, text)
