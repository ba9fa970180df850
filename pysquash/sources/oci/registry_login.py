"""OCI: logging in at a registry, when it asks for it.

In: a registry's challenge, and a user's login or none. Out: the value of the header Authorization.
Source: RFC 7235 (challenges), RFC 7617 (Basic), the distribution project's token and OAuth 2 specifications.
Rules kept here: the scope asked for is to pull this one repository; credentials go to the registry that they are for
and to the token server that it names, if the connection to that is at least as secure; what an answer holds is not
repeated in messages.
"""

from __future__ import annotations

import base64
import json
import re
import threading
from collections.abc import Callable, Sequence
from contextlib import closing
from typing import NoReturn

import httpx

from pysquash.errors import SourceError
from pysquash.sources.oci.credentials import Credentials
from pysquash.sources.oci.documents import listed
from pysquash.sources.oci.registry_name import RegistryName
from pysquash.sources.oci.registry_requests import Requests, Retries, reason_of

__all__ = ["FindCredentials", "Login"]

FindCredentials = Callable[[Callable[[str], None]], Credentials | None]
"""Finds credentials, or None and calls its argument with why there are none, if that is no matter of course."""

_PART = re.compile(r'\s*,?\s*([A-Za-z0-9!#$%&\'*+.^_`|~-]+)(?:\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s",]+)))?')
_TOKEN = re.compile(r"[A-Za-z0-9._~+/=-]+")
_ANSWER_SIZE_LIMIT = 1 << 20
_CHALLENGE_SIZE = 4096
_CLIENT_ID = "pysquash"


class Login:
    """What a registry knows us by; for several threads at once."""

    def __init__(self, requests: Requests, name: RegistryName, find: FindCredentials, *, source: str) -> None:
        """Begin without a login.

        Args:
            requests: Asks the token server.
            name: The image's.
            find: Finds the user's credentials; called when they are asked for, once. It gets what takes a message about
                why there are none.
            source: What errors name.
        """
        self._requests = requests
        self._name = name
        self._find = find
        self._source = source
        self._lock = threading.Lock()
        self._found: list[Credentials | None] = []
        self._missing = ""
        self.header: str | None = None

    @property
    def hint(self) -> str:
        """What completes a message about missing credentials: "; " and why there are none, or ""."""
        return f"; {self._missing}" if self._missing else ""

    def answer(self, challenges: Sequence[str], used: str | None, base: httpx.URL, retries: Retries) -> None:
        """Answer a refusal.

        Args:
            challenges: The headers WWW-Authenticate.
            used: What the refused request had as its Authorization.
            base: The registry.
            retries: For the token server.

        Raises:
            SourceError: There is no answer, or it was refused already.
        """
        with self._lock:
            if self.header != used:
                return  # another thread was faster
            if not self._found:
                self._found.append(self._find(self._note_missing))
            parsed = parse_challenges(challenges)
            if "bearer" in parsed:
                self.header = f"Bearer {self._token(parsed['bearer'], base, retries)}"
            elif "basic" in parsed:
                self.header = self._basic(used)
            else:
                self._fail(f"wants a login of a kind that is not known: {listed(parsed, none='it does not say which')}")

    def _basic(self, used: str | None) -> str:
        found = self._found[0]
        if found is None or not found.user:
            self._fail(f"wants a login, and there is none for it{self.hint}")
        header = _basic_header(found)
        if header == used:
            self._fail(f"does not accept the login of {found.user!r:.80}")
        return header

    def _token(self, challenge: dict[str, str], base: httpx.URL, retries: Retries) -> str:
        """Ask the token server, with the login where there is one."""
        found = self._found[0] or Credentials()
        if found.registry_token:
            if not _TOKEN.fullmatch(found.registry_token):
                self._fail("the token that is kept for it is none")
            return found.registry_token
        realm = self._realm(challenge.get("realm", ""), base)
        fields = {"service": challenge.get("service", ""), "scope": f"repository:{self._name.repository}:pull"}
        if not fields["service"]:
            del fields["service"]
        if found.identity_token:
            form = fields | {
                "grant_type": "refresh_token",
                "refresh_token": found.identity_token,
                "client_id": _CLIENT_ID,
            }
            response = self._requests.send("POST", realm, retries, headers={}, form=form)
        else:
            if found.user:
                fields["account"] = found.user
            header = _basic_header(found) if found.user else None
            url = realm.copy_merge_params(fields)
            response = self._requests.send("GET", url, retries, headers={"Authorization": header})
        with closing(response):
            if response.status_code in (400, 401, 403):
                who = f"the login of {found.user or 'a token'!r:.80}" if self._found[0] else "to go without a login"
                self._fail(
                    f"the token server {realm.host:.80} does not accept {who}: {response.status_code}{self.hint}"
                )
            if response.status_code != httpx.codes.OK:
                self._fail(f"the token server {realm.host:.80} answers {response.status_code}")
            return self._token_in(response, realm.host)

    def _token_in(self, response: httpx.Response, host: str) -> str:
        data = b""
        try:
            for chunk in self._requests.body(response):
                data += chunk
                if len(data) > _ANSWER_SIZE_LIMIT:
                    break
            answer = json.loads(data)
            token = answer.get("token") or answer.get("access_token")
        except httpx.TransportError as error:
            self._fail(f"the token server {host:.80} breaks off: {reason_of(error)}")
        except (ValueError, AttributeError, RecursionError):
            token = None
        if not isinstance(token, str) or not _TOKEN.fullmatch(token):
            self._fail(f"the token server {host:.80} gives no token")
        return token

    def _realm(self, text: str, base: httpx.URL) -> httpx.URL:
        try:
            realm = httpx.URL(text)
        except httpx.InvalidURL:
            realm = httpx.URL()
        if not self._requests.rules.may_lead(base, realm):
            shown = f"{realm.scheme:.20}://{realm.host:.80}"
            self._fail(f"names the token server {shown}, which is not a URL or not as secure as the registry")
        return realm

    def _note_missing(self, text: str) -> None:
        self._missing = text

    def _fail(self, reason: str) -> NoReturn:
        raise SourceError(reason, source=self._source)


def parse_challenges(headers: Sequence[str]) -> dict[str, dict[str, str]]:
    """Read the headers WWW-Authenticate: schemes in lower case, and their parameters."""
    found: dict[str, dict[str, str]] = {}
    for header in headers:
        fields: dict[str, str] = {}
        for part in _PART.finditer(header[:_CHALLENGE_SIZE]):
            key, quoted, plain = part[1].lower(), part[2], part[3]
            if quoted is None and plain is None:
                fields = found.setdefault(key, {})
            else:
                fields.setdefault(key, re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else plain)
    return found


def _basic_header(login: Credentials) -> str:
    return "Basic " + base64.b64encode(f"{login.user}:{login.password}".encode()).decode()
