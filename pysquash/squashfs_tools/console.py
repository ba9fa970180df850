"""Console: what the programs print where, how they end, and what they take from the environment.

Rules kept here: what was asked for goes to standard output, errors and warnings to standard error, a line each; the
exit code is 0 or 1, as mksquashfs has it; SIGTERM and SIGHUP unwind the stack, so that nothing half-written stays.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from types import FrameType
from typing import NoReturn

from pysquash.errors import SquashfsError
from pysquash.report import Progress
from pysquash.squashfs_tools.command_line import Invocation, parse_arguments
from pysquash.squashfs_tools.help_pages import help_text, usage
from pysquash.squashfs_tools.option_table import Tool
from pysquash.tuning import tune_process

__all__ = ["guarded"]


class Terminated(BaseException):
    """SIGTERM or SIGHUP arrived: like KeyboardInterrupt, nobody's to catch on the way out."""


def guarded(tool: Tool) -> NoReturn:
    """Run a program with the process's arguments, and exit."""
    tune_process()
    for name in ("SIGTERM", "SIGHUP"):
        with contextlib.suppress(ValueError, AttributeError):  # not the main thread, or no such signal here
            if signal.getsignal(getattr(signal, name)) is signal.SIG_DFL:  # nohup means what it says
                signal.signal(getattr(signal, name), _raise_terminated)
    try:
        code = _run(tool, sys.argv[1:])
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read our output has what it wanted. Point the stream elsewhere, or the interpreter complains at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 1
    except (KeyboardInterrupt, Terminated):
        code = _failed(tool, "interrupted")
    except SquashfsError as error:
        code = _failed(tool, str(error))
    except OSError as error:
        code = _failed(tool, f"{error.filename}: {error.strerror}" if error.filename else str(error))
    sys.exit(code)


def _run(tool: Tool, arguments: list[str]) -> int:
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

    make_image(
        call,
        now=int(time.time()),
        epoch=os.environ.get("SOURCE_DATE_EPOCH"),
        say=say,
        warn=warn,
        progress=_progress(call),
    )
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


def _raise_terminated(_number: int, _frame: FrameType | None) -> NoReturn:
    raise Terminated


def _failed(tool: Tool, line: str) -> int:
    print(f"{tool}: {line}", file=sys.stderr)
    return 1
