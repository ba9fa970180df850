"""Metadata: the stream of blocks, the numbering, inodes and listings; compressed where the stream is what is timed."""

from __future__ import annotations

from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.micro.trees import COUNT, entries, nothing_smaller
from pysquash import WriterOptions
from pysquash.compression.base import CompressorSettings, block_codec
from pysquash.format.constants import METADATA_SIZE
from pysquash.tree.merge import Merge
from pysquash.tree.node import Node
from pysquash.writer.directories import DirectoryWriter
from pysquash.writer.inodes import InodeWriter, Numbering, number_inodes
from pysquash.writer.metadata import MetadataWriter
from pysquash.writer.tables import IdTable
from pysquash.writer.xattrs import XattrWriter
from tests.noticing import fail


def _tree() -> Node:
    merge = Merge(WriterOptions(), fail)
    merge.begin_layer(source="layer")
    for entry in entries():
        merge.put(entry)
    merge.end_layer()
    return merge.root


def _inode_writer(numbering: Numbering) -> InodeWriter:
    return InodeWriter(nothing_smaller, IdTable(1000), XattrWriter(nothing_smaller), numbering.refs)


def test_metadata_writer(benchmark: BenchmarkFixture) -> None:
    codec = block_codec(CompressorSettings("zstd", 3, 1 << 17))
    records = [b"%08d" % row * 4 for row in range(4 * METADATA_SIZE // 32)]

    def write() -> MetadataWriter:
        stream = MetadataWriter(lambda block: bytes(codec.compress((block,))[0]))
        for record in records:
            stream.write(record)
        stream.finish()
        return stream

    assert len(benchmark(write).block_starts) == 4


def test_numbering(benchmark: BenchmarkFixture) -> None:
    # A tree is numbered once, so each round gets a new one.
    numbering = benchmark.pedantic(number_inodes, setup=lambda: ((_tree(),), {}), rounds=50)  # type: ignore[no-untyped-call]
    assert numbering.inode_count == COUNT + COUNT // 100 + 3  # usr, usr/lib and the root


def test_inode_writer(benchmark: BenchmarkFixture) -> None:
    numbering = number_inodes(_tree())
    files = [node for folder in numbering.directories for node in folder.names.values()]
    files = [node for node in files if node.children is None]

    def write() -> InodeWriter:
        writer = _inode_writer(numbering)
        for node in files:
            writer.write(node)
        writer.stream.finish()
        return writer

    assert len(benchmark(write).stream.stored) > 32 * COUNT


def test_directory_writer(benchmark: BenchmarkFixture) -> None:
    numbering = number_inodes(_tree())
    folders = numbering.directories[-COUNT // 100 :]
    inodes = _inode_writer(numbering)
    for folder in folders:
        for node in folder.names.values():
            inodes.write(node)

    def write() -> list[int]:
        writer = DirectoryWriter(nothing_smaller, numbering.refs)
        return [writer.write(folder.names).size for folder in folders]

    assert all(size > 100 * len(b"file-0000") for size in benchmark(write))
