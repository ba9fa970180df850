"""Options: how much input is accepted.

Out: `Limits`, validated once and then frozen.
Rules kept here: each limit is an error that names it; nothing is ever cut short.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from pysquash.errors import LimitError, OptionError

__all__ = ["Limits"]

_KIB, _MIB, _GIB, _TIB = 1 << 10, 1 << 20, 1 << 30, 1 << 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much input is accepted. Each limit is an error that names it; nothing is ever cut short.

    Attributes:
        extended_header_size: Bytes in one pax or GNU long-name header, and in all records of global pax headers.
        path_size: Bytes in a path inside the image.
        component_size: Bytes in one name; more than 255 is something no VFS can look up.
        target_size: Bytes in a symlink's target; Linux reads at most 4095.
        depth: Components in a path.
        symlink_steps: Symlinks followed for one path.
        path_steps: Components walked for one path, those of symlink targets included.
        xattr_value_size: Bytes in one extended attribute's value; Linux serves at most 64 KiB.
        xattr_list_size: Bytes in the names of one entry's extended attributes, with a NUL after each; Linux lists at
            most 64 KiB.
        xattr_total_size: Bytes that the extended attributes of all entries take: names, values, and 128 for each.
        entry_count: Entries in all layers, implicit parent directories included.
        implicit_directory_count: Parent directories that no entry has described when something is put into them: one
            entry with a long path may need a thousand.
        layer_count: Layers.
        layer_size: Uncompressed bytes in one layer.
        total_size: Uncompressed bytes in all layers; a sparse file counts without its holes.
        file_size: Bytes in one sparse file, with its holes.
        hole_block_count: Blocks of the image that are holes of sparse files, in all files: each takes 4 bytes of an
            inode's block list. 16 Mi blocks of 128 KiB are 2 TiB of holes.
        segment_count: Stored runs of sparse files, in all files.
        ratio: Uncompressed to compressed size of a layer, and of all layers together. Real layers reach 30000: a
            lastlog of zeros.
        ratio_free_size: Uncompressed bytes up to which any ratio is accepted. 4 GiB take seconds to read.
        zstd_window_size: Bytes of window that a zstd frame of the input may ask for.
        id_count: Distinct user and group ids; the format counts them in a u16.
    """

    extended_header_size: int = 16 * _MIB
    path_size: int = 4096
    component_size: int = 255
    target_size: int = 4095
    depth: int = 1024
    symlink_steps: int = 255
    path_steps: int = 4096
    xattr_value_size: int = 64 * _KIB
    xattr_list_size: int = 64 * _KIB
    xattr_total_size: int = 256 * _MIB
    entry_count: int = 4_000_000
    implicit_directory_count: int = 1_000_000
    layer_count: int = 512
    layer_size: int = 64 * _GIB
    total_size: int = 128 * _GIB
    file_size: int = 16 * _TIB
    hole_block_count: int = 16 * _MIB
    segment_count: int = 1_000_000
    ratio: int = 2000
    ratio_free_size: int = 4 * _GIB
    zstd_window_size: int = 128 * _MIB
    id_count: int = 65535

    def __post_init__(self) -> None:
        """Refuse what the format or Linux could not serve, and what is no limit at all."""
        for each in dataclasses.fields(self):
            value, hard = getattr(self, each.name), _HARD_LIMITS.get(each.name)
            if not isinstance(value, int) or value < 1:
                raise OptionError(f"limit {each.name} must be a whole number from 1, not {value!r}")
            if hard is not None and value > hard:
                raise OptionError(f"limit {each.name} can be at most {hard}, not {value}")

    def check_ratio(self, what: str, unpacked_size: int, consumed_size: int, *, source: str) -> None:
        """Check how much came out of how little.

        Args:
            what: What the error calls the ratio.
            unpacked_size: Uncompressed bytes so far.
            consumed_size: The bytes that they came out of.
            source: What the error names.

        Raises:
            LimitError: The ratio is exceeded.
        """
        if unpacked_size > self.ratio_free_size:
            ratio = unpacked_size // max(1, consumed_size)
            if ratio > self.ratio:
                raise LimitError(what, ratio, self.ratio, where=source, name="ratio")


_HARD_LIMITS = {
    "component_size": 255,
    "target_size": 4095,
    "xattr_value_size": 64 * _KIB,
    "xattr_list_size": 64 * _KIB,
    "id_count": 65535,
}
