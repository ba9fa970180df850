"""Format: the numbers that hold several fields in their bits.

Out: one pair of functions for each packed word, to and from its parts. Hot loops may write the same shift out; they
say so.
Not here: whole structures (records).
"""

from __future__ import annotations

from typing import Final

__all__ = [
    "DATA_RAW",
    "METADATA_RAW",
    "METADATA_REF_MASK",
    "XATTR_OUT_OF_LINE",
    "data_word",
    "device_number",
    "metadata_ref",
    "metadata_word",
    "split_data_word",
    "split_device_number",
    "split_metadata_ref",
    "split_metadata_word",
]

DATA_RAW: Final = 1 << 24
"""Set in a data or fragment block's size word: the block is stored as it is."""

METADATA_RAW: Final = 1 << 15
"""Set in a metadata block's header: the block is stored as it is."""

METADATA_REF_MASK: Final = (1 << 48) - 1
"""The bits of a metadata reference that Linux and unsquashfs use."""

XATTR_OUT_OF_LINE: Final = 0x100
"""Set in an xattr's type: instead of the value stands a reference to it."""


def metadata_ref(block_start: int, offset: int) -> int:
    """Pack a metadata reference.

    Args:
        block_start: Byte at which the metadata block starts, from its table's start, 0 to 2^32-1.
        offset: Byte inside the uncompressed block, 0 to 8191.

    Source: "Metadata reference" in the format document; SQUASHFS_MKINODE in the kernel's squashfs_fs.h.
    """
    return block_start << 16 | offset


def split_metadata_ref(ref: int) -> tuple[int, int]:
    """Unpack a metadata reference into (block_start, offset). The reverse of `metadata_ref`.

    Bits 48 to 63 are ignored, as Linux and unsquashfs do.
    """
    return ref >> 16 & 0xFFFF_FFFF, ref & 0xFFFF


def metadata_word(stored_size: int, *, raw: bool) -> int:
    """Pack the u16 in front of a metadata block.

    Args:
        stored_size: Bytes that follow, 1 to 8192.
        raw: Whether they are stored uncompressed.
    """
    return stored_size | METADATA_RAW if raw else stored_size


def split_metadata_word(word: int) -> tuple[int, bool]:
    """Unpack a metadata block's header into (stored_size, raw)."""
    return word & (METADATA_RAW - 1), bool(word & METADATA_RAW)


def data_word(stored_size: int, *, raw: bool) -> int:
    """Pack the u32 that tells a data or fragment block's size on disk.

    Args:
        stored_size: Bytes on disk, 1 to 1 MiB; 0 stands for a hole in a file's block list.
        raw: Whether they are stored uncompressed.
    """
    return stored_size | DATA_RAW if raw else stored_size


def split_data_word(word: int) -> tuple[int, bool]:
    """Unpack a data or fragment block's size word into (stored_size, raw)."""
    return word & ~DATA_RAW, bool(word & DATA_RAW)


def device_number(major: int, minor: int) -> int:
    """Pack a device number.

    Args:
        major: 0 to 4095.
        minor: 0 to 2^20-1.

    Source: new_encode_dev in the kernel's kdev_t.h.
    """
    return major << 8 | minor & 0xFF | (minor & ~0xFF) << 12


def split_device_number(number: int) -> tuple[int, int]:
    """Unpack a device number into (major, minor)."""
    return number >> 8 & 0xFFF, number & 0xFF | number >> 12 & 0xFFF00
