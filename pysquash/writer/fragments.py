"""Writer: packs tail ends into fragment blocks.

In: the tails of files, each shorter than a block. Out: where each tail is, full fragment blocks to be compressed, and
the rows of the fragment table.
On disk: "Fragment table".
Rules kept here: a fragment block is at most block_size long and holds whole tails only.
Not here: which tails are the same (dedup), compression and order (data).
"""

from __future__ import annotations

from array import array

from pysquash.format.records import FRAGMENT_ENTRY

__all__ = ["Fragments"]


class Fragments:
    """The fragment block being filled, and the table of those before it."""

    def __init__(self, block_size: int) -> None:
        """Start with an empty block.

        Args:
            block_size: Bytes in a data block, 4096 to 1 MiB.
        """
        self._block_size = block_size
        self._tails: list[bytes] = []
        self._filled_size = 0
        self._starts = array("Q")
        self._size_words = array("I")

    def __len__(self) -> int:
        """Count the fragment blocks taken so far."""
        return len(self._starts)

    def add(self, tail: bytes) -> tuple[int, int] | None:
        """Put a tail behind the others.

        Returns:
            Its fragment's index in the table, and its first byte inside the uncompressed fragment block. None where
            there is no room for it in the block being filled.
        """
        offset = self._filled_size
        end = offset + len(tail)
        if end > self._block_size:
            return None
        self._tails.append(tail)
        self._filled_size = end
        return len(self._starts), offset

    def filled(self) -> bytes:
        """Give what is in the block being filled."""
        return b"".join(self._tails)

    def place(self, index: int) -> tuple[int, int]:
        """Give where a block taken earlier is: (absolute byte, DATA_WORD); (0, 0) until it has landed."""
        return self._starts[index], self._size_words[index]

    def take(self) -> tuple[int, bytes] | None:
        """Take the block being filled and start another; its row is filled in by `landed`.

        Returns:
            Its index and its bytes, or None where it is empty.
        """
        if not self._tails:
            return None
        block = b"".join(self._tails)
        self._tails = []
        self._filled_size = 0
        self._starts.append(0)
        self._size_words.append(0)
        return len(self._starts) - 1, block

    def landed(self, index: int, start: int, size_word: int) -> None:
        """Note where a block taken earlier was stored.

        Args:
            index: What `take` returned.
            start: Absolute byte in the image.
            size_word: Bytes on disk, with DATA_RAW where uncompressed.
        """
        self._starts[index] = start
        self._size_words[index] = size_word

    def table(self) -> bytes:
        """Pack the fragment table's rows, uncompressed."""
        pack = FRAGMENT_ENTRY.pack
        return b"".join([pack(start, word, 0) for start, word in zip(self._starts, self._size_words, strict=True)])
