"""Run: makes the image that a command line asks for.

The way: the plan tells the writer's options and what every node gets; inputs and, where there is an image, appending
tell the layers; `packing` merges and writes them, with steps for pseudo files and overrides.
Not here: what is printed (console), each part (the modules named).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import partial

from pysquash.errors import OptionError
from pysquash.merged_tree import MergedTree, Step
from pysquash.packing import Changes, pack
from pysquash.report import Progress, Warnings
from pysquash.squashfs_tools.command_line import Invocation
from pysquash.squashfs_tools.destination import is_block_device, opened_destination
from pysquash.squashfs_tools.inputs import Inputs, is_tar, read_inputs
from pysquash.squashfs_tools.plan import Times, times, tree_overrides, writer_options
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
    offset = call.given.get("-offset", 0)
    _check_destination(call)
    warnings = Warnings(warn)
    inputs = read_inputs(call, options, warnings)
    steps: list[Step] = [partial(_override, call, at, inputs)]
    if not call.has("-quiet"):
        say(f"Creating a 4.0 image on {call.destination}, block size {options.block_size}, {options.compressor}.")
    if call.has("-info"):
        steps.append(partial(_tell_content, say))
    if call.has("-info-file"):
        steps.append(partial(_write_content, call.given["-info-file"]))
    with opened_destination(call.destination, offset=offset) as target:
        report = pack(
            inputs.layers,
            target,
            changes=Changes(on_tree=steps),
            options=options,
            progress=progress,
            warnings=warnings,
        )
    if not call.has("-quiet"):
        for line in summary_lines(report, options):
            say(line)


def _check_destination(call: Invocation) -> None:
    """Refuse to write over what is there, unless that is asked for."""
    path = call.destination
    if not os.path.lexists(path) or call.has("-noappend") or call.has("-force"):
        return
    if call.tool == "sqfstar":
        raise OptionError(f"{path} is there already; -force writes over it")
    if is_tar(call):
        raise OptionError(f"{path} is there already, and a tar is not appended; -noappend writes over it")
    if is_block_device(path):
        raise OptionError(f"{path} is a block device, and appending writes a new file; -noappend writes over it")


def _override(call: Invocation, at: Times, inputs: Inputs, tree: MergedTree) -> None:
    """Give everything what the command line says; a step."""
    newest = _newest(tree.root) if None in (at.image, at.made_up) or "inode" in (at.all, at.root) else 0
    if at.image is None:
        tree.image_time = newest
    tree_overrides(call, at, newest=newest, has_root=inputs.has_root).change(tree)


def _newest(root: Node) -> int:
    """Find the latest time that a source gives."""
    return max((node.mtime for node in _nodes(root) if not node.implied), default=0)


def _nodes(root: Node) -> Iterator[Node]:
    waiting = [root]
    while waiting:
        node = waiting.pop()
        yield node
        waiting += (node.children or {}).values()


def _tell_content(say: Say, tree: MergedTree) -> None:
    for line in content_lines(tree):
        say(line)


def _write_content(path: str, tree: MergedTree) -> None:
    with open(path, "w", encoding="utf-8") as file:
        file.writelines(f"{line}\n" for line in content_lines(tree))
