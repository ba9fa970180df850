"""Fsck: the superblock, and the compressor's options behind it.

In: an image. Out: a superblock by which the rest can be found, or None; the largest window that a block may ask for.
On disk: "Superblock", "Compressor options".
Not here: where the tables end (tables).
"""

from __future__ import annotations

from typing import Any

from pysquash.errors import CorruptImageError, NotSquashfsError
from pysquash.format.codec import Codec
from pysquash.format.constants import (
    DATA_START,
    MAGIC,
    METADATA_SIZE,
    PADDING_SIZE,
    VERSION,
    CompressorId,
    SuperblockFlag,
)
from pysquash.format.records import (
    GZIP_OPTIONS,
    LZ4_OPTIONS,
    LZO_OPTIONS,
    METADATA_HEADER,
    SUPERBLOCK,
    XZ_OPTIONS,
    ZSTD_OPTIONS,
    Superblock,
)
from pysquash.format.rules import KERNEL, UNSQUASHFS, Rule
from pysquash.format.words import METADATA_REF_MASK, metadata_word
from pysquash.fsck.findings import Findings
from pysquash.reader.input import Input
from pysquash.reader.metadata import read_stored_block
from pysquash.reader.superblock import SWAPPED_MAGIC

__all__ = ["check_compressor_options", "check_superblock", "check_unannounced_options"]

_SECTION = "superblock"
_OLDEST_VERSION = (1, 0)
_LAST_OLD_VERSION = (3, 1)
_NEGATIVE_MINOR = 0x8000
"""From here on, the minor version is negative to Linux, and so not too high."""
_BLOCK_LOGS = range(12, 21)
_CHECK_FLAG = 0x0004
"""To unsquashfs, each metadata block has a byte more in front. Linux ignores the flag."""
_SECTOR_SIZE = 1024
"""Bytes that the kernel reads together: what is left of a file behind the last whole ones cannot be read."""

_OPTIONS: dict[int, Codec[Any]] = {
    CompressorId.GZIP: GZIP_OPTIONS,
    CompressorId.LZO: LZO_OPTIONS,
    CompressorId.XZ: XZ_OPTIONS,
    CompressorId.LZ4: LZ4_OPTIONS,
    CompressorId.ZSTD: ZSTD_OPTIONS,
}
_NEEDED_BY: dict[int, tuple[str, ...]] = {CompressorId.XZ: (KERNEL, UNSQUASHFS), CompressorId.LZ4: (KERNEL, UNSQUASHFS)}
_LZ4_VERSION = 1


def check_superblock(source: Input, findings: Findings) -> Superblock | None:
    """Check the superblock.

    Args:
        source: The image.
        findings: Takes what is wrong.

    Returns:
        The superblock, or None where nothing else can be found by it.

    Raises:
        NotSquashfsError: This is no image at all.
    """
    if source.size < SUPERBLOCK.size:
        raise NotSquashfsError(f"a file of {max(0, source.size)} bytes is too short for a superblock")
    superblock = SUPERBLOCK.unpack(source.read(0, SUPERBLOCK.size, section=_SECTION, rule=Rule.BYTES_USED))
    if superblock.magic == SWAPPED_MAGIC:
        text = "is big-endian, as before 4.0"
        findings.add(Rule.VERSION, text, section=_SECTION, field="magic", refused_by=(KERNEL,))
        return None
    if superblock.magic != MAGIC:
        raise NotSquashfsError(f"the first four bytes are {superblock.magic:#010x}, not {MAGIC:#010x}")
    if not _check_version(superblock, findings):
        return None
    _check_flags(superblock, findings)
    is_usable = [
        _check_kind(superblock, findings),
        _check_extent(superblock, source.size, findings),
        _check_counts(superblock, findings),
    ]
    return superblock if all(is_usable) else None


def _check_version(superblock: Superblock, findings: Findings) -> bool:
    """Check the version: in any other than 4.0, the fields of the superblock are others."""
    version = (superblock.version_major, superblock.version_minor)
    if version == VERSION:
        return True
    refused_by = None
    if _OLDEST_VERSION <= version <= _LAST_OLD_VERSION:
        refused_by = (KERNEL,)
    elif version[0] == VERSION[0] and version[1] >= _NEGATIVE_MINOR:
        refused_by = (UNSQUASHFS,)
    text = f"is {version[0]}.{version[1]}, not 4.0"
    findings.add(Rule.VERSION, text, section=_SECTION, field="version_major", refused_by=refused_by)
    return False


def _check_flags(superblock: Superblock, findings: Findings) -> None:
    """Check what has flags and bits that nothing uses."""
    flags = superblock.flags
    if flags & _CHECK_FLAG:
        findings.add(Rule.CHECK_FLAG, f"is set in {flags:#x}", section=_SECTION, field="flags")
    unknown = flags & ~_CHECK_FLAG & ~sum(SuperblockFlag)
    if unknown:
        findings.add(Rule.UNUSED, f"has unknown flags {unknown:#x}", section=_SECTION, field="flags")
    if superblock.root_ref & ~METADATA_REF_MASK:
        text = f"is {superblock.root_ref:#x}, of which bits 48 to 63 are ignored"
        findings.add(Rule.UNUSED, text, section=_SECTION, field="root_ref")


def _check_kind(superblock: Superblock, findings: Findings) -> bool:
    """Check what says how to read all else."""
    if superblock.compressor not in list(CompressorId):
        text = f"is {superblock.compressor}, not 1 to 6"
        findings.add(Rule.COMPRESSOR, text, section=_SECTION, field="compressor")
        return False
    if superblock.compressor == CompressorId.LZMA:
        text = "is 2, lzma, which no kernel reads"
        findings.add(Rule.COMPRESSOR, text, section=_SECTION, field="compressor", refused_by=(KERNEL,))
    if superblock.block_log not in _BLOCK_LOGS or superblock.block_size != 1 << superblock.block_log:
        text = f"is {superblock.block_size}, and block_log {superblock.block_log}"
        findings.add(Rule.BLOCK_SIZE, text, section=_SECTION, field="block_size")
        return False
    return True


def _check_extent(superblock: Superblock, file_size: int, findings: Findings) -> bool:
    """Check how far the image reaches, and that its parts are in order, as far as the superblock says it."""
    used = superblock.bytes_used
    if used > file_size:
        text = f"is {used}, the file has {file_size}"
        findings.add(Rule.BYTES_USED, text, section=_SECTION, field="bytes_used")
        return False
    if file_size < -(-used // PADDING_SIZE) * PADDING_SIZE:
        # Linux refuses only what it cannot read: a device of larger sectors would be another matter.
        is_lost = file_size // _SECTOR_SIZE * _SECTOR_SIZE < used
        text = f"bytes_used is {used}, the file ends at {file_size}"
        findings.add(Rule.PADDING, text, section=_SECTION, field="bytes_used", refused_by=(KERNEL,) if is_lost else ())
    if not DATA_START <= superblock.inode_table_start < superblock.directory_table_start < used:
        text = (
            f"is {superblock.inode_table_start}, with the directory table at {superblock.directory_table_start} "
            f"and the end at {used}"
        )
        findings.add(Rule.TABLE_ORDER, text, section=_SECTION, field="inode_table_start")
        return False
    return True


def _check_counts(superblock: Superblock, findings: Findings) -> bool:
    """Check the counts against each other."""
    inodes = superblock.inode_count
    if superblock.id_count == 0:
        findings.add(Rule.ID_COUNT, "is 0", section=_SECTION, field="id_count")
        return False
    if superblock.id_count > 2 * inodes:
        text = f"is {superblock.id_count}, with {inodes} inodes"
        findings.add(Rule.ID_COUNT_PLAUSIBLE, text, section=_SECTION, field="id_count")
    if superblock.fragment_count > inodes:
        text = f"is {superblock.fragment_count}, with {inodes} inodes"
        findings.add(Rule.FRAGMENT_COUNT, text, section=_SECTION, field="fragment_count")
    return True


def check_compressor_options(source: Input, superblock: Superblock, findings: Findings) -> int:
    """Check the compressor's options, where there are any.

    Returns:
        Bytes of window or dictionary that a block may ask for: as much as the kernel makes room for.
    """
    section, compressor = "compressor options", superblock.compressor
    window_limit = max(superblock.block_size, METADATA_SIZE)
    codec = _OPTIONS.get(compressor)
    if not superblock.flags & SuperblockFlag.COMPRESSOR_OPTIONS:
        if compressor == CompressorId.LZ4:
            findings.add(Rule.LZ4_OPTIONS, "an lz4 image has none", section=section, field="flags")
        return window_limit
    try:
        packed, is_raw = read_stored_block(source, DATA_START, section=section)
    except CorruptImageError as error:
        findings.add(Rule.COMPRESSOR_OPTIONS, error.text, section=section, offset=DATA_START)
        return window_limit
    if not is_raw or codec is None or len(packed) != codec.size:
        wanted = "none are known" if codec is None else f"{codec.size} raw ones are wanted"
        text = f"{len(packed)} {'raw' if is_raw else 'compressed'} bytes, {wanted}"
        # Both read the block, but few compressors have a use for it.
        refused_by = None if not is_raw else _NEEDED_BY.get(compressor, ())
        findings.add(Rule.COMPRESSOR_OPTIONS, text, section=section, offset=DATA_START, refused_by=refused_by)
        return window_limit
    if compressor == CompressorId.LZ4:
        version = LZ4_OPTIONS.unpack(packed).version
        if version != _LZ4_VERSION:
            text = f"is {version}, not {_LZ4_VERSION}"
            findings.add(Rule.LZ4_OPTIONS, text, section=section, offset=DATA_START, field="version")
    if compressor == CompressorId.XZ:
        size = XZ_OPTIONS.unpack(packed).dictionary_size
        has_form = size > 0 and size in (size & -size, 3 * (size & -size))
        if not has_form or not METADATA_SIZE <= size <= max(superblock.block_size, METADATA_SIZE):
            text = f"is {size}, with blocks of {superblock.block_size}"
            findings.add(
                Rule.XZ_DICTIONARY_OPTIONS,
                text,
                section=section,
                offset=DATA_START,
                field="dictionary_size",
                refused_by=() if has_form else None,  # the kernel makes room for as much as it says
            )
        if has_form:
            window_limit = size
    return window_limit


def check_unannounced_options(source: Input, superblock: Superblock, data_start: int, findings: Findings) -> None:
    """Check that nothing that looks like options is in front of the data, where the superblock says there are none.

    Args:
        source: The image.
        superblock: Its superblock.
        data_start: The first byte that is anything else's.
        findings: Takes what is wrong.
    """
    codec = _OPTIONS.get(superblock.compressor)
    if codec is None or superblock.flags & SuperblockFlag.COMPRESSOR_OPTIONS:
        return
    size = METADATA_HEADER.size + codec.size
    if data_start != DATA_START + size:
        return
    found = METADATA_HEADER.unpack(source.read_at_most(DATA_START, size)).value
    if found == metadata_word(codec.size, raw=True):
        text = f"there are {codec.size} bytes of them, and the flag for them is not set"
        section = "compressor options"
        findings.add(Rule.COMPRESSOR_OPTIONS, text, section=section, offset=DATA_START, refused_by=())
