"""OCI: requests to a registry and to what serves its tokens, repeated where that may help.

In: a request. Out: an answer, whose body is not read yet; or an error in words.
Rules kept here: connections that fail, and answers that say "not now", are tried again a few times, each time later, or
when the server says; certificates are checked against the system's, but for this machine itself; nothing of a request's
headers or of an address's query is in a message; stopping ends every wait.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Mapping
from typing import Any, NoReturn
from weakref import WeakSet

import httpx
import truststore

from pysquash.errors import SourceError

__all__ = ["Requests", "Retries", "reason_of"]

_ATTEMPTS = 5
_PAUSE_SECONDS = 0.5
_RETRY_AFTER_LIMIT = 60
_TRANSIENT = frozenset({408, 429, 500, 502, 503, 504})
_CONNECT_SECONDS, _READ_SECONDS = 15.0, 60.0
_USER_AGENT = "pysquash"


class Retries:
    """How often something may be tried again."""

    def __init__(self, stopped: threading.Event, source: str) -> None:
        """Begin to count.

        Args:
            stopped: Ends a pause.
            source: What errors name.
        """
        self._stopped = stopped
        self._source = source
        self._failed_count = 0

    def pause(self, reason: str, retry_after: str | None = None) -> None:
        """Wait before the next attempt.

        Args:
            reason: Why the last one failed.
            retry_after: When the server wants to be asked again, in seconds; dates are not read.

        Raises:
            SourceError: There is no next one.
        """
        self._failed_count += 1
        if self._failed_count >= _ATTEMPTS:
            self.fail(f"{reason} (tried {self._failed_count} times)")
        seconds = _PAUSE_SECONDS * 2 ** (self._failed_count - 1)
        if retry_after is not None and retry_after.isascii() and retry_after.isdigit():
            seconds = max(seconds, min(int(retry_after[:9]), _RETRY_AFTER_LIMIT))
        if self._stopped.wait(seconds):
            self.fail("was closed while it was read")

    def fail(self, reason: str) -> NoReturn:
        """Give up.

        Raises:
            SourceError: Always.
        """
        raise SourceError(reason, source=self._source)


class Requests:
    """Sends requests; for several threads at once."""

    def __init__(self, *, source: str, is_loopback: bool) -> None:
        """Take a source.

        Args:
            source: What errors name.
            is_loopback: Whether the registry is this machine itself: then any certificate will do, and no proxy.
        """
        self._source = source
        self._stopped = threading.Event()
        self._lock = threading.Lock()
        self._sockets: WeakSet[socket.socket] = WeakSet()
        context: ssl.SSLContext = truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        if is_loopback:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        self._http = httpx.Client(
            verify=context,
            timeout=httpx.Timeout(_READ_SECONDS, connect=_CONNECT_SECONDS),
            trust_env=not is_loopback,
            follow_redirects=False,
            headers={"User-Agent": _USER_AGENT, "Accept-Encoding": "identity"},
        )

    def retries(self) -> Retries:
        """Begin something that may be tried again."""
        return Retries(self._stopped, self._source)

    def send(
        self,
        method: str,
        url: httpx.URL,
        retries: Retries,
        *,
        headers: Mapping[str, str | None],
        form: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        """Send a request until there is an answer that means something. The caller closes it.

        Args:
            method: GET or POST.
            url: Where to.
            retries: How often.
            headers: Those with None are left out.
            form: What to post.

        Raises:
            SourceError: There is none.
        """
        while True:
            if self._stopped.is_set():
                retries.fail("was closed while it was read")
            try:
                response = self.send_once(method, url, headers=headers, form=form)
            except httpx.TransportError as error:
                reason = f"{url.host} cannot be reached: {reason_of(error)}"
                if not _may_pass(error):
                    retries.fail(reason)
                retries.pause(reason)
                continue
            except UnicodeError:  # of a name with a part over 63 bytes
                retries.fail(f"{url.host:.80} is no host that can be asked")
            if response.status_code not in _TRANSIENT:
                return response
            response.close()
            retries.pause(f"{url.host} answers {response.status_code}", response.headers.get("Retry-After"))

    def send_once(
        self,
        method: str,
        url: httpx.URL,
        *,
        headers: Mapping[str, str | None],
        form: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        """Send a request once. The caller closes the answer.

        Raises:
            httpx.TransportError: There is none.
        """
        present = {key: value for key, value in headers.items() if value is not None}
        request = self._http.build_request(
            method, url, headers=present, data=form, extensions={"trace": self._note_connection}
        )
        return self._http.send(request, stream=True)

    def stop(self) -> None:
        """End all that is under way, on whatever thread, with an error there."""
        self._stopped.set()
        with self._lock:
            connections = list(self._sockets)
        for connection in connections:
            _shut(connection)

    def close(self) -> None:
        """Stop, and close the connections. Harmless when called twice."""
        self.stop()
        self._http.close()

    def _note_connection(self, event: str, info: Mapping[str, Any]) -> None:
        """Keep the sockets, because nothing else wakes a thread that waits for one."""
        if event not in ("connection.connect_tcp.complete", "connection.start_tls.complete"):
            return
        connection = info["return_value"].get_extra_info("socket")
        if isinstance(connection, socket.socket):
            with self._lock:
                self._sockets.add(connection)
            if self._stopped.is_set():
                _shut(connection)


def reason_of(error: httpx.TransportError) -> str:
    """Say why there is no answer, without anything that was in the request, or where it was redirected to."""
    if _is_bad_redirect(error):
        return "it redirects to what is no address"
    if isinstance(error, httpx.LocalProtocolError | httpx.UnsupportedProtocol):
        return "the request cannot be sent"
    return str(error) or type(error).__name__


def _may_pass(error: httpx.TransportError) -> bool:
    """Tell whether it may go better the next time."""
    if isinstance(error, httpx.LocalProtocolError | httpx.UnsupportedProtocol) or _is_bad_redirect(error):
        return False
    return "certificate verify failed" not in str(error).lower()


def _is_bad_redirect(error: httpx.TransportError) -> bool:
    return isinstance(error, httpx.RemoteProtocolError) and "location header" in str(error)


def _shut(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        socket.socket.shutdown(connection, socket.SHUT_RDWR)  # past ssl's own, which takes its state from its reader
