"""The tar reader, row by row of what archives hold and what becomes of it."""

from __future__ import annotations

import base64
import io
from typing import Any

import pytest

from pysquash.errors import LimitError, SourceError, UnsupportedEntryError
from pysquash.options import Limits, WriterOptions
from pysquash.sources.tar import TarSource
from pysquash.tree.entry import Entry, Kind
from tests.noticing import Recorder
from tests.tarbuild import BLOCK, END, gnu_long, header, padded, pax, pax_records


def read(raw: bytes, **options: Any) -> tuple[list[Entry], list[bytes], list[str]]:
    """Read an archive: its entries, their content with holes left out, and the warnings."""
    warnings = Recorder()
    source = TarSource(io.BytesIO(raw), name="t.tar", options=WriterOptions(**options), warn=warnings)
    entries, contents = [], []
    for entry in source:
        entries.append(entry)
        contents.append(source.read(entry.stored_size))
    source.close()
    return entries, contents, warnings


def one(raw: bytes, **options: Any) -> Entry:
    """Read an archive of one entry that nothing is to be said about."""
    entries, _, warnings = read(raw + END, **options)
    assert warnings == []
    (entry,) = entries
    return entry


def fails(raw: bytes, match: str, error: type[Exception] = SourceError, **options: Any) -> None:
    with pytest.raises(error, match=match):
        read(raw, **options)


FILE = header(b"file", size=5) + padded(b"hello")


class TestDialects:
    def test_ustar(self) -> None:
        raw = header(b"dir/file", size=5, mode=0o755, uid=10, gid=20, mtime=30) + padded(b"hello")
        entries, contents, warnings = read(raw + END)
        entry = entries[0]
        assert (entry.path, entry.kind, entry.size) == (b"dir/file", Kind.FILE, 5)
        assert (entry.mode, entry.uid, entry.gid, entry.mtime, entry.offset) == (0o755, 10, 20, 30, 0)
        assert (contents, warnings) == ([b"hello"], [])

    def test_v7(self) -> None:
        assert one(header(b"file", b"\0", magic=b"")).kind is Kind.FILE

    def test_v7_directory_by_its_slash(self) -> None:
        assert one(header(b"dir/", b"\0", magic=b"")).kind is Kind.DIRECTORY

    def test_slash_behind_a_file_with_content(self) -> None:
        fails(header(b"file/", size=5) + padded(b"hello") + END, r"t\.tar: file/: at byte 0: .*ends in '/'")

    def test_contiguous_is_a_file(self) -> None:
        assert one(header(b"file", b"7")).kind is Kind.FILE

    def test_prefix(self) -> None:
        assert one(header(b"name", prefix=b"a/b")).path == b"a/b/name"

    def test_gnu_keeps_times_where_the_prefix_would_be(self) -> None:
        assert one(header(b"name", magic=b"ustar  ", prefix=b"00000000000")).path == b"name"

    def test_gnu_long_name_and_link(self) -> None:
        entry = one(gnu_long(b"n" * 200) + gnu_long(b"t" * 300, b"K") + header(b"cut", b"2", target=b"cut", mode=0))
        assert (entry.path, entry.target, entry.mode) == (b"n" * 200, b"t" * 300, 0o777)

    def test_pax_wins_over_long_name(self) -> None:
        assert one(gnu_long(b"long") + pax((b"path", b"pax")) + header(b"cut")).path == b"pax"
        assert one(pax((b"path", b"pax")) + gnu_long(b"long") + header(b"cut")).path == b"pax"

    def test_pax_overrides(self) -> None:
        records = pax((b"path", b"p"), (b"uid", b"4294967295"), (b"gid", b"7"), (b"mtime", b"12.999"), (b"size", b"3"))
        entry = one(records + header(b"x", size=0) + padded(b"abc"))
        assert (entry.path, entry.uid, entry.gid, entry.mtime, entry.size) == (b"p", 0xFFFF_FFFF, 7, 12, 3)

    def test_pax_is_for_one_entry(self) -> None:
        entries, _, _ = read(pax((b"path", b"p")) + header(b"x") + header(b"y") + END)
        assert [entry.path for entry in entries] == [b"p", b"y"]

    def test_offset_is_of_the_first_header(self) -> None:
        entries, _, _ = read(header(b"x") + pax((b"path", b"p")) + header(b"y") + END)
        assert [entry.offset for entry in entries] == [0, BLOCK]

    def test_global_pax(self) -> None:
        raw = (
            pax((b"uid", b"5"), type_flag=b"g") + header(b"a") + pax((b"uid", b"6")) + header(b"b") + header(b"c") + END
        )
        assert [entry.uid for entry in read(raw)[0]] == [5, 6, 5]

    @pytest.mark.parametrize("key", [b"path", b"linkpath", b"size"])
    def test_global_pax_never_names(self, key: bytes) -> None:
        entries, _, warnings = read(pax((key, b"9"), type_flag=b"g") + header(b"a") + END)
        assert (entries[0].path, entries[0].size) == (b"a", 0)
        assert "is ignored" in warnings[0]

    def test_base_256(self) -> None:
        big = b"\x80" + (0xFFFF_FFFF).to_bytes(7, "big")
        entry = one(header(b"f", uid=big, gid=big, mtime=b"\x80" + (0x9000_0000).to_bytes(11, "big")))
        assert (entry.uid, entry.gid, entry.mtime) == (0xFFFF_FFFF, 0xFFFF_FFFF, 0x9000_0000)

    def test_blanks_around_numbers(self) -> None:
        entry = one(header(b"f", mode=b"   755 \0", uid=b"10 \0", mtime=b"      17 \0"))
        assert (entry.mode, entry.uid, entry.mtime) == (0o755, 0o10, 0o17)

    def test_signed_checksum_of_old_tars(self) -> None:
        raw = header(b"\xff\xfe")
        signed = sum(raw[:148] + raw[156:]) + 8 * 32 - 2 * 256
        assert one(header(b"\xff\xfe", checksum=b"%06o\0 " % signed)).path == b"\xff\xfe"

    def test_all_kinds(self) -> None:
        raw = b"".join(
            [
                header(b"l", b"2", target=b"t"),
                header(b"c", b"3", major=4095, minor=b"\x80\0\0\0\0\x0f\xff\xff"),
                header(b"b", b"4", major=1, minor=2),
                header(b"d/", b"5"),
                header(b"p", b"6"),
                header(b"h", b"1", target=b"./l"),
            ]
        )
        entries, _, warnings = read(raw + END)
        assert [entry.kind for entry in entries] == [
            Kind.SYMLINK, Kind.CHARACTER_DEVICE, Kind.BLOCK_DEVICE, Kind.DIRECTORY, Kind.FIFO, Kind.HARD_LINK,
        ]  # fmt: skip
        assert [entry.device for entry in entries[1:3]] == [(4095, 0xFFFFF), (1, 2)]
        assert (entries[5].target, warnings) == (b"l", [])


class TestNames:
    @pytest.mark.parametrize("name", [b"./a/b", b"/a/b", b"a//b", b"a/./b", b"//a/b", b"./a/./b"])
    def test_normalised(self, name: bytes) -> None:
        assert one(header(name)).path == b"a/b"

    @pytest.mark.parametrize("name", [b"./", b"/", b".", b"//", b"./."])
    def test_root(self, name: bytes) -> None:
        assert one(header(name, b"5", mode=0o711)).path == b""

    @pytest.mark.parametrize("name", [b"..", b"../a", b"a/../b", b"a/..", b"/.."])
    def test_climbing_is_an_error(self, name: bytes) -> None:
        fails(header(name) + END, r"'\.\.'")
        fails(header(b"link", b"1", target=name) + END, r"'\.\.'")

    def test_climbing_symlink_is_not(self) -> None:
        assert one(header(b"l", b"2", target=b"../../a")).target == b"../../a"

    def test_component_of_255_and_256(self) -> None:
        assert len(one(gnu_long(b"d/" + b"n" * 255) + header(b"x")).path) == 257
        fails(gnu_long(b"d/" + b"n" * 256) + header(b"x") + END, "component size is 256, the limit is 255", LimitError)
        # also where the parent is known to be good
        fails(header(b"d/a") + gnu_long(b"d/" + b"n" * 256) + header(b"x") + END, "component size is 256", LimitError)

    def test_path_size_and_depth(self) -> None:
        long = b"/".join([b"n" * 200] * 21)
        fails(pax((b"path", long)) + header(b"x") + END, "path size is 4220, the limit is 4096", LimitError)
        deep = b"/".join([b"d"] * 1025)
        fails(pax((b"path", deep)) + header(b"x") + END, "path depth is 1025, the limit is 1024", LimitError)
        assert one(pax((b"path", deep[2:])) + header(b"x")).path == deep[2:]

    def test_nul_in_a_name(self) -> None:
        fails(pax((b"path", b"a\0b")) + header(b"x") + END, "NUL")
        fails(pax((b"linkpath", b"a\0b")) + header(b"x", b"2") + END, "NUL")
        fails(gnu_long(b"a\0b") + header(b"x") + END, "NUL")

    def test_bytes_are_kept(self) -> None:
        assert one(header(b"\xff\x01\n")).path == b"\xff\x01\n"

    def test_no_name(self) -> None:
        fails(header(b"") + END, "without a name")

    def test_symlink_targets(self) -> None:
        assert len(one(gnu_long(b"t" * 4095, b"K") + header(b"l", b"2")).target) == 4095
        fails(gnu_long(b"t" * 4096, b"K") + header(b"l", b"2") + END, "target size is 4096", LimitError)
        fails(header(b"l", b"2") + END, "without a target")


class TestNumbers:
    def test_mode_is_masked(self) -> None:
        assert one(header(b"f", mode=0o104755)).mode == 0o4755

    @pytest.mark.parametrize("value", [b"4294967296", b"-1"])
    def test_owner_out_of_range(self, value: bytes) -> None:
        fails(pax((b"uid", value)) + header(b"f") + END, "owner .* is outside")
        fails(pax((b"gid", value)) + header(b"f") + END, "owner .* is outside")

    def test_device_out_of_range(self) -> None:
        fails(header(b"c", b"3", major=4096) + END, "device 4096:0 is outside")
        fails(header(b"c", b"3", minor=b"\x80\0\0\0\0\x10\0\0") + END, "device 0:1048576 is outside")

    @pytest.mark.parametrize(
        ("mtime", "kept"),
        [(b"-1", 0), (b"-0.5", 0), (b"4294967296", 0xFFFF_FFFF), (b"99999999999999999999", 0xFFFF_FFFF)],
    )
    def test_mtime_is_clamped_with_a_warning(self, mtime: bytes, kept: int) -> None:
        entries, _, warnings = read(pax((b"mtime", mtime)) + header(b"f") + END)
        assert entries[0].mtime == kept
        assert "is stored" in warnings[0]
        fails(pax((b"mtime", mtime)) + header(b"f") + END, "is stored", strict=True)

    def test_negative_mtime_in_base_256(self) -> None:
        assert read(header(b"f", mtime=b"\xff" * 12) + END)[0][0].mtime == 0

    @pytest.mark.parametrize("field", [b"12x", b"1_0", b"0o7", b"+7", b"-7", b"8"])
    def test_no_number(self, field: bytes) -> None:
        fails(header(b"f", uid=field) + END, "is no number")

    @pytest.mark.parametrize("value", [b"x", b"1.5", b"", b"1e3", b" 1"])
    def test_no_pax_number(self, value: bytes) -> None:
        if value:
            fails(pax((b"uid", value)) + header(b"f") + END, "not a number")

    def test_negative_size(self) -> None:
        fails(header(b"f", size=b"\xff" * 12) + END, "size is -1")


class TestFraming:
    def test_bad_checksum(self) -> None:
        raw = bytearray(FILE)
        raw[0] ^= 1
        fails(bytes(raw) + END, "checksum is wrong")
        fails(FILE + b"garbage".ljust(BLOCK, b"g") + END, r"at byte 1024: .*checksum")

    @pytest.mark.parametrize("size", [1, 511, 513, 517])
    def test_truncated(self, size: int) -> None:
        fails(FILE[:size], "ends")

    def test_truncated_padding(self) -> None:
        fails(FILE[:-1], "ends 1 bytes early")

    def test_no_end_of_archive(self) -> None:
        entries, _, warnings = read(FILE)
        assert len(entries) == 1
        assert "without blocks of zeros" in warnings[0]
        fails(FILE, "without blocks of zeros", strict=True)

    def test_one_block_of_zeros(self) -> None:
        entries, _, warnings = read(FILE + bytes(BLOCK))
        assert len(entries) == 1
        assert "one block of zeros" in warnings[0]
        fails(FILE + bytes(BLOCK), "one block of zeros", strict=True)

    def test_second_archive_is_ignored_with_a_warning(self) -> None:
        entries, _, warnings = read(FILE + END + FILE + END)
        assert len(entries) == 1
        assert "ignore_zeros" in warnings[0]

    def test_ignore_zeros(self) -> None:
        entries, _, warnings = read(FILE + END + FILE + END, ignore_zeros=True)
        assert (len(entries), warnings) == (2, [])

    def test_padding_behind_the_end(self) -> None:
        assert read(FILE + END + bytes(20 * BLOCK))[2] == []

    def test_empty_archive(self) -> None:
        assert read(END) == ([], [], [])

    def test_extended_header_for_nothing(self) -> None:
        fails(pax((b"path", b"p")) + END, "without the entry")
        fails(gnu_long(b"p"), "without the entry")

    def test_two_pax_headers(self) -> None:
        fails(pax((b"path", b"p")) * 2 + header(b"x") + END, "two pax headers")

    @pytest.mark.parametrize(
        "data", [b"x path=a\n", b"99 path=a\n", b"10 path=ab", b"7 path\n", b"5 =a\n", b"0 a=b\n", b"-1 a=b"]
    )
    def test_malformed_pax(self, data: bytes) -> None:
        fails(header(b"x", b"x", len(data)) + padded(data) + header(b"f") + END, "pax record")

    def test_extended_header_limit(self) -> None:
        fails(
            header(b"x", b"x", 1 << 21) + END, "an extended header's size is 2097152, the limit is 1048576", LimitError
        )

    def test_unknown_type(self) -> None:
        entries, _, warnings = read(header(b"odd", b"Z", 5) + padded(b"hello") + FILE + END)
        assert [entry.path for entry in entries] == [b"file"]
        assert "type 'Z' is unknown" in warnings[0]
        fails(header(b"odd", b"Z") + END, "is unknown", strict=True)

    def test_volume_label_and_volumes(self) -> None:
        assert read(header(b"label", b"V") + FILE + END)[0][0].path == b"file"
        fails(header(b"rest", b"M", 5) + padded(b"hello") + END, "another volume", UnsupportedEntryError)

    @pytest.mark.parametrize("type_flag", [b"1", b"5", b"D"])
    def test_data_behind_what_has_none_is_skipped(self, type_flag: bytes) -> None:
        raw = FILE + header(b"x", type_flag, 5, target=b"file") + padded(b"hello") + header(b"last") + END
        assert [entry.path for entry in read(raw)[0]] == [b"file", b"x", b"last"]

    def test_unread_content_is_skipped(self) -> None:
        source = TarSource(io.BytesIO(FILE * 3 + END), name="t", options=WriterOptions(), warn=print)
        assert [source.read(2) for _ in source] == [b"he"] * 3

    def test_reading_past_an_entry_is_refused(self) -> None:
        source = TarSource(io.BytesIO(FILE + END), name="t", options=WriterOptions(), warn=print)
        next(iter(source))
        with pytest.raises(ValueError, match="5 are left"):
            source.read(6)

    def test_layer_limit(self) -> None:
        fails(FILE + END, "uncompressed size", LimitError, limits=Limits(layer_size=1024))


SPARSE_CONTENT = b"A" * 512 + b"B" * 100
SPARSE_MAP = ((0, 512), (10000, 100))
SPARSE_SIZE = 20000


class TestSparse:
    def check(self, raw: bytes) -> None:
        entries, contents, warnings = read(raw + header(b"next") + END)
        entry = entries[0]
        assert (entry.path, entry.size, entry.segments) == (b"s", SPARSE_SIZE, SPARSE_MAP)
        assert (contents[0], entries[1].path, warnings) == (SPARSE_CONTENT, b"next", [])

    def test_old_gnu(self) -> None:
        rows = b"".join(b"%011o\0%011o\0" % row for row in (*SPARSE_MAP, (SPARSE_SIZE, 0)))
        tail = bytes(41) + rows.ljust(96, b"\0") + b"\0" + b"%011o\0" % SPARSE_SIZE
        self.check(header(b"s", b"S", 612, magic=b"ustar  ", tail=tail) + padded(SPARSE_CONTENT))

    def test_old_gnu_with_extensions(self) -> None:
        rows = [b"%011o\0%011o\0" % (start, 1) for start in range(0, 60, 2)]
        tail = bytes(41) + b"".join(rows[:4]) + b"\1" + b"%011o\0" % 100
        more = b"".join(rows[4:25]) + b"\1" + bytes(7) + b"".join(rows[25:]).ljust(BLOCK, b"\0")
        raw = header(b"s", b"S", 30, magic=b"ustar  ", tail=tail) + more + padded(b"x" * 30)
        entries, contents, _ = read(raw + END)
        assert entries[0].segments == tuple((start, 1) for start in range(0, 60, 2))
        assert contents == [b"x" * 30]

    def test_pax_0_0(self) -> None:
        pairs = [(b"GNU.sparse.size", b"20000"), (b"GNU.sparse.numblocks", b"2")]
        for start, length in SPARSE_MAP:
            pairs += [(b"GNU.sparse.offset", b"%d" % start), (b"GNU.sparse.numbytes", b"%d" % length)]
        self.check(pax(*pairs) + header(b"s", size=612) + padded(SPARSE_CONTENT))

    def test_pax_0_1(self) -> None:
        pairs = [(b"GNU.sparse.size", b"20000"), (b"GNU.sparse.map", b"0,512,10000,100"), (b"GNU.sparse.name", b"s")]
        self.check(pax(*pairs) + header(b"GNUSparseFile.1/s", size=612) + padded(SPARSE_CONTENT))

    def test_pax_1_0(self) -> None:
        pairs = [(b"GNU.sparse.major", b"1"), (b"GNU.sparse.minor", b"0"), (b"GNU.sparse.name", b"s")]
        pairs += [(b"GNU.sparse.realsize", b"20000")]
        text = padded(b"2\n0\n512\n10000\n100\n")
        self.check(pax(*pairs) + header(b"x", size=len(text) + 612) + text + padded(SPARSE_CONTENT))

    def test_neighbours_are_joined_and_empty_ones_dropped(self) -> None:
        pairs = [(b"GNU.sparse.size", b"99"), (b"GNU.sparse.map", b"0,5,5,5,20,0,30,2,99,0")]
        assert read(pax(*pairs) + header(b"s", size=12) + padded(b"x" * 12) + END)[0][0].segments == ((0, 10), (30, 2))

    @pytest.mark.parametrize(
        ("text", "match"),
        [
            (b"5,5,0,5", "out of order"),
            (b"0,11", "past 10"),
            (b"0,5,3,5", "out of order"),
            (b"0,4", "add up to 4"),
            (b"0", "within a pair"),
            (b"0,x", "for a number"),
            (b"-1,5", "for a number"),
        ],
    )
    def test_bad_maps(self, text: bytes, match: str) -> None:
        pairs = [(b"GNU.sparse.size", b"10"), (b"GNU.sparse.map", text)]
        fails(pax(*pairs) + header(b"s", size=5) + padded(b"12345") + END, match)

    def test_bad_text_maps(self) -> None:
        pairs = [(b"GNU.sparse.major", b"1"), (b"GNU.sparse.minor", b"0"), (b"GNU.sparse.realsize", b"10")]
        for text, match in (
            (b"x" * 100, "no number"),
            (b"9\n0\n", "no number"),
            (b"2\nx\n", "for a number"),
            (b"99999999\n", "the limit is"),
        ):
            fails(pax(*pairs) + header(b"s", size=512) + padded(text) + END, match)
        fails(pax(*pairs) + header(b"s", size=0) + END, "does not end")

    def test_real_size_counts_against_the_limit(self) -> None:
        pairs = [(b"GNU.sparse.size", b"99999999999999"), (b"GNU.sparse.map", b"")]
        fails(pax(*pairs) + header(b"s") + END, "a sparse file's size", LimitError)


class TestXattrs:
    def test_both_keys_and_schily_wins(self) -> None:
        records = [
            (b"SCHILY.xattr.user.a", b"schily\0\n="),
            (b"LIBARCHIVE.xattr.user.a", base64.b64encode(b"libarchive")),
            (b"LIBARCHIVE.xattr.user.%62%3D", base64.b64encode(b"b").rstrip(b"=")),
        ]
        entry = one(pax(*records) + header(b"f"))
        assert dict(entry.xattrs) == {b"user.a": b"schily\0\n=", b"user.b=": b"b"}

    @pytest.mark.parametrize("name", [b"system.posix_acl_access", b"user.", b"other.x", b"user", b"user." + b"n" * 251])
    def test_what_cannot_be_stored_is_dropped_with_a_warning(self, name: bytes) -> None:
        raw = pax((b"SCHILY.xattr." + name, b"v"), (b"SCHILY.xattr.user.ok", b"v")) + header(b"f") + END
        entries, _, warnings = read(raw)
        assert entries[0].xattrs == ((b"user.ok", b"v"),)
        assert "is dropped" in warnings[0]
        fails(raw, "is dropped", strict=True)

    def test_acls_are_dropped_with_a_warning(self) -> None:
        assert "ACL" in read(pax((b"SCHILY.acl.access", b"user::rw-")) + header(b"f") + END)[2][0]

    def test_value_of_64_kib_and_one_more(self) -> None:
        assert len(one(pax((b"SCHILY.xattr.user.a", b"v" * 65536)) + header(b"f")).xattrs) == 1
        assert read(pax((b"SCHILY.xattr.user.a", b"v" * 65537)) + header(b"f") + END)[0][0].xattrs == ()

    def test_bad_base64(self) -> None:
        fails(pax((b"LIBARCHIVE.xattr.user.a", b"!!")) + header(b"f") + END, "LIBARCHIVE")


def test_pax_records_builder() -> None:
    assert pax_records((b"a", b"b")) == b"6 a=b\n"
    assert pax_records((b"a", b"b" * 4)) == b"9 a=bbbb\n"
    assert pax_records((b"a", b"b" * 5)) == b"11 a=bbbbb\n"


def test_attributes_of_users_are_on_files_and_directories_only() -> None:
    """Linux stores no others, and would not serve them."""
    record = pax((b"SCHILY.xattr.user.a", b"v"), (b"SCHILY.xattr.trusted.b", b"v"))
    both = ((b"user.a", b"v"), (b"trusted.b", b"v"))
    for type_flag in (b"0", b"5"):
        assert one(record + header(b"f", type_flag)).xattrs == both
    one(record + header(b"f", b"1", target=b"t"))  # a hard link's are ignored, without a word
    entries, _, warnings = read(record + header(b"s", b"2", target=b"t") + END)
    assert entries[0].xattrs == both[1:]
    assert "xattr user.a is on something other than a file or directory" in warnings[0]
