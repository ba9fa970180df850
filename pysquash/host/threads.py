"""Threads: work beside the caller's thread, or on it where the system starts no more threads.

In: functions. Out: their results, the same on any thread.
Rules kept here: a process may be at its limit of threads (RLIMIT_NPROC, a cgroup's pids.max, too little memory for a
stack) at any time; the work is done all the same, only later.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from queue import Empty, SimpleQueue
from typing import Any, ParamSpec, TypeVar

__all__ = ["Workers", "start_thread"]

_P = ParamSpec("_P")
_T = TypeVar("_T")
_Task = tuple[Future[Any], Callable[[], Any]]


def start_thread(target: Callable[[], object], name: str) -> threading.Thread | None:
    """Start a daemon thread; return None where the system starts no more threads."""
    thread = threading.Thread(target=target, name=name, daemon=True)
    try:
        thread.start()
    except (RuntimeError, MemoryError):
        return None
    return thread


class Workers(Executor):
    """An executor of threads, which start when they are needed; without any, `submit` runs the function itself.

    Unlike with `ThreadPoolExecutor`, a function is never run twice or never where a thread does not start.
    """

    def __init__(self, count: int, name: str) -> None:
        """Start no thread yet.

        Args:
            count: How many threads there are at most.
            name: What their names begin with.
        """
        self._count = count
        self._name = name
        self._threads: list[threading.Thread] = []
        self._tasks: SimpleQueue[_Task | None] = SimpleQueue()

    def submit(self, function: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs) -> Future[_T]:
        """Have a function called, and return what will have its result."""
        future: Future[_T] = Future()
        if len(self._threads) < self._count:
            tasks = self._tasks
            thread = start_thread(lambda: _work(tasks), f"{self._name}-{len(self._threads)}")
            if thread is None:
                self._count = len(self._threads)  # the next start would most likely fail too
            else:
                self._threads.append(thread)
        if self._threads:
            self._tasks.put((future, lambda: function(*args, **kwargs)))
            return future
        future.set_running_or_notify_cancel()
        try:
            future.set_result(function(*args, **kwargs))
        except Exception as error:  # others, as interrupts, are the caller's
            future.set_exception(error)
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the threads after what was submitted. Harmless when called twice.

        Args:
            wait: Whether to wait for that.
            cancel_futures: Whether what has not begun is given up.
        """
        while cancel_futures:
            try:
                task = self._tasks.get_nowait()
            except Empty:
                break
            if task is not None:
                task[0].cancel()
        threads, self._threads, self._count = self._threads, [], 0
        for _ in threads:
            self._tasks.put(None)
        if wait:
            for thread in threads:
                thread.join()

    def __del__(self) -> None:
        self.shutdown(wait=False)


def _work(tasks: SimpleQueue[_Task | None]) -> None:
    while (task := tasks.get()) is not None:
        future, function = task
        if future.set_running_or_notify_cancel():
            try:
                future.set_result(function())
            except BaseException as error:  # raised again where the result is asked for
                future.set_exception(error)
        del task, future, function  # while the next one is waited for, nothing of this one is kept
