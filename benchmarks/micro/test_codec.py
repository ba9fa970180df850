"""Records: packed one by one and joined, and unpacked."""

from __future__ import annotations

from pytest_benchmark.fixture import BenchmarkFixture

from pysquash.format.codec import joined_pack, joined_unpack
from pysquash.format.records import BASIC_FILE, DIRECTORY_ENTRY, INODE_HEADER

_ROWS = range(2000)


def test_pack_records(benchmark: BenchmarkFixture) -> None:
    def pack() -> bytes:
        return b"".join([DIRECTORY_ENTRY.pack(row, -1, 2, 8) for row in _ROWS])

    assert len(benchmark(pack)) == len(_ROWS) * DIRECTORY_ENTRY.size


def test_pack_joined_records(benchmark: BenchmarkFixture) -> None:
    pack_inode = joined_pack(INODE_HEADER, BASIC_FILE)

    def pack() -> bytes:
        return b"".join([pack_inode(2, 0o644, 0, 0, 1_700_000_000, row, 96, 0, row, 100) for row in _ROWS])

    assert len(benchmark(pack)) == len(_ROWS) * (INODE_HEADER.size + BASIC_FILE.size)


def test_unpack_records(benchmark: BenchmarkFixture) -> None:
    raw = b"".join(DIRECTORY_ENTRY.pack(row, -1, 2, 8) for row in _ROWS)
    places = range(0, len(raw), DIRECTORY_ENTRY.size)

    def unpack() -> list[tuple[object, ...]]:
        return [DIRECTORY_ENTRY.unpack(raw, place) for place in places]

    assert [row[0] for row in benchmark(unpack)] == list(_ROWS)


def test_unpack_joined_records(benchmark: BenchmarkFixture) -> None:
    raw = joined_pack(INODE_HEADER, BASIC_FILE)(2, 0o644, 0, 0, 1_700_000_000, 7, 96, 0, 5, 100) * len(_ROWS)
    unpack_from, size = joined_unpack(INODE_HEADER, BASIC_FILE)

    def unpack() -> list[tuple[object, ...]]:
        return [unpack_from(raw, place) for place in range(0, len(raw), size)]

    assert benchmark(unpack)[-1][-1] == 100
