"""Registries that are slow on purpose: each transfer ends by the time-out, the minimum rate or the deadline."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

import pysquash
from pysquash.errors import OptionError, SourceError
from pysquash.options.writer import WriterOptions
from pysquash.sources.oci import registry_requests, registry_watchdog
from pysquash.sources.oci.registry_access import RegistryAccess
from pysquash.sources.oci.registry_watchdog import Patience
from tests.oci.builder import Image, digest_of, file, packed, tar
from tests.oci.registry_server import Answer, FakeRegistry, Handler, status

LAYER = tar(file("a", bytes(range(256)) * 400))
STORED = packed(LAYER, "plain")
BLOB = f"/v2/app/blobs/{digest_of(packed(LAYER, 'gzip'))}"
MANIFEST = "/v2/app/manifests/latest"
LONG = 30.0


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry_requests, "_PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(registry_requests, "_CONNECT_SECONDS", 0.1)
    monkeypatch.setattr(registry_watchdog, "_SLACK_SECONDS", 0.05)


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    with FakeRegistry() as server:
        server.add(Image([LAYER]))
        yield server


@pytest.fixture
def ended() -> Iterator[threading.Event]:
    """Have what ends the servers' drips when the test is over."""
    event = threading.Event()
    yield event
    event.set()


def build(host: str, folder: Path, *, timeout: float | None = None, **access: Any) -> None:
    registry = RegistryAccess(auth_files=[], **access)
    options = WriterOptions(timeout=timeout)
    pysquash.build([f"docker://{host}/app"], folder / "out", registry=registry, options=options)


def refused(host: str, folder: Path, match: str, **values: Any) -> None:
    with pytest.raises(SourceError, match=match):
        build(host, folder, **values)
    assert not (folder / "out").exists()
    assert not [each for each in threading.enumerate() if each.name == "pysquash-watchdog"]


def dripping(ended: threading.Event, seconds: float) -> Answer:
    """Send the body a byte at a time."""

    def answer(handler: Handler, body: bytes) -> None:
        handler.send(200, b"", size=len(body), Content_Type="application/vnd.oci.image.manifest.v1+json")
        with suppress(OSError):
            for at in range(len(body)):
                handler.wfile.write(body[at : at + 1])
                handler.wfile.flush()
                if ended.wait(seconds):
                    break
        handler.close_connection = True

    return answer


def silent(ended: threading.Event) -> Answer:
    def answer(handler: Handler, _body: bytes) -> None:
        ended.wait(LONG)
        handler.close_connection = True

    return answer


@pytest.mark.parametrize("path", [MANIFEST, BLOB])
def test_silence(path: str, registry: FakeRegistry, ended: threading.Event, tmp_path: Path) -> None:
    registry.next(path, *[silent(ended)] * 5)
    refused(registry.host, tmp_path, r"no data for 0\.2 seconds \(tried 5 times\)", timeout=0.2)


@pytest.mark.parametrize("path", [MANIFEST, BLOB])
def test_a_rate_below_the_minimum(path: str, registry: FakeRegistry, ended: threading.Event, tmp_path: Path) -> None:
    registry.next(path, *[dripping(ended, 0.02)] * 5)
    match = r"only \d+ bytes in \d seconds, below the minimum rate of 10000 bytes per second.*tried 5 times"
    refused(registry.host, tmp_path, match, timeout=0.5, min_rate=10000)


def test_a_slow_transfer_is_tried_again_from_where_it_was(
    registry: FakeRegistry, ended: threading.Event, tmp_path: Path
) -> None:
    registry.next(BLOB, dripping(ended, 0.02))
    build(registry.host, tmp_path, timeout=0.5, min_rate=10000)
    first, second = registry.requests(BLOB)
    assert "range" not in first.headers
    assert second.headers["range"].startswith("bytes=")


@pytest.mark.parametrize("path", [MANIFEST, BLOB])
def test_the_deadline(path: str, registry: FakeRegistry, ended: threading.Event, tmp_path: Path) -> None:
    registry.next(path, dripping(ended, 0.02))
    refused(registry.host, tmp_path, r"not transferred within the deadline of 0\.5 seconds", deadline=0.5, min_rate=0)


def test_the_deadline_ends_pauses(registry: FakeRegistry, tmp_path: Path) -> None:
    registry.next(MANIFEST, *[status(429, Retry_After="60")] * 5)
    begun = time.monotonic()
    refused(registry.host, tmp_path, "deadline of 1 seconds", deadline=1)
    assert time.monotonic() - begun < LONG


def test_the_deadline_is_for_all_transfers_together(registry: FakeRegistry, tmp_path: Path) -> None:
    layers = [tar(file(str(row), bytes([row]) * 1000)) for row in range(20)]
    registry.add(Image(layers))

    def late(handler: Handler, body: bytes) -> None:
        time.sleep(0.2)
        handler.send(200, body)

    for layer in layers:
        registry.next(f"/v2/app/blobs/{digest_of(packed(layer, 'gzip'))}", late)
    refused(registry.host, tmp_path, "deadline of 0.5 seconds", deadline=0.5)


@contextmanager
def raw_server(ended: threading.Event, head: Callable[[], Iterator[bytes]]) -> Iterator[str]:
    """Serve one kind of response byte for byte, to everybody."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.1)

        def serve(connection: socket.socket) -> None:
            with connection, suppress(OSError):
                if connection.recv(1 << 16)[:1] == b"\x16":  # a TLS hello
                    return
                for part in head():
                    connection.sendall(part)
                    if ended.wait(0.02):
                        return

        connections: list[threading.Thread] = []

        def run() -> None:
            while not ended.is_set():
                with suppress(TimeoutError):
                    connection, _ = server.accept()
                    connections.append(threading.Thread(target=serve, args=(connection,), daemon=True))
                    connections[-1].start()

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        yield f"127.0.0.1:{server.getsockname()[1]}"
        ended.set()
        thread.join(LONG)
        for each in connections:
            each.join(LONG)


def endless_header() -> Iterator[bytes]:
    yield b"HTTP/1.1 200 OK\r\nX: "
    while True:
        yield b"x"


def endless_informational() -> Iterator[bytes]:
    while True:
        yield b"HTTP/1.1 103 Early Hints\r\n\r\n"


def endless_chunk_extension() -> Iterator[bytes]:
    yield b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;"
    while True:
        yield b"x"


@pytest.mark.parametrize("head", [endless_header, endless_informational, endless_chunk_extension])
def test_bytes_that_are_no_data(head: Callable[[], Iterator[bytes]], ended: threading.Event, tmp_path: Path) -> None:
    with raw_server(ended, head) as host:
        refused(host, tmp_path, r"no data for 0\.2 seconds \(tried 5 times\)", timeout=0.2)


def test_only_the_time_spent_waiting_counts() -> None:
    rate = Patience(idle=10, deadline=100, min_rate=100).rate()
    for _ in range(100):
        rate.add(12, 0.06)  # 200 a second
    rate.add(0, 5.0)  # 109 a second, from which on it begins anew
    with pytest.raises(httpx.ReadTimeout, match="only 0 bytes in 10 seconds"):
        for _ in range(1000):
            rate.add(0, 0.02)


def test_any_rate_will_do() -> None:
    rate = Patience(idle=1, deadline=100, min_rate=0).rate()
    for _ in range(100):
        rate.add(0, 0.5)


@pytest.mark.parametrize(
    "values",
    [{"deadline": 0}, {"deadline": float("nan")}, {"deadline": "1"}, {"min_rate": -1}, {"min_rate": True}],
)
def test_a_limit_that_is_none(values: Any) -> None:
    with pytest.raises(OptionError, match=f"{next(iter(values))} must be"):
        RegistryAccess(**values)
