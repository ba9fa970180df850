"""What is done with documents of container images, whatever they hold, and what must come of it: a result, or one of
our errors, on one line.

An input is a letter for what it is, and parts with `SEPARATOR` between them. So that documents lead to each other
however they were changed, a part may hold `@@N` in place of the SHA-256 digest of part N, and the number `SIZE + N` in
place of its size; these are put in before anything is read.

    L  a layout: oci-layout, index.json, and blobs
    D  an archive of `docker save`: manifest.json, and files, each with its name and a line feed in front
    R  a registry: the HTTP responses, in the order in which they are asked for
    C  a file with credentials, and what a helper program answers
    N  a name, a challenge, a platform, a digest
    I  a configuration, etc/passwd, and etc/group
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import io
import json
import re
import shutil
import ssl
import subprocess
import tempfile
import threading
from collections.abc import Container, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Self
from unittest import mock

import httpcore
import httpx

from pysquash.errors import InputError, OptionError, SourceError
from pysquash.notices import Notice
from pysquash.options.limits import Limits
from pysquash.options.writer import WriterOptions
from pysquash.sources.oci import image, registry_requests, registry_watchdog
from pysquash.sources.oci.credentials import find_credentials
from pysquash.sources.oci.digests import parse_digest
from pysquash.sources.oci.files import Files
from pysquash.sources.oci.image import ContainerImage, open_image
from pysquash.sources.oci.platforms import Platform
from pysquash.sources.oci.registry_access import RegistryAccess
from pysquash.sources.oci.registry_login import parse_challenges
from pysquash.sources.oci.registry_name import RegistryName, is_loopback
from pysquash.sources.oci.registry_trust import Connection, TrustRules
from pysquash.vm.formats import FORMATS
from pysquash.vm.image_config import RunConfig, parse_image_config
from pysquash.vm.users import resolve_user

__all__ = ["SEPARATOR", "SIZE", "exercise"]

SEPARATOR = b"\n--\n"
SIZE = 9_000_000_000

_PARTS = 12
_MESSAGE_SIZE = 2000
_ENTRIES = 100
_USER, _PASSWORD = "alice", "correct horse battery staple"
_SECRETS = (_PASSWORD.encode(), base64.b64encode(f"{_USER}:{_PASSWORD}".encode()))
_NAMES = ("alpine", "quay.io/team/app", "localhost:5000/app", "127.0.0.1/app")
_OPTIONS = WriterOptions(limits=Limits(layer_size=1 << 20, total_size=1 << 20, entry_count=1000))


def exercise(data: bytes) -> None:
    """Do what an input is for.

    Raises:
        AssertionError: A message is not one short line, or a secret goes where it must not.
        Exception: Anything that is not an InputError is a bug.
    """
    action = _ACTIONS.get(data[:1])
    if action is None:
        return
    try:
        action(data[1:].split(SEPARATOR)[:_PARTS])
    except InputError as error:
        _check_message(str(error))


def _check_message(text: str, *, of: str = "") -> None:
    """See that a message is one short line, and tells no secrets. Names are in it as the caller wrote them."""
    assert text
    assert text.isprintable() or not of.isprintable(), text
    assert len(text) <= _MESSAGE_SIZE, text[:500]
    assert not any(secret.decode() in text for secret in _SECRETS)


def _warn(notice: Notice) -> None:
    _check_message(str(notice))


def _completed(parts: list[bytes], contents: Container[int] = ()) -> list[bytes]:
    """Put in digests and sizes, from the last part to the first."""
    done = list(parts)
    for row in range(len(done) - 1, -1, -1):
        for other in range(row + 1, len(done)):
            content = _content(done[other]) if other in contents else done[other]
            digest = hashlib.sha256(content).hexdigest().encode()
            done[row] = done[row].replace(b"@@%d" % other, digest)
            done[row] = done[row].replace(b"%d" % (SIZE + other), b"%d" % len(content))
        if row in contents:  # a file may have its own digest for a name
            own = hashlib.sha256(_content(done[row])).hexdigest().encode()
            done[row] = done[row].replace(b"@@%d" % row, own)
    return done


def _content(part: bytes) -> bytes:
    """Return what stands behind the first empty line, or else the first line."""
    for end in (b"\r\n\r\n", b"\n"):
        _, found, content = part.partition(end)
        if found:
            return content
    return part


# --- images ----------------------------------------------------------------------------------------------------------


class _MemoryFiles:
    """Files by their names; a `Files`."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self._files = files

    def has(self, name: str) -> bool:
        return name in self._files

    def chunks(self, name: str) -> Iterator[bytes]:
        if name not in self._files:
            raise SourceError("file not found", source=repr(name)[:100])
        yield self._files[name]

    def why_missing(self, name: str) -> str:
        return f"there is no file {name!r:.100}"

    def close(self) -> None:
        pass


def _layout(parts: list[bytes]) -> None:
    parts = _completed(parts)
    files = {"oci-layout": parts[0], "index.json": b"".join(parts[1:2])}
    files |= {f"blobs/sha256/{hashlib.sha256(blob).hexdigest()}": blob for blob in parts[2:]}
    _archive("oci-archive", files, ("", "latest", "a"))


def _docker_archive(parts: list[bytes]) -> None:
    parts = _completed(parts, range(1, len(parts)))
    named = [part.partition(b"\n") for part in parts[1:]]
    files = {name.decode("utf-8", "surrogateescape"): content for name, _, content in named}
    _archive("docker-archive", {**files, "manifest.json": parts[0]}, ("", "@0", "@1", "docker.io/library/image:latest"))


def _archive(transport: str, files: dict[str, bytes], references: Iterable[str]) -> None:
    """Read all images of an archive, without an archive."""
    in_memory: Files = _MemoryFiles(files)
    with mock.patch.object(image, "ArchiveFiles", return_value=in_memory):
        for reference in references:
            for platform in (None, "linux/arm/v7"):
                source = f"{transport}:nowhere:{reference}" if reference else f"{transport}:nowhere"
                with _refused():
                    _read(open_image(source, platform=platform, options=_OPTIONS, warn=_warn))


def _read(found: ContainerImage) -> None:
    """Read all of an image."""
    assert str(found.platform) is not None
    with contextlib.closing(found):
        with _refused():
            parse_image_config(found.config, source=found.name)
        for opened in found.sources(_OPTIONS, _warn)[:4]:
            with _refused(), contextlib.closing(opened()) as source:
                for count, entry in enumerate(source):
                    assert entry.path is not None
                    if count > _ENTRIES:
                        break


@contextlib.contextmanager
def _refused(of: str = "") -> Iterator[None]:
    try:
        yield
    except InputError as error:
        _check_message(str(error), of=of)


# --- registries ------------------------------------------------------------------------------------------------------


class _Stream(httpcore.NetworkStream):
    """A connection that has its response already."""

    def __init__(self, host: str, response: bytes, exempt: str) -> None:
        self._host = host
        self._response = io.BytesIO(response)
        self._is_trusted = host == exempt or is_loopback(host)

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._response.read(max_bytes)

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        if any(secret in buffer for secret in _SECRETS):
            assert self._is_trusted, f"a secret goes to {self._host}"

    def close(self) -> None:
        pass

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        if not self._response.getbuffer().nbytes:
            raise httpcore.ConnectError("no TLS")
        self._is_trusted |= ssl_context.verify_mode is ssl.CERT_REQUIRED and ssl_context.check_hostname
        return self

    def get_extra_info(self, info: str) -> Any:
        return None


class _Backend(httpcore.NetworkBackend):
    """Gives each connection the next response, until there are no more."""

    def __init__(self, responses: list[bytes], exempt: str) -> None:
        self._responses = iter(responses)
        self._exempt = exempt
        self._lock = threading.Lock()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        with self._lock:
            response = next(self._responses, None)
        if response is None:
            raise httpcore.ConnectError("no more responses")
        return _Stream(host, response, self._exempt)


def _client(backend: _Backend, *, verify: ssl.SSLContext, trust_env: bool, **options: Any) -> httpx.Client:
    transport = httpx.HTTPTransport(verify=verify, trust_env=False)
    transport._pool = httpcore.ConnectionPool(ssl_context=verify, network_backend=backend)
    return _RealClient(transport=transport, trust_env=False, **options)


_RealClient = httpx.Client
_CONTEXTS = {True: ssl.create_default_context(), False: ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)}
_CONTEXTS[False].check_hostname = False
_CONTEXTS[False].verify_mode = ssl.CERT_NONE


def _context(_rules: TrustRules, connection: Connection) -> ssl.SSLContext:
    return _CONTEXTS[connection.is_checked]


def _registry(parts: list[bytes]) -> None:
    head, *responses = _completed(parts, range(1, len(parts)))
    host = "registry.example" if b"remote" in head else "127.0.0.1:5000"
    is_insecure = b"insecure" in head
    access = RegistryAccess(credentials=(_USER, _PASSWORD), tls_verify=False if is_insecure else None)
    backend = _Backend(responses, host if is_insecure else "")
    with (
        mock.patch.object(httpx, "Client", partial(_client, backend)),
        mock.patch.object(TrustRules, "context", _context),
        mock.patch.object(registry_requests, "_PAUSE_SECONDS", 0.0),
        mock.patch.object(registry_requests, "_RETRY_AFTER_LIMIT", 0.0),
        mock.patch.object(registry_watchdog, "start_thread", return_value=None),
    ):
        _read(open_image(f"docker://{host}/app", platform=None, options=_OPTIONS, warn=_warn, registries=access))


# --- what else comes from outside ------------------------------------------------------------------------------------


def _credentials(parts: list[bytes]) -> None:
    answer = b"".join(parts[1:2])

    class Helper:
        """A helper program that has ended."""

        returncode = len(parts) > 2

        def __init__(self, *_arguments: object, **_options: object) -> None:
            pass

        def __enter__(self) -> Self:
            return self

        def __exit__(self, *_error: object) -> None:
            pass

        def communicate(self, _data: bytes, *, timeout: float) -> tuple[bytes, bytes]:
            return answer, b""

    with tempfile.TemporaryDirectory(prefix="pysquash-") as folder:
        path = Path(folder, "auth.json")
        path.write_bytes(parts[0])
        for is_installed in (True, False):
            with (
                mock.patch.object(shutil, "which", lambda name, is_there=is_installed: is_there and name),
                mock.patch.object(subprocess, "Popen", Helper),
            ):
                for name in _NAMES:
                    with _refused():
                        found = find_credentials([path], RegistryName.parse(f"//{name}"), _check_message)
                        assert found is None or isinstance(found.user + found.password, str)


def _names(parts: list[bytes]) -> None:
    texts = [part.decode("utf-8", "surrogateescape") for part in parts]
    for text in texts:
        with _refused(text):
            name = RegistryName.parse(text)
            httpx.URL(f"https://{name.server}/v2/{name.repository}/manifests/{name.reference}")
            assert re.fullmatch(r"[\x21-\x7e]+", name.server + name.repository + name.reference)
        with _refused():
            parse_digest(text, source="x", what="x")
        try:
            Platform.parse(text)
        except OptionError as error:
            assert str(error)
        found = parse_challenges([text])
        assert all(isinstance(value, str) for fields in found.values() for value in fields.values())


def _image_config(parts: list[bytes]) -> None:
    try:
        document = json.loads(parts[0])
    except (ValueError, RecursionError):
        return
    if not isinstance(document, dict):
        return
    parsed = parse_image_config(document, source="x")
    texts = [part.decode("utf-8", "surrogateescape") for part in parts[1:3]]
    passwd, group = (*texts, None, None)[:2]
    user = resolve_user(parsed.user, passwd, group, source="x")
    for written in FORMATS.values():
        json.loads(written(RunConfig(parsed, user, parsed.env)))


_ACTIONS = {
    b"L": _layout,
    b"D": _docker_archive,
    b"R": _registry,
    b"C": _credentials,
    b"N": _names,
    b"I": _image_config,
}
