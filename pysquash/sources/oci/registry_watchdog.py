"""OCI: how slow a registry may be, and the thread that ends transfers that are slower.

In: the sockets of connections, and when somebody waits for one. Out: an error where it is waited for.
Rules kept here: a wait without data ends after the time-out, a transfer below the minimum rate after one time-out, and
all transfers of an image at the deadline, whatever a server sends: a byte now and then, or headers without end.
Not here: which requests are repeated (registry_requests).
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from weakref import WeakKeyDictionary

import httpx

from pysquash.errors import SourceError
from pysquash.host.threads import start_thread

__all__ = ["DEFAULT_IDLE_SECONDS", "Patience", "Rate", "Watchdog"]

DEFAULT_IDLE_SECONDS = 60.0
_SLACK_SECONDS = 0.5
"""The sockets' own time-out comes first: this is for what keeps it from coming."""

_CHECK_SECONDS = 1.0
_JOIN_SECONDS = 2.0
_CLOSED = "was closed while it was read"


class Patience:
    """How slow a registry may be.

    Attributes:
        idle: Seconds without data.
        deadline: Seconds that all transfers of one image may take together.
        min_rate: Bytes per second on average over `idle`; 0 for any rate.
    """

    def __init__(self, *, idle: float | None, deadline: float, min_rate: float) -> None:
        """Take the values; None for the default time-out."""
        self.idle = DEFAULT_IDLE_SECONDS if idle is None else idle
        self.deadline = deadline
        self.min_rate = min_rate

    def rate(self) -> Rate:
        """Begin to measure a transfer."""
        return Rate(self)


class Rate:
    """Measures one transfer. Only the time that was spent waiting for data counts."""

    def __init__(self, patience: Patience) -> None:
        """Begin at 0 bytes."""
        self._patience = patience
        self._size = 0
        self._seconds = 0.0

    def add(self, size: int, seconds: float) -> None:
        """Note data, and how long it was waited for.

        Raises:
            httpx.ReadTimeout: There was too little of it.
        """
        self._size += size
        self._seconds += seconds
        if self._seconds < self._patience.idle:
            return
        needed = self._patience.min_rate * self._seconds
        if self._size < needed:
            raise httpx.ReadTimeout(
                f"only {self._size} bytes in {self._seconds:.0f} seconds, below the minimum rate of "
                f"{self._patience.min_rate:g} bytes per second"
            )
        self._size, self._seconds = 0, 0.0


class _Wait:
    """Somebody who waits for a server."""

    def __init__(self, server: str, due: float) -> None:
        self.server = server
        self.due = due
        self.is_over = False


class Watchdog:
    """Ends what takes too long; for several threads at once."""

    def __init__(self, patience: Patience, *, source: str) -> None:
        """Begin to count towards the deadline. The thread starts with the first wait.

        Args:
            patience: How slow a server may be.
            source: What errors name.
        """
        self._patience = patience
        self._source = source
        self._end = time.monotonic() + patience.deadline
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._reason = _CLOSED
        self._waits: set[_Wait] = set()
        self._sockets: WeakKeyDictionary[socket.socket, str] = WeakKeyDictionary()
        self._has_begun = False
        self._thread: threading.Thread | None = None

    def note_socket(self, server: str, connection: socket.socket) -> None:
        """Note a connection to a server."""
        with self._lock:
            self._sockets[connection] = server
        if self._stopped.is_set():
            _shut(connection)

    @contextlib.contextmanager
    def watching(self, server: str, seconds: float) -> Iterator[None]:
        """Limit how long is waited for a server.

        Raises:
            httpx.TransportError: As raised inside; a `ReadTimeout` that names the time-out where it was too long.
            SourceError: It was stopped, or the deadline is over.
        """
        self._check()
        wait = _Wait(server, time.monotonic() + seconds + _SLACK_SECONDS)
        with self._lock:
            if not self._has_begun:
                self._has_begun = True
                self._thread = start_thread(self._run, "pysquash-watchdog")  # else sockets time out alone
            self._waits.add(wait)
        try:
            yield
        except httpx.TransportError as error:
            self._check()
            if wait.is_over or isinstance(error, httpx.ReadTimeout):
                raise httpx.ReadTimeout(f"no data for {self._patience.idle:g} seconds") from error
            raise
        finally:
            with self._lock:
                self._waits.discard(wait)

    def sleep(self, seconds: float) -> None:
        """Wait.

        Raises:
            SourceError: It was stopped, or the deadline is over.
        """
        self._stopped.wait(min(seconds, max(0.0, self._end - time.monotonic())))
        self._check()

    def stop(self, reason: str = _CLOSED) -> None:
        """End all waits, with an error where they wait."""
        with self._lock:
            if self._stopped.is_set():
                return
            self._reason = reason
            self._stopped.set()
            connections = list(self._sockets)
        for connection in connections:
            _shut(connection)

    def close(self) -> None:
        """Stop, and wait for the thread. Harmless when called twice."""
        self.stop()
        if self._thread is not None:
            self._thread.join(_JOIN_SECONDS)

    def _check(self) -> None:
        """Raise where there is nothing to wait for any more."""
        if time.monotonic() >= self._end:
            self.stop(f"not transferred within the deadline of {self._patience.deadline:g} seconds")
        if self._stopped.is_set():
            raise SourceError(self._reason, source=self._source)

    def _run(self) -> None:
        while not self._stopped.wait(min(_CHECK_SECONDS, self._patience.idle / 4, self._patience.deadline / 4)):
            with contextlib.suppress(SourceError):
                self._check()
            now = time.monotonic()
            with self._lock:
                late = {wait.server for wait in self._waits if wait.due <= now}
                for wait in self._waits:
                    wait.is_over |= wait.server in late
                connections = [each for each, server in self._sockets.items() if server in late]
            for connection in connections:
                _shut(connection)


def _shut(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        socket.socket.shutdown(connection, socket.SHUT_RDWR)  # past ssl's own, which takes its state from its reader
