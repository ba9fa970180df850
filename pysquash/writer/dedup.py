"""Writer: remembers what is stored, so that the same bytes are stored once.

In: digests of tails and of runs of blocks. Out: where the same bytes already are.
Rules kept here: files share blocks only where all blocks match, so a run is compared as a whole; what a short checksum
finds is a suspicion, which a comparison of bytes or SHA-256 has to prove. Tails and runs are compared apart: files that
differ in their tails share their blocks.
Not here: the comparison of bytes, and taking back what was written before it turned out to be a duplicate (data).
"""

from __future__ import annotations

import hashlib
from array import array
from typing import TypeVar

from pysquash.compression.checksum import crc32

__all__ = ["BlockRun", "Dedup", "RunDigest", "StoredFile", "TailKey", "tail_key"]


RunKey = tuple[bytes, int, int, bytes]

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")

TailKey = bytes | tuple[int, int]
"""What equal tails have in common: bytes, which prove it; or (CRC-32, size), where it has to be proved."""

_DIGEST_SIZE = 31
"""Bytes kept of a SHA-256: with one more, CPython would take 80 bytes for it instead of 64."""

HASHED_TAIL_SIZE = 8 << 10
"""Tails up to here are found by SHA-256. For longer ones that takes longer than to read and unpack the fragment block
of the few that seem equal."""


class BlockRun:
    """The data blocks of a file, contiguous in the image.

    Attributes:
        start: Absolute byte of the first stored block; 0 until it has landed, and where all blocks are holes.
        size_words: One u32 for each block: bytes on disk, with DATA_RAW where uncompressed; 0 for a hole.
        hole_size: Bytes in holes.
    """

    __slots__ = ("hole_size", "size_words", "start")

    def __init__(self) -> None:
        """Start without blocks."""
        self.start = 0
        self.size_words = array("I")
        self.hole_size = 0

    def add_block(self) -> int:
        """Make room for a block that will land later.

        Returns:
            Its index in the run, from 0.
        """
        self.size_words.append(0)
        return len(self.size_words) - 1

    def add_holes(self, count: int, size: int) -> None:
        """Append so many blocks that are holes, which have so many bytes together."""
        if count == 1:
            self.size_words.append(0)
        else:
            self.size_words.frombytes(bytes(count * self.size_words.itemsize))
        self.hole_size += size

    def landed(self, index: int, start: int, size_word: int) -> None:
        """Note where a block was stored.

        Args:
            index: What `add_block` returned.
            start: Absolute byte in the image.
            size_word: Bytes on disk, with DATA_RAW where uncompressed.
        """
        if not self.start:  # the first stored block; holes before it have no place
            self.start = start
        self.size_words[index] = size_word


class StoredFile:
    """Where the content of a file is; equal files share one.

    Attributes:
        size: Bytes in the file, holes included.
        run: Its data blocks, or None where it has none.
        fragment_index: Row of the fragment table that holds its tail, or NO_FRAGMENT.
        fragment_offset: First byte of the tail inside that uncompressed fragment block.
    """

    __slots__ = ("fragment_index", "fragment_offset", "run", "size")

    def __init__(self, size: int, run: BlockRun | None, fragment_index: int, fragment_offset: int) -> None:
        """Put the parts together."""
        self.size = size
        self.run = run
        self.fragment_index = fragment_index
        self.fragment_offset = fragment_offset


class RunDigest:
    """What a run is found by: a sum of its blocks' bytes, and where its holes are.

    CRC-32 goes over memory twenty times as fast as SHA-256, and nearly no run has an equal one; so the few that seem to
    are compared. That takes an output that can be read from; without, SHA-256 is proof by itself.
    """

    __slots__ = ("_crc", "_holes", "_sha256")

    def __init__(self, *, is_proof: bool) -> None:
        """Start with no blocks.

        Args:
            is_proof: Whether runs with the same key are to be the same for certain.
        """
        self._sha256 = hashlib.sha256() if is_proof else None
        self._crc = 0
        self._holes = array("Q")  # first index and count of each run of holes

    def add(self, block: bytes) -> None:
        """Count a stored block in."""
        if self._sha256 is None:
            self._crc = crc32(block, self._crc)
        else:
            self._sha256.update(block)

    def add_holes(self, index: int, count: int) -> None:
        """Count in that the run's blocks from this index on, from 0, are holes."""
        holes = self._holes
        if holes and holes[-2] + holes[-1] == index:
            holes[-1] += count
        else:
            holes.append(index)
            holes.append(count)

    def key(self, run: BlockRun) -> RunKey:
        """Give what two runs have in common when they are the same.

        Every stored block but a file's last is of one size, so the stored bytes, the number of blocks, and the places
        and the size of the holes determine all.
        """
        found = self._crc.to_bytes(4, "little") if self._sha256 is None else self._sha256.digest()
        return found, len(run.size_words), run.hole_size, self._holes.tobytes()


def tail_key(tail: bytes, *, is_proof: bool) -> TailKey:
    """Give what to find a tail by.

    Args:
        tail: The bytes.
        is_proof: Whether equal keys are to be proof, whatever the size.
    """
    size = len(tail)
    if size < _DIGEST_SIZE:  # shorter than any digest, so that it cannot be taken for one
        return tail
    if is_proof or size <= HASHED_TAIL_SIZE:
        return hashlib.sha256(tail).digest()[:_DIGEST_SIZE]
    return crc32(tail), size


class _Forgetful(dict[_Key, _Value]):
    """A dict in which nothing is ever found, so that who asks need not know that nobody wants to."""

    def __setitem__(self, key: _Key, value: _Value) -> None:
        pass

    def setdefault(self, _key: _Key, default: _Value) -> _Value:
        return default


class Dedup:
    """Tails and runs by their digests.

    Attributes:
        tails: A stored file whose tail has the key, by key.
        runs: A run by its `RunDigest.key`.
        file_count: Files whose every byte was stored already.
        size: The bytes of these.
    """

    __slots__ = ("file_count", "runs", "size", "tails")

    def __init__(self, *, is_wanted: bool = True) -> None:
        """Remember nothing yet; or nothing ever, unless that is wanted."""
        self.tails: dict[TailKey, StoredFile] = {} if is_wanted else _Forgetful()
        self.runs: dict[RunKey, BlockRun] = {} if is_wanted else _Forgetful()
        self.file_count = 0
        self.size = 0

    def forget(self) -> None:
        """Let go of all keys, where nothing more is to be stored: the metadata can have their memory."""
        self.tails.clear()
        self.runs.clear()

    def count(self, file: StoredFile) -> None:
        """Count a file that added nothing to the image."""
        self.file_count += 1
        self.size += file.size
