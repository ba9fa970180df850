"""Run: makes the image that a command line asks for.

The way: the plan tells the writer's options and what every node gets; inputs and, where there is an image, appending
tell the layers; `packing` merges and writes them, with steps for pseudo files and overrides.
Not here: what is printed (console), each part (the modules named).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection
from functools import partial

from pysquash.edits.merged_tree import MergedTree, Step
from pysquash.errors import OptionError
from pysquash.host.output_guard import OwnFiles
from pysquash.notices import Warnings
from pysquash.packing.pack import Changes, pack
from pysquash.report import Progress
from pysquash.squashfs_tools.appending import leave_out_xattrs, read_existing
from pysquash.squashfs_tools.command_line import Invocation
from pysquash.squashfs_tools.destination import is_block_device, opened_destination
from pysquash.squashfs_tools.inputs import is_tar, read_inputs, read_pseudo_files
from pysquash.squashfs_tools.plan import Times, times, tree_overrides, writer_options
from pysquash.squashfs_tools.pseudo_steps import PseudoFiles
from pysquash.squashfs_tools.summary import content_lines, summary_lines
from pysquash.tree.node import Node

__all__ = ["make_image"]

Say = Callable[[str], None]


def make_image(
    call: Invocation, *, now: int, epoch: str | None, say: Say, warn: Say, progress: Progress | None = None
) -> None:
    """Make an image.

    Args:
        call: The command line.
        now: What time it is.
        epoch: What SOURCE_DATE_EPOCH says, or None.
        say: Takes lines of what was asked for.
        warn: Takes lines of what is noteworthy.
        progress: As for `pack`.

    Raises:
        SquashfsError: It cannot be made; what was there before is as it was.
        OSError: Something cannot be read or written; the same.
    """
    at = times(call, now=now, epoch=epoch)
    options = writer_options(call, is_tar=is_tar(call), image_time=now if at.image is None else at.image)
    asked, warnings = options, Warnings(warn)
    offset, existing = call.given.get("-offset", 0), None
    if _appends(call):
        becomes = call.given.get("-root-becomes")
        existing = read_existing(call.destination, offset=offset, root_becomes=becomes, options=options, warn=warnings)
        options = existing.options
    front, own_files = existing.front if existing else None, OwnFiles()
    with opened_destination(call.destination, own_files, offset=offset, front=front) as target:
        inputs = read_inputs(call, options, warnings, own_files, existing.root_names if existing else ())
        pseudo_files = read_pseudo_files(call, inputs.places, warnings)
        kept = existing.root_names if existing else frozenset()
        steps: list[Step] = [partial(_finish_tree, call, at, pseudo_files, kept)]
        if existing:
            steps.append(partial(leave_out_xattrs, asked=asked, kept=kept))
        if not call.has("-quiet"):
            what = "Appending to" if existing else "Creating"
            say(f"{what} a 4.0 image on {call.destination}, block size {options.block_size}, {options.compressor}.")
        if call.has("-info"):
            steps.append(partial(_tell_content, say))
        if call.has("-info-file"):
            steps.append(partial(_write_content, call.given["-info-file"]))
        report = pack(
            [existing.open_source, *inputs.layers] if existing else inputs.layers,
            target,
            changes=Changes(on_tree=steps),
            options=options,
            progress=progress,
            warnings=warnings,
        )
    if not call.has("-quiet"):
        for line in summary_lines(report, options):
            say(line)


def _appends(call: Invocation) -> bool:
    """Tell whether there is an image to append to; refuse to write over it where that is not asked for."""
    path = call.destination
    if not os.path.exists(path) or call.has("-noappend") or call.has("-force"):
        return False
    if call.tool == "sqfstar":
        raise OptionError(f"{path} is there already; -force writes over it")
    if is_tar(call):
        raise OptionError(f"{path} is there already, and a tar is not appended; -noappend writes over it")
    if is_block_device(path):
        raise OptionError(f"{path} is a block device, and appending writes a new file; -noappend writes over it")
    return True


def _finish_tree(
    call: Invocation,
    at: Times,
    pseudo_files: PseudoFiles | None,
    kept: Collection[bytes],
    tree: MergedTree,
) -> None:
    """Put pseudo files, and give everything what the command line says; a step."""
    newest = _newest(tree.root, at) if None in (at.image, at.made_up) or "inode" in (at.all, at.root) else 0
    if at.image is None:
        tree.image_time = newest
    if pseudo_files is not None:
        pseudo_files.put(tree, newest if at.made_up is None else at.made_up, kept)
    overrides = tree_overrides(call, at, newest=newest, has_root=not tree.root.implied)
    overrides.change_defaults(tree)
    overrides.change_root(tree)
    overrides.change_all(tree, kept)
    if pseudo_files is not None and call.has("-pseudo-override"):
        pseudo_files.restore_owners()


def _newest(root: Node, at: Times) -> int:
    """Find the latest time that a source gives, after -all-time and SOURCE_DATE_EPOCH."""
    if isinstance(at.all, int):
        return at.all
    newest = max((node.mtime for node in root.walk() if not node.implied), default=0)
    return newest if at.latest is None else min(newest, at.latest)


def _tell_content(say: Say, tree: MergedTree) -> None:
    for line in content_lines(tree):
        say(line)


def _write_content(path: str, tree: MergedTree) -> None:
    with open(path, "w", encoding="utf-8") as file:
        file.writelines(f"{line}\n" for line in content_lines(tree))
