"""The data area: small files, of which tails are made; files that are there already; and runs of blocks."""

from __future__ import annotations

import io
import random
from collections.abc import Sequence

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from pysquash import WriterOptions
from pysquash.writer.dedup import Dedup
from pysquash.writer.image import ImageWriter
from pysquash.writer.output import Output

_RANDOM = random.Random(3)
_SMALL = [b"file %d\n" % row * 20 for row in range(2000)]
_MIDDLE = [_RANDOM.randbytes(20_000) for _ in range(50)]
_LARGE = [_RANDOM.randbytes(300_000) for _ in range(5)]


def _stored(contents: Sequence[bytes]) -> Dedup:
    """Store contents, uncompressed: zstd is not what is timed."""
    with Output(io.BytesIO()) as output, ImageWriter(output, WriterOptions(compressor="none", workers=1)) as image:
        for content in contents:
            image.data.store(len(content), io.BytesIO(content).read)
        image.data.finish()
        return image.data.dedup


@pytest.mark.parametrize("contents", [_SMALL, _MIDDLE, _LARGE], ids=["160-bytes", "20-kB", "300-kB"])
def test_store_files(benchmark: BenchmarkFixture, contents: list[bytes]) -> None:
    assert benchmark(_stored, contents).file_count == 0


@pytest.mark.parametrize("contents", [_SMALL, _MIDDLE, _LARGE], ids=["160-bytes", "20-kB", "300-kB"])
def test_find_duplicates(benchmark: BenchmarkFixture, contents: list[bytes]) -> None:
    assert benchmark(_stored, contents * 2).file_count == len(contents)
