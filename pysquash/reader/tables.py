"""Reader: tables that are found through a location list: fragments, exports, ids, xattr ids.

In: where the superblock points, and how many rows there are. Out: the rows' bytes.
On disk: "Fragment table", "Export table", "Id table", "Xattr id table".
Rules kept here: every block but the last holds 8192 bytes; all blocks lie in front of their list.
Not here: the rows themselves.
"""

from __future__ import annotations

from pysquash.compression.base import CompressorSettings
from pysquash.errors import CorruptImageError
from pysquash.format.constants import METADATA_SIZE
from pysquash.format.records import TABLE_LOCATION
from pysquash.reader.input import Input
from pysquash.reader.metadata import read_block

__all__ = ["read_rows"]


def read_rows(source: Input, settings: CompressorSettings, list_start: int, size: int, *, section: str) -> bytes:
    """Read a whole table.

    Args:
        source: The image.
        settings: Its compressor.
        list_start: Absolute byte of the location list.
        size: Bytes of all rows together.
        section: What errors name.

    Raises:
        CorruptImageError: A block is missing, damaged, or of another size.
    """
    block_count = -(-size // METADATA_SIZE)
    packed = source.read(list_start, block_count * TABLE_LOCATION.size, section=section)
    blocks = []
    for row in range(block_count):
        start = TABLE_LOCATION.unpack(packed, row * TABLE_LOCATION.size).value
        if start >= list_start:
            raise CorruptImageError(
                f"block {row} starts at {start}, behind the list", section=section, offset=list_start
            )
        block, _ = read_block(source, settings, start, section=section)
        wanted = min(METADATA_SIZE, size - row * METADATA_SIZE)
        if len(block) != wanted:
            raise CorruptImageError(
                f"block {row} holds {len(block)} bytes, not {wanted}", section=section, offset=start
            )
        blocks.append(block)
    return b"".join(blocks)
