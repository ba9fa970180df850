"""A pipe that nobody writes to any more: with a time-out it is an error, whatever kind of stream it is."""

from __future__ import annotations

import gzip
import io
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import pytest

import pysquash
from pysquash.errors import OptionError, SourceError
from pysquash.options.writer import WriterOptions
from tests.tarbuild import END, header, padded

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="named pipes are POSIX")

CONTENT = random.Random(1).randbytes(300_000)
TAR = header(b"a", b"0", len(CONTENT)) + padded(CONTENT) + END
PACKED = gzip.compress(TAR)
PATIENT, IMPATIENT = 60.0, 0.2

Open = Callable[[int, Path], Any]


def raw_file(descriptor: int, _folder: Path) -> io.FileIO:
    return io.FileIO(descriptor, closefd=False)


def buffered_file(descriptor: int, _folder: Path) -> BinaryIO:
    return os.fdopen(descriptor, "rb", closefd=False)


def iterable(descriptor: int, _folder: Path) -> Iterator[bytes]:
    with os.fdopen(descriptor, "rb", buffering=0, closefd=False) as file:
        yield from iter(lambda: file.read(1000), b"")


def callable_(descriptor: int, folder: Path) -> Any:
    return lambda: raw_file(descriptor, folder)


OPENS = [raw_file, buffered_file, iterable, callable_]


@pytest.fixture
def pipe() -> Iterator[tuple[int, BinaryIO]]:
    """Have a pipe: the descriptor to read, and a file to write."""
    reading, writing = os.pipe()
    with os.fdopen(writing, "wb", buffering=0) as file:
        yield reading, file
    until = time.monotonic() + PATIENT  # closing it ended the thread that hung in a read
    while any(each.name == "pysquash-ahead" for each in threading.enumerate()) and time.monotonic() < until:
        time.sleep(0.01)
    os.close(reading)


def write_slowly(file: BinaryIO, data: bytes, part: int) -> threading.Thread:
    def run() -> None:
        with file:
            file.writelines(data[at : at + part] for at in range(0, len(data), part))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread


@pytest.mark.parametrize("data", [b"", PACKED[:3], TAR[:100_000], PACKED[:100_000]], ids=["0", "3", "plain", "gzip"])
@pytest.mark.parametrize("opened", OPENS)
def test_a_stalled_pipe_is_an_error(opened: Open, data: bytes, pipe: tuple[int, BinaryIO], tmp_path: Path) -> None:
    reading, file = pipe
    writer = threading.Thread(target=file.write, args=(data,), daemon=True)
    writer.start()
    with pytest.raises(SourceError, match=r"no data for 0\.2 seconds \(--timeout\)"):
        pysquash.tar2squashfs([opened(reading, tmp_path)], tmp_path / "out", options=WriterOptions(timeout=IMPATIENT))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("data", [TAR, PACKED], ids=["plain", "gzip"])
@pytest.mark.parametrize("opened", OPENS)
def test_a_slow_pipe_is_read_to_its_end(opened: Open, data: bytes, pipe: tuple[int, BinaryIO], tmp_path: Path) -> None:
    reading, file = pipe
    writer = write_slowly(file, data, 7919)
    options = WriterOptions(timeout=PATIENT)
    report = pysquash.tar2squashfs([opened(reading, tmp_path)], tmp_path / "out", options=options)
    writer.join(PATIENT)
    assert report.bytes_in == len(data)
    with pysquash.SquashfsImage(tmp_path / "out") as image:
        assert (image / "a").read_bytes() == CONTENT


def test_bytes_that_trickle_in_are_progress(pipe: tuple[int, BinaryIO], tmp_path: Path) -> None:
    """A buffered file would wait for a whole buffer, and gzip for a whole block."""
    reading, file = pipe
    half, released = len(PACKED) // 2, threading.Event()

    def trickle() -> None:
        with file:
            file.write(PACKED[:half])
            for at in range(half, half + 40):
                file.write(PACKED[at : at + 1])
                released.wait(0.05)
            file.write(PACKED[half + 40 :])

    threading.Thread(target=trickle, daemon=True).start()
    options = WriterOptions(timeout=1.0)  # less than the trickle takes
    pysquash.tar2squashfs([buffered_file(reading, tmp_path)], tmp_path / "out", options=options)


def test_a_named_pipe_without_a_writer(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for source in (str(tmp_path / "pipe"), tmp_path / "pipe"):
        with pytest.raises(SourceError, match="no data for"):
            pysquash.tar2squashfs([source], tmp_path / "out", options=WriterOptions(timeout=IMPATIENT))
    os.close(os.open(tmp_path / "pipe", os.O_WRONLY))  # lets the threads go that wait for a writer


def test_a_regular_file_is_read_without_a_thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pysquash.compression.stream.Ahead", None)
    (tmp_path / "x.tar").write_bytes(TAR)
    options = WriterOptions(timeout=IMPATIENT)
    pysquash.tar2squashfs([tmp_path / "x.tar"], tmp_path / "out", options=options)
    with (tmp_path / "x.tar").open("rb") as file:
        pysquash.tar2squashfs([file], tmp_path / "out", options=options)


def test_what_the_layer_raises_passes_through(tmp_path: Path) -> None:
    def failing() -> Iterator[bytes]:
        yield TAR[:1000]
        raise TimeoutError("the caller's own")

    with pytest.raises(TimeoutError, match="the caller's own"):
        pysquash.tar2squashfs([failing()], tmp_path / "out", options=WriterOptions(timeout=PATIENT))


def test_standard_input_of_the_program(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pysquash", "build", "-", "-o", str(tmp_path / "out"), "--timeout", "0.2"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdin is not None
        process.stdin.write(TAR[:1000])
        process.stdin.flush()
        assert process.stderr is not None
        said = process.stderr.read().decode()
        assert process.wait(PATIENT) == 1
    assert said == "pysquash: <standard input>: no data for 0.2 seconds (--timeout)\n"
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("value", [0, -1, "5", True, float("nan"), float("inf")])
def test_a_timeout_that_is_none(value: Any) -> None:
    with pytest.raises(OptionError, match="timeout must be"):
        WriterOptions(timeout=value)
