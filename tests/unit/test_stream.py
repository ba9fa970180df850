"""Layer streams: every form and format, to the end, and nothing damaged gets through."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import random
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

import pysquash
from pysquash.compression import stream as stream_module
from pysquash.compression.stream import LayerStream
from pysquash.errors import LimitError, SourceError
from pysquash.options.limits import Limits
from tests.tarbuild import END, header

Compress = Callable[[bytes], bytes]


def zstd(data: bytes) -> bytes:
    return zstandard.ZstdCompressor(write_checksum=True).compress(data)


def zstd_streamed(data: bytes) -> bytes:
    compressor = zstandard.ZstdCompressor(write_checksum=True).compressobj()  # no content size in the frame
    return compressor.compress(data) + compressor.flush()


FORMATS: dict[str, Compress] = {
    "gzip": lambda data: gzip.compress(data, 1),
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "zstd": zstd,
    "zstd streamed": zstd_streamed,
    "plain": lambda data: data,
}
COMPRESSED = [name for name in FORMATS if name != "plain"]
CONTENT = random.Random(1).randbytes(300_000) + bytes(2_000_000) + b"end"
SKIPPABLE = b"\x50\x2a\x4d\x18\x05\0\0\0hello"


@pytest.fixture(params=["isal", "zlib"], autouse=True)
def _gzip_reader(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Read gzip with isal and with the fallback for machines without it."""
    if request.param == "isal":
        pytest.importorskip("isal")
    else:
        monkeypatch.setitem(sys.modules, "isal.igzip", None)


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    yield
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("pysquash")]


def unpacked(layer: stream_module.Layer, limits: Limits | None = None) -> bytes:
    stream = LayerStream(layer, name="layer", limits=limits or Limits())
    try:
        return b"".join(stream)
    finally:
        stream.close()


@pytest.mark.parametrize("name", FORMATS)
def test_all_members_whatever_the_chunks(name: str) -> None:
    raw = FORMATS[name](CONTENT[:1000]) + FORMATS[name](CONTENT[1000:])
    assert unpacked(io.BytesIO(raw)) == CONTENT
    for size in (1, 7, 4096):
        part = raw[:5000] if size == 1 and name == "plain" else raw
        expected = CONTENT[:5000] if part is not raw else CONTENT
        if size > 1 or name == "plain":
            assert unpacked(part[at : at + size] for at in range(0, len(part), size)) == expected


@pytest.mark.parametrize("name", COMPRESSED)
def test_single_bytes(name: str) -> None:
    raw = FORMATS[name](b"hello" * 50)
    assert unpacked(raw[at : at + 1] for at in range(len(raw))) == b"hello" * 50


def test_every_form_of_a_layer(tmp_path: Path) -> None:
    path = tmp_path / "layer.gz"
    path.write_bytes(gzip.compress(CONTENT))
    assert unpacked(path) == unpacked(str(path)) == CONTENT
    assert unpacked(lambda: path) == unpacked(lambda: io.BytesIO(path.read_bytes())) == CONTENT
    assert unpacked(iter([path.read_bytes()])) == unpacked([b"", path.read_bytes(), b""]) == CONTENT
    with path.open("rb") as file:
        unpacked(file)
        assert not file.closed


def test_counts(tmp_path: Path) -> None:
    path = tmp_path / "layer.gz"
    path.write_bytes(gzip.compress(CONTENT))
    stream = LayerStream(path, name="layer", limits=Limits())
    assert stream.total_size == path.stat().st_size
    assert sum(map(len, stream)) == stream.unpacked_size == len(CONTENT)
    assert stream.consumed_size == stream.total_size
    stream.close()


@pytest.mark.parametrize("name", FORMATS)
def test_no_more_than_asked_for_of_a_plain_file(tmp_path: Path, name: str) -> None:
    path = tmp_path / "layer"
    content = CONTENT * (5_000_000 // len(CONTENT))
    path.write_bytes(FORMATS[name](content))
    with closing(LayerStream(path, name="layer", limits=Limits())) as stream:
        chunks = [next(stream), stream.up_to(70_000), next(stream), stream.up_to(1)]
        while chunks[-1]:
            chunks.append(stream.up_to(3_000_000))
        assert b"".join(chunks) == content
        if name == "plain":
            assert [len(chunk) for chunk in chunks[1:4]] == [70_000, 1 << 20, 1]
            assert stream.consumed_size == len(content)


def test_empty_layer() -> None:
    assert unpacked(io.BytesIO()) == b""


@pytest.mark.parametrize("name", COMPRESSED)
@pytest.mark.parametrize("cut", [1, 5, 30])
def test_truncated(name: str, cut: int) -> None:
    with pytest.raises(SourceError, match="layer: cannot be decompressed"):
        unpacked(io.BytesIO(FORMATS[name](CONTENT)[:-cut]))


CALLERS_ERRORS = [EOFError, gzip.BadGzipFile, ImportError, OverflowError]


@pytest.mark.parametrize(
    ("name", "kind"),
    # An OSError without a number is what bz2 itself raises.
    [(name, kind) for name in FORMATS for kind in CALLERS_ERRORS if name != "bzip2" or not issubclass(kind, OSError)],
)
def test_what_the_caller_raises_is_no_damage(name: str, kind: type[Exception]) -> None:
    def chunks() -> Iterator[bytes]:
        yield FORMATS[name](CONTENT)[:5000]
        raise kind("mine")

    with pytest.raises(kind, match="mine"):
        unpacked(chunks())


def test_gzip_header_longer_than_any() -> None:
    raw = gzip.compress(CONTENT)
    named = raw[:3] + b"\x08" + raw[4:10] + b"n" * 600_000 + b"\0" + raw[10:]
    try:
        assert unpacked(io.BytesIO(named)) == CONTENT
    except SourceError as error:
        assert "cannot be decompressed" in str(error)


@pytest.mark.parametrize(("name", "module"), [("bzip2", "bz2"), ("xz", "lzma")])
def test_python_without_the_module(monkeypatch: pytest.MonkeyPatch, name: str, module: str) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(SourceError, match=f"layer: cannot be decompressed: .*{module}"):
        unpacked(io.BytesIO(FORMATS[name](CONTENT)))


@pytest.mark.parametrize("name", ["xz", "zstd", "zstd streamed"])
def test_data_after_the_end_is_damage(name: str) -> None:
    with pytest.raises(SourceError, match="cannot be decompressed"):
        unpacked(io.BytesIO(FORMATS[name](CONTENT) + b"something else entirely"))


GARBAGE = [
    b"Thursday",
    b"x",
    b"x" * 100_000,
    b"\r\n",
    bytes(10) + b"x",
    b"B",
    b"\x1f",
    b"BZ",
    b"BZx",
    b"\x1fx",
    b"\xff\0",
]
GARBAGE += [lzma.compress(b"a"), zstd(b"a")]


@pytest.mark.parametrize("garbage", GARBAGE, ids=range(len(GARBAGE)))
@pytest.mark.parametrize("name", ["gzip", "bzip2"])
@pytest.mark.parametrize("size", [1 << 20, 50_000, 1])
def test_garbage_after_gzip_and_bzip2_is_ignored(name: str, garbage: bytes, size: int) -> None:
    content = CONTENT if size > 1 else b"hello"
    raw = FORMATS[name](content) + FORMATS[name](b"more") + garbage[: 100 if size == 1 else None]
    texts: list[str] = []
    chunks = [raw[at : at + size] for at in range(0, len(raw), size)]
    magic = {"gzip": b"\x1f\x8b", "bzip2": b"BZh"}[name]
    if magic.startswith(garbage):  # what begins like a stream and ends
        with pytest.raises(SourceError, match=f"unexpected end of file: the {name} stream is truncated"):
            unpacked(chunks)
        return
    with closing(LayerStream(chunks, name="layer", limits=Limits(), garbage=texts.append)) as stream:
        assert b"".join(stream) == content + b"more"
        assert stream.consumed_size == len(raw)  # digests are over all of it
        assert next(stream, b"") == b""
    assert texts == [f"data after the end of the {name} stream is ignored"]
    with pytest.raises(SourceError, match=f"layer: data after the end of the {name} stream is not allowed"):
        unpacked(chunks)


@pytest.mark.parametrize("name", ["gzip", "bzip2"])
@pytest.mark.parametrize("tail", [b"", bytes(1), bytes(100_000)])
def test_zeros_after_gzip_and_bzip2_are_padding(name: str, tail: bytes) -> None:
    assert unpacked(io.BytesIO(FORMATS[name](CONTENT) + tail)) == CONTENT


TOOLS = {"gzip": ["gzip", "-dc"], "bzip2": ["bzip2", "-dc"], "xz": ["xz", "-dc"]}
PIECES = st.sampled_from(["empty", "byte", "text", "zeros", "garbage", "member cut", "magic"])


@pytest.mark.parametrize("name", TOOLS)
@given(pieces=st.lists(PIECES, max_size=6), step=st.sampled_from([1, 7, 4096, 1 << 20]), seed=st.integers(0, 2**16))
def test_whatever_follows_it_is_read_as_the_tool_reads_it(name: str, pieces: list[str], step: int, seed: int) -> None:
    """Compare with the C tool, which gives the bytes and fails, warns or succeeds."""
    compress = FORMATS[name]
    parts = {
        "empty": compress(b""),
        "byte": compress(b"a"),
        "text": compress(random.Random(seed).randbytes(5000)),
        "zeros": bytes(4),
        "garbage": b"garbage!",
        "member cut": compress(b"cut")[:-3],
        "magic": compress(b"")[:2],
    }
    raw = compress(b"first") + b"".join(parts[piece] for piece in pieces)
    done = subprocess.run(TOOLS[name], input=raw, capture_output=True, check=False)
    texts: list[str] = []
    chunks = (raw[at : at + step] for at in range(0, len(raw), step))
    try:
        with closing(LayerStream(chunks, name="layer", limits=Limits(), garbage=texts.append)) as stream:
            plain = b"".join(stream)
    except SourceError as error:
        # What is ambiguous: the tools ignore a stream after zeros, gzip a header that is cut off.
        is_cut_header = "truncated" in str(error) and "magic" in pieces
        assert (
            "zero bytes between" in str(error) or is_cut_header or (done.returncode and b"ignored" not in done.stderr)
        )
        return
    assert plain == done.stdout
    assert not texts or b"trailing garbage" in done.stderr
    # bzip2 warns of zeros, too, and gzip does not.
    assert texts or not done.stderr or (name == "bzip2" and "garbage" not in pieces)


@pytest.mark.parametrize("name", COMPRESSED)
def test_damaged(name: str) -> None:
    raw = bytearray(FORMATS[name](CONTENT))
    raw[len(raw) // 2] ^= 0xFF
    with pytest.raises(SourceError, match="cannot be decompressed"):
        unpacked(io.BytesIO(raw))


def test_padding_of_xz() -> None:
    assert unpacked(io.BytesIO(lzma.compress(b"a") + bytes(8) + lzma.compress(b"b") + bytes(4))) == b"ab"
    with pytest.raises(SourceError, match="multiple of 4"):
        unpacked(io.BytesIO(lzma.compress(b"a") + bytes(3)))


def test_skippable_zstd_frames() -> None:
    assert unpacked(io.BytesIO(SKIPPABLE + zstd(b"a") + SKIPPABLE + zstd(b"b") + SKIPPABLE)) == b"ab"
    with pytest.raises(SourceError, match="the zstd stream is truncated"):
        unpacked(io.BytesIO(zstd(b"a") + SKIPPABLE[:-1]))


def test_limits() -> None:
    with pytest.raises(LimitError, match="layer: the layer's uncompressed size is .*, the limit is 1000"):
        unpacked(io.BytesIO(gzip.compress(CONTENT)), Limits(layer_size=1000))
    bomb = gzip.compress(bytes(3_000_000))
    with pytest.raises(LimitError, match="compression ratio is .*, the limit is 10"):
        unpacked(io.BytesIO(bomb), Limits(ratio=10, ratio_free_size=1_000_000))
    assert len(unpacked(io.BytesIO(bomb), Limits(ratio=10, ratio_free_size=4_000_000))) == 3_000_000


@pytest.mark.parametrize("name", ["bzip2", "xz", "zstd"])
def test_a_layer_of_zeros_is_no_bomb(name: str) -> None:
    """`RUN useradd -u 1000000` makes a lastlog of 292 MB of zeros, a thirty-thousandth of that when compressed."""
    raw = FORMATS[name](bytes(100 << 20))
    assert len(raw) * 5000 < 100 << 20
    with closing(LayerStream(io.BytesIO(raw), name="layer", limits=Limits())) as stream:
        assert sum(map(len, stream)) == 100 << 20


def test_the_ratio_of_all_layers_together(tmp_path: Path) -> None:
    layers = []
    for row in range(3):
        layers.append(tmp_path / f"{row}.tar.gz")
        layers[-1].write_bytes(gzip.compress(header(b"zeros", size=1 << 20) + bytes(1 << 20) + END))
    limits = Limits(ratio=100, ratio_free_size=2 << 20)
    options = pysquash.WriterOptions(limits=limits)
    pysquash.tar2squashfs(layers[:1], tmp_path / "image", options=options)
    with pytest.raises(LimitError, match=r"the layers' compression ratio is .* \(--limit ratio\)"):
        pysquash.tar2squashfs(layers, tmp_path / "image", options=options)
    with pytest.raises(LimitError, match="the layers' compression ratio is"):
        pysquash.build_layers([str(layer) for layer in layers], tmp_path / "images", options=options)


def test_zstd_window_limit() -> None:
    parameters = zstandard.ZstdCompressionParameters(window_log=24)
    compressor = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    raw = compressor.compress(CONTENT) + compressor.flush()
    assert unpacked(io.BytesIO(raw)) == CONTENT
    with pytest.raises(SourceError, match=r"its window is larger than 1048576 bytes \(--limit zstd-window-size\)"):
        unpacked(io.BytesIO(raw), Limits(zstd_window_size=1 << 20))


def test_the_callers_exception_passes_through() -> None:
    def chunks() -> Iterator[bytes]:
        yield gzip.compress(CONTENT)[:1000]
        raise ConnectionResetError("gone")

    with pytest.raises(ConnectionResetError, match="gone"):
        unpacked(chunks())


def test_a_missing_file_is_an_oserror(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        unpacked(tmp_path / "missing")


def test_closing_early_ends_the_thread() -> None:
    stream = LayerStream(io.BytesIO(gzip.compress(bytes(50_000_000))), name="layer", limits=Limits())
    next(stream)
    stream.close()
    stream.close()
