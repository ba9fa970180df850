"""OCI: the part of the distribution API that pulling needs.

In: what to get: a manifest by its tag or digest, a blob. Out: its bytes, unverified.
Source: the OCI distribution specification, "Pull".
Rules kept here: what breaks off goes on from there (a Range), or from the start where the server cannot; a redirect
leads at most five steps, never to where less is checked, and takes no credentials along to another host, nor from there
back; hosts that may be asked over HTTP are asked over HTTPS first.
Needs the package httpx, which is optional.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import closing
from typing import NoReturn

import httpx

from pysquash.errors import LimitError, SourceError
from pysquash.sources.oci.registry_access import RegistryAccess
from pysquash.sources.oci.registry_login import FindCredentials, Login
from pysquash.sources.oci.registry_name import RegistryName
from pysquash.sources.oci.registry_requests import Requests, Retries, reason_of
from pysquash.sources.oci.registry_trust import TrustRules
from pysquash.sources.oci.registry_watchdog import Patience

__all__ = ["RegistryClient"]

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_REDIRECT_LIMIT = 5
_LOGIN_LIMIT = 2
_OK, _PARTIAL, _NOT_FOUND, _RANGE_REFUSED = 200, 206, 404, 416
_GOOD_SIZE = 1 << 20
"""Bytes after which a connection was worth it, and the attempts are counted anew."""

_RANGE = re.compile(r"bytes (\d{1,18})-")
_ERROR_CODE = re.compile(r"[A-Z][A-Z_]{0,40}")
_ERROR_SIZE = 1 << 14


class RegistryClient:
    """One repository of a registry; for several threads at once."""

    def __init__(
        self,
        name: RegistryName,
        find_login: FindCredentials,
        *,
        access: RegistryAccess,
        timeout: float | None,
        source: str,
    ) -> None:
        """Take a name, and try HTTPS if the registry may be asked over HTTP as well.

        Args:
            name: The image's.
            find_login: Finds the user's credentials, when they are asked for.
            access: How the registry is used.
            timeout: Seconds without data after which a transfer fails; None for the default.
            source: What errors name.

        Raises:
            SourceError: The name is not that of a host.
        """
        self._source = source
        patience = Patience(idle=timeout, deadline=access.deadline, min_rate=access.min_rate)
        self._requests = Requests(TrustRules(name, access, source=source), patience, source=source)
        self._login = Login(self._requests, name, find_login, source=source)
        try:
            try:
                self._base = httpx.URL(f"https://{name.server}")
            except httpx.InvalidURL:
                self._fail(f"{name.server!r:.120} is no host")
            if self._requests.rules.is_exempt(self._base.host) and not self._speaks(self._base):
                self._base = httpx.URL(f"http://{name.server}")
        except BaseException:
            self.close()
            raise
        self._folder = f"/v2/{name.repository}"

    def document(self, reference: str, accept: str, *, limit: int, what: str) -> tuple[httpx.Headers, bytes]:
        """Get a manifest or an index.

        Args:
            reference: Its tag or digest.
            accept: Media types.
            limit: Bytes accepted.
            what: What errors call it.

        Returns:
            The headers that came with it, and its bytes.

        Raises:
            SourceError: There is none, or it cannot be had.
            LimitError: It is too large.
        """
        retries = self._requests.retries()
        while True:
            with closing(self._get(f"/manifests/{reference}", retries, accept=accept)) as response:
                if response.status_code != _OK:
                    self._refuse(response, what)
                data = bytearray()
                try:
                    for chunk in self._requests.body(response):
                        data += chunk
                        if len(data) > limit:
                            raise LimitError(f"the size of {what}", len(data), limit, where=self._source)
                except httpx.TransportError as error:
                    reason = f"{what} breaks off: {reason_of(error)}"
                else:
                    return response.headers, bytes(data)
            retries.pause(reason)

    def chunks(self, path: str, size: int, *, what: str, accept: str | None = None) -> Iterator[bytes]:
        """Yield the bytes of something whose size is known, of which no more than one chunk too many is read.

        Args:
            path: Below the repository: "/blobs/sha256:...".
            size: How many bytes there should be.
            what: What errors call it.
            accept: Media types, or None for any.

        Raises:
            SourceError: There is no such thing, or it cannot be had.
        """
        position, retries = 0, self._requests.retries()
        while True:
            begun_at = position
            with closing(self._get(path, retries, accept=accept, start=position)) as response:
                if response.status_code == _RANGE_REFUSED and position:
                    return  # it has no more: whoever verifies says so
                skipped = position - self._start(response, position, what)
                reason = f"{what} ends early"
                try:
                    for chunk in self._requests.body(response):
                        fresh = chunk[skipped:] if skipped else chunk
                        skipped -= len(chunk) - len(fresh)
                        position += len(fresh)
                        if fresh:
                            yield fresh
                        if position > size:
                            return
                except httpx.TransportError as error:
                    reason = f"{what} breaks off: {reason_of(error)}"
            if position >= size:
                return
            if position - begun_at >= _GOOD_SIZE:
                retries = self._requests.retries()
            retries.pause(f"{reason}, after {position} of {size} bytes")

    def stop(self) -> None:
        """End all that is under way, on whatever thread, with an error there."""
        self._requests.stop()

    def close(self) -> None:
        """Stop, and close the connections. Harmless when called twice."""
        self._requests.close()

    def _speaks(self, base: httpx.URL) -> bool:
        """Tell whether there is an answer at all."""
        try:
            self._requests.send_once("GET", base.copy_with(path="/v2/"), headers={}).close()
        except httpx.TransportError:
            return False
        return True

    def _get(self, path: str, retries: Retries, *, accept: str | None = None, start: int = 0) -> httpx.Response:
        """Get an answer that is neither a redirect nor a challenge. The caller closes it."""
        url = self._base.copy_with(path=self._folder + path)
        headers = {"Accept": accept, "Range": f"bytes={start}-" if start else None}
        redirect_count = login_count = 0
        is_own = True
        while True:
            is_own = is_own and _origin(url) == _origin(self._base)
            used = self._login.header if is_own else None
            response = self._requests.send("GET", url, retries, headers={**headers, "Authorization": used})
            if response.status_code in _REDIRECTS:
                response.close()
                redirect_count += 1
                if redirect_count > _REDIRECT_LIMIT:
                    self._fail(f"{url.host:.80} redirects more than {_REDIRECT_LIMIT} times")
                url = self._redirected(url, response.headers.get("Location", ""))
            elif response.status_code == httpx.codes.UNAUTHORIZED and is_own and login_count < _LOGIN_LIMIT:
                response.close()
                login_count += 1
                self._login.answer(response.headers.get_list("WWW-Authenticate"), used, self._base, retries)
            else:
                return response

    def _redirected(self, url: httpx.URL, location: str) -> httpx.URL:
        try:
            target = url.join(location)
        except httpx.InvalidURL:
            target = httpx.URL()
        if not self._requests.rules.may_lead(url, target):
            shown = f"{target.scheme:.20}://{target.host:.80}"
            self._fail(f"{url.host:.80} redirects to {shown}, which is not a URL or not as secure")
        return target

    def _start(self, response: httpx.Response, position: int, what: str) -> int:
        """Tell from which byte on an answer has a blob."""
        if response.status_code == _OK:
            return 0
        matched = _RANGE.match(response.headers.get("Content-Range", ""))
        if response.status_code != _PARTIAL:
            self._refuse(response, what)
        if matched is None or int(matched[1]) != position:
            self._fail(f"{what}: the registry gives another range than the one that was asked for")
        return position

    def _refuse(self, response: httpx.Response, what: str) -> NoReturn:
        """Say what a status means."""
        status, code, hint = response.status_code, self._code_in(response), self._login.hint
        if status == _NOT_FOUND:
            self._fail(f"the registry has no such thing: {what}{code}")
        if status in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
            self._fail(f"the registry does not let us have {what}{code}; or there is no such repository{hint}")
        self._fail(f"{response.url.host:.80} answers {status} for {what}{code}")

    def _code_in(self, response: httpx.Response) -> str:
        """Return the registry's own code for an error, in brackets; "" where there is none."""
        data = b""
        try:
            for chunk in self._requests.body(response):
                data += chunk
                if len(data) > _ERROR_SIZE:
                    return ""
            code = json.loads(data)["errors"][0]["code"]
        except (httpx.TransportError, ValueError, LookupError, TypeError, RecursionError):
            return ""
        return f" ({code})" if isinstance(code, str) and _ERROR_CODE.fullmatch(code) else ""

    def _fail(self, reason: str) -> NoReturn:
        raise SourceError(reason, source=self._source)


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port  # the scheme's own port is None in all of them
