"""Writer: tables that are found through a location list: fragments, exports, ids, xattr ids.

In: a table's rows, packed. Out: their metadata blocks in the output, and behind them the list of where each block
starts.
On disk: "Fragment table", "Export table", "Id table", "Xattr id table".
Rules kept here: blocks hold 8192 bytes except the last; lists increase; a list follows its blocks without a gap.
Not here: the rows (fragments, inodes, xattrs).
"""

from __future__ import annotations

from pysquash.errors import LimitError
from pysquash.format.records import ID, TABLE_LOCATION
from pysquash.writer.metadata import Compress, MetadataWriter
from pysquash.writer.output import Output

__all__ = ["INVALID_ID", "IdTable", "write_table"]

INVALID_ID = 0xFFFF_FFFF
"""(uid_t)-1: to chown it means "unchanged", so no file can have it."""


def write_table(output: Output, rows: bytes, compress: Compress, *, header: bytes = b"") -> int:
    """Write a table's blocks and its location list.

    Args:
        output: Positioned where the table is to be.
        rows: At least one packed row.
        compress: Compresses one metadata block.
        header: What stands between the blocks and the list; the xattr id table has one.

    Returns:
        Absolute byte of the header, or of the list where there is none: what the superblock points at.
    """
    stream = MetadataWriter(compress)
    stream.write(rows)
    stream.finish()
    first = output.position
    output.write(stream.stored)
    table_start = output.position
    output.write(header + b"".join([TABLE_LOCATION.pack(first + start) for start in stream.block_starts]))
    return table_start


class IdTable(dict[int, int]):
    """User and group ids and their rows, in the order of first use: `ids[number]` is the row, made when first asked
    for.

    A dict that fills itself, because every inode asks twice.
    """

    def __init__(self, limit: int) -> None:
        """Start empty.

        Args:
            limit: Rows allowed, at most 65535: the superblock counts them in a u16.
        """
        super().__init__()
        self._limit = limit

    def __missing__(self, number: int) -> int:
        """Make the row of an id, 0 to 2^32-1, that was not asked for before.

        Raises:
            LimitError: There are more distinct ids than the limit.
        """
        index = len(self)
        if index >= self._limit:
            raise LimitError("the number of distinct user and group ids", index + 1, self._limit)
        self[number] = index
        return index

    def table(self) -> bytes:
        """Pack the rows, uncompressed."""
        return b"".join([ID.pack(number) for number in self])
