"""The output: synced before it gets its name, wherever that is done."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path

import pytest

from pysquash.writer.output import Output


def test_a_sync_that_fails_on_its_thread_fails_the_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sync = os.fsync

    def fails_once(descriptor: int) -> None:
        if threading.current_thread() is not threading.main_thread():
            raise OSError(errno.EIO, "as a disk that broke says to the first who asks")
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", fails_once)
    with pytest.raises(OSError, match="broke"), Output(tmp_path / "image") as output:
        output.write(b"data")
        output.begin_sync()
        output.write(b"more")
        output.keep()
    assert list(tmp_path.iterdir()) == []


def test_giving_up_waits_for_the_sync(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entered, may_go, done = threading.Event(), threading.Event(), []

    def slow(_descriptor: int) -> None:
        entered.set()
        may_go.wait(10)
        done.append(True)

    monkeypatch.setattr(os, "fsync", slow)
    with pytest.raises(KeyboardInterrupt), Output(tmp_path / "image") as output:
        output.write(b"data")
        output.begin_sync()
        assert entered.wait(10)
        threading.Timer(0.05, may_go.set).start()
        raise KeyboardInterrupt
    assert done
    assert list(tmp_path.iterdir()) == []
