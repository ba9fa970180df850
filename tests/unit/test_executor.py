"""Compression in a caller's executor: the same bytes as without one, and one clear error when it breaks."""

from __future__ import annotations

import asyncio
import importlib
import io
import multiprocessing
import os
import random
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import pysquash.aio
from pysquash import ExecutorError, OptionTypeError, SquashfsImage, SquashfsWriter, WriterOptions
from pysquash.writer.pipeline import BATCH_SIZE
from tests.snapshot import IS_CI
from tests.tarbuild import END, header, padded

_RANDOM = random.Random(7)
CONTENTS = {
    b"random": _RANDOM.randbytes(BATCH_SIZE + 5000),
    b"text": b"".join(b"%d\n" % _RANDOM.randrange(1 << 20) for _ in range(400_000)),
    b"zeros": bytes(1 << 18),
    b"short": b"a few bytes",
}


def layer() -> io.BytesIO:
    raw = b"".join(header(name, size=len(content)) + padded(content) for name, content in CONTENTS.items())
    return io.BytesIO(raw + END)


def packed(**options: Any) -> bytes:
    output = io.BytesIO()
    pysquash.tar2squashfs([layer()], output, options=WriterOptions(**options))
    return output.getvalue()


REFERENCE = packed(workers=1)


@pytest.fixture(scope="module")
def processes() -> Iterator[ProcessPoolExecutor]:
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as executor:
        yield executor


def test_threads_of_the_caller_give_the_same_bytes_and_stay_alive() -> None:
    with ThreadPoolExecutor(3) as executor:
        assert packed(executor=executor) == packed(executor=executor, workers=1) == REFERENCE
        assert executor.submit(int, "7").result() == 7


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"compressor": "xz"},
        {"level": 12, "block_size": 1 << 20},
        {"compressor": "gzip", "compressor_options": {"window-size": 12}},
        {"uncompressed": {"data"}},
    ],
    ids=str,
)
def test_processes_give_the_same_bytes(processes: ProcessPoolExecutor, options: dict[str, Any]) -> None:
    assert packed(executor=processes, **options) == packed(workers=1, **options)
    assert processes.submit(int, "7").result() == 7


def test_every_way_to_make_an_image_takes_it(processes: ProcessPoolExecutor, tmp_path: Path) -> None:
    options = WriterOptions(executor=processes)
    tar = tmp_path / "layer.tar"
    tar.write_bytes(layer().getvalue())
    pysquash.build([str(tar)], tmp_path / "image", options=options)
    assert (tmp_path / "image").read_bytes() == REFERENCE
    asyncio.run(pysquash.aio.tar2squashfs([tar], tmp_path / "awaited", options=options))
    assert (tmp_path / "awaited").read_bytes() == REFERENCE
    layers = pysquash.build_layers([str(tar)], tmp_path / "layers", options=options)
    with SquashfsImage(layers.paths[0]) as image:
        assert (image / "text").read_bytes() == CONTENTS[b"text"]
    with SquashfsWriter(tmp_path / "written", options) as writer:
        writer.add_file(b"text", CONTENTS[b"text"])
    with SquashfsImage(tmp_path / "written") as image:
        assert (image / "text").read_bytes() == CONTENTS[b"text"]


def test_a_dask_cluster_gives_the_same_bytes() -> None:
    # In CI, that it is missing is a failure.
    distributed = importlib.import_module("distributed") if IS_CI else pytest.importorskip("distributed")
    options: dict[str, Any] = {"n_workers": 1, "threads_per_worker": 2, "processes": False}
    with (
        distributed.LocalCluster(dashboard_address=None, **options) as cluster,
        distributed.Client(cluster) as client,
    ):
        assert packed(executor=client.get_executor(pure=False)) == REFERENCE


class Counting(Executor):
    """Runs tasks when they are asked for, and counts those that wait."""

    def __init__(self) -> None:
        self.waiting_count = self.most = self.count = 0

    def submit(self, work: Callable[..., Any], /, *arguments: Any, **named: Any) -> Future[Any]:
        self.count += 1
        self.waiting_count += 1
        self.most = max(self.most, self.waiting_count)
        executor = self

        class Late(Future[Any]):
            def result(self, timeout: float | None = None) -> Any:
                executor.waiting_count -= 1
                return work(*arguments, **named)

        return Late()


@pytest.mark.parametrize("workers", [1, 2])
def test_what_is_in_flight_is_bounded(workers: int) -> None:
    executor = Counting()
    output = io.BytesIO()
    with SquashfsWriter(output, WriterOptions(executor=executor, workers=workers, compressor="none")) as writer:
        writer.add_file("large", _RANDOM.randbytes(12 * BATCH_SIZE))
    assert executor.most == workers + 7  # one more for the moment before the oldest lands
    assert executor.waiting_count == 0


class AtOnce(Executor):
    """Runs a task when it is submitted, and counts those whose results nobody has taken."""

    def __init__(self) -> None:
        self.kept = self.most = 0

    def submit(self, work: Callable[..., Any], /, *arguments: Any, **named: Any) -> Future[Any]:
        self.kept += 1
        self.most = max(self.most, self.kept)
        executor = self

        class Done(Future[Any]):
            def result(self, timeout: float | None = None) -> Any:
                executor.kept -= 1
                return super().result(timeout)

        future = Done()
        future.set_result(work(*arguments, **named))
        return future


def test_what_is_done_is_not_kept_whatever_the_number_of_workers() -> None:
    executor = AtOnce()
    with SquashfsWriter(io.BytesIO(), WriterOptions(executor=executor, workers=500, compressor="none")) as writer:
        writer.add_file("large", _RANDOM.randbytes(12 * BATCH_SIZE))
    assert executor.most <= 8


def test_a_duplicate_of_what_is_in_flight_waits_for_nothing() -> None:
    executor = Counting()
    tail, run = _RANDOM.randbytes(100_000), _RANDOM.randbytes(5 << 17)
    output = io.BytesIO()
    with SquashfsWriter(output, WriterOptions(executor=executor, workers=2)) as writer:
        for row in range(30):
            writer.add_file(f"tail{row}", tail)
            writer.add_file(f"run{row}", run)
            writer.add_file(f"other{row}", _RANDOM.randbytes(100_000))
            assert executor.waiting_count == executor.count  # none has been asked for
    with SquashfsImage(output) as image:
        assert all((image / f"tail{row}").read_bytes() == tail for row in range(30))
        assert all((image / f"run{row}").read_bytes() == run for row in range(30))
    assert len(output.getvalue()) < 31 * 100_000 + len(run) + 200_000


def test_what_is_stored_as_it_is_goes_nowhere() -> None:
    executor = ThreadPoolExecutor(1)
    executor.shutdown()
    options = {"uncompressed": {"data", "fragments"}}
    assert packed(executor=executor, **options) == packed(workers=1, **options)


def failing(executor: Executor, folder: Path) -> str:
    """Pack with an executor that does not do it; give the error's text."""
    with pytest.raises(ExecutorError) as raised:
        pysquash.tar2squashfs([layer()], folder / "image", options=WriterOptions(executor=executor))
    assert not list(folder.iterdir())
    return str(raised.value)


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_a_worker_killed_in_the_middle_is_one_error_and_leaves_nothing(tmp_path: Path) -> None:
    executor = ProcessPoolExecutor(1, multiprocessing.get_context("spawn"))
    worker = executor.submit(os.getpid).result()

    def chunks() -> Iterator[bytes]:
        raw = layer().getvalue()
        yield raw[: BATCH_SIZE + 100_000]  # so a batch is on its way
        os.kill(worker, signal.SIGKILL)
        yield raw[BATCH_SIZE + 100_000 :]

    with pytest.raises(ExecutorError, match=r"did not compress a batch of blocks: BrokenProcessPool: "):
        pysquash.tar2squashfs([chunks()], tmp_path / "image", options=WriterOptions(executor=executor))
    assert not list(tmp_path.iterdir())
    assert "BrokenProcessPool" in failing(executor, tmp_path)  # and so is one that was broken before
    executor.shutdown()


def test_an_executor_that_was_shut_down_is_one_error(tmp_path: Path) -> None:
    executor = ThreadPoolExecutor(1)
    executor.shutdown()
    assert "cannot schedule new futures after shutdown" in failing(executor, tmp_path)


def test_a_future_that_somebody_cancels_is_one_error(tmp_path: Path) -> None:
    with ThreadPoolExecutor(1) as executor:
        held = threading.Event()
        executor.submit(held.wait)
        submit = executor.submit

        def cancelled(*arguments: Any, **named: Any) -> Future[Any]:
            future: Future[Any] = submit(*arguments, **named)
            assert future.cancel()
            return future

        executor.submit = cancelled  # type: ignore[method-assign]
        try:
            assert failing(executor, tmp_path).endswith(": CancelledError")
        finally:
            held.set()


def test_an_error_of_another_kind_leaves_no_batch_waiting(tmp_path: Path) -> None:
    with ThreadPoolExecutor(1) as executor:
        held = threading.Event()
        executor.submit(held.wait)
        futures: list[Future[Any]] = []
        submit = executor.submit

        def noted(*arguments: Any, **named: Any) -> Future[Any]:
            futures.append(submit(*arguments, **named))
            return futures[-1]

        executor.submit = noted  # type: ignore[method-assign]
        broken = layer().getvalue()[: 2 * BATCH_SIZE]
        try:
            with pytest.raises(pysquash.SourceError):
                pysquash.tar2squashfs(
                    [io.BytesIO(broken)], tmp_path / "image", options=WriterOptions(executor=executor)
                )
        finally:
            held.set()
        assert futures
        for future in futures:
            with pytest.raises(CancelledError):
                future.result()


def test_what_is_no_executor_is_refused() -> None:
    with pytest.raises(
        OptionTypeError, match=r"executor must be a concurrent\.futures\.Executor or None, not 'processes'"
    ):
        WriterOptions(executor="processes")  # type: ignore[arg-type]
