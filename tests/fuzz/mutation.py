"""Changes of an image that keep most of it as it was: where numbers stand, and to what other numbers would be."""

from __future__ import annotations

import random

from pysquash.format.constants import DATA_START
from pysquash.format.records import SUPERBLOCK

__all__ = ["mutated"]

_BORDERS = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x100, 0x1FFF, 0x2000, 0x7FFF, 0x8000, 0xFFFF, 1 << 20, 1 << 24, 0x7FFF_FFFF)
_LARGE = (0xFFFF_FFFF, 1 << 32, (1 << 63) - 1, 1 << 63, (1 << 64) - 1)


def mutated(data: bytes, rng: random.Random) -> bytes:
    """Change an image in one to four places, most of them in metadata."""
    image = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 2, 3, 4))):
        _mutate(image, rng)
    return bytes(image)


def _mutate(image: bytearray, rng: random.Random) -> None:
    if len(image) < DATA_START:
        image += rng.randbytes(DATA_START)
    at = _place(image, rng)
    size = rng.choice((1, 2, 2, 4, 4, 8))
    choice = rng.randrange(12)
    if choice < 5:
        _set(image, at, size, rng.choice(_BORDERS + _LARGE))
    elif choice < 7:
        value = int.from_bytes(image[at : at + size], "little")
        _set(image, at, size, value + rng.choice((-64, -2, -1, 1, 1, 2, 3, 8, 64)))
    elif choice < 9:  # a number from elsewhere, which may lead where the other does
        other = _place(image, rng)
        _set(image, at, size, int.from_bytes(image[other : other + size], "little"))
    elif choice == 9:
        image[at] ^= 1 << rng.randrange(8)
    elif choice == 10:  # a run of bytes from elsewhere, over these or in front of them
        other, length = _place(image, rng), rng.choice((4, 16, 20, 32, 60))
        image[at : at + rng.choice((0, length))] = image[other : other + length]
    else:
        del image[at : at + rng.choice((1, 4, 20, len(image)))]


def _place(image: bytearray, rng: random.Random) -> int:
    """Choose a byte: of the superblock, of what is between the inode table and the end, or any."""
    end = len(image)
    choice = rng.randrange(10)
    if choice < 2 or end <= DATA_START:
        return rng.randrange(min(end, DATA_START))
    if choice < 9:
        superblock = SUPERBLOCK.unpack(bytes(image[:DATA_START]))
        start, behind = superblock.inode_table_start, superblock.bytes_used
        if DATA_START <= start < behind <= end:
            return rng.randrange(start, behind)
    return rng.randrange(end)


def _set(image: bytearray, at: int, size: int, value: int) -> None:
    size = min(size, len(image) - at)
    image[at : at + size] = (value % (1 << 8 * size)).to_bytes(size, "little")
