"""The tar reader, row by row of what archives hold and what becomes of it."""

from __future__ import annotations

import base64
import io
from typing import Any

import pytest

from pysquash.errors import LimitError, SourceError, UnsupportedEntryError
from pysquash.options.limits import Limits
from pysquash.options.writer import WriterOptions
from pysquash.sources.tar import TarSource
from pysquash.tree.entry import Entry, Kind
from tests.noticing import Recorder, fail
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

    @pytest.mark.parametrize("magic", [b"", b"ustar\x0000", b"ustar  "])
    def test_v7_directory_with_a_size(self, magic: bytes) -> None:
        raw = header(b"bin/", b"\0", 512, magic=magic) + header(b"bin/sh") + END
        entries, _, warnings = read(raw)
        assert [(entry.path, entry.kind, entry.size) for entry in entries] == [
            (b"bin", Kind.DIRECTORY, 0),
            (b"bin/sh", Kind.FILE, 0),
        ]
        assert warnings == []

    @pytest.mark.parametrize("extension", [pax((b"path", b"x/")), gnu_long(b"x/")])
    def test_long_name_of_a_v7_directory_with_a_size(self, extension: bytes) -> None:
        """GNU tar and bsdtar make it a directory, tarfile a file."""
        fails(extension + header(b"q", b"\0", 512, magic=b"") + header(b"f") + END, "ends in '/'")

    def test_slash_in_the_header_only(self) -> None:
        raw = gnu_long(b"x") + header(b"q/", b"\0", magic=b"") + header(b"f") + END
        entries, _, warnings = read(raw)
        assert [(entry.path, entry.kind) for entry in entries] == [(b"x", Kind.FILE), (b"f", Kind.FILE)]
        assert "ends in '/'" in warnings[0]

    def test_slash_after_a_file_with_content(self) -> None:
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

    def test_nul_in_a_long_name_cuts_it(self) -> None:
        raw = gnu_long(b"a\0b") + gnu_long(b"t\0u", b"K") + header(b"x", b"2") + END
        entries, _, warnings = read(raw)
        assert (entries[0].path, entries[0].target) == (b"a", b"t")
        assert ["a long name has a NUL in it" in warning for warning in warnings] == [True, True]
        fails(raw, "NUL", strict=True)
        assert one(gnu_long(b"a\0\0\0") + header(b"x")).path == b"a"

    def test_bytes_are_kept(self) -> None:
        assert one(header(b"\xff\x01\n")).path == b"\xff\x01\n"

    def test_no_name(self) -> None:
        fails(header(b"") + END, "without a name")
        fails(header(b"", b"2", target=b"t") + END, "without a name")

    def test_directory_without_a_name_is_the_root(self) -> None:
        entries, _, warnings = read(header(b"", b"5", mode=0o711) + END)
        assert [(entry.path, entry.mode) for entry in entries] == [(b"", 0o711)]
        assert "a directory without a name" in warnings[0]
        fails(header(b"", b"5") + END, "a directory without a name", strict=True)

    def test_hard_link_without_a_target(self) -> None:
        raw = header(b"l", b"1") + FILE + END
        fails(raw, r"t\.tar: l: at byte 0: a hard link without a target")
        entries, _, warnings = read(raw, lenient=True)
        assert [entry.path for entry in entries] == [b"file"]
        assert "a hard link without a target is dropped" in warnings[0]

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

    @pytest.mark.parametrize("mtime", [b"12.5x", b"12 3", b"12\n", b"12e3"])
    def test_characters_after_a_pax_time(self, mtime: bytes) -> None:
        raw = pax((b"mtime", mtime)) + header(b"f") + END
        entries, _, warnings = read(raw)
        assert entries[0].mtime == 12
        assert "12 is stored" in warnings[0]
        fails(raw, "12 is stored", strict=True)

    @pytest.mark.parametrize("mtime", [b"x", b".5", b"+5", b" 12"])
    def test_pax_time_without_a_number(self, mtime: bytes) -> None:
        fails(pax((b"mtime", mtime)) + header(b"f") + END, "not a number of seconds")

    def test_empty_pax_number_means_that_of_the_header(self) -> None:
        """POSIX: an empty value removes what global headers say."""
        raw = pax((b"uid", b"5"), (b"mtime", b"6"), type_flag=b"g")
        raw += (
            pax((b"uid", b""), (b"mtime", b""), (b"size", b"")) + header(b"f", size=2, uid=1, mtime=2) + padded(b"ab")
        )
        entry = one(raw)
        assert (entry.uid, entry.mtime, entry.size) == (1, 2, 2)

    @pytest.mark.parametrize("size", [b"\0" + b"0000000003", b"\0\0\0\0000000003", b"\x003"])
    def test_size_that_begins_with_nul_is_0(self, size: bytes) -> None:
        raw = header(b"f", size=size) + header(b"g") + END
        entries, _, warnings = read(raw)
        assert [(entry.path, entry.size) for entry in entries] == [(b"f", 0), (b"g", 0)]
        assert "begins with NUL" in warnings[0]
        fails(raw, "begins with NUL", strict=True)
        assert one(header(b"f", size=bytes(12))).size == 0

    def test_negative_mtime_in_base_256(self) -> None:
        assert read(header(b"f", mtime=b"\xff" * 12) + END)[0][0].mtime == 0

    @pytest.mark.parametrize("field", [b"12x", b"1_0", b"0o7", b"+7", b"-7", b"8"])
    def test_no_number(self, field: bytes) -> None:
        fails(header(b"f", uid=field) + END, "is not a number")

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
        fails(FILE[:-1], "ends early, at byte 1023: 1 bytes are missing")

    @pytest.mark.parametrize("is_read", [True, False])
    def test_all_that_is_missing_is_counted(self, is_read: bool) -> None:
        """Content is read in pieces: the message is about all of it."""
        raw = header(b"f", size=5_000_000) + bytes(1_000_000)
        source = TarSource(io.BytesIO(raw), name="t", options=WriterOptions(), warn=fail)
        with pytest.raises(SourceError, match=r"t: f: at byte 0: .*early, at byte 1000512: 4000000 bytes are missing"):
            for _ in source:
                for _ in range(40) if is_read else ():
                    source.read(100_000)

    def test_a_header_that_is_cut_off(self) -> None:
        fails(FILE + header(b"g")[:100], "ends inside a header, at byte 1124: 412 bytes are missing")

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
        assert "is ignored; --ignore-zeros reads it" in warnings[0]

    def test_ignore_zeros(self) -> None:
        entries, _, warnings = read(FILE + END + FILE + END, ignore_zeros=True)
        assert (len(entries), warnings) == (2, [])

    def test_padding_behind_the_end(self) -> None:
        assert read(FILE + END + bytes(20 * BLOCK))[2] == []

    def test_empty_archive(self) -> None:
        assert read(END) == ([], [], [])

    @pytest.mark.parametrize("extended", [pax((b"path", b"p")), gnu_long(b"p"), gnu_long(b"p", b"K")])
    @pytest.mark.parametrize("end", [END, bytes(BLOCK), b""])
    def test_extended_header_before_the_end(self, extended: bytes, end: bytes) -> None:
        entries, _, warnings = read(FILE + extended + end)
        assert [entry.path for entry in entries] == [b"file"]
        assert "at byte 1024: an extended header before the end of the archive, without an entry" in warnings[0]
        fails(FILE + extended + end, "without an entry", strict=True)

    def test_extended_header_before_the_end_of_the_first_archive(self) -> None:
        """It is not for the first entry of the next one."""
        entries, _, _ = read(gnu_long(b"p") + pax((b"uid", b"5")) + END + FILE + END, ignore_zeros=True)
        assert [(entry.path, entry.uid) for entry in entries] == [(b"file", 0)]

    def test_two_pax_headers(self) -> None:
        raw = pax((b"path", b"p"), (b"uid", b"3")) + pax((b"path", b"q"), (b"gid", b"4")) + header(b"x") + FILE + END
        entries, _, warnings = read(raw)
        assert [(entry.path, entry.uid, entry.gid) for entry in entries] == [(b"q", 3, 4), (b"file", 0, 0)]
        assert len(warnings) == 1
        assert "two pax headers" in warnings[0]
        fails(raw, "two pax headers", strict=True)

    @pytest.mark.parametrize(
        "data", [b"x path=a\n", b"99 path=a\n", b"10 path=ab", b"7 path\n", b"5 =a\n", b"0 a=b\n", b"-1 a=b"]
    )
    def test_malformed_pax(self, data: bytes) -> None:
        fails(header(b"x", b"x", len(data)) + padded(data) + header(b"f") + END, "pax record")

    def test_extended_header_limit(self) -> None:
        raw = header(b"x", b"x", (1 << 24) + 1) + END
        fails(raw, "extended header size is 16777217, the limit is 16777216", LimitError)
        assert one(pax((b"comment", b"c" * (2 << 20)), (b"path", b"p")) + header(b"x")).path == b"p"

    def test_unknown_type(self) -> None:
        entries, _, warnings = read(header(b"odd", b"Z", 5) + padded(b"hello") + FILE + END)
        assert [entry.path for entry in entries] == [b"file"]
        assert "type 'Z' is unknown" in warnings[0]
        fails(header(b"odd", b"Z") + END, "is unknown", strict=True)

    def test_volume_label_and_volumes(self) -> None:
        assert read(header(b"label", b"V") + FILE + END)[0][0].path == b"file"
        fails(header(b"rest", b"M", 5) + padded(b"hello") + END, "another volume", UnsupportedEntryError)

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

    def test_limit_of_segments(self) -> None:
        pairs = [(b"GNU.sparse.size", b"99"), (b"GNU.sparse.map", b"0,1,5,1")]
        raw = pax(*pairs) + header(b"s", size=2) + padded(b"ab") + END
        fails(raw, "sparse map of 2 segments, the limit is 1", limits=Limits(segment_count=1))
        assert len(read(raw, limits=Limits(segment_count=2))[0]) == 1

    def test_pairs_of_form_0_0_alternate(self) -> None:
        offset, length = (b"GNU.sparse.offset", b"0"), (b"GNU.sparse.numbytes", b"5")
        for pairs in ([offset, offset], [length], [offset, length, length], [offset]):
            records = pax((b"GNU.sparse.size", b"9"), *pairs)
            fails(records + header(b"s", size=5) + padded(b"12345") + END, "GNU.sparse.offset")

    @pytest.mark.parametrize("key", [b"GNU.sparse.size", b"GNU.sparse.realsize"])
    def test_negative_real_size(self, key: bytes) -> None:
        records = pax((b"GNU.sparse.size", b"-1"), (key, b"-1"), (b"GNU.sparse.map", b""))
        fails(records + header(b"s") + END, "size of the sparse file is -1")
        tail = bytes(41) + bytes(96) + b"\0" + b"\xff" * 12
        fails(header(b"s", b"S", magic=b"ustar  ", tail=tail) + END, "size of the sparse file is -1")

    def test_sparse_name_of_a_file_that_is_not_sparse(self) -> None:
        raw = pax((b"GNU.sparse.name", b"s")) + FILE + END
        entries, _, warnings = read(raw)
        assert [(entry.path, entry.size) for entry in entries] == [(b"s", 5)]
        assert "not sparse" in warnings[0]
        fails(raw, "not sparse", strict=True)

    def test_global_sparse_map_is_ignored(self) -> None:
        raw = pax((b"GNU.sparse.size", b"9"), (b"GNU.sparse.map", b"0,5"), type_flag=b"g") + FILE + END
        entries, _, warnings = read(raw)
        assert (entries[0].size, entries[0].segments, len(warnings)) == (5, None, 2)


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

    def test_selinux_label(self) -> None:
        """What `tar --selinux` writes; SCHILY wins, LIBARCHIVE loses."""
        label, other = (b"RHT.security.selinux", b"a:b:c"), base64.b64encode(b"x")
        assert one(pax(label) + header(b"f")).xattrs == ((b"security.selinux", b"a:b:c"),)
        assert one(pax(label) + header(b"l", b"2", target=b"t")).xattrs == ((b"security.selinux", b"a:b:c"),)
        records = [label, (b"LIBARCHIVE.xattr.security.selinux", other)]
        assert one(pax(*records) + header(b"f")).xattrs == ((b"security.selinux", b"a:b:c"),)
        assert one(pax(*records, (b"SCHILY.xattr.security.selinux", b"s")) + header(b"f")).xattrs == (
            (b"security.selinux", b"s"),
        )

    @pytest.mark.parametrize(
        "records",
        [
            ((b"SCHILY.acl.access", b"user::rw-,group::r--,other::r--,user:bin:rwx"),),
            ((b"SCHILY.acl.access", b"user::rw-,group::r--,mask::r--,other::r--"),),
            ((b"SCHILY.acl.access", b"user::rwx,group::r--,other::r--"),),
            ((b"SCHILY.acl.access", b"user::rw-"),),
            ((b"SCHILY.acl.default", b"user::rw-,group::r--,other::r--"),),
            ((b"SCHILY.acl.ace", b"owner@:rw------------:------:allow"),),
        ],
    )
    def test_acls_are_dropped_with_a_warning(self, records: tuple[tuple[bytes, bytes], ...]) -> None:
        raw = pax(*records) + header(b"f", mode=0o644) + END
        assert "ACLs cannot be stored" in read(raw)[2][0]
        fails(raw, "ACLs cannot be stored", strict=True)
        assert read(raw, xattrs=False)[2] == []

    @pytest.mark.parametrize("text", [b"user::rw-,group::r--,other::r--", b"user::rw-\ngroup::r--\nother::r--\n", b""])
    def test_acls_that_repeat_the_mode_lose_nothing(self, text: bytes) -> None:
        records = pax((b"SCHILY.acl.access", text), (b"SCHILY.acl.default", b""))
        assert one(records + header(b"f", mode=0o4644), strict=True).xattrs == ()

    def test_global_attributes_are_computed_once(self) -> None:
        raw = pax((b"SCHILY.xattr.user.a", b"v"), (b"SCHILY.xattr.trusted.b", b"v"), type_flag=b"g")
        raw += header(b"f") + header(b"g") + pax((b"SCHILY.xattr.user.a", b"w")) + header(b"h")
        entries, _, warnings = read(raw + header(b"s", b"2", target=b"t") + header(b"u", b"2", target=b"t") + END)
        assert entries[0].xattrs == ((b"user.a", b"v"), (b"trusted.b", b"v"))
        assert entries[0].xattrs is entries[1].xattrs
        assert entries[2].xattrs == ((b"user.a", b"w"), (b"trusted.b", b"v"))
        assert entries[3].xattrs == ((b"trusted.b", b"v"),)
        assert entries[3].xattrs is entries[4].xattrs
        assert len(warnings) == 1  # of user.a on a symlink

    def test_global_records_are_limited(self) -> None:
        records = b"".join(pax((b"SCHILY.xattr.user.%d" % row, b"v" * 40), type_flag=b"g") for row in range(20))
        match = "size of global pax records is .*, the limit is 1000"
        fails(records + FILE + END, match, LimitError, limits=Limits(extended_header_size=1000))
        again = b"".join(pax((b"SCHILY.xattr.user.a", b"v" * 40), type_flag=b"g") for _ in range(100))
        read(again + FILE + END, limits=Limits(extended_header_size=1000))
        match = "size of global extended attributes' names is .*, the limit is 100"
        fails(records + FILE + END, match, LimitError, limits=Limits(xattr_list_size=100))

    def test_value_of_64_kib_and_one_more(self) -> None:
        assert len(one(pax((b"SCHILY.xattr.user.a", b"v" * 65536)) + header(b"f")).xattrs) == 1
        assert read(pax((b"SCHILY.xattr.user.a", b"v" * 65537)) + header(b"f") + END)[0][0].xattrs == ()

    @pytest.mark.parametrize("value", [b"!!", b"-1", b"\xff"])
    def test_bad_base64(self, value: bytes) -> None:
        raw = pax((b"LIBARCHIVE.xattr.user.a", value)) + header(b"f") + END
        entries, _, warnings = read(raw)
        assert entries[0].xattrs == ()
        assert "xattr user.a has a value that is not base64 and is dropped" in warnings[0]
        fails(raw, "not base64", strict=True)


class TestKeywords:
    @pytest.mark.parametrize(
        "record",
        [
            (b"atime", b"1.5"),
            (b"ctime", b"1.5"),
            (b"comment", b"of git archive"),
            (b"charset", b"ISO-IR 8859 1 1998"),
            (b"hdrcharset", b"BINARY"),
            (b"hdrcharset", b"ISO-IR 10646 2000 UTF-8"),
            (b"SCHILY.dev", b"1"),
            (b"SCHILY.ino", b"1"),
            (b"SCHILY.nlink", b"1"),
            (b"LIBARCHIVE.creationtime", b"1.5"),
            (b"uname", b"root"),
            (b"gname", b"root"),
        ],
    )
    @pytest.mark.parametrize("type_flag", [b"x", b"g"])
    def test_harmless(self, record: tuple[bytes, bytes], type_flag: bytes) -> None:
        assert one(pax(record, type_flag=type_flag) + header(b"f"), strict=True).path == b"f"

    @pytest.mark.parametrize(
        "record",
        [
            (b"hdrcharset", b"ISO-IR 8859 1 1998"),
            (b"SCHILY.realsize", b"1"),
            (b"SCHILY.fflags", b"immutable"),
            (b"SCHILY.devmajor", b"1"),
            (b"SUN.holesdata", b"0 1"),
            (b"GNU.volume.offset", b"1"),
            (b"RHT.security.other", b"1"),
            (b"VENDOR.key", b""),
            (b"Path", b"p"),
        ],
    )
    @pytest.mark.parametrize("type_flag", [b"x", b"g"])
    def test_unknown(self, record: tuple[bytes, bytes], type_flag: bytes) -> None:
        raw = (pax(record, type_flag=type_flag) + header(b"f")) * 2 + END
        _, _, warnings = read(raw)
        assert len(set(warnings)) >= 1
        assert f"pax keyword {record[0].decode()} is unknown" in warnings[0]
        fails(raw, "pax keyword .* is unknown", strict=True)

    def test_each_is_reported_once(self) -> None:
        assert len(read((pax((b"VENDOR.key", b"v")) + header(b"f")) * 5 + END)[2]) == 1


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
