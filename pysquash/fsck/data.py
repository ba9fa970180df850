"""Fsck: data blocks, and fragment blocks with their tails.

In: the fragment table, and one file's inode after the other. Out: how many bytes of each are in holes.
On disk: "Data blocks and fragments", "Fragment table".
Rules kept here: every block is read, once, however many files share it; blocks do not overlap, so reading all of them
ends.
Not here: what else an inode says (inodes).
"""

from __future__ import annotations

from array import array

from pysquash.errors import CorruptImageError
from pysquash.format.constants import DATA_START, NO_FRAGMENT
from pysquash.format.records import FragmentEntry, Superblock
from pysquash.format.rules import KERNEL, Rule
from pysquash.format.words import DATA_RAW
from pysquash.fsck.blocks import DATA_SECTION, BlockChecker
from pysquash.fsck.findings import Finding, Findings
from pysquash.reader.data import DataReader, Resume
from pysquash.reader.inodes import Inode
from pysquash.reader.tables import Table

__all__ = ["DataChecker"]

_UNREADABLE = -1
_UNREAD_COUNT = 10_000
"""Fragment blocks of which it is kept what is wrong with them; what is wrong with more of them is told at once."""


class DataChecker:
    """The data area of an image.

    Attributes:
        used_fragments: Rows of the fragment table in which files have their tails.
    """

    def __init__(
        self,
        superblock: Superblock,
        data: DataReader,
        fragments: Table[FragmentEntry] | None,
        blocks: BlockChecker,
        findings: Findings,
    ) -> None:
        """Check all fragment blocks.

        Args:
            superblock: Its superblock.
            data: Reads blocks and block lists.
            fragments: The fragment table, if there is one that can be read.
            blocks: Says what is wrong with a block.
            findings: Takes what is wrong.
        """
        self._superblock = superblock
        self._data = data
        self._blocks = blocks
        self._findings = findings
        self._block_size = superblock.block_size
        # What each block holds, by where it starts: its word and its bytes.
        self._known: dict[int, tuple[int, int]] = {}
        self._room = superblock.bytes_used
        # Fragment blocks that are wrong: what is, and whether a file has its tail there.
        self._unread: dict[int, list[Finding]] = {}
        self.used_fragments: set[int] = set()
        self._fragment_sizes = array("q")
        self._has_fragments = fragments is not None or not superblock.fragment_count
        if fragments is not None:
            self._check_fragments(fragments)

    def _check_fragments(self, fragments: Table[FragmentEntry]) -> None:
        for index in range(fragments.row_count):
            try:
                row = fragments[index]
            except CorruptImageError:  # its block is damaged, which has been told
                self._fragment_sizes.append(_UNREADABLE)
                continue
            if row.unused:
                text = f"of row {index} is {row.unused}"
                self._findings.add(Rule.UNUSED, text, section="fragment table", offset=row.start, field="unused")
            known = self._known.get(row.start)
            if known is not None and known[0] == row.size_word:
                self._fragment_sizes.append(known[1])
                continue
            in_block = Findings()
            what = f"fragment block {index}"
            size = self._check_block(row.start, row.size_word, Rule.FRAGMENT_SIZE, None, what, in_block)
            if (size is None or size == _UNREADABLE) and len(self._unread) < _UNREAD_COUNT:
                self._unread[index] = in_block.found
            else:
                self._findings.add_all(in_block)
            self._fragment_sizes.append(_UNREADABLE if size is None else size)

    def check_file(self, inode: Inode, path: bytes, offset: int) -> int | None:
        """Check a file's blocks and its tail.

        Args:
            inode: A regular file's.
            path: Its path.
            offset: The byte in the image at which the inode's metadata block starts.

        Returns:
            Bytes in holes, or None where not all of the blocks could be found.

        Raises:
            CorruptImageError: The inode table ends within the block list.
        """
        block_size, size = self._block_size, inode.size
        hole_size = 0
        at: Resume | None = None
        index = 0
        while index < inode.block_count:
            chunk = self._data.words(inode, at)
            start, at = chunk.start, chunk.end
            if not any(chunk.words):  # a large hole
                hole_size += min(len(chunk.words) * block_size, size - index * block_size)
                index += len(chunk.words)
                continue
            for word in chunk.words:
                length = min(block_size, size - index * block_size)
                index += 1
                if not word:
                    hole_size += length
                    continue
                known = self._known.get(start)
                if known is None or known[0] != word:
                    what = f"block {index - 1}"
                    found = self._check_block(start, word, Rule.DATA_SIZE, path, what, self._findings)
                    if found is None:
                        return None
                else:
                    found = known[1]
                if found not in (length, _UNREADABLE):
                    text = f"block {index - 1} holds {found} bytes, not {length}"
                    # More than is left of a file is more than anybody asks for.
                    refused_by = () if found > length else None
                    self._findings.add(
                        Rule.DATA_LENGTH, text, section=DATA_SECTION, offset=start, path=path, refused_by=refused_by
                    )
                start += word & ~DATA_RAW
        if inode.fragment_index != NO_FRAGMENT and size % block_size:
            self._check_tail(inode, size % block_size, path, offset)
        return hole_size

    @property
    def start(self) -> int:
        """The first byte of the image that a block, or else the inode table, has."""
        return min(self._known, default=self._superblock.inode_table_start)

    def finish(self) -> None:
        """Check what can be said once all files are known."""
        end, before = 0, 0
        for start in sorted(self._known):
            if start < end:
                text = f"a block starts in the one at {before}, which ends at {end}"
                self._findings.add(Rule.DATA_OVERLAP, text, section=DATA_SECTION, offset=start)
            word, _ = self._known[start]
            end, before = max(end, start + (word & ~DATA_RAW)), start
        for index, found in self._unread.items():
            for each in found:  # a matter for nobody, if no file has its tail there
                self._findings.add(
                    each.rule,
                    each.text,
                    section=each.section,
                    offset=each.offset,
                    refused_by=each.refused_by if index in self.used_fragments else (),
                )

    def _check_tail(self, inode: Inode, tail_size: int, path: bytes, offset: int) -> None:
        index = inode.fragment_index
        sizes = self._fragment_sizes
        self.used_fragments.add(index)
        if index >= len(sizes):
            if self._has_fragments:
                text = f"is {index}, there are {len(sizes)} fragment blocks"
                self._findings.add(
                    Rule.FRAGMENT_INDEX,
                    text,
                    section="inode table",
                    offset=offset,
                    field="fragment_index",
                    path=path,
                )
            return
        if sizes[index] != _UNREADABLE and inode.fragment_offset + tail_size > sizes[index]:
            text = f"is {inode.fragment_offset}, for {tail_size} bytes of a block of {sizes[index]}"
            self._findings.add(
                Rule.FRAGMENT_RANGE, text, section="inode table", offset=offset, field="fragment_offset", path=path
            )

    def _check_block(
        self, start: int, word: int, rule: Rule, path: bytes | None, what: str, findings: Findings
    ) -> int | None:
        """Check a block that was not met before.

        Args:
            start: Absolute byte in the image.
            word: Its DATA_WORD.
            rule: What the size in it has to keep.
            path: A file that it is of, None for a fragment block.
            what: What a finding calls it.
            findings: Takes what is wrong.

        Returns:
            The bytes that it holds, _UNREADABLE where that cannot be told, or None where there is no such place.
        """
        superblock = self._superblock
        size = word & ~DATA_RAW
        if not 1 <= size <= self._block_size:
            text = f"{what} has the size word {word:#x}, for blocks of {self._block_size}"
            # A raw fragment block that is too long is read by unsquashfs, and used as far as it is needed.
            is_long = rule is Rule.FRAGMENT_SIZE and word & DATA_RAW and 0 < size < DATA_RAW
            is_inside = start + size <= superblock.bytes_used
            refused_by = (KERNEL,) if is_long and is_inside else None
            findings.add(rule, text, section=DATA_SECTION, offset=start, path=path, refused_by=refused_by)
            return None
        if start < DATA_START or start + size > superblock.inode_table_start:
            text = f"{what} is at {start} to {start + size}, the inode table at {superblock.inode_table_start}"
            findings.add(Rule.DATA_RANGE, text, section=DATA_SECTION, offset=start, path=path)
            return None
        is_known = start in self._known
        if is_known:
            text = f"{what} starts where another does, and is not the same"
            findings.add(Rule.DATA_OVERLAP, text, section=DATA_SECTION, offset=start, path=path)
        self._room -= size
        if self._room < 0:
            text = f"the blocks together are larger than the image of {superblock.bytes_used}"
            findings.add(Rule.DATA_OVERLAP, text, section=DATA_SECTION)
            return None
        stored, is_raw = self._data.stored_block(start, word, rule)
        plain = self._blocks.plain(
            stored, self._block_size, is_raw=is_raw, section=DATA_SECTION, offset=start, findings=findings
        )
        length = _UNREADABLE if plain is None else len(plain)
        if not is_known:
            self._known[start] = (word, length)
        return length
