"""The same for asyncio: layers may be awaitables and async iterators of bytes.

In: what `pysquash.tar2squashfs` takes, and async iterators of bytes or awaitables that give a layer. Out: its report.
Rules kept here: packing runs on a thread, and the event loop stays free; when the caller is cancelled, packing stops
and leaves nothing behind before the cancellation goes on.
Not here: packing itself (api, packing/pack).
"""

from __future__ import annotations

import asyncio
import contextvars
import errno
import inspect
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from concurrent.futures import Future
from functools import partial
from typing import Any

from pysquash import api
from pysquash.compression.stream import Layer
from pysquash.host.threads import start_thread
from pysquash.options.writer import WriterOptions
from pysquash.report import Progress, Report
from pysquash.sources.files import AddedFile
from pysquash.writer.output import OutputTarget

__all__ = ["AsyncLayer", "tar2squashfs"]

AsyncLayer = Layer | AsyncIterator[bytes] | Awaitable[Any]


class _Cancelled(BaseException):
    """Ends the packing thread; nobody outside sees it."""


async def tar2squashfs(
    streams: Iterable[AsyncLayer],
    output: OutputTarget,
    extra_files: Iterable[AddedFile] = (),
    *,
    options: WriterOptions | None = None,
    progress: Progress | None = None,
) -> Report:
    """Pack tar layers into one SquashFS image without blocking the event loop.

    Args:
        streams: As for `pysquash.tar2squashfs`; and async iterators of bytes, and awaitables that give any of these.
            Each is asked for, and awaited, when its turn comes: the topmost layer first.
        output: As there.
        extra_files: As there.
        options: As there.
        progress: As there; called on the event loop.

    Returns:
        What was packed.

    Raises:
        InputError: As there.
        OSError: As there; and where the system starts no more threads.
    """
    loop = asyncio.get_running_loop()
    is_cancelled = threading.Event()

    def tell(stage: str, done: int, total: int | None) -> None:
        if is_cancelled.is_set():
            raise _Cancelled
        if progress is not None:
            loop.call_soon_threadsafe(progress, stage, done, total)

    layers = [_bridged(stream, loop, is_cancelled) for stream in streams]
    pack = partial(api.tar2squashfs, layers, output, extra_files, options=options, progress=tell)
    packing = asyncio.wrap_future(_on_thread(partial(contextvars.copy_context().run, pack)))
    try:
        return await asyncio.shield(packing)
    except asyncio.CancelledError:
        is_cancelled.set()
        await asyncio.wait([packing])
        if not packing.cancelled():
            packing.exception()  # seen: it is the cancellation's own
        raise


def _on_thread(pack: Callable[[], Report]) -> Future[Report]:
    """Call a function on a thread of its own. The caller's will not do: the event loop that layers need runs on it."""
    result: Future[Report] = Future()

    def run() -> None:
        try:
            result.set_result(pack())
        except BaseException as error:  # raised again where the result is awaited
            result.set_exception(error)

    if start_thread(run, "pysquash-aio") is None:
        raise OSError(errno.EAGAIN, "cannot start the thread that packs")
    return result


def _bridged(stream: Any, loop: asyncio.AbstractEventLoop, is_cancelled: threading.Event) -> Any:
    """Make a layer that a thread can read of one that the event loop must drive; others stay as they are."""
    if inspect.isawaitable(stream):
        return partial(_awaited, stream, loop, is_cancelled)
    if hasattr(stream, "__aiter__"):
        return _iterated(aiter(stream), loop, is_cancelled)
    return stream


def _awaited(stream: Awaitable[Any], loop: asyncio.AbstractEventLoop, is_cancelled: threading.Event) -> Any:
    async def wait() -> Any:
        return await stream

    return _bridged(_result(wait(), loop, is_cancelled), loop, is_cancelled)


def _iterated(
    stream: AsyncIterator[bytes], loop: asyncio.AbstractEventLoop, is_cancelled: threading.Event
) -> Iterator[bytes]:
    async def step() -> bytes | None:
        return await anext(stream, None)

    while (chunk := _result(step(), loop, is_cancelled)) is not None:
        yield chunk


def _result(coroutine: Any, loop: asyncio.AbstractEventLoop, is_cancelled: threading.Event) -> Any:
    """Have the event loop run a coroutine, and wait for it on this thread."""
    future = asyncio.run_coroutine_threadsafe(coroutine, loop)
    while True:
        try:
            return future.result(timeout=0.1)
        except TimeoutError:
            if future.done():  # the coroutine's own
                raise
            if is_cancelled.is_set():
                future.cancel()
                raise _Cancelled from None
