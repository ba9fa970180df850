"""Options: what is refused says what is allowed, and what is accepted has one form."""

from __future__ import annotations

import dataclasses
import pickle
from typing import Any

import pytest

from pysquash import OptionError, WriterOptions
from pysquash.options.writer import UNCOMPRESSED_PARTS


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"compressor": "lzip"}, "zstd, gzip, xz, lz4, lzo, lzma, none"),
        ({"level": 23}, "1 to 22"),
        ({"level": True}, "1 to 22"),
        ({"compressor": "xz", "level": 6}, "no levels"),
        ({"compressor": "lz4", "level": 1}, "no levels"),
        ({"compressor": "lzo", "level": 10}, "1 to 9"),
        ({"compressor": "lzo", "level": 3, "compressor_options": {"algorithm": "lzo1x_1"}}, "only lzo1x_999"),
        ({"compressor_options": {"level": "x"}}, "one whole number"),
        ({"level": 2, "compressor_options": {"level": 3}}, "another one"),
        ({"compressor_options": {"level": 99}}, "1 to 22"),
        ({"compressor_options": {"hc": True}}, "has no option 'hc', only: level"),
        ({"compressor": "lzma", "compressor_options": {"level": 1}}, "no option 'level', only: none"),
        ({"compressor_options": "hc"}, "a mapping"),
        ({"compressor": "gzip", "compressor_options": {"window": 8}}, "window-size, strategy"),
        ({"compressor": "gzip", "compressor_options": {"window-size": 16}}, "8 to 15"),
        ({"compressor": "gzip", "compressor_options": {"strategy": "huffman"}}, "huffman-only"),
        ({"compressor": "gzip", "compressor_options": {"strategy": ()}}, "some of"),
        ({"compressor": "gzip", "compressor_options": {"strategy": 1}}, "some of"),
        ({"compressor": "xz", "compressor_options": {"bcj": ["riscv"]}}, "x86, arm, armthumb, powerpc, sparc, ia64"),
        ({"compressor": "xz", "compressor_options": {"dict-size": 4096}}, "8192 to the block size"),
        ({"compressor": "xz", "compressor_options": {"dict-size": 1 << 18}}, "8192 to the block size"),
        ({"compressor": "xz", "compressor_options": {"dict-size": 10_000}}, "2^n"),
        ({"compressor": "xz", "compressor_options": {"dict-size": "60%"}}, "75%"),
        ({"compressor": "xz", "compressor_options": {"dict-size": "%"}}, "75%"),
        ({"compressor": "xz", "block_size": 4096, "compressor_options": {"dict-size": "100%"}}, "8192 to"),
        ({"compressor": "lz4", "compressor_options": {"hc": 1}}, "true or false"),
        ({"compressor": "lzo", "compressor_options": {"algorithm": "lzo1"}}, "lzo1x_1_15"),
        ({"uncompressed": "data"}, "collection"),
        ({"uncompressed": [[]]}, "some of data, fragments"),
        ({"tail_ends": 1}, "tail_ends must be True or False"),
        ({"uncompressed": ["directories"]}, "data, fragments, ids, inodes, xattrs"),
        ({"uncompressed": 1}, "collection"),
        ({"xattrs_include": "("}, "regular expression"),
        ({"xattrs_exclude": b"user"}, "regular expression"),
    ],
)
def test_what_is_refused_says_what_is_allowed(options: dict[str, Any], said: str) -> None:
    with pytest.raises(OptionError) as caught:
        WriterOptions(**options)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("compressor", "given", "taken"),
    [
        ("gzip", {"window-size": "9"}, {"window-size": 9}),
        ("gzip", {"strategy": "fixed,huffman_only,fixed"}, {"strategy": ("huffman-only", "fixed")}),
        ("gzip", {"strategy": ["run_length_encoded", "default"]}, {"strategy": ("default", "run-length-encoded")}),
        ("xz", {"dict-size": "75%"}, {"dict-size": 96 << 10}),
        ("xz", {"dict-size": 8192}, {"dict-size": 8192}),
        ("xz", {"dict-size": "12288"}, {"dict-size": 12288}),
        ("xz", {"bcj": ("sparc", "x86")}, {"bcj": ("x86", "sparc")}),
        ("lz4", {"hc": "yes"}, {"hc": True}),
        ("lz4", {"hc": "off"}, {"hc": False}),
        ("lzo", {"algorithm": "lzo1x_1_12"}, {"algorithm": "lzo1x_1_12"}),
        ("zstd", {}, {}),
    ],
)
def test_values_have_one_form(compressor: Any, given: dict[str, object], taken: dict[str, object]) -> None:
    options = WriterOptions(compressor=compressor, compressor_options=given)
    assert options.compressor_options == taken
    assert WriterOptions(compressor=compressor, compressor_options=taken) == options
    assert pickle.loads(pickle.dumps(options)) == options
    assert len({options, dataclasses.replace(options, workers=None)}) == 1


def test_a_level_may_stand_among_the_options() -> None:
    assert WriterOptions(compressor_options={"level": "7"}) == WriterOptions(level=7)
    assert WriterOptions(compressor_options={"level": 7}, level=7).level == 7
    assert WriterOptions(compressor="lzo", compressor_options={"algorithm": "lzo1x_999", "level": 9}).level == 9


def test_uncompressed_takes_any_iterable() -> None:
    assert WriterOptions(uncompressed=iter(["data", "ids"])).uncompressed == {"ids", "data"}  # type: ignore[arg-type]
    assert WriterOptions(uncompressed=UNCOMPRESSED_PARTS) == WriterOptions(uncompressed=sorted(UNCOMPRESSED_PARTS))
