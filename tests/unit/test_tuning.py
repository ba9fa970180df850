"""What programs set for their own process, and what they find where the C library is another one."""

from __future__ import annotations

import ctypes
import subprocess
import sys

import pytest

from pysquash.program import tuning


class _Bare:
    """A C library without mallopt."""

    def __init__(self, _name: None) -> None:
        pass


def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", _Bare)
    tuning._keep_freed_memory()


def test_cycles_are_not_looked_for_even_at_the_end() -> None:
    # The callbacks of atexit run last in, first out: this one after what the tuning has put there.
    code = """
import atexit, gc
atexit.register(lambda: print(gc.isenabled(), gc.get_freeze_count() > 1000))
from pysquash.program.tuning import tune_process
tune_process()
"""
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout == "False True\n"
