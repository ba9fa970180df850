"""Fsck: the tables that are found through location lists, and where each of them ends.

In: a superblock. Out: the tables that can be read, and where the directory table ends.
On disk: "Fragment table", "Export table", "Id table", "Xattr id table".
Rules kept here: tables are found backwards from bytes_used: each location list ends where the table behind it starts;
locations increase; all metadata blocks but a table's last are full.
Not here: what rows say (data, tree, xattrs).
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, NamedTuple

from pysquash.compression.base import CompressorSettings
from pysquash.errors import CorruptImageError
from pysquash.format.constants import METADATA_SIZE, NO_TABLE
from pysquash.format.records import METADATA_HEADER, TABLE_LOCATION, ExportRef, FragmentEntry, Id, Superblock
from pysquash.format.rules import KERNEL, UNSQUASHFS, Rule
from pysquash.fsck.blocks import BlockChecker
from pysquash.fsck.findings import Findings
from pysquash.reader.input import Input
from pysquash.reader.superblock import next_start
from pysquash.reader.tables import EXPORTS, FRAGMENTS, IDS, Table, TableKind
from pysquash.reader.xattrs import XattrReader

__all__ = ["Tables", "check_tables", "report_misfits"]

_STEP_LIMIT = METADATA_HEADER.size + METADATA_SIZE


class Misfit(NamedTuple):
    """A block of rows that has another size than it should.

    Attributes:
        kind: The table.
        text: What is wrong.
        offset: The byte in the image at which the block starts.
        missing: The rows that are not where they should be.
    """

    kind: TableKind[Any]
    text: str
    offset: int
    missing: range


class Tables(NamedTuple):
    """What could be found.

    Attributes:
        ids: The id table, or None where it cannot be read.
        fragments: The fragment table, or None where there is none, or it cannot be read.
        exports: The export table, or None in the same cases.
        xattrs: The xattr tables, or None in the same cases.
        xattr_end: Absolute byte at which keys and values of xattrs end.
        directory_end: Absolute byte at which the directory table ends.
        is_sure: Whether `directory_end` is known, and not only the nearest thing that is known of.
        misfits: Blocks of rows that have another size than they should.
    """

    ids: Table[Id] | None
    fragments: Table[FragmentEntry] | None
    exports: Table[ExportRef] | None
    xattrs: XattrReader | None
    xattr_end: int
    directory_end: int
    is_sure: bool
    misfits: list[Misfit]


def report_misfits(
    misfits: list[Misfit], used_rows: dict[TableKind[Any], Collection[int]], findings: Findings, *, is_whole: bool
) -> None:
    """Report blocks of another size than they should have, when it is known which rows inodes use.

    unsquashfs reads whole tables. Linux reads the rows that it needs, and only NFS needs exports.

    Args:
        misfits: The blocks.
        used_rows: The rows of each table that inodes use.
        findings: Takes the findings.
        is_whole: Whether all inodes are known.
    """
    for each in misfits:
        used = used_rows.get(each.kind, ())
        refused_by: tuple[str, ...] = (UNSQUASHFS,)
        if each.kind is EXPORTS:
            refused_by = ()
        elif each.missing and (not is_whole or any(row in each.missing for row in used)):
            refused_by = (KERNEL, UNSQUASHFS)
        findings.add(
            Rule.TABLE_BLOCK_SIZE, each.text, section=each.kind.section, offset=each.offset, refused_by=refused_by
        )


def check_tables(
    source: Input, settings: CompressorSettings, superblock: Superblock, blocks: BlockChecker, findings: Findings
) -> Tables | None:
    """Find the tables, the last one first, because each ends where the one behind it starts.

    Args:
        source: The image.
        settings: Its compressor.
        superblock: Its superblock.
        blocks: Reads metadata blocks.
        findings: Takes what is wrong.

    Returns:
        What was found, or None where that overlaps what is in front.
    """
    return _Finder(source, settings, superblock, blocks, findings).find()


class _Finder:
    """The state of `check_tables`: where the table before must end, or None where that is not known."""

    def __init__(
        self,
        source: Input,
        settings: CompressorSettings,
        superblock: Superblock,
        blocks: BlockChecker,
        findings: Findings,
    ) -> None:
        self._source = source
        self._settings = settings
        self._superblock = superblock
        self._blocks = blocks
        self._findings = findings
        self._end: int | None = superblock.bytes_used
        self._misfits: list[Misfit] = []

    def find(self) -> Tables | None:
        superblock = self._superblock
        xattrs, xattr_end = self._find_xattrs()
        ids = self._find_table(IDS, superblock.id_table_start, superblock.id_count)
        exports = fragments = None
        if superblock.export_table_start != NO_TABLE:
            exports = self._find_table(EXPORTS, superblock.export_table_start, superblock.inode_count)
        if superblock.fragment_count:
            fragments = self._find_table(FRAGMENTS, superblock.fragment_table_start, superblock.fragment_count)
        directory_start, directory_end = superblock.directory_table_start, self._end
        is_sure = directory_end is not None
        if directory_end is not None and directory_start > directory_end:
            text = f"is {directory_start}, the next table starts at {directory_end}"
            self._findings.add(Rule.TABLE_ORDER, text, section="superblock", field="directory_table_start")
            return None
        if directory_end is None:
            directory_end = next_start(superblock, directory_start)
        return Tables(ids, fragments, exports, xattrs, xattr_end, directory_end, is_sure, self._misfits)

    def _find_xattrs(self) -> tuple[XattrReader | None, int]:
        findings, start = self._findings, self._superblock.xattr_table_start
        if start == NO_TABLE:
            return None, 0
        self._end = None
        try:
            xattrs = XattrReader(self._source, self._settings, start)
        except CorruptImageError as error:
            findings.add_error(error)
            return None, 0
        header, section = xattrs.header, xattrs.rows.kind.section
        if not header.id_count:
            findings.add(Rule.XATTR_ID_COUNT, "is 0", section=section, offset=start, field="id_count")
            return None, 0
        if header.unused:
            findings.add(Rule.UNUSED, f"is {header.unused}", section=section, offset=start, field="unused")
        self._end = self._superblock.bytes_used
        first = self._check_table(xattrs.rows)
        self._end = None if first is None else header.start
        if first is None:
            return None, 0
        if header.start >= first:
            text = f"is {header.start}, the first row's block starts at {first}"
            findings.add(Rule.XATTR_TABLE_START, text, section=section, offset=start, field="start")
            return None, 0
        return xattrs, first

    def _find_table(self, kind: TableKind[Any], start: int, row_count: int) -> Table[Any] | None:
        """Find a table, and note where it starts, which is where the one in front of it ends."""
        try:
            if start == NO_TABLE:
                text = f"there is none, for {row_count} rows"
                raise CorruptImageError(text, section=kind.section, rule=kind.end_rule)
            table = Table(self._source, self._settings, kind, start, row_count)
        except CorruptImageError as error:
            self._findings.add_error(error)
            self._end = None
            return None
        first = self._check_table(table)
        self._end = first
        return None if first is None else table

    def _check_table(self, table: Table[Any]) -> int | None:
        """Check where a table ends, its location list, and its blocks.

        Returns:
            Absolute byte of its first block, or None where the list leads nowhere.
        """
        findings, kind, end = self._findings, table.kind, self._end
        if end is not None and table.list_end != end:
            text = f"its list ends at {table.list_end}, not at {end}"
            # To the kernel, a gap behind fragments is harmless.
            is_harmless = kind is FRAGMENTS and table.list_end < end
            refused_by = (UNSQUASHFS,) if is_harmless else None
            findings.add(kind.end_rule, text, section=kind.section, offset=table.list_start, refused_by=refused_by)
        locations = [table.location(row) for row in range(table.block_count)]
        if not self._check_locations(table, locations):
            return None
        for row, start in enumerate(locations):
            in_block = Findings()
            plain, block_end = self._blocks.metadata(start, section=kind.section, findings=in_block)
            findings.add_all(in_block, refused_by=() if kind is EXPORTS else None)  # only NFS asks for exports
            wanted = table.block_size(row)
            if plain is not None and len(plain) != wanted:
                text = f"block {row} holds {len(plain)} bytes, not {wanted}"
                first = row * (METADATA_SIZE // kind.codec.size)
                # What a block that is not the last lacks is in the next one, so that all further rows are moved.
                is_last = row == len(locations) - 1
                end_row = first + wanted // kind.codec.size if is_last else table.row_count
                held = min(len(plain), wanted) // kind.codec.size
                # Linux reads no block that goes on after the image.
                missing = range(first + held if block_end <= self._superblock.bytes_used else first, end_row)
                self._misfits.append(Misfit(kind, text, start, missing))
        return locations[0] if locations else table.list_start  # exports of no inodes

    def _check_locations(self, table: Table[Any], locations: list[int]) -> bool:
        """Check that each location is in front of the next, or of the list, and near it."""
        for row, start in enumerate(locations):
            behind = locations[row + 1] if row + 1 < len(locations) else table.list_start
            if not 0 < behind - start <= _STEP_LIMIT:
                what = "the next one" if row + 1 < len(locations) else "the list"
                text = f"location {row} is {start}, and {what} at {behind}"
                refused_by: tuple[str, ...] = (KERNEL,)
                if table.kind is FRAGMENTS:  # of this list, the kernel looks at the first only
                    is_right = self._superblock.directory_table_start <= locations[0] < table.list_start
                    refused_by = () if is_right else (KERNEL,)
                if self._is_misread(table, row, start):
                    refused_by = (*refused_by, UNSQUASHFS)
                self._findings.add(
                    Rule.LOCATION_ORDER,
                    text,
                    section=table.kind.section,
                    offset=table.list_start,
                    refused_by=refused_by,
                )
                return False
        return True

    def _is_misread(self, table: Table[Any], row: int, start: int) -> bool:
        """Tell whether unsquashfs, which goes by the locations alone, refuses what is at one of them.

        It does not read exports; the table before these ends at the first location.
        """
        superblock = self._superblock
        if table.kind is EXPORTS:
            block_count = -(-superblock.fragment_count * FRAGMENTS.codec.size // METADATA_SIZE)
            return (
                row == 0 < block_count and start != superblock.fragment_table_start + block_count * TABLE_LOCATION.size
            )
        plain, _ = self._blocks.metadata(start, section=table.kind.section, findings=Findings())
        return plain is None or len(plain) != table.block_size(row)
