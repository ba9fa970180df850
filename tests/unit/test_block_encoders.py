"""Every compressor with every option: what it makes is read again, and its options are the bytes that others write."""

from __future__ import annotations

import importlib.util
import random
import sys
from typing import Any

import pytest

from pysquash import OptionError, SquashfsWriter, WriterOptions
from pysquash.compression.base import codec_for
from pysquash.format.constants import CompressorId
from pysquash.options.writer import Compressor

KIB = 1 << 10
DEFAULT = 128 * KIB
has_liblzo = importlib.util.find_spec("lzo") is not None

# What mksquashfs 4.5.1 writes at byte 98 for the same options; None for nothing.
OPTIONS: list[tuple[str, dict[str, Any], str | None]] = [
    ("gzip", {}, None),
    ("gzip", {"level": 9, "window-size": 15, "strategy": "default"}, None),
    ("gzip", {"level": 3}, "030000000f000000"),
    ("gzip", {"window-size": 8}, "0900000008000000"),
    ("gzip", {"window-size": 10}, "090000000a000000"),
    ("gzip", {"strategy": "filtered"}, "090000000f000200"),
    ("gzip", {"strategy": "default,huffman_only,run_length_encoded,fixed"}, "090000000f001d00"),
    ("xz", {}, None),
    ("xz", {"dict-size": "100%"}, None),
    ("xz", {"dict-size": "75%"}, "0080010000000000"),
    ("xz", {"dict-size": "37.5%"}, "00c0000000000000"),
    ("xz", {"dict-size": 8 * KIB}, "0020000000000000"),
    ("xz", {"bcj": "x86"}, "0000020001000000"),
    ("xz", {"bcj": "x86,arm,armthumb,powerpc,sparc,ia64"}, "000002003f000000"),
    ("xz", {"bcj": "arm", "dict-size": 64 * KIB}, "0000010008000000"),
    ("lz4", {}, "0100000000000000"),
    ("lz4", {"hc": False}, "0100000000000000"),
    ("lz4", {"hc": True}, "0100000001000000"),
    ("lzo", {}, None),
    ("lzma", {}, None),
    ("zstd", {}, "03000000"),
    ("zstd", {"level": 15}, None),
    ("zstd", {"level": 22}, "16000000"),
    ("none", {}, None),
]
OF_LIBLZO: list[tuple[str, dict[str, Any], str | None]] = [
    ("lzo", {"algorithm": "lzo1x_1"}, "0000000000000000"),
    ("lzo", {"algorithm": "lzo1x_999"}, None),
    ("lzo", {"level": 8}, None),
]


def samples() -> list[bytes]:
    rng = random.Random(7)
    text = b" ".join(b"%d" % rng.randrange(1000) for _ in range(30_000))
    return [b"x", rng.randbytes(4096), bytes(8192), text[:8192], text[:DEFAULT], bytes(DEFAULT)]


@pytest.mark.parametrize(("compressor", "options", "packed"), OPTIONS + (OF_LIBLZO if has_liblzo else []))
def test_what_we_compress_is_decompressed(compressor: Any, options: dict[str, Any], packed: str | None) -> None:
    chosen = WriterOptions(compressor=compressor, compressor_options=options)
    _, codec = codec_for(chosen)
    plain = samples()
    stored = [bytes(each) for each in codec.compress(plain)]
    assert [codec.decompress(each, DEFAULT) for each in stored] == plain
    assert [fault for each in stored for fault in codec.faults(each, DEFAULT)] == []
    if compressor != "none":
        assert len(stored[-1]) < DEFAULT // 100
        assert len(stored[-2]) < DEFAULT * 0.8
    found = codec.options()
    assert (found and found.hex()) == packed


@pytest.mark.parametrize("compressor", ["gzip", "xz"])
def test_trying_more_is_never_larger(compressor: Any) -> None:
    several: dict[str, Any] = {
        "gzip": {"strategy": "default,filtered,huffman-only,run-length-encoded,fixed"},
        "xz": {"bcj": "x86,arm,armthumb,powerpc,sparc,ia64"},
    }
    # Calls of few places from many, which look alike as x86's filter has them; and what only run lengths are good for.
    calls = b"".join(b"\xe8" + (row % 3 * 9000 + 70_000 - 5 * row).to_bytes(4, "little") for row in range(9000))
    plain = [*samples(), calls, b"".join(bytes([row * 37 % 256]) * 60 for row in range(2000))]
    _, one = codec_for(WriterOptions(compressor=compressor))
    _, all_of_them = codec_for(WriterOptions(compressor=compressor, compressor_options=several[compressor]))
    # The codec is of this thread, and of one kind at a time: so in this order.
    sizes = [len(block) for block in one.compress(plain)], [len(block) for block in all_of_them.compress(plain)]
    assert all(more <= less for less, more in zip(*sizes, strict=True))
    assert sum(sizes[1]) < sum(sizes[0])


def test_a_dictionary_has_room_for_metadata_where_blocks_are_smaller() -> None:
    """Else Linux cannot mount the image."""
    _, codec = codec_for(WriterOptions(compressor="xz", block_size=4096))
    assert codec.options() is None
    _, codec = codec_for(WriterOptions(compressor="xz", block_size=4096, compressor_options={"bcj": "x86"}))
    assert codec.options() == (8192).to_bytes(4, "little") + (1).to_bytes(4, "little")


def test_the_superblock_has_its_number() -> None:
    names: list[Compressor] = ["gzip", "lzma", "lzo", "xz", "lz4", "zstd"]
    for name in names:
        _, codec = codec_for(WriterOptions(compressor=name))
        assert codec.id is CompressorId[name.upper()]


@pytest.mark.parametrize(
    ("module", "compressor", "options", "said"),
    [
        ("lz4.block", "lz4", {}, r"pysquash\[lz4\]"),
        ("lzallright", "lzo", {}, r"pysquash\[lzo\]"),
        ("lzo", "lzo", {"algorithm": "lzo1x_999"}, r"pysquash\[liblzo\]"),
        ("lzma", "xz", {}, "this Python has none"),
    ],
)
def test_a_missing_package_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any, module: str, compressor: Any, options: dict[str, Any], said: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.delitem(sys.modules, f"pysquash.compression.{compressor}", raising=False)
    chosen = WriterOptions(compressor=compressor, compressor_options=options, block_size=8192)
    with pytest.raises(OptionError, match=said):
        SquashfsWriter(tmp_path / "image", chosen)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("options", [{"algorithm": "lzo1x_1_15"}, {"algorithm": "lzo1x_999", "level": 9}, {"level": 1}])
def test_what_no_package_can_do_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(OptionError, match=r"there are lzo1x_1, lzo1x_999 at level 8"):
        codec_for(WriterOptions(compressor="lzo", compressor_options=options))
