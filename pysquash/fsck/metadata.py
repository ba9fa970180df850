"""Fsck: the tables that are chains of metadata blocks: inodes, directories, keys and values of xattrs.

In: where a table starts and ends. Out: a `Chain`, by which it is known where in the uncompressed table a reference
leads.
On disk: "Metadata blocks".
Rules kept here: blocks fill their table to the byte; every one but the last holds 8192 bytes.
Not here: the blocks of tables with a location list (tables).
"""

from __future__ import annotations

from pysquash.errors import CorruptImageError
from pysquash.format.constants import METADATA_SIZE
from pysquash.format.records import METADATA_HEADER
from pysquash.format.rules import KERNEL, UNSQUASHFS, Rule
from pysquash.fsck.blocks import BlockChecker
from pysquash.fsck.findings import Finding, Findings
from pysquash.reader.input import Input
from pysquash.reader.metadata import read_stored_block

__all__ = ["UNREAD_RULES", "XATTR_SECTION", "Chain", "read_chain"]

UNREAD_RULES = (Rule.DECOMPRESSION, Rule.METADATA_SIZE)
"""What the reader says of a block that cannot be read; where a chain is not whole, the chain tells it."""

XATTR_SECTION = "xattr table"
"""What findings call keys and values of extended attributes."""


class Chain:
    """The blocks of one table.

    Attributes:
        section: What findings name.
        start: Absolute byte of the first block.
        size: Uncompressed bytes in all of them.
        is_whole: Whether every block could be read.
        is_needed: Whether something asked for what could not be read.
    """

    def __init__(self, start: int, section: str) -> None:
        """Start without blocks."""
        self.start = start
        self.section = section
        self.size = 0
        self.is_whole = True
        self.is_needed = False
        self._unread: list[Finding] = []
        self._places: dict[int, tuple[int, int]] = {}
        self._starts: list[int] = []

    def add(self, block_start: int, size: int) -> None:
        """Append a block: where it starts, from the table's start, and how many bytes it holds."""
        self._places[block_start] = (self.size, size)
        self._starts.append(block_start)
        self.size += size

    def add_unread(self, findings: list[Finding]) -> None:
        """Note that there is a block that cannot be read, and why."""
        self.is_whole = False
        self._unread += findings

    def report(self, findings: Findings) -> None:
        """Pass on what is wrong with blocks that cannot be read: a matter for nobody, if nothing asks for them."""
        for each in self._unread:
            findings.add(
                each.rule,
                each.text,
                section=each.section,
                offset=each.offset,
                refused_by=None if self.is_needed else (),
            )

    def position(self, block_start: int, offset: int) -> int | None:
        """Give the byte in the uncompressed table that a reference leads to; None where it leads to none."""
        place = self._places.get(block_start)
        if place is None or offset >= place[1]:
            return None
        return place[0] + offset

    def block_at(self, position: int) -> int | None:
        """Give the start of the block that holds a byte of the uncompressed table; blocks before it are full."""
        row = position // METADATA_SIZE
        return self._starts[row] if row < len(self._starts) else None


def read_chain(
    source: Input,
    blocks: BlockChecker,
    findings: Findings,
    start: int,
    end: int,
    *,
    image_end: int,
    section: str,
    is_end_sure: bool,
) -> Chain:
    """Read every block of a table.

    Args:
        source: The image.
        blocks: Reads the blocks.
        findings: Takes what is wrong.
        start: Absolute byte of the first block.
        end: Absolute byte at which the next part starts.
        image_end: What the superblock says of the image's end.
        section: What findings name.
        is_end_sure: Whether that is known, and not only the nearest thing that is known of.
    """
    # Inodes and listings are found by references alone; of the xattrs, unsquashfs reads all blocks.
    refused_by = (UNSQUASHFS,) if section == XATTR_SECTION else ()
    chain = Chain(start, section)
    place, last_size = start, METADATA_SIZE
    while place < end:
        if last_size != METADATA_SIZE:  # it was the last, or there is another
            if not is_end_sure:
                break
            if not _is_block(source, place, end, section):
                text = f"{end - place} bytes are behind the last block"
                findings.add(Rule.METADATA_END, text, section=section, offset=place, refused_by=refused_by)
                break
            text = f"a block in front of others holds {last_size} bytes, not {METADATA_SIZE}"
            findings.add(Rule.METADATA_FULL, text, section=section, offset=place, refused_by=refused_by)
        in_block = Findings()
        plain, behind = blocks.metadata(place, section=section, findings=in_block)
        if behind > end:
            text = f"a block reaches to {behind}, the table to {end}"
            judges = (KERNEL, *refused_by) if behind > image_end else refused_by  # Linux reads no further
            findings.add(Rule.METADATA_END, text, section=section, offset=place, refused_by=judges)
        if plain is None:
            chain.add_unread(in_block.found)
            if behind == place:
                break
        else:
            findings.add_all(in_block)
        last_size = METADATA_SIZE if plain is None else len(plain)
        chain.add(place - start, last_size)
        place = behind
    return chain


def _is_block(source: Input, start: int, end: int, section: str) -> bool:
    """Tell whether there may be a metadata block."""
    try:
        stored, _ = read_stored_block(source, start, section=section)
    except CorruptImageError:
        return False
    return start + METADATA_HEADER.size + len(stored) <= end
