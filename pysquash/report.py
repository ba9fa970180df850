"""Report: what a build did, in numbers, for the caller to print or to keep."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from pysquash.notices import WarningGroup

__all__ = ["Progress", "Report"]

Progress = Callable[[str, int, int | None], None]
"""Called with (stage, done, total or None). Stages are "read", in bytes as the sources hold them, and "write", in
inodes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What was packed.

    Attributes:
        entries: Names in the image by kind ("directory", "file", "symlink", ...); "hard_link" counts further names of a
            file. The root is not counted.
        layers: How many sources there were.
        bytes_in: Bytes of the sources as they came, compressed or not.
        bytes_unpacked: Bytes of the sources after decompression.
        bytes_out: Bytes of the image with padding.
        duplicate_files: Files whose whole content was in the image already.
        duplicate_bytes: The sum of their sizes.
        hidden_files: Files that were not stored, because upper layers hide them or the caller leaves them out.
        warnings: One group for each kind of warning, with a count and the first three examples.
        digests_verified: What was checked against a digest, by name.
        seconds: Wall-clock time by stage: "read" (with compression and merging), "write".
    """

    entries: Mapping[str, int]
    layers: int
    bytes_in: int
    bytes_unpacked: int
    bytes_out: int
    duplicate_files: int
    duplicate_bytes: int
    hidden_files: int
    warnings: tuple[WarningGroup, ...] = ()
    digests_verified: tuple[str, ...] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)
