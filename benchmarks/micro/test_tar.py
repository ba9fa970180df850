"""The tar reader, at each dialect: headers, and content that is read as it comes."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.micro.trees import COUNT, tar
from pysquash import WriterOptions
from pysquash.sources.tar import TarSource
from tests.noticing import fail

_LONG = "a-directory-with-a-long-name/" * 5  # longer than a header's name, so that pax and GNU have to extend it

_DIALECTS: dict[str, tuple[int, Callable[[int], str]]] = {
    "ustar": (tarfile.USTAR_FORMAT, lambda row: f"d{row // 100}/file-{row}"),
    "pax": (tarfile.PAX_FORMAT, lambda row: f"{_LONG}file-{row}"),
    "gnu": (tarfile.GNU_FORMAT, lambda row: f"{_LONG}file-{row}"),
}


@pytest.mark.parametrize("dialect", _DIALECTS)
def test_tar_reader(benchmark: BenchmarkFixture, dialect: str) -> None:
    raw = tar(*_DIALECTS[dialect])

    def read() -> tuple[int, int]:
        source = TarSource(io.BytesIO(raw), name="tar", options=WriterOptions(), warn=fail)
        try:
            sizes = [len(source.read(entry.size)) for entry in source]
        finally:
            source.close()
        return len(sizes), sum(sizes)

    assert benchmark(read) == (COUNT, sum(len(b"content of %d" % row) for row in range(COUNT)))
