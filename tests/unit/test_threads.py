"""Threads that do not start: the work is done all the same, by the caller."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import io
import random
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from pathlib import Path

import pytest

import pysquash
import pysquash.aio
from pysquash.cli.console import progress_bar
from pysquash.host.threads import Workers, start_thread
from pysquash.sources.oci.digests import Digest
from pysquash.sources.oci.registry_downloads import Downloads
from tests.tarbuild import END, header, padded

CONTENTS = {b"%d" % row: random.Random(row).randbytes(700_000) for row in range(12)}
LAYER = gzip.compress(b"".join(header(name, size=len(c)) + padded(c) for name, c in CONTENTS.items()) + END, 1)
NUMBERS = [0, 1, 2, 3]


@pytest.fixture
def let_start(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], list[bool]]:
    """Let only so many threads start from now on; the list tells how each start went."""

    def set_limit(count: int) -> list[bool]:
        starts: list[bool] = []
        # What `Thread.start` calls: the first up to Python 3.12, the second from then on.
        for name in "_start_new_thread", "_start_joinable_thread":
            real = getattr(threading, name, None)
            if real is None:
                continue

            def start(*arguments: object, _real: Callable[..., object] = real, **words: object) -> object:
                starts.append(len(starts) < count)
                if not starts[-1]:
                    raise RuntimeError("can't start new thread")
                return _real(*arguments, **words)

            monkeypatch.setattr(threading, name, start)
        return starts

    return set_limit


LetStart = Callable[[int], list[bool]]


def packed(workers: int) -> bytes:
    output = io.BytesIO()
    layers = [io.BytesIO(LAYER), io.BytesIO(LAYER)]
    pysquash.tar2squashfs(layers, output, options=pysquash.WriterOptions(workers=workers))
    return output.getvalue()


REFERENCE = packed(1)


def digest_of(content: bytes) -> Digest:
    return Digest("sha256", hashlib.sha256(content).hexdigest())


@pytest.mark.parametrize("count", NUMBERS)
def test_the_same_image(count: int, let_start: LetStart) -> None:
    starts = let_start(count)
    assert packed(4) == REFERENCE
    assert False in starts


@pytest.mark.parametrize("count", NUMBERS)
def test_an_image_that_is_a_file(count: int, let_start: LetStart, tmp_path: Path) -> None:
    starts = let_start(count)
    options = pysquash.WriterOptions(workers=4, verify=True)
    pysquash.tar2squashfs([io.BytesIO(LAYER)], tmp_path / "image", options=options)
    assert False in starts
    assert pysquash.check(tmp_path / "image") == []


@pytest.mark.parametrize("count", [0, 1])
def test_extracting(count: int, let_start: LetStart, tmp_path: Path) -> None:
    image = tmp_path / "image"
    image.write_bytes(REFERENCE)
    let_start(count)
    with pysquash.SquashfsImage(image) as opened:
        opened.extract(tmp_path / "tree")
    assert {path.name.encode(): path.read_bytes() for path in (tmp_path / "tree").iterdir()} == CONTENTS


@pytest.mark.parametrize("count", [0, 1, 2])
def test_downloads(count: int, let_start: LetStart) -> None:
    blobs = {digest_of(content): content for content in list(CONTENTS.values())[:4]}

    def fetch(digest: Digest, size: int) -> Iterator[bytes]:
        for start in range(0, size, 100_000):
            yield blobs[digest][start : start + 100_000]

    starts = let_start(count)
    downloads = Downloads(fetch, None, name="image")
    downloads.expect([(digest, len(content)) for digest, content in blobs.items()])
    assert {digest: b"".join(downloads.chunks(digest)) for digest in blobs} == blobs
    downloads.close()
    assert False in starts


def test_a_download_that_fails(let_start: LetStart) -> None:
    def fetch(_digest: Digest, _size: int) -> Iterator[bytes]:
        yield b"begun"
        raise pysquash.SourceError("the connection is lost")

    let_start(0)
    downloads = Downloads(fetch, None, name="image")
    downloads.expect([(digest_of(b"begun and more"), 14)])
    with pytest.raises(pysquash.SourceError, match="lost"):
        b"".join(downloads.chunks(digest_of(b"begun and more")))
    downloads.close()


def test_asyncio_needs_one(let_start: LetStart, tmp_path: Path) -> None:
    async def pack() -> None:
        with pytest.raises(BlockingIOError, match="cannot start the thread"):
            await pysquash.aio.tar2squashfs([io.BytesIO(LAYER)], tmp_path / "image")
        # Had the loop's own executor been asked, it would do later what it said it could not do.
        await asyncio.sleep(0)

    let_start(0)
    asyncio.run(pack())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("count", [0, 1, 2])
def test_a_function_runs_once_and_raises_where_its_result_is_asked_for(count: int, let_start: LetStart) -> None:
    let_start(count)
    with Workers(2, "test") as workers:
        seen: list[int] = []
        futures = [workers.submit(seen.append, row) for row in range(20)]
        failing = workers.submit(int, "no number")
        with pytest.raises(ValueError, match="no number"):
            failing.result()
        for future in futures:
            future.result()
    assert sorted(seen) == list(range(20))


def test_an_interrupt_of_the_caller_is_not_a_result(let_start: LetStart) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    let_start(0)
    with Workers(2, "test") as workers, pytest.raises(KeyboardInterrupt):
        workers.submit(interrupted)


def test_what_has_not_begun_can_be_given_up() -> None:
    has_begun, may_go = threading.Event(), threading.Event()

    def wait() -> bool:
        has_begun.set()
        return may_go.wait(60)

    workers = Workers(1, "test")
    first = workers.submit(wait)
    assert has_begun.wait(60)
    second = workers.submit(int, "7")
    workers.shutdown(wait=False, cancel_futures=True)
    may_go.set()
    assert first.result(60)
    with pytest.raises(CancelledError):
        second.result(60)


def test_no_progress_bar(let_start: LetStart, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    with progress_bar(wanted=True) as progress:
        assert progress is not None
        progress("read", 1, 2)
    let_start(0)
    with progress_bar(wanted=True) as progress:
        assert progress is None


def test_a_thread_or_none(let_start: LetStart) -> None:
    done = threading.Event()
    thread = start_thread(done.set, "test")
    assert thread is not None
    thread.join()
    assert done.is_set()
    let_start(0)
    assert start_thread(done.set, "test") is None
