"""Console: what the programs print where, and what they take from the environment.

Rules kept here: what was asked for goes to standard output, errors and warnings to standard error, a line each; the
exit code is 0 or 1, as mksquashfs has it.
Not here: how the programs end (program/guard).
"""

from __future__ import annotations

import os
import sys
import time

from pysquash.errors import LimitError
from pysquash.program.tuning import tune_process
from pysquash.report import Progress
from pysquash.squashfs_tools.command_line import Invocation, parse_arguments
from pysquash.squashfs_tools.help_pages import help_text, usage
from pysquash.squashfs_tools.option_table import Tool

__all__ = ["run_tool"]


def run_tool(tool: Tool) -> int:
    """Run a program with the process's arguments, and return the exit code."""
    tune_process()
    arguments = sys.argv[1:]
    if not arguments:
        print(usage(tool), file=sys.stderr)
        return 1
    call = parse_arguments(tool, arguments)
    if call.help_option is not None:
        print(help_text(call))
        return 0
    from pysquash.squashfs_tools.run import make_image  # noqa: PLC0415 - help and mistakes need no writer

    def say(line: str) -> None:
        print(line)

    def warn(line: str) -> None:
        print(f"{tool}: {line}", file=sys.stderr)

    try:
        make_image(
            call,
            now=int(time.time()),
            epoch=os.environ.get("SOURCE_DATE_EPOCH"),
            say=say,
            warn=warn,
            progress=_progress(call),
        )
    except LimitError as error:
        raise error.without_option() from None
    return 0


def _progress(call: Invocation) -> Progress | None:
    """Show how far it is: with -percentage a number a line, else on a terminal what was read."""
    if call.has("-percentage"):
        shown = -1

        def show_percentage(_stage: str, done: int, total: int | None) -> None:
            nonlocal shown
            percent = 100 * done // total if total else shown
            if percent > shown:
                shown = percent
                print(percent, flush=True)

        return show_percentage
    is_wanted = call.has("-progress") or not (call.has("-info") or call.has("-quiet"))
    if call.has("-no-progress") or not is_wanted or not sys.stdout.isatty():
        return None

    def show(stage: str, done: int, total: int | None) -> None:
        if stage == "read":
            text = f"{done / 1048576:.1f} Mbytes read" + (f" of {total / 1048576:.1f}" if total else "")
            print(f"\r{text:60}", end="", flush=True)
        elif done:
            print(f"\r{'':60}\r", end="", flush=True)

    return show
