"""Plan: turns a command line into what the writer is told, and what every node gets.

In: an `Invocation`, and the time it is. Out: `WriterOptions`, `Times` and `Overrides`.
Rules kept here: each program's defaults; SOURCE_DATE_EPOCH and options for times exclude each other; the last of
-all-root, -force-uid and -force-gid counts.
Not here: what goes into the image (inputs), the order of it all (run).
"""

from __future__ import annotations

import os
from typing import Any, Literal, NamedTuple

from pysquash.edits.overrides import Overrides
from pysquash.errors import OptionError
from pysquash.options.limits import Limits
from pysquash.options.writer import WriterOptions
from pysquash.squashfs_tools.command_line import Invocation
from pysquash.squashfs_tools.compressor_table import writer_value
from pysquash.squashfs_tools.pseudo import parse_xattr
from pysquash.squashfs_tools.values import ModeChange, parse_number

__all__ = ["Times", "times", "tree_overrides", "writer_options"]

_FABRICATED_ROOT_MODE = 0o777
_FABRICATED_MODE = 0o755
_ZSTD_LEVEL = 15
_MOST_WORKERS = 1024  # that the writer takes

_LIMITS = Limits(
    entry_count=100_000_000,
    implicit_directory_count=10_000_000,
    layer_size=16 << 40,
    total_size=16 << 40,
    ratio_free_size=64 << 30,
)
"""mksquashfs and sqfstar have no limits, and no option for them: what bounds hostile input only is generous."""

_UNCOMPRESSED = {"-noI": ("inodes",), "-noId": ("ids",), "-noD": ("data",), "-noF": ("fragments",), "-noX": ("xattrs",)}


class Times(NamedTuple):
    """The times of an image.

    Attributes:
        image: The image's own, in seconds since 1970; None for that of the newest file.
        made_up: That of directories that nobody describes, and of pseudo files; None for that of the newest file.
        all: That of everything; None for what each has; "inode" for that of the newest file.
        root: The same for the root.
        latest: What no time is later than, or None.
    """

    image: int | None
    made_up: int | None
    all: int | Literal["inode"] | None
    root: int | Literal["inode"] | None
    latest: int | None


def times(call: Invocation, *, now: int, epoch: str | None) -> Times:
    """Tell an image's times.

    Args:
        call: The command line.
        now: What time it is.
        epoch: What SOURCE_DATE_EPOCH says; None or "" where it says nothing.

    Raises:
        OptionError: It is no time, or options say something else.
    """
    image, everything, root = (call.given.get(name) for name in ("-mkfs-time", "-all-time", "-root-time"))
    if call.has("-repro-time"):
        both = call.given["-repro-time"]
        if not isinstance(both, int) or image not in (None, both) or everything not in (None, both):
            raise OptionError("-repro-time needs one time, the same as -mkfs-time and -all-time where these are given")
        image = everything = both
    if call.has("-repro"):
        if isinstance(image, int):
            raise OptionError("-repro and options that set the image's time exclude each other")
        image = "inode"
    if epoch:
        if isinstance(image, int) or isinstance(everything, int):
            raise OptionError("SOURCE_DATE_EPOCH and options that set times exclude each other")
        try:
            latest = parse_number(epoch)
        except OptionError as error:
            raise OptionError(f"SOURCE_DATE_EPOCH: {error}") from None
        return Times(latest, latest, everything, root, latest)
    if image == "inode":
        return Times(None, None, everything, root, None)
    return Times(now if image is None else image, now, everything, root, None)


def writer_options(call: Invocation, *, is_tar: bool, image_time: int) -> WriterOptions:
    """Tell how the image is written.

    Args:
        call: The command line.
        is_tar: Whether its input is a tar.
        image_time: The image's own time.

    Raises:
        OptionError: A value is outside its range.
    """
    given = call.given
    uncompressed = {part for name, parts in _UNCOMPRESSED.items() if call.has(name) for part in parts}
    if call.has("-no-compression"):
        uncompressed = {"inodes", "data", "fragments", "xattrs"}
    block_size = given.get("-b", 128 << 10)
    compressor_options = _compressor_options(call, block_size)
    if call.compressor == "zstd":
        compressor_options.setdefault("level", _ZSTD_LEVEL)
    chosen: dict[str, Any] = {}
    for field, name in (("xattrs_include", "-xattrs-include"), ("xattrs_exclude", "-xattrs-exclude")):
        if call.has(name):
            chosen[field] = given[name]
    return WriterOptions(
        compressor=call.compressor,  # type: ignore[arg-type] # the parser knows these names only
        compressor_options=compressor_options,
        uncompressed=uncompressed,
        block_size=block_size,
        workers=_workers(given.get("-processors")),
        fragments=not call.has("-no-fragments"),
        tail_ends=not call.has("-no-tailends") if is_tar else call.has("-tailends"),
        find_duplicates=not call.has("-no-duplicates"),
        find_holes=not call.has("-no-sparse"),
        hard_links=not call.has("-no-hardlinks"),
        xattrs=not call.has("-no-xattrs"),
        padded=not call.has("-nopad"),
        exports=call.has("-exports") if is_tar else not call.has("-no-exports"),
        source_date_epoch=image_time,
        whiteouts="keep",
        duplicates="first",
        parent_symlinks="error",
        ignore_zeros=call.has("-ignore-zeros"),
        lenient=True,
        limits=_LIMITS,
        **chosen,
    )


def _compressor_options(call: Invocation, block_size: int) -> dict[str, object]:
    """Read the -X options; name the one that is wrong."""
    values = {}
    for option, text in call.compressor_options:
        try:
            value = writer_value(option, text, block_size)
            WriterOptions(
                compressor=call.compressor,  # type: ignore[arg-type] # the parser knows these names only
                compressor_options={option.writer_name: value},
                block_size=block_size,
            )
        except OptionError as error:
            raise OptionError(f"{option.name}: {error}") from None
        values[option.writer_name] = value
    return values


def _workers(wanted: int | None) -> int | None:
    """Give the number of threads, where there may be too many for the writer, but not none."""
    return wanted if wanted is None else min(wanted, _MOST_WORKERS)


def tree_overrides(call: Invocation, at: Times, *, newest: int, has_root: bool) -> Overrides:
    """Tell what every node gets.

    Args:
        call: The command line.
        at: The image's times.
        newest: The newest file's time, as the image will have it.
        has_root: Whether a source says what the root is like.
    """
    given = call.given
    default: ModeChange | None = given.get("-default-mode")
    # As in mksquashfs, -force-dir-mode changes the root as its source has it, and -root-mode is ignored.
    is_forced = call.has("-force-dir-mode")
    root: ModeChange | None = None if is_forced else given.get("-root-mode")
    root_mode = None if has_root else _FABRICATED_ROOT_MODE
    if default is not None and not has_root and not is_forced:
        root_mode = default(_FABRICATED_ROOT_MODE, True)
    uid, gid = forced_owner(call)

    def settled(time: int | Literal["inode"] | None) -> int | None:
        return newest if time == "inode" else time

    return Overrides(
        default_mode=_FABRICATED_MODE if default is None else default(_FABRICATED_MODE, True),
        default_uid=given.get("-default-uid", _running_user()),
        default_gid=given.get("-default-gid", _running_group()),
        default_time=newest if at.made_up is None else at.made_up,
        root_mode=root_mode if root is None else (lambda mode: root(mode if root_mode is None else root_mode, True)),
        root_uid=given.get("-root-uid"),
        root_gid=given.get("-root-gid"),
        root_time=settled(at.root),
        file_mode=_mode(given.get("-force-file-mode"), is_directory=False),
        directory_mode=_mode(given.get("-force-dir-mode"), is_directory=True),
        uid=uid,
        gid=gid,
        id_offset=given.get("-uid-gid-offset", 0),
        all_time=settled(at.all),
        latest_time=at.latest,
        xattrs=dict(parse_xattr(text) for text in given.get("-xattrs-add", [])),
    )


def forced_owner(call: Invocation) -> tuple[int | None, int | None]:
    """Tell whose everything is; None where each keeps its own."""
    root = 0 if call.has("-all-root") else None
    return call.given.get("-force-uid", root), call.given.get("-force-gid", root)


def _mode(change: ModeChange | None, *, is_directory: bool) -> Any:
    return None if change is None else lambda mode: change(mode, is_directory)


def _running_user() -> int:
    return os.getuid() if hasattr(os, "getuid") else 0


def _running_group() -> int:
    return os.getgid() if hasattr(os, "getgid") else 0
