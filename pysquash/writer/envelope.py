"""Writer: what is around the data: the front before it, and all of the metadata behind it.

In: the tree, and where its files' content is. Out: everything of the image but its data.
On disk: "Superblock", "Compressor options", and the order of all parts.
Rules kept here: tables are adjacent, because readers find each one's end from the next one's start; bytes_used ends
before the padding to 4096; 2^64-1 stands for a table that is not there.
Not here: each part itself (fragments, inodes, directories, xattrs, tables), the data (data).
"""

from __future__ import annotations

from collections.abc import Collection
from functools import reduce
from operator import or_
from typing import NamedTuple

from pysquash.compression.base import BlockCodec
from pysquash.format.constants import DATA_START, MAGIC, NO_TABLE, PADDING_SIZE, VERSION, SuperblockFlag
from pysquash.format.records import METADATA_HEADER, SUPERBLOCK, Superblock
from pysquash.format.words import metadata_word
from pysquash.options.writer import UNCOMPRESSED_PARTS, WriterOptions
from pysquash.tree.entry import Kind
from pysquash.tree.node import Node
from pysquash.writer.directories import DirectoryWriter, Listing
from pysquash.writer.fragments import Fragments
from pysquash.writer.inodes import InodeWriter, Numbering, export_table, number_inodes
from pysquash.writer.metadata import Compress
from pysquash.writer.output import Output
from pysquash.writer.tables import INVALID_ID, IdTable, write_table
from pysquash.writer.xattrs import XattrWriter, keep_xattrs

__all__ = ["Envelope", "ImageSummary"]

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
        has_invalid_owner: Whether any user or group ID is 2^32-1.
    """

    name_counts: dict[Kind, int]
    inode_count: int
    bytes_used: int
    size: int
    has_invalid_owner: bool


class Envelope:
    """The surroundings of one image's data."""

    def __init__(self, output: Output, codec: BlockCodec, compress_block: Compress, options: WriterOptions) -> None:
        """Write the front: room for the superblock, and the compressor's options.

        Args:
            output: Positioned at its start.
            codec: Says what the options are.
            compress_block: Compresses one metadata block.
            options: Every knob there is.
        """
        self._output = output
        self._codec = codec
        self._compress_block = compress_block
        self._options = options
        raw_parts = UNCOMPRESSED_PARTS if options.compressor == "none" else frozenset(options.uncompressed)
        # Inodes do not go without ids, and then ids are not named: so it is with others.
        self._raw_parts = raw_parts - {"ids"} if "inodes" in raw_parts else raw_parts
        output.write(bytes(DATA_START))
        compressor_options = codec.options()
        self._has_compressor_options = compressor_options is not None
        if compressor_options is not None:
            word = metadata_word(len(compressor_options), raw=True)
            output.write(METADATA_HEADER.pack(word) + compressor_options)

    def number(self, root: Node, own_xattrs: Collection[bytes]) -> Numbering:
        """Take stock of the tree: what can be done before all data has landed.

        Args:
            root: The merged tree; attributes that are not to be kept are taken from it.
            own_xattrs: Names of attributes that the image needs, so that no option leaves them out.

        Raises:
            InputError: An extended attribute is in a name space that the format does not have.
        """
        keep_xattrs(root, self._options, own_xattrs)
        return number_inodes(root, hard_links=self._options.hard_links)

    def close(self, numbering: Numbering, fragments: Fragments, time: int | None) -> ImageSummary:
        """Write everything behind the data, and then the superblock.

        Args:
            numbering: What `number` gave; each file's `data` is a `StoredFile`, and complete.
            fragments: Where the fragment blocks are.
            time: The image's own time, in seconds since 1970; None for what the options say.

        Raises:
            LimitError: There are more distinct owners than the format can count.
        """
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
        fragment_table_start = write_table(output, fragments.table(), of_fragments) if len(fragments) else NO_TABLE
        exports = options.exports
        export_table_start = write_table(output, export_table(numbering), of_inodes) if exports else NO_TABLE
        id_table_start = write_table(output, ids.table(), self._compress_for("inodes", "ids"))
        xattr_table_start = xattrs.write(output)
        bytes_used = output.position
        if options.padded:
            output.write(bytes(-bytes_used % PADDING_SIZE))

        version_major, version_minor = VERSION
        superblock = Superblock(
            magic=MAGIC,
            inode_count=numbering.inode_count,
            mkfs_time=options.source_date_epoch if time is None else time,
            block_size=options.block_size,
            fragment_count=len(fragments),
            compressor=self._codec.id,
            block_log=options.block_size.bit_length() - 1,
            flags=self._flags(has_xattrs=xattr_table_start is not None),
            id_count=len(ids),
            version_major=version_major,
            version_minor=version_minor,
            root_ref=refs[numbering.directories[0].number],
            bytes_used=bytes_used,
            id_table_start=id_table_start,
            xattr_table_start=NO_TABLE if xattr_table_start is None else xattr_table_start,
            inode_table_start=inode_table_start,
            directory_table_start=directory_table_start,
            fragment_table_start=fragment_table_start,
            export_table_start=export_table_start,
        )
        output.overwrite(0, SUPERBLOCK.pack(*superblock))
        return ImageSummary(
            numbering.name_counts, numbering.inode_count, bytes_used, output.position, INVALID_ID in ids
        )

    def _compress_for(self, *parts: str) -> Compress:
        """Give what compresses metadata, or what does not, if one of these parts is to be stored as it is."""
        return _store_raw if self._raw_parts & set(parts) else self._compress_block

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
