"""The data area: equal content once, whatever its size, and what comes after a duplicate is right."""

from __future__ import annotations

import hashlib
import io
import random
from collections.abc import Sequence

import pytest

from pysquash import SquashfsImage, WriterOptions, tar2squashfs
from pysquash.compression.base import CompressorSettings
from pysquash.packing.squashfs_writer import SquashfsWriter
from pysquash.writer import data as data_module
from pysquash.writer import dedup as dedup_module
from pysquash.writer import pipeline as pipeline_module
from pysquash.writer.data import _cut
from pysquash.writer.dedup import HASHED_TAIL_SIZE
from pysquash.writer.pipeline import BATCH_SIZE, Pipeline
from tests.tarbuild import END, header, padded, pax

BLOCK = 4096
DATA = random.Random(5).randbytes(3 * BATCH_SIZE)
LARGE = DATA[: 2 * BATCH_SIZE + 5 * BLOCK + 100]  # more than a batch: submitted before it is known to be a duplicate
SMALL = DATA[100 : 100 + 5 * BLOCK + 7]  # less: dropped from its batch


def packed(
    contents: Sequence[bytes], *, file: io.BytesIO | None = None, block_size: int = BLOCK, **options: object
) -> tuple[bytes, int]:
    options.setdefault("compressor", "none")
    file = io.BytesIO() if file is None else file
    with SquashfsWriter(file, WriterOptions(block_size=block_size, **options)) as writer:  # type: ignore[arg-type]
        for row, content in enumerate(contents):
            writer.add_file(f"{row:03}", content)
    with SquashfsImage(file) as image:
        for row, content in enumerate(contents):
            assert (image / f"{row:03}").read_bytes() == content
    return file.getvalue(), len(file.getvalue())


@pytest.mark.parametrize("fragments", [True, False])
@pytest.mark.parametrize(
    "contents",
    [
        [LARGE, LARGE, SMALL],
        [LARGE, b"x", LARGE, SMALL, LARGE, SMALL],
        [SMALL, SMALL, LARGE, SMALL],
        [SMALL, SMALL + b"other tail", SMALL[: 5 * BLOCK], SMALL[-7:]],
        [LARGE[:-1], LARGE, LARGE[:-1]],
        [bytes(BATCH_SIZE) + LARGE, LARGE, bytes(BATCH_SIZE) + LARGE, SMALL],
    ],
    ids=range(6),
)
def test_duplicates_are_stored_once(contents: list[bytes], fragments: bool) -> None:
    images = {packed(contents, workers=workers, fragments=fragments)[0] for workers in (1, 2, 8)}
    assert len(images) == 1
    _, size = packed(list(dict.fromkeys(contents)), fragments=fragments)
    assert abs(len(images.pop()) - size) <= 4 * BLOCK * len(contents)


CONTENTS = [LARGE, SMALL, LARGE, b"x" * 50, SMALL, LARGE[:-5000], SMALL[1:], bytes(BATCH_SIZE) + LARGE]


class WriteOnly(io.BytesIO):
    """An output that cannot be read."""

    def readable(self) -> bool:
        return False

    def read(self, size: int | None = -1, /) -> bytes:
        raise io.UnsupportedOperation


def written_blindly(contents: Sequence[bytes], block_size: int) -> bytes:
    file = WriteOnly()
    with SquashfsWriter(file, WriterOptions(block_size=block_size)) as writer:
        for row, content in enumerate(contents):
            writer.add_file(f"{row:03}", content)
    return file.getvalue()


def test_an_output_that_cannot_be_read_gets_the_same_bytes() -> None:
    assert written_blindly(CONTENTS, BLOCK) == packed(CONTENTS, compressor="zstd")[0]


LONG = 2 * HASHED_TAIL_SIZE
TAILS = [DATA[start : start + LONG + start % 7] for start in range(0, 40 * LONG, LONG)]  # five fragment blocks


@pytest.mark.parametrize(
    "contents",
    [
        [TAILS[0], TAILS[0]],  # in the block being filled
        [*TAILS[:9], TAILS[0]],  # taken, perhaps not landed
        [*TAILS, *TAILS[::-1], *TAILS],
        [DATA[: 2 << 20] + TAILS[0], TAILS[0], DATA[5 : 2 << 20] + TAILS[0]],  # ends of longer files
        [TAILS[0], TAILS[0][:-1], TAILS[0][1:], TAILS[0][:HASHED_TAIL_SIZE], TAILS[0][:-1], bytes(LONG), bytes(LONG)],
    ],
    ids=["filling", "near", "far", "ends", "others"],
)
def test_long_tails_are_stored_once(contents: list[bytes]) -> None:
    block_size = 1 << 17
    images = {packed(contents, block_size=block_size, compressor="zstd", workers=workers)[0] for workers in (1, 2, 8)}
    assert images == {written_blindly(contents, block_size)}
    _, size = packed(list(dict.fromkeys(contents)), block_size=block_size, compressor="zstd")
    assert abs(len(images.pop()) - size) <= 4096


def test_a_short_tail_is_not_taken_for_the_digest_of_another() -> None:
    digest = hashlib.sha256(SMALL[:1000]).digest()
    packed([SMALL[:1000], *(digest[:size] for size in range(28, 33)), *(digest[:size] for size in range(28, 33))])


@pytest.mark.parametrize("workers", [1, 4])
def test_long_tails_with_equal_checksums_are_told_apart(monkeypatch: pytest.MonkeyPatch, workers: int) -> None:
    monkeypatch.setattr(dedup_module, "crc32", lambda _tail: 0)
    packed([tail[:LONG] for tail in [*TAILS, *TAILS[::-1]]], block_size=1 << 17, workers=workers)


@pytest.mark.parametrize("workers", [1, 4])
def test_runs_with_equal_checksums_are_told_apart(monkeypatch: pytest.MonkeyPatch, workers: int) -> None:
    monkeypatch.setattr(dedup_module, "crc32", lambda _block, _crc: 0)
    other = bytes(reversed(LARGE))
    packed([*CONTENTS, other, SMALL[::-1], other, SMALL], workers=workers)  # which compares what it reads back


def test_holes_are_equal_however_they_are_found() -> None:
    """Holes of a sparse file and blocks of zeros make the same run."""
    size, block = 7 * BLOCK + 5, DATA[:BLOCK]
    whole = block + bytes(4 * BLOCK) + block + bytes(BLOCK + 5)
    records = pax((b"GNU.sparse.size", b"%d" % size), (b"GNU.sparse.map", b"0,4096,20480,4096"))
    raw = records + header(b"sparse", size=2 * BLOCK) + block * 2 + header(b"whole", size=size) + padded(whole) + END
    file = io.BytesIO()
    report = tar2squashfs([io.BytesIO(raw)], file, options=WriterOptions(block_size=BLOCK))
    assert (report.duplicate_files, report.duplicate_bytes) == (1, size)
    with SquashfsImage(file) as image:
        assert (image / "sparse").read_bytes() == (image / "whole").read_bytes() == whole


def test_holes_of_another_shape_are_another_run() -> None:
    block = DATA[:BLOCK]
    contents = [
        block + bytes(BLOCK),
        bytes(BLOCK) + block,
        block + bytes(100),
        block + bytes(2 * BLOCK),
        bytes(7),
        b"\0",
    ]
    packed(contents)
    packed(contents, fragments=False)


@pytest.mark.parametrize("block_size", [4, 7, 100])
def test_cutting_sparse_content_equals_the_expanded_bytes(block_size: int) -> None:
    random_numbers = random.Random(block_size)
    for _ in range(300):
        size = random_numbers.randrange(60)
        whole, stored, at = bytearray(size), b"", 0
        segments: list[tuple[int, int]] = []
        while at < size:
            start = at + random_numbers.randrange(0 if not segments else 1, 20)
            length = random_numbers.randrange(1, 20)
            if start + length > size:
                break
            content = bytes(random_numbers.randrange(1, 256) for _ in range(length))
            whole[start : start + length] = content
            segments.append((start, length))
            stored += content
            at = start + length
        read = io.BytesIO(stored)
        blocks: list[bytes | None] = []
        for block in _cut(size, block_size, tuple(segments), read.read):
            blocks += [None] * block if isinstance(block, int) else [block]
        lengths = [min(block_size, size - start) for start in range(0, size, block_size)]
        assert [len(block) for block in blocks if block is not None] == [
            length for block, length in zip(blocks, lengths, strict=True) if block is not None
        ]
        assert b"".join(block or bytes(length) for block, length in zip(blocks, lengths, strict=True)) == whole
        assert not read.read()


@pytest.mark.parametrize("workers", [1, 2, 8])
def test_batches_land_in_order(workers: int) -> None:
    pipeline = Pipeline(CompressorSettings("zstd", None, BLOCK), workers)
    landed: list[bytes] = []
    for row in range(50):
        blocks = [bytes([row]) * (5000 * (50 - row))]  # the first ones take longest
        pipeline.submit(blocks, lambda raw, _stored: landed.append(raw[0][:1]))
    pipeline.drain()
    pipeline.close()
    assert landed == [bytes([row]) for row in range(50)]


@pytest.mark.parametrize("workers", [1, 2])
def test_a_workers_error_comes_out(workers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr(pipeline_module, "compress_batch", fail)
    pipeline = Pipeline(CompressorSettings("zstd", None, BLOCK), workers)
    with pytest.raises(RuntimeError, match="broken"):
        for _ in range(10):
            pipeline.submit([b"x"], lambda _raw, _stored: None)
        pipeline.drain()
    pipeline.close()


@pytest.fixture
def decompressed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sizes of the blocks that are decompressed for comparisons; nothing is free."""
    sizes: list[int] = []
    plain = Pipeline.plain

    def counted(pipeline: Pipeline, stored: bytes, word: int) -> bytes:
        sizes.append(len(stored))
        return plain(pipeline, stored, word)

    monkeypatch.setattr(Pipeline, "plain", counted)
    monkeypatch.setattr(data_module, "_FREE_SIZE", 0)
    return sizes


FEW = [DATA[start : start + LONG + start // LONG % 32 // 8] for start in range(0, 32 * LONG, LONG)]  # eight to a block
LARGER = [DATA[: 6 * BATCH_SIZE // 4], DATA[7 : 6 * BATCH_SIZE // 4]] * 2  # has the fragment blocks before it written
SAME = [FEW[number % 4 * 8] for number in range(300)]
OTHER = [DATA[number : number + LONG + number % 4] for number in range(300)]


@pytest.mark.parametrize("workers", [1, 4])
@pytest.mark.parametrize("tails", [SAME, OTHER], ids=["same", "other"])
def test_tails_in_alternating_blocks_are_hashed_when_comparing_costs_more(
    decompressed: list[int], monkeypatch: pytest.MonkeyPatch, workers: int, tails: list[bytes]
) -> None:
    contents = [*FEW, *LARGER, *tails, *FEW]
    expected = written_blindly(contents, 1 << 17)
    if tails is OTHER:
        monkeypatch.setattr(dedup_module, "crc32", lambda *_: 0)
    image, size = packed(contents, block_size=1 << 17, compressor="zstd", workers=workers)
    assert len(decompressed) < 100
    if tails is SAME:
        assert image == expected
    else:  # the same tails are stored, but for those that had a checksum in common before
        assert 0 <= size - len(expected) < 64 * LONG


def test_copies_in_the_same_order_are_compared(decompressed: list[int]) -> None:
    packed([*FEW, *LARGER, *FEW, *FEW], block_size=1 << 17, compressor="zstd")
    assert 8 <= len(decompressed) <= 12  # four blocks of tails twice, and what LARGER repeats
