"""Fsck: checks a whole image, every byte and every attribute of it.

In: a path, or a seekable binary file. Out: `Finding`s.
The way through the image: superblock and options (superblock); where the tables behind end, their lists and blocks
(tables); the chains of metadata blocks (metadata); sets of attributes (xattrs); fragment blocks (data); then from the
root down names (directories), their inodes (inodes) and the content of files (data); at last what all of it together
must come to.
Rules kept here: it goes on behind a finding as far as something else can be found; nothing it reads twice can grow, so
it ends on any input.
Not here: the rules themselves (format/rules).
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Collection
from typing import Any

from pysquash.compression.base import settings_for
from pysquash.errors import CorruptImageError
from pysquash.format.constants import NO_TABLE
from pysquash.format.records import ExportRef, Superblock
from pysquash.format.rules import Rule
from pysquash.format.words import METADATA_REF_MASK
from pysquash.fsck.blocks import BlockChecker
from pysquash.fsck.data import DataChecker
from pysquash.fsck.directories import TreeChecker
from pysquash.fsck.findings import Finding, Findings
from pysquash.fsck.inodes import InodeChecker
from pysquash.fsck.metadata import Chain, read_chain
from pysquash.fsck.superblock import check_compressor_options, check_superblock, check_unannounced_options
from pysquash.fsck.tables import check_tables, report_misfits
from pysquash.fsck.xattrs import XattrChecker
from pysquash.reader.data import DataReader
from pysquash.reader.input import Input, InputTarget
from pysquash.reader.metadata import MetadataReader
from pysquash.reader.tables import FRAGMENTS, IDS, XATTR_IDS, Table, TableKind

__all__ = ["check"]


def check(image: InputTarget, *, offset: int = 0) -> list[Finding]:
    """Check an image: every rule of the format, every byte and every attribute.

    Args:
        image: A path, or a seekable binary file.
        offset: The byte in it at which the image starts.

    Returns:
        The findings; [] for a clean image. If all are notes, the kernel and unsquashfs both read the image.

    Raises:
        OSError: The file cannot be read.
        NotSquashfsError: It is no SquashFS image at all.
        UnsupportedImageError: It is compressed with what needs a package that is not installed.
    """
    source = Input(image, offset)
    try:
        findings = Findings()
        superblock = check_superblock(source, findings)
        if superblock is not None:
            _check_behind(source, superblock, findings)
        return findings.all()
    finally:
        source.close()


def _check_behind(source: Input, superblock: Superblock, findings: Findings) -> None:
    """Check what is behind a superblock that makes sense."""
    settings = settings_for(superblock.compressor, superblock.block_size)
    window_limit = check_compressor_options(source, superblock, findings)
    blocks = BlockChecker(source, settings, window_limit, findings)
    tables = check_tables(source, settings, superblock, blocks, findings)
    if tables is None:
        return
    inode_start, directory_start = superblock.inode_table_start, superblock.directory_table_start

    def chain(start: int, end: int, section: str, *, is_end_sure: bool = True) -> Chain:
        return read_chain(
            source,
            blocks,
            findings,
            start,
            end,
            section=section,
            is_end_sure=is_end_sure,
            image_end=superblock.bytes_used,
        )

    inode_chain = chain(inode_start, directory_start, "inode table")
    listing_chain = chain(directory_start, tables.directory_end, "directory table", is_end_sure=tables.is_sure)
    xattr_chain = None
    is_missing = tables.xattrs is None and superblock.xattr_table_start != NO_TABLE
    if tables.xattrs is not None:
        xattr_chain = chain(tables.xattrs.header.start, tables.xattr_end, "xattr table")

    inode_table = MetadataReader(source, settings, inode_start, directory_start, section="inode table")
    listings = MetadataReader(source, settings, directory_start, tables.directory_end, section="directory table")
    reader = DataReader(source, settings, superblock.block_size, inode_table, tables.fragments)
    data = DataChecker(superblock, reader, tables.fragments, blocks, findings)
    xattrs = XattrChecker(tables.xattrs, xattr_chain, findings, is_missing=is_missing)
    inodes = InodeChecker(superblock, inode_table, inode_chain, data, xattrs, findings)
    tree = TreeChecker(superblock.inode_count, listings, listing_chain, inodes, findings)
    tree.walk(superblock.root_ref & METADATA_REF_MASK)
    used_rows: dict[TableKind[Any], Collection[int]]
    used_rows = {IDS: inodes.used_ids, FRAGMENTS: data.used_fragments, XATTR_IDS: xattrs.used_sets}
    report_misfits(tables.misfits, used_rows, findings, is_whole=tree.is_whole)
    data.finish()
    check_unannounced_options(source, superblock, data.start, findings)
    for each in (inode_chain, listing_chain, xattr_chain):
        if each is not None:
            each.report(findings)
    if tables.exports is not None and tree.is_whole:
        _check_exports(tables.exports, tree.numbers, findings)


def _check_exports(exports: Table[ExportRef], numbers: dict[int, int], findings: Findings) -> None:
    """Check that the export table leads to the inode of each number."""
    number = 0
    for row in range(exports.block_count):
        try:
            refs = array("Q", exports.block(row))
        except CorruptImageError:  # which has been told
            return
        if sys.byteorder == "big":
            refs.byteswap()
        for ref in refs:
            number += 1
            if numbers.get(number, ref) != ref:
                text = f"row {number - 1} leads to {ref:#x}, inode {number} is at {numbers[number]:#x}"
                findings.add(Rule.EXPORT_REF, text, section=exports.kind.section, offset=exports.location(row))
