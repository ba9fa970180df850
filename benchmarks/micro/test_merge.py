"""The merge: entries become a tree, alone and over those of a layer below."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.micro.trees import COUNT, entries
from pysquash import WriterOptions
from pysquash.tree.entry import Entry, Kind
from pysquash.tree.merge import Merge
from pysquash.writer.inodes import number_inodes
from tests.noticing import fail


def _merged(layers: Sequence[Sequence[Entry]]) -> Merge:
    merge = Merge(WriterOptions(), fail)
    for layer in layers:
        merge.begin_layer(source="layer", entries=layer)
        for entry in layer:
            merge.put(entry)
        merge.end_layer()
    return merge


@pytest.mark.parametrize("layer_count", [1, 2])
def test_merge(benchmark: BenchmarkFixture, layer_count: int) -> None:
    layers = [entries() for _ in range(layer_count)]
    merge = benchmark(_merged, layers)
    assert number_inodes(merge.root).name_counts[Kind.FILE] == COUNT


def test_merge_whiteouts(benchmark: BenchmarkFixture) -> None:
    base = entries()
    gone = [entry.path.rpartition(b"/") for entry in base if entry.kind is Kind.FILE]
    upper = [Entry(folder + b"/.wh." + name, Kind.FILE, 0) for folder, _, name in gone]
    merge = benchmark(_merged, [base, upper])
    assert not number_inodes(merge.root).name_counts.get(Kind.FILE, 0)
