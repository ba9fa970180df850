"""OCI: requests to a registry and to what serves its tokens, repeated where that may help.

In: a request. Out: a response, whose body is read through `Requests.body`; or an error in words.
Rules kept here: connections that fail, and transient status codes, are tried again a few times, each time later, or
when the server says; URLs whose connections are trusted differently never share an HTTP client; there are no cookies;
nothing of a request's headers or of a URL's query is in a message; stopping ends every wait.
Not here: which certificates are checked (registry_trust), how slow a server may be (registry_watchdog).
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator, Mapping
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any, NoReturn

import httpx

from pysquash.errors import SourceError, printable
from pysquash.sources.oci.registry_trust import Connection, TrustRules
from pysquash.sources.oci.registry_watchdog import Patience, Watchdog

__all__ = ["Requests", "Retries", "reason_of"]

_ATTEMPTS = 5
_PAUSE_SECONDS = 0.5
_RETRY_AFTER_LIMIT = 60
_TRANSIENT = frozenset({408, 429, 500, 502, 503, 504})
_CONNECT_SECONDS = 15.0
_REASON_SIZE = 300
"""Characters of an error that the HTTP library may quote a response in."""

_USER_AGENT = "pysquash"
_INVALID_HOST = "the host name is invalid"


class Retries:
    """How often something may be tried again."""

    def __init__(self, watchdog: Watchdog, source: str) -> None:
        """Begin to count.

        Args:
            watchdog: Ends a pause.
            source: What errors name.
        """
        self._watchdog = watchdog
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
        self._watchdog.sleep(seconds)

    def fail(self, reason: str) -> NoReturn:
        """Give up.

        Raises:
            SourceError: Always.
        """
        raise SourceError(reason, source=self._source)


class Requests:
    """Sends requests; for several threads at once."""

    def __init__(self, rules: TrustRules, patience: Patience, *, source: str) -> None:
        """Prepare; nothing is sent yet.

        Args:
            rules: How each host is connected to.
            patience: How slow a server may be.
            source: What errors name.
        """
        self.rules = rules
        self._source = source
        self._patience = patience
        self._watchdog = Watchdog(patience, source=source)
        self._lock = threading.Lock()
        self._clients: dict[Connection, httpx.Client] = {}

    def retries(self) -> Retries:
        """Begin something that may be tried again."""
        return Retries(self._watchdog, self._source)

    def send(
        self,
        method: str,
        url: httpx.URL,
        retries: Retries,
        *,
        headers: Mapping[str, str | None],
        form: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        """Send a request until there is a response that is not transient. The caller closes it.

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
            try:
                response = self.send_once(method, url, headers=headers, form=form)
            except httpx.TransportError as error:
                reason = f"{url.host:.80} cannot be reached: {reason_of(error)}"
                if not _is_transient(error):
                    retries.fail(reason)
                retries.pause(reason)
                continue
            if response.status_code not in _TRANSIENT:
                return response
            response.close()
            retries.pause(f"{url.host:.80} answers {response.status_code}", response.headers.get("Retry-After"))

    def send_once(
        self,
        method: str,
        url: httpx.URL,
        *,
        headers: Mapping[str, str | None],
        form: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        """Send a request once. The caller closes the response.

        Raises:
            httpx.TransportError: There is none.
            SourceError: It was stopped, or the deadline is over.
        """
        client = self._client(self.rules.connection(url))
        present = {key: value for key, value in headers.items() if value is not None}
        server = _server(url)

        def note(event: str, info: Mapping[str, Any]) -> None:
            """Keep the sockets, because nothing else wakes a thread that waits for one."""
            if event in ("connection.connect_tcp.complete", "connection.start_tls.complete"):
                connection = info["return_value"].get_extra_info("socket")
                if isinstance(connection, socket.socket):
                    self._watchdog.note_socket(server, connection)

        request = client.build_request(method, url, headers=present, data=form, extensions={"trace": note})
        with self._watchdog.watching(server, _CONNECT_SECONDS + self._patience.idle):
            try:
                return client.send(request, stream=True)
            except httpx.InvalidURL as error:  # of a Location, which httpx parses also where it is not to follow it
                raise httpx.RemoteProtocolError("invalid location header") from error
            except UnicodeError as error:  # of a name with a part over 63 bytes
                raise httpx.UnsupportedProtocol(_INVALID_HOST) from error

    def body(self, response: httpx.Response) -> Iterator[bytes]:
        """Yield the body of a response as it comes.

        Raises:
            httpx.TransportError: It breaks off, or comes too slowly.
            SourceError: It was stopped, or the deadline is over.
        """
        server, chunks, rate = _server(response.url), response.iter_raw(), self._patience.rate()
        while True:
            begun = time.monotonic()
            with self._watchdog.watching(server, self._patience.idle):
                chunk = next(chunks, None)
            if chunk is None:
                return
            rate.add(len(chunk), time.monotonic() - begun)
            yield chunk

    def stop(self) -> None:
        """End all that is under way, on whatever thread, with an error there."""
        self._watchdog.stop()

    def close(self) -> None:
        """Stop, and close the connections. Harmless when called twice."""
        self._watchdog.close()
        with self._lock:
            clients = list(self._clients.values())
        for client in clients:
            client.close()

    def _client(self, connection: Connection) -> httpx.Client:
        """Give the client for one kind of connections, made when it is first needed."""
        with self._lock:
            client = self._clients.get(connection)
            if client is None:
                client = self._clients[connection] = httpx.Client(
                    verify=self.rules.context(connection),
                    timeout=httpx.Timeout(self._patience.idle, connect=min(_CONNECT_SECONDS, self._patience.idle)),
                    trust_env=connection.uses_proxy,
                    follow_redirects=False,
                    cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
                    headers={"User-Agent": _USER_AGENT, "Accept-Encoding": "identity"},
                )
            return client


def reason_of(error: httpx.TransportError) -> str:
    """Say why there is no response, without anything that was in the request, or where it was redirected to."""
    if _is_bad_redirect(error):
        return "it redirects to an invalid URL"
    if isinstance(error, httpx.LocalProtocolError | httpx.UnsupportedProtocol):
        return _INVALID_HOST if str(error) == _INVALID_HOST else "the request cannot be sent"
    return printable(str(error).encode("utf-8", "surrogateescape"))[:_REASON_SIZE] or type(error).__name__


def _is_transient(error: httpx.TransportError) -> bool:
    """Tell whether it may go better the next time."""
    if isinstance(error, httpx.LocalProtocolError | httpx.UnsupportedProtocol) or _is_bad_redirect(error):
        return False
    return "certificate verify failed" not in str(error).lower()


def _is_bad_redirect(error: httpx.TransportError) -> bool:
    return isinstance(error, httpx.RemoteProtocolError) and "location header" in str(error)


def _server(url: httpx.URL) -> str:
    return f"{url.scheme}://{url.netloc.decode('ascii', 'replace')}"
