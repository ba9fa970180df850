"""A registry as small as it can be, on a loopback port, that can be told to misbehave.

    with FakeRegistry() as registry:
        registry.add(image, "latest")
        registry.next(f"/v2/app/blobs/{digest}", status(503), broken_off(after=100))

The answers given to `next` are given once each, in their order; after that it behaves.
"""

from __future__ import annotations

import base64
import json
import ssl
import threading
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import parse_qs, urlsplit

from tests.oci.builder import Blobs, Document, Image

__all__ = [
    "IDENTITY_TOKEN",
    "PASSWORD",
    "TOKEN",
    "USER",
    "Answer",
    "FakeRegistry",
    "Handler",
    "basic",
    "broken_off",
    "held",
    "redirect",
    "status",
]

USER, PASSWORD = "alice", "correct horse"
TOKEN, IDENTITY_TOKEN = "a.token-for~pulling", "the-identity"


@dataclass
class Asked:
    """A request that came.

    Attributes:
        path: Without its query.
        query: The rest, and what was posted.
        headers: By their names in lower case.
    """

    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str] = field(default_factory=dict)


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    registry: FakeRegistry

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base has that name
        pass

    def do_GET(self) -> None:
        self._serve("")

    def do_POST(self) -> None:
        self._serve(self.rfile.read(int(self.headers["Content-Length"])).decode())

    def _serve(self, posted: str) -> None:
        parts = urlsplit(self.path)
        headers = {key.lower(): value for key, value in self.headers.items()}
        query = parse_qs(parts.query) | parse_qs(posted)
        self.registry.asked.append(Asked(self.command, parts.path, query, headers))
        try:
            self.registry.answer(self, parts.path, query)
        except (ConnectionError, ssl.SSLError):
            self.close_connection = True

    def send(self, code: int, body: bytes = b"", *, size: int | None = None, **headers: str) -> None:
        """Send an answer; `size` lies about the size of its body."""
        self.send_response(code)
        for key, value in headers.items():
            self.send_header(key.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body) if size is None else size))
        self.end_headers()
        self.wfile.write(body)


Answer = Callable[[Handler, bytes], None]
"""Gives an answer in place of the blob or document that there is, or of b""."""


class FakeRegistry:
    """The server.

    Attributes:
        blobs: What it has, by digest.
        manifests: What it has by reference: media type and bytes.
        asked: The requests, in order.
        login: None, "basic" or "bearer".
        host: Where it is: "127.0.0.1:PORT".
        tls: The settings of its TLS, or None over HTTP.
    """

    def __init__(self, *, certificate: Path | None = None) -> None:
        self.blobs = Blobs()
        self.manifests: dict[str, tuple[str, bytes]] = {}
        self.asked: list[Asked] = []
        self.login: str | None = None
        self.realm: str | None = None
        self.takes_ranges = True
        self.most_at_once = 0
        self._at_once = 0
        self._lock = threading.Lock()
        self._scripts: defaultdict[str, list[Answer]] = defaultdict(list)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Handler,), {"registry": self}))
        self._server.daemon_threads = True
        self.tls: ssl.SSLContext | None = None
        if certificate is not None:
            self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.tls.load_cert_chain(certificate)
            self._server.socket = self.tls.wrap_socket(self._server.socket, server_side=True)
        self.host = f"127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)

    def add(self, image: Image, tag: str = "latest") -> Document:
        """Have an image under a tag, and give its manifest's descriptor."""
        row = self.blobs.image(image)
        self.add_document(row, tag)
        return row

    def add_document(self, row: Document, tag: str) -> None:
        """Have an index or a manifest, which is among the blobs, under a tag."""
        self.manifests[tag] = (row["mediaType"], self.blobs[row["digest"]])

    def next(self, path: str, *answers: Answer) -> None:
        """Say how to answer the next requests for a path."""
        self._scripts[path] += answers

    def requests(self, part: str) -> list[Asked]:
        """Give the requests whose path holds a text."""
        return [each for each in self.asked if part in each.path]

    def answer(self, handler: Handler, path: str, query: dict[str, list[str]]) -> None:
        if path == "/token":
            self._give_token(handler, query)
            return
        media_type, body = self._find(path)
        with self._lock:
            script = self._scripts[path].pop(0) if self._scripts[path] else None
            self._at_once += "/blobs/" in path
            self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            if script is not None:
                script(handler, body or b"")
            elif not self._is_allowed(handler):
                handler.send(401, b"{}", WWW_Authenticate=self._challenge())
            elif path == "/v2/":
                handler.send(200, b"{}")
            elif body is None:
                handler.send(404, json.dumps({"errors": [{"code": "BLOB_UNKNOWN", "message": "none"}]}).encode())
            else:
                self._give(handler, media_type, body)
        finally:
            with self._lock:
                self._at_once -= "/blobs/" in path

    def _find(self, path: str) -> tuple[str, bytes | None]:
        _, _, reference = path.rpartition("/")
        if "/manifests/" in path and reference in self.manifests:
            return self.manifests[reference]
        return "application/octet-stream", self.blobs.get(reference)

    def _give(self, handler: Handler, media_type: str, body: bytes) -> None:
        wanted = handler.headers.get("Range", "")
        if not wanted or not self.takes_ranges:
            handler.send(200, body, Content_Type=media_type)
            return
        start = int(wanted.removeprefix("bytes=").removesuffix("-"))
        if start >= len(body):
            handler.send(416)
            return
        handler.send(206, body[start:], Content_Range=f"bytes {start}-{len(body) - 1}/{len(body)}")

    def _is_allowed(self, handler: Handler) -> bool:
        wanted = {"basic": basic(), "bearer": f"Bearer {TOKEN}"}
        return self.login is None or handler.headers.get("Authorization") == wanted[self.login]

    def _challenge(self) -> str:
        if self.login == "basic":
            return 'Basic realm="here"'
        realm = self.realm or f"http://{self.host}/token"
        return f'Bearer realm="{realm}",service="a \\"registry\\"",scope="repository:everything:*"'

    def _give_token(self, handler: Handler, query: dict[str, list[str]]) -> None:
        if handler.command == "POST":
            is_known = query.get("refresh_token") == [IDENTITY_TOKEN]
        else:
            is_known = handler.headers.get("Authorization") in (None, basic())
        if is_known:
            handler.send(200, json.dumps({"access_token": TOKEN, "expires_in": 60}).encode())
        else:
            handler.send(401, b"no, not with " + handler.headers.get("Authorization", "").encode())


def basic(user: str = USER, password: str = PASSWORD) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def status(code: int, **headers: str) -> Answer:
    return lambda handler, _body: handler.send(code, b"{}", size=None, **headers)


def redirect(target: str, code: int = 307) -> Answer:
    return lambda handler, _body: handler.send(code, Location=target)


def broken_off(after: int) -> Answer:
    """Close the connection after some bytes of the body, of those that were asked for."""

    def answer(handler: Handler, body: bytes) -> None:
        start = int(handler.headers.get("Range", "bytes=0-").removeprefix("bytes=").removesuffix("-"))
        part, size = body[start : start + after], len(body) - start
        if start:
            handler.send(206, part, size=size, Content_Range=f"bytes {start}-{len(body) - 1}/{len(body)}")
        else:
            handler.send(200, part, size=size)
        handler.close_connection = True

    return answer


def held(until: threading.Event, *, after: int = 0) -> Answer:
    """Send some bytes of the body at once, and the rest when the test says so."""

    def answer(handler: Handler, body: bytes) -> None:
        handler.send(200, body[:after], size=len(body))
        handler.wfile.flush()
        until.wait(20)
        handler.wfile.write(body[after:])

    return answer
