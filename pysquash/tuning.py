"""Tuning: what a process that does one thing of ours, and ends, sets for itself.

Not here: anything that a library may do in a process that is its caller's.
"""

from __future__ import annotations

import gc
import sys

__all__ = ["tune_process"]

_SWITCH_SECONDS = 0.0005
"""Python's own is 0.005, in which a core compresses a whole batch."""


def tune_process() -> None:
    """Set what makes one run fast; for programs only.

    A tree of a million nodes has no cycles, and looking for them takes a sixth of all the time. A thread that has
    compressed a batch is not to wait long for its next one.
    """
    gc.disable()
    sys.setswitchinterval(_SWITCH_SECONDS)
