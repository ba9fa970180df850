"""Child processes whose signals are as a login shell's, whatever those of the process that runs the tests are."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO

__all__ = ["ENDING_SIGNALS", "started"]

ENDING_SIGNALS = (
    [] if sys.platform == "win32" else [signal.Signals.SIGINT, signal.Signals.SIGTERM, signal.Signals.SIGHUP]
)


def started(
    command: Sequence[object],
    *,
    ignored: Sequence[signal.Signals] = (),
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
    stdout: int | IO[bytes] = subprocess.PIPE,
) -> subprocess.Popen[bytes]:
    """Start a program with pipes, no signal blocked, and only these ignored."""
    return subprocess.Popen(
        list(map(str, command)),
        stdin=subprocess.PIPE,
        stdout=stdout,
        stderr=subprocess.PIPE,
        env=environment,
        cwd=folder,
        preexec_fn=_signals_set(ignored) if ENDING_SIGNALS else None,  # noqa: PLW1509 - it allocates nothing shared
    )


def _signals_set(ignored: Sequence[signal.Signals]) -> Callable[[], None]:
    def set_signals() -> None:
        for number in ENDING_SIGNALS:
            signal.signal(number, signal.SIG_IGN if number in ignored else signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, [])

    return set_signals
