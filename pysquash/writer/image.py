"""Writer: puts an image together, from its first byte to its last.

In: the content of files, in the order in which it is to be stored, and then the tree. Out: the whole image, padded.
On disk: "Superblock", "Compressor options", and the order of all parts.
Rules kept here: tables are adjacent, because readers find each one's end from the next one's start; bytes_used ends
before the padding to 4096; 2^64-1 stands for a table that is not there.
Not here: each part itself (data, fragments, inodes, directories, xattrs, tables).
"""

from __future__ import annotations

from collections.abc import Collection
from functools import reduce
from operator import or_
from types import TracebackType
from typing import NamedTuple, Self

from pysquash.compression.base import codec_for
from pysquash.format.constants import DATA_START, MAGIC, NO_TABLE, PADDING_SIZE, VERSION, SuperblockFlag
from pysquash.format.records import METADATA_HEADER, SUPERBLOCK
from pysquash.format.words import metadata_word
from pysquash.options import UNCOMPRESSED_PARTS, WriterOptions
from pysquash.tree.entry import Kind
from pysquash.tree.node import Node
from pysquash.writer.data import DataWriter
from pysquash.writer.directories import DirectoryWriter, Listing
from pysquash.writer.inodes import InodeWriter, Numbering, export_table, number_inodes
from pysquash.writer.metadata import Compress
from pysquash.writer.output import Output
from pysquash.writer.pipeline import Pipeline, compress_to_bytes
from pysquash.writer.tables import IdTable, write_table
from pysquash.writer.xattrs import XattrWriter, keep_xattrs

__all__ = ["ImageSummary", "ImageWriter"]

_UNCOMPRESSED_FLAGS = {
    "inodes": SuperblockFlag.UNCOMPRESSED_INODES,
    "ids": SuperblockFlag.UNCOMPRESSED_IDS,
    "data": SuperblockFlag.UNCOMPRESSED_DATA,
    "fragments": SuperblockFlag.UNCOMPRESSED_FRAGMENTS,
    "xattrs": SuperblockFlag.UNCOMPRESSED_XATTRS,
}


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

        Raises:
            OptionError: The compressor's package is not installed, or cannot do what the options say.
        """
        self._output = output
        self._options = options
        self._settings, self._codec = codec_for(options)
        raw_parts = UNCOMPRESSED_PARTS if options.compressor == "none" else frozenset(options.uncompressed)
        # Inodes do not go without ids, and then ids are not named: so it is with others.
        self._raw_parts = raw_parts - {"ids"} if "inodes" in raw_parts else raw_parts
        self._pipeline = Pipeline(self._settings, options.worker_count, options.executor)
        self.data = DataWriter(output, self._pipeline, options)
        output.write(bytes(DATA_START))
        compressor_options = self._codec.options()
        self._has_compressor_options = compressor_options is not None
        if compressor_options is not None:
            word = metadata_word(len(compressor_options), raw=True)
            output.write(METADATA_HEADER.pack(word) + compressor_options)

    def finish(self, root: Node, own_xattrs: Collection[bytes] = (), *, time: int | None = None) -> ImageSummary:
        """Write everything behind the data, and then the superblock.

        Args:
            root: The merged tree; each file's `data` is a `StoredFile` of this image's `data` writer.
            own_xattrs: Names of attributes that the image needs, so that no option leaves them out.
            time: The image's own time, in seconds since 1970; None for what the options say.

        Raises:
            LimitError: There are more distinct owners than the format can count.
            InputError: An extended attribute is in a name space that the format does not have.
        """
        self.data.submit()
        # While the last blocks are being compressed:
        self._output.begin_sync()
        keep_xattrs(root, self._options, own_xattrs)
        numbering = number_inodes(root, hard_links=self._options.hard_links)
        self.data.finish()
        output, options = self._output, self._options
        of_inodes, of_fragments = self._compress_for("inodes"), self._compress_for("fragments")
        ids, xattrs = IdTable(options.limits.id_count), XattrWriter(self._compress_for("xattrs"))
        refs = numbering.refs
        inodes, listings = InodeWriter(of_inodes, ids, xattrs, refs), DirectoryWriter(of_inodes, refs)
        _write_tree(numbering, inodes, listings)

        inodes.stream.finish()
        listings.stream.finish()
        inode_table_start = output.position
        output.write(inodes.stream.stored)
        directory_table_start = output.position
        output.write(listings.stream.stored)
        fragments = self.data.fragments
        fragment_table_start = write_table(output, fragments.table(), of_fragments) if len(fragments) else NO_TABLE
        exports = options.exports
        export_table_start = write_table(output, export_table(numbering), of_inodes) if exports else NO_TABLE
        id_table_start = write_table(output, ids.table(), self._compress_for("inodes", "ids"))
        xattr_table_start = xattrs.write(output)
        bytes_used = output.position
        if options.padded:
            output.write(bytes(-bytes_used % PADDING_SIZE))

        superblock = SUPERBLOCK.pack(
            MAGIC,
            numbering.inode_count,
            options.source_date_epoch if time is None else time,
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

    def _compress_for(self, *parts: str) -> Compress:
        """Give what compresses metadata, or what does not, if one of these parts is to be stored as it is."""
        return _store_raw if self._raw_parts & set(parts) else self._compress_block

    def _compress_block(self, block: bytes) -> bytes | None:
        return compress_to_bytes(self._settings, (block,))[0]

    def _flags(self, *, has_xattrs: bool) -> SuperblockFlag:
        options = self._options
        is_set = {
            SuperblockFlag.DUPLICATES: options.find_duplicates,
            SuperblockFlag.COMPRESSOR_OPTIONS: self._has_compressor_options,
            SuperblockFlag.NO_FRAGMENTS: not options.fragments,
            SuperblockFlag.ALWAYS_FRAGMENTS: options.tail_ends,
            SuperblockFlag.EXPORTABLE: options.exports,
            SuperblockFlag.NO_XATTRS: not has_xattrs,
            **{flag: part in self._raw_parts for part, flag in _UNCOMPRESSED_FLAGS.items()},
        }
        return reduce(or_, (flag for flag, is_so in is_set.items() if is_so), SuperblockFlag(0))


def _store_raw(_block: bytes) -> bytes | None:
    return None


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
