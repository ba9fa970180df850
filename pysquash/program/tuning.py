"""Tuning: what a process that does one thing of ours, and ends, sets for itself.

Not here: anything that a library may do in a process that is its caller's.
"""

from __future__ import annotations

import atexit
import gc
import sys

__all__ = ["tune_process"]

_SWITCH_SECONDS = 0.0005
"""Python's own is 0.005, in which a core compresses a whole batch."""

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_KEPT_SIZE, _LARGEST_MMAP_THRESHOLD = 256 << 20, 32 << 20


def tune_process() -> None:
    """Set what makes one run fast; for programs only.

    A tree of a million nodes has no cycles, and looking for them takes a sixth of all the time; at the end, where
    Python looks whatever was said before, what is frozen is left out. A thread that has compressed a batch is not to
    wait long for its next one.
    """
    gc.disable()
    atexit.register(gc.freeze)
    sys.setswitchinterval(_SWITCH_SECONDS)
    if sys.platform == "linux":
        _keep_freed_memory()


def _keep_freed_memory() -> None:
    """Have the C library use freed memory again.

    glibc hands large pieces back to the kernel, which fills their pages with zeros when they are next asked for: with
    buffers that come and go by the MiB, that is a third of the kernel's time.
    Source: mallopt(3).
    """
    try:
        import ctypes  # noqa: PLC0415 - only programs tune

        mallopt = ctypes.CDLL(None).mallopt
    except (ImportError, OSError, AttributeError):  # another C library, which knows no such thing
        return
    mallopt(_M_TRIM_THRESHOLD, _KEPT_SIZE)
    mallopt(_M_MMAP_THRESHOLD, _LARGEST_MMAP_THRESHOLD)
