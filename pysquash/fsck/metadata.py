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
from pysquash.format.rules import Rule
from pysquash.fsck.blocks import BlockChecker
from pysquash.fsck.findings import Findings
from pysquash.reader.input import Input
from pysquash.reader.metadata import read_stored_block

__all__ = ["Chain", "read_chain"]


class Chain:
    """The blocks of one table.

    Attributes:
        section: What findings name.
        start: Absolute byte of the first block.
        size: Uncompressed bytes in all of them.
        is_whole: Whether every block could be read.
    """

    def __init__(self, start: int, section: str) -> None:
        """Start without blocks."""
        self.start = start
        self.section = section
        self.size = 0
        self.is_whole = True
        self._places: dict[int, tuple[int, int]] = {}
        self._starts: list[int] = []

    def add(self, block_start: int, size: int) -> None:
        """Append a block: where it starts, from the table's start, and how many bytes it holds."""
        self._places[block_start] = (self.size, size)
        self._starts.append(block_start)
        self.size += size

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
    source: Input, blocks: BlockChecker, findings: Findings, start: int, end: int, *, section: str, is_end_sure: bool
) -> Chain:
    """Read every block of a table.

    Args:
        source: The image.
        blocks: Reads the blocks.
        findings: Takes what is wrong.
        start: Absolute byte of the first block.
        end: Absolute byte at which the next part starts.
        section: What findings name.
        is_end_sure: Whether that is known, and not only the nearest thing that is known of.
    """
    chain = Chain(start, section)
    place, last_size = start, METADATA_SIZE
    while place < end:
        if last_size != METADATA_SIZE:  # it was the last, or there is another
            try:
                stored, _ = read_stored_block(source, place, section=section)
                is_block = place + METADATA_HEADER.size + len(stored) <= end
            except CorruptImageError:
                is_block = False
            if is_block:
                text = f"a block in front of others holds {last_size} bytes, not {METADATA_SIZE}"
                findings.add(Rule.METADATA_FULL, text, section=section, offset=place)
            elif is_end_sure:
                text = f"{end - place} bytes are behind the last block"
                findings.add(Rule.METADATA_END, text, section=section, offset=place)
            if not is_block:
                break
        plain, behind = blocks.metadata(place, section=section)
        if behind == place:
            chain.is_whole = False
            break
        if behind > end:
            text = f"a block reaches to {behind}, the table to {end}"
            findings.add(Rule.METADATA_END, text, section=section, offset=place)
            chain.is_whole = False
            break
        if plain is None:
            chain.is_whole = False
        last_size = METADATA_SIZE if plain is None else len(plain)
        chain.add(place - start, last_size)
        place = behind
    return chain
