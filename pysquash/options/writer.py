"""Options: how an image is made, and the reason of each default.

Out: `WriterOptions`, validated once and then frozen.
Not here: how much input is accepted (limits), options of compressors (compressor); the environment, which only the
command line reads.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from pysquash.errors import OptionError, OptionTypeError
from pysquash.options.compressor import CompressorOptions, whole_number
from pysquash.options.frozen_mapping import FrozenMapping
from pysquash.options.limits import Limits

if TYPE_CHECKING:
    from concurrent.futures import Executor

__all__ = [
    "UNCOMPRESSED_PARTS",
    "Compressor",
    "DuplicatePolicy",
    "ParentSymlinkPolicy",
    "SortOrder",
    "WhiteoutPolicy",
    "WriterOptions",
]

SortOrder = Literal["path", "size"]
Compressor = Literal["zstd", "gzip", "xz", "lz4", "lzo", "lzma", "none"]
WhiteoutPolicy = Literal["apply", "keep"]
DuplicatePolicy = Literal["first", "last", "error"]
ParentSymlinkPolicy = Literal["follow", "replace", "error"]

UNCOMPRESSED_PARTS = frozenset(["inodes", "ids", "data", "fragments", "xattrs"])
"""The parts of an image that can be stored as they are."""

_KIB, _MIB, _GIB, _TIB = 1 << 10, 1 << 20, 1 << 30, 1 << 40


@dataclass(frozen=True, slots=True, kw_only=True)
class WriterOptions:
    """How an image is made.

    Attributes:
        compressor: "zstd", "gzip", "xz", "lz4", "lzo", "lzma" or "none". zstd packs and unpacks fastest at a good size;
            lz4 and lzo need an extra; Linux cannot mount lzma.
        level: The compressor's level, or None for its default: zstd 3 (1 to 22), gzip 9 (1 to 9), lzo 8 (1 to 9, and
            only for the algorithm lzo1x_999). The others have none.
        compressor_options: What else the compressor can be told, by the names of mksquashfs's -X. gzip: "window-size"
            (8 to 15) and "strategy" (those tried: default, filtered, huffman-only, run-length-encoded, fixed); xz:
            "dict-size" (bytes, 8192 to block_size, or "75%" of it) and "bcj" (filters tried: x86, arm, armthumb,
            powerpc, sparc, ia64); lz4: "hc"; lzo: "algorithm" (lzo1x_1, lzo1x_1_11, lzo1x_1_12, lzo1x_1_15,
            lzo1x_999). "level" may stand here as well.
        uncompressed: Parts stored as they are: "inodes" (with directories and ids), "ids", "data", "fragments",
            "xattrs".
        block_size: Bytes in a data block: a power of two from 4096 to 1 MiB. 128 KiB is what every other tool uses.
        workers: Threads that compress, or None for one per processor. The image's bytes do not depend on it.
        executor: What compresses blocks instead of threads of our own: any `concurrent.futures.Executor`, of processes
            or of a cluster. It gets batches of 2 MiB, `workers` + 2 of them at a time, so `workers` is how many it can
            run at once. It stays the caller's, who shuts it down. The image's bytes do not depend on it either.
        fragments: Whether small files and tail ends share blocks.
        tail_ends: Whether the tail ends of files longer than a block do, too, and not small files only.
        find_duplicates: Whether equal content is stored once.
        find_holes: Whether blocks of zeros become holes.
        hard_links: Whether names of one inode stay so; otherwise each gets its own, with the same content.
        xattrs: Whether extended attributes are kept.
        xattrs_include: A regular expression; attributes are kept only where it is found in their full name.
        xattrs_exclude: The same for attributes that are left out, whatever the other one says.
        sort_by: How contents are ordered in the image: by "path", directory by directory, by "size", smallest first, or
            None, as they are read. Anything but None takes as much room beside the image as its contents do, while they
            are waiting for their turn.
        sort_priorities: Priorities of paths, -32768 to 32767, or what gives the priority of a path, or None for no own.
            Contents of a higher one come first, whatever `sort_by` says; a directory's counts for all below it that
            have no own. 0 is that of all others.
        padded: Whether the image is filled up to a multiple of 4096, which loop devices need.
        exports: Whether to write an export table, which only NFS needs.
        source_date_epoch: Seconds since 1970, 0 to 2^32-1: the image's own time, and the mtime of directories that
            no entry describes. 0 by default, so that the same input gives the same bytes.
        whiteouts: "apply" deletes what `.wh.` entries of a layer say; "keep" stores them as ordinary files.
        duplicates: Which of several entries of one layer with the same name wins. "first" is what piping a tar into
            mksquashfs does, "last" what extracting does and what OCI layers mean.
        parent_symlinks: What a symlink does that stands where a path needs a directory: "follow" it inside the image,
            as extraction does, "replace" it by a directory, or "error".
        ignore_zeros: Whether to read on after a tar's end-of-archive blocks, so that concatenated archives count.
        strict: Whether what would only be warned of is an error.
        lenient: Whether a hard link to nothing is dropped with a warning instead of being an error.
        timeout: Seconds without data after which reading a pipe, a stream or a registry fails; None waits for ever for
            pipes and streams, and 60 seconds for registries.
        verify: Whether to read the image back before it gets its name, compare it with what went in, and check it.
            Takes about as long as packing; for those who must know.
        limits: How much input is accepted.
    """

    compressor: Compressor = "zstd"
    level: int | None = None
    compressor_options: Mapping[str, object] = field(default_factory=dict)
    uncompressed: Collection[str] = frozenset()
    block_size: int = 128 * _KIB
    workers: int | None = None
    executor: Executor | None = None
    fragments: bool = True
    tail_ends: bool = True
    find_duplicates: bool = True
    find_holes: bool = True
    hard_links: bool = True
    xattrs: bool = True
    xattrs_include: str | None = None
    xattrs_exclude: str | None = None
    sort_by: SortOrder | None = None
    sort_priorities: Mapping[bytes, int] | Callable[[bytes], int | None] = field(default_factory=dict)
    padded: bool = True
    exports: bool = False
    source_date_epoch: int = 0
    whiteouts: WhiteoutPolicy = "apply"
    duplicates: DuplicatePolicy = "first"
    parent_symlinks: ParentSymlinkPolicy = "follow"
    ignore_zeros: bool = False
    strict: bool = False
    lenient: bool = False
    timeout: float | None = None
    verify: bool = False
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        """Check every value against its range, so that nothing behind here has to."""
        _one_of("compressor", self.compressor, tuple(_LEVELS))
        size = self.block_size
        if not isinstance(size, int) or not 4 * _KIB <= size <= _MIB or size & (size - 1):
            raise OptionError(f"block_size must be a power of two from 4096 to 1048576, not {size!r}")
        self._check_compression()
        self._check_uncompressed()
        if self.sort_by is not None:
            _one_of("sort_by", self.sort_by, ("path", "size"))
        self._check_priorities()
        for name in ("xattrs_include", "xattrs_exclude"):
            _check_pattern(name, getattr(self, name))
        if self.workers is not None and (not isinstance(self.workers, int) or not 1 <= self.workers <= 1024):
            raise OptionError(f"workers must be 1 to 1024 or None, not {self.workers!r}")
        if self.executor is not None and not callable(getattr(self.executor, "submit", None)):
            raise OptionTypeError(f"executor must be a concurrent.futures.Executor or None, not {self.executor!r}")
        epoch = self.source_date_epoch
        if not isinstance(epoch, int) or not 0 <= epoch <= 0xFFFF_FFFF:
            raise OptionError(f"source_date_epoch must be 0 to 4294967295, not {epoch!r}")
        _one_of("whiteouts", self.whiteouts, ("apply", "keep"))
        _one_of("duplicates", self.duplicates, ("first", "last", "error"))
        _one_of("parent_symlinks", self.parent_symlinks, ("follow", "replace", "error"))
        for name in _FLAGS:
            if not isinstance(getattr(self, name), bool):
                raise OptionTypeError(f"{name} must be True or False, not {getattr(self, name)!r:.80}")
        if self.timeout is not None and (
            not isinstance(self.timeout, int | float) or isinstance(self.timeout, bool) or not 0 < self.timeout < 1e6
        ):
            raise OptionError(f"timeout must be a number of seconds, over 0 and under a million, not {self.timeout!r}")
        if not isinstance(self.limits, Limits):
            raise OptionTypeError(f"limits are a pysquash.Limits(...), not {self.limits!r:.80}")
        if self.strict and self.lenient:
            raise OptionError("strict and lenient contradict each other")

    def _check_compression(self) -> None:
        """Check level and options of the compressor, and put them into their form."""
        given = self.compressor_options
        if not isinstance(given, Mapping):
            raise OptionTypeError(f"compressor_options must be a mapping of names to values, not {given!r:.80}")
        levels = _LEVELS[self.compressor]
        others = {name: value for name, value in given.items() if name != "level" or not levels}
        parsed = CompressorOptions.parsed(
            others, compressor=self.compressor, block_size=self.block_size, has_levels=bool(levels)
        )
        level = self.level
        if "level" in given and levels:
            level = whole_number(given["level"])
            if level is None or self.level not in (None, level):
                also = "" if self.level is None else f": there is another one, {self.level!r}"
                raise OptionError(f"the option level must be one whole number, not {given['level']!r}{also}")
        if level is not None and (whole_number(level) is None or level not in levels):
            allowed = f"{levels[0]} to {levels[-1]}" if levels else "no levels"
            raise OptionError(f"level {level!r}: compressor {self.compressor} has {allowed}")
        if level is not None and parsed.get("algorithm", "lzo1x_999") != "lzo1x_999":
            raise OptionError(f"level {level!r}: of lzo's algorithms only lzo1x_999 has levels")
        object.__setattr__(self, "level", level)
        object.__setattr__(self, "compressor_options", parsed)

    def _check_uncompressed(self) -> None:
        """Check which parts are not to be compressed, and put them into a set."""
        given = self.uncompressed
        allowed = ", ".join(sorted(UNCOMPRESSED_PARTS))
        if isinstance(given, str) or not isinstance(given, Iterable):
            raise OptionTypeError(f"uncompressed must be a collection of some of {allowed}; not {given!r:.80}")
        parts = list(given)
        for part in parts:
            if part not in tuple(UNCOMPRESSED_PARTS):
                raise OptionError(f"uncompressed must be some of {allowed}; not {part!r:.80}")
        object.__setattr__(self, "uncompressed", frozenset(parts))

    def _check_priorities(self) -> None:
        """Check the priorities of paths, and bring the paths into their form."""
        given = self.sort_priorities
        if callable(given):
            return
        if not isinstance(given, Mapping):
            raise OptionTypeError(f"sort_priorities must be a mapping of paths to numbers, not {given!r:.80}")
        checked = {}
        for path, priority in given.items():
            raw = path.encode("utf-8", "surrogateescape") if isinstance(path, str) else path
            if not isinstance(raw, bytes):
                raise OptionTypeError(f"sort_priorities must be of paths, and not of {path!r:.80}")
            if isinstance(priority, bool) or not isinstance(priority, int) or priority not in _PRIORITIES:
                raise OptionError(f"the priority of {path!r:.80} must be -32768 to 32767, not {priority!r:.80}")
            checked[b"/".join(part for part in raw.split(b"/") if part not in (b"", b"."))] = priority
        object.__setattr__(self, "sort_priorities", FrozenMapping(checked))

    def wants_xattr(self, name: bytes) -> bool:
        """Return whether an extended attribute is to be kept, by its full name."""
        text = name.decode("utf-8", "surrogateescape")
        return (
            self.xattrs
            and (self.xattrs_include is None or re.search(self.xattrs_include, text) is not None)
            and (self.xattrs_exclude is None or re.search(self.xattrs_exclude, text) is None)
        )

    @property
    def is_sorted(self) -> bool:
        """Whether contents are stored in another order than that in which they are read."""
        return self.sort_by is not None or callable(self.sort_priorities) or bool(self.sort_priorities)

    def priority_of(self, path: bytes) -> int | None:
        """Give the priority that a path has of its own."""
        priorities = self.sort_priorities
        return priorities(path) if callable(priorities) else priorities.get(path)

    @property
    def worker_count(self) -> int:
        """How many threads compress: `workers`, or one per processor."""
        return self.workers or os.cpu_count() or 1


_FLAGS = (
    "fragments",
    "tail_ends",
    "find_duplicates",
    "find_holes",
    "hard_links",
    "xattrs",
    "padded",
    "exports",
    "ignore_zeros",
    "strict",
    "lenient",
    "verify",
)
_PRIORITIES = range(-0x8000, 0x8000)
_LEVELS = {
    "zstd": range(1, 23),
    "gzip": range(1, 10),
    "xz": range(0),
    "lz4": range(0),
    "lzo": range(1, 10),
    "lzma": range(0),
    "none": range(0),
}


def _one_of(name: str, value: object, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise OptionError(f"{name} must be one of {', '.join(allowed)}, not {value!r}")


def _check_pattern(name: str, pattern: object) -> None:
    if pattern is None:
        return
    if not isinstance(pattern, str):
        raise OptionTypeError(f"{name} must be a regular expression as text, not {pattern!r:.80}")
    try:
        re.compile(pattern)
    except re.error as error:
        raise OptionError(f"{name} must be a regular expression, not {pattern!r:.80}: {error}") from None
