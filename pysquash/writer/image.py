"""Writer: puts an image together, from its first byte to its last.

In: the content of files, in the order in which it is to be stored, and then the tree. Out: the whole image, padded.
On disk: "Superblock", "Compressor options", and the order of all parts.
Rules kept here: tables are adjacent, because readers find each one's end from the next one's start; bytes_used ends
before the padding to 4096; 2^64-1 stands for a table that is not there.
Not here: each part itself (data, fragments, inodes, directories, xattrs, tables).
"""

from __future__ import annotations

from types import TracebackType
from typing import NamedTuple, Self

from pysquash.compression.base import CompressorSettings, block_codec
from pysquash.format.constants import DATA_START, MAGIC, NO_TABLE, PADDING_SIZE, VERSION, SuperblockFlag
from pysquash.format.records import METADATA_HEADER, SUPERBLOCK
from pysquash.format.words import metadata_word
from pysquash.options import WriterOptions
from pysquash.tree.entry import Kind
from pysquash.tree.node import Node
from pysquash.writer.data import DataWriter
from pysquash.writer.directories import DirectoryWriter, Listing
from pysquash.writer.inodes import InodeWriter, Numbering, export_table, number_inodes
from pysquash.writer.output import Output
from pysquash.writer.pipeline import Pipeline, compress_batch
from pysquash.writer.tables import IdTable, write_table
from pysquash.writer.xattrs import XattrWriter

__all__ = ["ImageSummary", "ImageWriter"]

_ALL_UNCOMPRESSED = (
    SuperblockFlag.UNCOMPRESSED_INODES
    | SuperblockFlag.UNCOMPRESSED_DATA
    | SuperblockFlag.UNCOMPRESSED_FRAGMENTS
    | SuperblockFlag.UNCOMPRESSED_XATTRS
    | SuperblockFlag.UNCOMPRESSED_IDS
)


class ImageSummary(NamedTuple):
    """What an image came to.

    Attributes:
        name_counts: Names of each kind, as in `Numbering`.
        inode_count: Inodes in it.
        bytes_used: Bytes before padding.
        size: Bytes with padding.
    """

    name_counts: dict[Kind, int]
    inode_count: int
    bytes_used: int
    size: int


class ImageWriter:
    """One image being written: a context that lets go of its threads."""

    def __init__(self, output: Output, options: WriterOptions) -> None:
        """Leave room for the superblock, and write the compressor's options.

        Args:
            output: Positioned at its start.
            options: Every knob there is.
        """
        self._output = output
        self._options = options
        self._settings = CompressorSettings.from_options(options)
        self._codec = block_codec(self._settings)
        self._pipeline = Pipeline(self._settings, options.worker_count)
        self.data = DataWriter(output, self._pipeline, block_size=options.block_size, fragments=options.fragments)
        output.write(bytes(DATA_START))
        compressor_options = self._codec.options()
        self._has_compressor_options = compressor_options is not None
        if compressor_options is not None:
            word = metadata_word(len(compressor_options), raw=True)
            output.write(METADATA_HEADER.pack(word) + compressor_options)

    def finish(self, root: Node) -> ImageSummary:
        """Write everything behind the data, and then the superblock.

        Args:
            root: The merged tree; each file's `data` is a `StoredFile` of this image's `data` writer.

        Raises:
            LimitError: There are more distinct owners than the format can count.
            InputError: An extended attribute is in a name space that the format does not have.
        """
        self.data.submit()
        numbering = number_inodes(root)  # while the last blocks are being compressed
        self.data.finish()
        self._output.begin_sync()
        output, compress = self._output, self._compress_block
        ids, xattrs = IdTable(self._options.limits.id_count), XattrWriter(compress)
        refs = numbering.refs
        inodes, listings = InodeWriter(compress, ids, xattrs, refs), DirectoryWriter(compress, refs)
        _write_tree(numbering, inodes, listings)

        inodes.stream.finish()
        listings.stream.finish()
        inode_table_start = output.position
        output.write(inodes.stream.stored)
        directory_table_start = output.position
        output.write(listings.stream.stored)
        fragments = self.data.fragments
        fragment_table_start = write_table(output, fragments.table(), compress) if len(fragments) else NO_TABLE
        exports = self._options.exports
        export_table_start = write_table(output, export_table(numbering), compress) if exports else NO_TABLE
        id_table_start = write_table(output, ids.table(), compress)
        xattr_table_start = xattrs.write(output)
        bytes_used = output.position
        output.write(bytes(-bytes_used % PADDING_SIZE))

        options = self._options
        superblock = SUPERBLOCK.pack(
            MAGIC,
            numbering.inode_count,
            options.source_date_epoch,
            options.block_size,
            len(fragments),
            self._codec.id,
            options.block_size.bit_length() - 1,
            self._flags(has_xattrs=xattr_table_start is not None),
            len(ids),
            *VERSION,
            refs[root.number],
            bytes_used,
            id_table_start,
            NO_TABLE if xattr_table_start is None else xattr_table_start,
            inode_table_start,
            directory_table_start,
            fragment_table_start,
            export_table_start,
        )
        output.overwrite(0, superblock)
        return ImageSummary(numbering.name_counts, numbering.inode_count, bytes_used, output.position)

    def close(self) -> None:
        """Let go of the threads. Harmless when called twice."""
        self._pipeline.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _compress_block(self, block: bytes) -> bytes | None:
        return compress_batch(self._settings, (block,))[0]

    def _flags(self, *, has_xattrs: bool) -> SuperblockFlag:
        flags = SuperblockFlag.DUPLICATES
        if self._has_compressor_options:
            flags |= SuperblockFlag.COMPRESSOR_OPTIONS
        if not self._options.fragments:
            flags |= SuperblockFlag.NO_FRAGMENTS
        if self._options.exports:
            flags |= SuperblockFlag.EXPORTABLE
        if not has_xattrs:
            flags |= SuperblockFlag.NO_XATTRS
        if self._options.compressor == "none":
            flags |= _ALL_UNCOMPRESSED
        return flags


def _write_tree(numbering: Numbering, inodes: InodeWriter, listings: DirectoryWriter) -> None:
    """Write all inodes and listings, from the leaves to the root.

    A listing needs its children's references, and a directory's inode the place of its listing. So each directory in
    turn, those below it done, gets its children's inodes written side by side, then its listing; its own inode is its
    parent's to write.
    """
    refs, waiting = numbering.refs, dict[Node, Listing]()
    for directory in reversed(numbering.directories):
        children = directory.names
        for node in children.values():
            if node.children is not None:
                inodes.write_directory(node, waiting.pop(node), directory.number)
            elif refs[node.number] < 0:  # not yet written under another name
                inodes.write(node)
        waiting[directory] = listings.write(children)
    root = numbering.directories[0]
    inodes.write_directory(root, waiting.pop(root), numbering.inode_count + 1)
