"""Layer streams: runs an iterator ahead of its consumer, on a thread of its own.

In: an iterator of chunks. Out: the same chunks in the same order, and the exception it ended with, if any.
Rules kept here: what is ahead is bounded; closing ends the thread, also where the consumer gave up; a consumer waits no
longer than it wants to. Without a thread, nothing is ahead and no wait ends early.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator

from pysquash.host.threads import start_thread

__all__ = ["Ahead", "StalledError"]

_AHEAD_SIZE = 4 << 20
"""Bytes that are ready at most, and one chunk: a few milliseconds of decompression."""

_JOIN_SECONDS = 1.0


class StalledError(Exception):
    """No chunk came in time."""


class Ahead:
    """An iterator's chunks, made on another thread."""

    def __init__(self, chunks: Iterator[bytes], *, timeout: float | None = None) -> None:
        """Start the thread, if the system has one left. From now on only it touches `chunks`.

        Args:
            chunks: What to run ahead.
            timeout: Seconds to wait for a chunk; None for any time.
        """
        self._chunks = chunks
        self._timeout = timeout
        self._ready: deque[bytes] = deque()
        self._ready_size = 0
        self._error: BaseException | None = None
        self._is_done = False
        self._is_closed = False
        self._changed = threading.Condition()
        self._thread = start_thread(self._run, "pysquash-ahead")

    def __iter__(self) -> Iterator[bytes]:
        """Yield the chunks as they are ready, and raise what the iterator raised.

        Raises:
            StalledError: No chunk came in time.
        """
        if self._thread is None:
            yield from self._chunks
            return
        while True:
            with self._changed:
                if not self._changed.wait_for(lambda: self._ready or self._is_done, self._timeout):
                    raise StalledError
                if not self._ready:
                    break
                chunk = self._ready.popleft()
                self._ready_size -= len(chunk)
                self._changed.notify()
            yield chunk
        if self._error is not None:
            raise self._error

    def close(self) -> None:
        """End the thread; chunks that nobody took are dropped. Harmless when called twice.

        A thread that hangs in a read (a pipe that nobody writes to) is left behind: it is a daemon, touches nothing but
        its own iterator, and ends with the read.
        """
        with self._changed:
            self._is_closed = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join(_JOIN_SECONDS)

    def _run(self) -> None:
        try:
            for chunk in self._chunks:
                with self._changed:
                    while self._ready_size >= _AHEAD_SIZE and not self._is_closed:
                        self._changed.wait()
                    if self._is_closed:
                        return
                    self._ready.append(chunk)
                    self._ready_size += len(chunk)
                    self._changed.notify()
        except BaseException as error:  # raised again where the chunks are taken
            self._error = error
        finally:
            with self._changed:
                self._is_done = True
                self._changed.notify()
