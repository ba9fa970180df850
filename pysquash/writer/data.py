"""Writer: stores the content of files in the data area, and finds what is stored already.

In: one file's content after the other, in the image's order. Out: a `StoredFile` for each; data blocks and fragment
blocks in the output.
On disk: "Data blocks and fragments", "Fragment table".
Rules kept here: every block decompresses to block_size except a file's last; a file whose size is a multiple of
block_size has no fragment; zero blocks become holes; blocks land in the order of submission whatever the number of
workers.
Not here: compression (pipeline), the packing of tails (fragments), the inode (inodes).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from pysquash.compression.base import Stored
from pysquash.format.constants import NO_FRAGMENT
from pysquash.format.words import DATA_RAW
from pysquash.options.writer import WriterOptions
from pysquash.tree.entry import Segment
from pysquash.writer.dedup import BlockRun, Dedup, RunDigest, StoredFile, TailKey, tail_key
from pysquash.writer.fragments import Fragments
from pysquash.writer.output import Output
from pysquash.writer.pipeline import BATCH_SIZE, Compressed, Pipeline

__all__ = ["DataWriter"]

Read = Callable[[int], bytes]
"""Gives exactly the next so many bytes of a file's stored content."""


_FREE_SIZE = 64 << 20
_SEEN_FACTOR = 4
"""Fragment blocks are decompressed for comparisons until there were so many bytes of them, and so many times all that
there are."""


class _Landing(Protocol):
    """Whatever waits to hear where a block went."""

    def landed(self, index: int, start: int, size_word: int) -> None: ...


class DataWriter:
    """Writes the data area: files in order, tails packed together, equal content once."""

    def __init__(
        self, output: Output, pipeline: Pipeline, options: WriterOptions, write_front: Callable[[], object]
    ) -> None:
        """Start with nothing stored.

        Args:
            output: Where blocks are written.
            pipeline: Compresses batches and lands them in order.
            options: Says what becomes of tails, holes and duplicates, and what is not compressed.
            write_front: Writes what is in front of the data, unless it is there; called before blocks land.
        """
        block_size = options.block_size
        self._output = output
        self._pipeline = pipeline
        self._write_front = write_front
        self._block_size = block_size
        self._pack_tails = options.fragments
        self._pack_long_tails = options.fragments and options.tail_ends
        self.fragments = Fragments(block_size)
        self.dedup = Dedup(is_wanted=options.find_duplicates)
        # Without holes, nothing equals these zeros, and where nothing is stored they are put.
        self._zeros = bytes(block_size) if options.find_holes else b""
        self._cut = _cut if options.find_holes else _cut_filled
        self._is_raw = {part: part in options.uncompressed for part in ("data", "fragments")}
        self._is_mixed = self._is_raw["data"] != self._is_raw["fragments"]
        self._empty = StoredFile(0, None, NO_FRAGMENT, 0)
        # The batch being filled: blocks, and for each who is told where it went.
        self._blocks: list[bytes] = []
        self._waiting: list[tuple[_Landing, int]] = []
        # All that have not landed yet: what is compared with them need not wait until they have.
        self._flying: dict[tuple[_Landing, int], bytes] = {}
        self._batch_count = max(1, BATCH_SIZE // block_size)
        self._can_compare = output.is_readable
        self._compares_tails = output.is_readable  # until that costs more than to hash them
        self._seen_fragment = NO_FRAGMENT, b""
        self._seen_count = 0

    def store(self, size: int, read: Read, segments: tuple[Segment, ...] | None = None) -> StoredFile:
        """Store one file's content.

        Args:
            size: Bytes in the file, holes included.
            read: Gives the stored bytes; called for all of them, in order.
            segments: The stored runs of a sparse file, or None where all bytes are stored.

        Returns:
            Where the content is. It may be shared with equal files, and is complete once `finish` has returned.
        """
        if size >= self._block_size or not self._pack_tails or segments is not None:
            return self._store_run(size, read, segments) if size else self._empty
        if not size:
            return self._empty
        # Most files are this short, so this path makes one digest, one look-up and one object.
        tail = read(size)
        key, file = self._find_tail(tail)
        if file is None:
            if not tail[0] and tail == self._zeros[:size]:
                return self._hole(size)
            file = StoredFile(size, None, *self._add_tail(tail))
            if key is not None:
                self.dedup.tails[key] = file
        else:
            if file.run is not None and key is not None:  # the end of a longer file; from now on this one stands for it
                short = StoredFile(size, None, file.fragment_index, file.fragment_offset)
                file = self.dedup.tails[key] = short
            self.dedup.count(file)
        return file

    def submit(self) -> None:
        """Begin to store what is left; there is no more to come."""
        self.dedup.forget()
        self._submit_fragment()
        self._submit()

    def finish(self) -> None:
        """Store what is left, and wait until everything has landed."""
        self.submit()
        self._pipeline.drain()

    def _hole(self, size: int) -> StoredFile:
        """Make a file of one block that is a hole."""
        run = BlockRun()
        run.add_holes(1, size)
        return StoredFile(size, run, NO_FRAGMENT, 0)

    def _store_run(self, size: int, read: Read, segments: tuple[Segment, ...] | None) -> StoredFile:
        """Store a file that has data blocks, or holes."""
        block_size, zeros = self._block_size, self._zeros
        has_tail = self._pack_tails if size < block_size else self._pack_long_tails
        tail_size = size % block_size if has_tail else 0
        run, digest, tail = BlockRun(), RunDigest(is_proof=not self._can_compare), b""
        # A run shorter than a batch starts in one that can hold it, so that a duplicate is dropped before it is
        # compressed.
        if self._blocks and len(self._blocks) + size // block_size > self._batch_count:
            self._submit()
        first_row, submitted, index = len(self._blocks), False, 0
        for block in self._cut(size, block_size, segments, read):
            if isinstance(block, int):
                digest.add_holes(index, block)
                run.add_holes(block, min(block * block_size, size - index * block_size))
                index += block
                continue
            length = len(block)
            if not block[0] and block == (zeros if length == block_size else zeros[:length]):
                digest.add_holes(index, 1)
                run.add_holes(1, length)
            elif length == tail_size:
                tail = block
            else:
                if len(self._blocks) >= self._batch_count:
                    self._submit()
                    first_row, submitted = 0, True
                digest.add(block)
                self._append(block, run, run.add_block())
            index += 1
        known = self._known_run(run, digest, first_row, submitted=submitted)
        if len(self._blocks) >= self._batch_count:
            self._submit()
        return self._with_tail(size, run if known is None else known, tail, is_known=known is not None)

    def _known_run(self, run: BlockRun, digest: RunDigest, first_row: int, *, submitted: bool) -> BlockRun | None:
        """Look for an equal run, and take this one back if there is one."""
        if not run.size_words:
            return None
        known = self.dedup.runs.setdefault(digest.key(run), run)
        if known is run:
            return None
        if submitted:
            self._submit()
            self._pipeline.drain()
            if self._can_compare and not self._are_stored_the_same(known, run):
                return None
            self._output.seek(run.start)
            return known
        if self._can_compare and not self._holds(known, self._blocks[first_row:]):
            return None
        for row in self._waiting[first_row:]:
            del self._flying[row]
        del self._blocks[first_row:], self._waiting[first_row:]
        return known

    def _are_stored_the_same(self, one: BlockRun, two: BlockRun) -> bool:
        """Compare two runs by their bytes in the image: equal ones were compressed alike, and unequal ones unlike."""
        if one.size_words != two.size_words:
            return False
        left = sum(word & ~DATA_RAW for word in one.size_words)
        done = 0
        while left:
            size = min(left, BATCH_SIZE)
            if self._output.read_back(one.start + done, size) != self._output.read_back(two.start + done, size):
                return False
            done += size
            left -= size
        return True

    def _holds(self, run: BlockRun, blocks: Sequence[bytes]) -> bool:
        """Compare a run, in the image or on its way there, with blocks that are not stored yet."""
        start, left = run.start, iter(blocks)
        for index, word in enumerate(run.size_words):
            if word:
                size = word & ~DATA_RAW
                plain = self._pipeline.plain(self._output.read_back(start, size), word)
                start += size
            elif (run, index) in self._flying:
                plain = self._flying[run, index]
            else:  # a hole
                continue
            if plain != next(left, None):
                return False
        return next(left, None) is None

    def _with_tail(self, size: int, run: BlockRun, tail: bytes, *, is_known: bool) -> StoredFile:
        """Put a file together from its run and its tail."""
        is_known = is_known or not run.size_words
        fragment_index, fragment_offset = NO_FRAGMENT, 0
        key: TailKey | None = None
        if tail:
            key, file = self._find_tail(tail)
            if file is None:
                is_known = False
                fragment_index, fragment_offset = self._add_tail(tail)
            else:
                fragment_index, fragment_offset = file.fragment_index, file.fragment_offset
        stored = StoredFile(size, run if run.size_words else None, fragment_index, fragment_offset)
        if key is not None:
            self.dedup.tails.setdefault(key, stored)
        if is_known:
            self.dedup.count(stored)
        return stored

    def _find_tail(self, tail: bytes) -> tuple[TailKey | None, StoredFile | None]:
        """Look for an equal tail.

        Returns:
            What to note a file with this tail by, or None for not at all; and a file that has it, or None.
        """
        key = tail_key(tail, is_proof=not self._compares_tails)
        file = self.dedup.tails.get(key)
        if file is None or isinstance(key, bytes) or self._is_tail_of(file, tail):
            return key, file
        return None, None

    def _is_tail_of(self, file: StoredFile, tail: bytes) -> bool:
        """Compare a tail with the one that a stored file has, wherever that is by now."""
        index, offset = file.fragment_index, file.fragment_offset
        if index == self._seen_fragment[0]:  # copies of a directory have their files in the same order
            block = self._seen_fragment[1]
        else:
            block = self._fragment_block(index)
            if index != len(self.fragments):
                self._seen_fragment = index, block
                self._seen_count += 1
                if self._seen_count > _FREE_SIZE // self._block_size + _SEEN_FACTOR * len(self.fragments):
                    self._hash_tails()
        return block[offset : offset + len(tail)] == tail

    def _fragment_block(self, index: int) -> bytes:
        """Return an uncompressed fragment block: the one being filled, in flight, or read back."""
        if index == len(self.fragments):
            return self.fragments.filled()
        start, word = self.fragments.place(index)
        if not start:
            return self._flying[self.fragments, index]
        return self._pipeline.plain(self._output.read_back(start, word & ~DATA_RAW), word)

    def _hash_tails(self) -> None:
        """Find long tails by SHA-256 from now on, those that are stored already too.

        A comparison decompresses a whole fragment block, for a tail that may be a hundredth of it. Where equal tails,
        or unequal ones with the same CRC-32, lead to and fro between blocks, this costs less.
        """
        self._compares_tails = False
        tails = self.dedup.tails
        compared = [(file.fragment_index, key, file) for key, file in tails.items() if isinstance(key, tuple)]
        compared.sort(key=lambda row: row[:1])
        block_index, block = NO_FRAGMENT, b""
        for index, key, file in compared:
            if index != block_index:
                block_index, block = index, self._fragment_block(index)
            tail = block[file.fragment_offset : file.fragment_offset + key[1]]
            tails.setdefault(tail_key(tail, is_proof=True), tails.pop(key))

    def _add_tail(self, tail: bytes) -> tuple[int, int]:
        place = self.fragments.add(tail)
        if place is not None:
            return place
        self._submit_fragment()
        return self._add_tail(tail)  # an empty block has room for any

    def _submit_fragment(self) -> None:
        taken = self.fragments.take()
        if taken is not None:
            index, block = taken
            if self._is_mixed:  # what is before it is of another kind
                self._submit()
            self._append(block, self.fragments, index)
            if self._is_mixed or len(self._blocks) >= self._batch_count:
                self._submit("fragments")

    def _append(self, block: bytes, owner: _Landing, index: int) -> None:
        """Put a block into the batch being filled."""
        row = owner, index
        self._blocks.append(block)
        self._waiting.append(row)
        self._flying[row] = block

    def _submit(self, part: str = "data") -> None:
        """Hand the batch to the pipeline."""
        if not self._blocks:
            return
        waiting = self._waiting

        def land(blocks: Sequence[bytes], compressed: Compressed) -> None:
            self._write_front()
            start, stored = self._output.position, list[Stored]()
            for block, smaller, row in zip(blocks, compressed, waiting, strict=True):
                chunk = block if smaller is None else smaller
                del self._flying[row]
                owner, index = row
                owner.landed(index, start, len(chunk) | DATA_RAW if smaller is None else len(chunk))
                stored.append(chunk)
                start += len(chunk)
            self._output.write(b"".join(stored))

        self._pipeline.submit(self._blocks, land, is_raw=self._is_raw[part])
        self._blocks, self._waiting = [], []


def _cut(size: int, block_size: int, segments: tuple[Segment, ...] | None, read: Read) -> Iterator[bytes | int]:
    """Cut a file's content into blocks.

    Yields:
        block_size bytes each, the last one maybe fewer; a number for so many blocks in which nothing is stored.
    """
    if segments is None:
        for start in range(0, size, block_size):
            yield read(min(block_size, size - start))
        return
    rows = iter(segments)
    stored_start, stored_size = next(rows, (size, 0))
    start = 0
    while start < size:
        end = min(start + block_size, size)
        if stored_start >= end:
            # All blocks up to the one in which something is stored, or up to the end.
            count = -(-(size - start) // block_size) if stored_start >= size else (stored_start - start) // block_size
            yield count
            start += count * block_size
            continue
        if stored_start <= start and stored_start + stored_size >= end:
            yield read(end - start)
            stored_size -= end - stored_start
            stored_start = end
        else:
            block = bytearray(end - start)
            while stored_start < end:
                length = min(stored_size, end - stored_start)
                block[stored_start - start : stored_start - start + length] = read(length)
                stored_start += length
                stored_size -= length
                if not stored_size:
                    stored_start, stored_size = next(rows, (size, 0))
            yield bytes(block)
        start = end


def _cut_filled(size: int, block_size: int, segments: tuple[Segment, ...] | None, read: Read) -> Iterator[bytes]:
    """Cut a file's content into blocks, those in which nothing is stored among them, as zeros."""
    left = size
    for block in _cut(size, block_size, segments, read):
        for _ in range(block if isinstance(block, int) else 1):
            length = min(block_size, left)
            yield bytes(length) if isinstance(block, int) else block
            left -= length
