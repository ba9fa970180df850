"""Where credentials and tokens may go: never to a host whose certificate is not checked as it should be, and never to
one that they are not for.

`registry.test` and `other.test` are names of this machine that pysquash does not know to be loopback.
"""

from __future__ import annotations

import json
import socket
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

import pysquash
from pysquash.errors import InputError, OptionError, SourceError
from pysquash.sources.oci import registry_requests
from pysquash.sources.oci.registry_access import RegistryAccess
from pysquash.sources.oci.registry_name import RegistryName
from pysquash.sources.oci.registry_trust import Trust, TrustRules
from tests.oci.builder import Image, digest_of, file, packed, tar
from tests.oci.registry_server import IDENTITY_TOKEN, PASSWORD, TOKEN, USER, FakeRegistry, Handler, basic, redirect
from tests.snapshot import need_tool, run

LAYER = tar(file("a", b"content"))
BLOB = f"/v2/app/blobs/{digest_of(packed(LAYER, 'gzip'))}"
MANIFEST = "/v2/app/manifests/latest"
SECRETS = (PASSWORD, basic().split()[1], TOKEN, IDENTITY_TOKEN)
UNTRUSTED = "(?i)certificate verify failed"
LESS_SECURE = "not as secure"


@pytest.fixture(autouse=True)
def _surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Resolve names that end in .test to this machine, use no proxy, and wait no longer than needed."""
    resolve = socket.getaddrinfo

    def local(host: Any, *arguments: Any, **options: Any) -> Any:
        return resolve("127.0.0.1" if str(host).endswith(".test") else host, *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", local)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setenv("NO_PROXY", "")
    monkeypatch.setattr(registry_requests, "_PAUSE_SECONDS", 0.01)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a certificate for both names that nobody trusts, and its key in one file."""
    need_tool("openssl", "openssl")
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    names = "subjectAltName=DNS:registry.test,DNS:other.test,IP:127.0.0.1"
    done = run([*command, "-subj", "/CN=x", "-addext", names, "-keyout", path, "-out", path.with_suffix(".crt")])
    assert done.returncode == 0, done.stderr
    path.write_text(path.read_text() + path.with_suffix(".crt").read_text())
    return path


@pytest.fixture
def trusted(certificate: Path, tmp_path: Path) -> Path:
    """Have a directory for --cert-dir with that certificate as an authority."""
    folder = tmp_path / "certificates"
    folder.mkdir()
    (folder / "ca.crt").write_bytes(certificate.with_suffix(".crt").read_bytes())
    return folder


@pytest.fixture
def plain() -> Iterator[FakeRegistry]:
    """Have a registry over HTTP on 127.0.0.1."""
    with FakeRegistry() as server:
        server.add(Image([LAYER]))
        yield server


@pytest.fixture
def secure(certificate: Path) -> Iterator[FakeRegistry]:
    """Have a registry over HTTPS, at registry.test."""
    with FakeRegistry(certificate=certificate) as server:
        server.add(Image([LAYER]))
        yield server


@pytest.fixture
def other(certificate: Path) -> Iterator[FakeRegistry]:
    """Have another server over HTTPS, at other.test, that has the same blobs and gives tokens to anybody."""
    with FakeRegistry(certificate=certificate) as server:
        server.add(Image([LAYER]))
        yield server


def at(server: FakeRegistry, host: str) -> str:
    """Give a server's address under another name."""
    return server.host.replace("127.0.0.1", host)


def build(host: str, folder: Path, *, entry: dict[str, str] | None = None, **access: Any) -> None:
    """Build an image with credentials for a registry."""
    auth = folder / "auth.json"
    auth.write_text(json.dumps({"auths": {host: entry or {"auth": basic().split()[1]}}}))
    access = {"auth_files": [auth], **access}
    pysquash.build([f"docker://{host}/app"], folder / "out.squashfs", registry=RegistryAccess(**access))


def refused(host: str, folder: Path, match: str, **options: Any) -> None:
    with pytest.raises(InputError, match=match) as caught:
        build(host, folder, **options)
    assert not any(secret in str(caught.value) for secret in SECRETS)
    assert not (folder / "out.squashfs").exists()


def assert_no_secrets(*servers: FakeRegistry) -> None:
    for server in servers:
        for asked in server.asked:
            assert "authorization" not in asked.headers
            assert not any(secret in repr(asked) for secret in SECRETS)


# --- token servers ---------------------------------------------------------------------------------------------------

ENTRIES = [{"auth": basic().split()[1]}, {"identitytoken": IDENTITY_TOKEN}]


@pytest.mark.parametrize("entry", ENTRIES, ids=["password", "identity token"])
@pytest.mark.parametrize("tls_verify", [None, False, True])
def test_a_token_server_elsewhere_must_have_a_valid_certificate(
    tls_verify: bool | None, entry: dict[str, str], plain: FakeRegistry, other: FakeRegistry, tmp_path: Path
) -> None:
    plain.login, plain.realm = "bearer", f"https://{at(other, 'other.test')}/token"
    match = "registry.*cannot be reached|cannot be reached" if tls_verify else UNTRUSTED
    refused(plain.host, tmp_path, match, entry=entry, tls_verify=tls_verify)
    assert not other.asked


@pytest.mark.parametrize("entry", ENTRIES, ids=["password", "identity token"])
def test_a_token_server_elsewhere_is_not_asked_over_http(
    entry: dict[str, str], plain: FakeRegistry, tmp_path: Path
) -> None:
    with FakeRegistry() as server:
        plain.login, plain.realm = "bearer", f"http://{at(server, 'other.test')}/token"
        refused(plain.host, tmp_path, LESS_SECURE, entry=entry)
        refused(plain.host, tmp_path, LESS_SECURE, entry=entry, tls_verify=False)
        assert not server.asked


@pytest.mark.parametrize("realm", ["http://other.test:{port}/token", "http://127.0.0.1:{port}/token"])
def test_a_checked_registry_cannot_name_an_http_token_server(
    realm: str, secure: FakeRegistry, trusted: Path, plain: FakeRegistry, tmp_path: Path
) -> None:
    secure.login, secure.realm = "bearer", realm.format(port=plain.host.rpartition(":")[2])
    refused(at(secure, "registry.test"), tmp_path, LESS_SECURE, cert_dir=trusted)
    assert not plain.asked


def test_a_checked_registry_cannot_name_an_unchecked_token_server(
    secure: FakeRegistry, other: FakeRegistry, trusted: Path, tmp_path: Path
) -> None:
    secure.login, secure.realm = "bearer", f"https://{other.host}/token"
    refused(at(secure, "registry.test"), tmp_path, LESS_SECURE, cert_dir=trusted)
    assert not other.asked


def test_a_token_server_that_redirects_is_not_followed(
    plain: FakeRegistry, other: FakeRegistry, tmp_path: Path
) -> None:
    plain.login, plain.realm = "bearer", f"http://{plain.host}/v2/tokens"
    plain.next("/v2/tokens", redirect(f"https://{other.host}/token"))
    refused(plain.host, tmp_path, "token server 127.0.0.1 answers 307")
    assert not other.asked


# --- redirects -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [MANIFEST, BLOB])
def test_a_redirect_elsewhere_must_lead_to_a_valid_certificate(
    path: str, plain: FakeRegistry, other: FakeRegistry, tmp_path: Path
) -> None:
    plain.login = "basic"
    plain.next(path, redirect(f"https://{at(other, 'other.test')}{path}"))
    refused(plain.host, tmp_path, UNTRUSTED)
    assert not other.asked


@pytest.mark.parametrize("path", [MANIFEST, BLOB])
def test_a_redirect_elsewhere_is_not_followed_over_http(path: str, plain: FakeRegistry, tmp_path: Path) -> None:
    with FakeRegistry() as server:
        plain.next(path, redirect(f"http://{at(server, 'other.test')}{path}"))
        refused(plain.host, tmp_path, LESS_SECURE)
        assert not server.asked


@pytest.mark.parametrize("target", ["http://registry.test", "http://127.0.0.1", "https://127.0.0.1"])
@pytest.mark.parametrize("path", [MANIFEST, BLOB])
def test_a_checked_registry_cannot_redirect_to_less(
    path: str, target: str, secure: FakeRegistry, trusted: Path, certificate: Path, tmp_path: Path
) -> None:
    with FakeRegistry(certificate=certificate if target.startswith("https") else None) as server:
        server.add(Image([LAYER]))
        secure.next(path, redirect(f"{target}:{server.host.rpartition(':')[2]}{path}"))
        refused(at(secure, "registry.test"), tmp_path, LESS_SECURE, cert_dir=trusted)
        assert not server.asked


def test_credentials_do_not_come_back_with_a_redirect(plain: FakeRegistry, tmp_path: Path) -> None:
    plain.login = "basic"
    with FakeRegistry() as server:
        server.next("/away", redirect(f"http://{plain.host}/v2/app/back"))
        plain.next(BLOB, redirect(f"http://{server.host}/away"))
        plain.next("/v2/app/back", lambda handler, _: handler.send(200, packed(LAYER, "gzip")))
        build(plain.host, tmp_path)
        assert_no_secrets(server)
    [back] = plain.requests("/back")
    assert "authorization" not in back.headers
    assert plain.requests(BLOB)[0].headers["authorization"] == basic()


def test_a_challenge_after_a_redirect_back_is_not_answered(plain: FakeRegistry, tmp_path: Path) -> None:
    plain.login = "basic"
    with FakeRegistry() as server:
        server.next("/away", redirect(f"http://{plain.host}/v2/app/back"))
        plain.next(BLOB, redirect(f"http://{server.host}/away"))
        refused(plain.host, tmp_path, "does not let us have the blob")
    assert ["authorization" in each.headers for each in plain.requests("/back")] == [False]


def test_no_cookies(plain: FakeRegistry, tmp_path: Path) -> None:
    def with_cookie(handler: Handler, body: bytes) -> None:
        media_type = plain.manifests["latest"][0]
        handler.send(200, body, Content_Type=media_type, Set_Cookie="session=secret; Path=/")

    plain.next(MANIFEST, with_cookie)
    with FakeRegistry() as server:  # for cookies, the same host
        server.add(Image([LAYER]))
        plain.next(BLOB, redirect(f"http://{server.host}{BLOB}"))
        build(plain.host, tmp_path)
        asked = [*plain.asked, *server.asked]
        assert len(asked) > 3
        assert not any("cookie" in each.headers for each in asked)


# --- what a caller may say -------------------------------------------------------------------------------------------


def test_a_registry_elsewhere_is_checked(secure: FakeRegistry, tmp_path: Path) -> None:
    refused(at(secure, "registry.test"), tmp_path, UNTRUSTED)
    assert not secure.asked


def test_a_registry_elsewhere_is_not_asked_over_http(plain: FakeRegistry, tmp_path: Path) -> None:
    refused(at(plain, "registry.test"), tmp_path, "cannot be reached")
    assert not plain.asked


def test_no_tls_verify_is_for_the_registry_itself(
    secure: FakeRegistry, other: FakeRegistry, certificate: Path, tmp_path: Path
) -> None:
    host = at(secure, "registry.test")
    secure.login = "bearer"
    with FakeRegistry(certificate=certificate) as tokens:
        secure.realm = f"https://{at(tokens, 'registry.test')}/token"  # another port of the same host
        build(host, tmp_path, tls_verify=False)
        assert tokens.requests("/token")[0].headers["authorization"] == basic()
    (tmp_path / "out.squashfs").unlink()
    secure.realm = f"https://{at(other, 'other.test')}/token"
    refused(host, tmp_path, UNTRUSTED, tls_verify=False)
    secure.login = None
    secure.next(BLOB, redirect(f"https://{at(other, 'other.test')}{BLOB}"))
    refused(host, tmp_path, UNTRUSTED, tls_verify=False)
    assert not other.asked


def test_no_tls_verify_allows_http(plain: FakeRegistry, tmp_path: Path) -> None:
    host = at(plain, "registry.test")
    build(host, tmp_path, tls_verify=False)
    plain.login, plain.realm = "bearer", f"http://{host}/token"
    build(host, tmp_path, tls_verify=False)
    assert plain.requests("/token")


def test_tls_verify_checks_this_machine_too(secure: FakeRegistry, plain: FakeRegistry, tmp_path: Path) -> None:
    refused(secure.host, tmp_path, UNTRUSTED, tls_verify=True)
    refused(plain.host, tmp_path, "cannot be reached", tls_verify=True)
    assert not secure.asked
    assert not plain.asked


def test_an_authority_is_for_the_registry_itself(
    secure: FakeRegistry, other: FakeRegistry, trusted: Path, tmp_path: Path
) -> None:
    host = at(secure, "registry.test")
    secure.login, secure.realm = "basic", None
    build(host, tmp_path, cert_dir=trusted)
    assert secure.requests(BLOB)[-1].headers["authorization"] == basic()
    (tmp_path / "out.squashfs").unlink()
    secure.login, secure.realm = "bearer", f"https://{at(other, 'other.test')}/token"
    refused(host, tmp_path, UNTRUSTED, cert_dir=trusted)
    assert not other.asked


def test_a_client_certificate_goes_to_the_registry_itself(
    certificate: Path, trusted: Path, plain: FakeRegistry, tmp_path: Path
) -> None:
    (trusted / "client.cert").write_bytes(certificate.with_suffix(".crt").read_bytes())
    (trusted / "client.key").write_bytes(certificate.read_bytes())
    with FakeRegistry(certificate=certificate) as server:
        context = server.tls
        assert context is not None
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(certificate.with_suffix(".crt"))
        server.add(Image([LAYER]))
        build(at(server, "registry.test"), tmp_path, cert_dir=trusted)
        assert server.requests(BLOB)
        server.asked.clear()
        (tmp_path / "out.squashfs").unlink()
        # From another registry, that server is asked without the certificate.
        plain.next(BLOB, redirect(f"https://{server.host}{BLOB}"))
        refused(at(plain, "registry.test"), tmp_path, "tried 5 times", cert_dir=trusted, tls_verify=False)
        assert not server.requests(BLOB)


@pytest.mark.parametrize(
    ("files", "match"),
    [
        ({"x.crt": b"no certificate"}, "x.crt is not a certificate or key in PEM form"),
        ({"x.cert": b"no certificate", "x.key": b"no key"}, "x.cert is not a certificate or key in PEM form"),
        ({"x.cert": b""}, "client certificate .*x.cert has no key x.key"),
        ({"x.key": b""}, "key .*x.key has no client certificate"),
    ],
)
def test_a_certificate_directory_that_is_none(files: dict[str, bytes], match: str, tmp_path: Path) -> None:
    folder = tmp_path / "certificates"
    folder.mkdir()
    for name, data in files.items():
        (folder / name).write_bytes(data)
    refused("registry.test:1", tmp_path, match, cert_dir=folder)


def test_a_certificate_directory_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="missing"):
        build("registry.test:1", tmp_path, cert_dir=tmp_path / "missing")


@pytest.mark.parametrize("login", ["basic", "bearer"])
def test_credentials_that_the_caller_names(login: str, plain: FakeRegistry, tmp_path: Path) -> None:
    plain.login = login
    build(plain.host, tmp_path, credentials=(USER, PASSWORD), auth_files=None)
    (tmp_path / "out.squashfs").unlink()
    refused(plain.host, tmp_path, "does not accept", credentials=(USER, "wrong"), auth_files=None)
    assert PASSWORD not in repr(RegistryAccess(credentials=(USER, PASSWORD)))


def test_credentials_are_for_one_registry(plain: FakeRegistry, tmp_path: Path) -> None:
    plain.login = "basic"
    access = RegistryAccess(credentials=(USER, PASSWORD))
    with FakeRegistry() as server:
        server.login = "basic"
        for second in (f"docker://{server.host}/app", pysquash.Part(f"docker://{server.host}/app", ["a"])):
            with pytest.raises(OptionError, match="for one registry") as caught:
                pysquash.build([f"docker://{plain.host}/app", second], tmp_path / "out", registry=access)
            assert PASSWORD not in str(caught.value)
        assert not server.asked
        assert not plain.asked
    pysquash.build([f"docker://{plain.host}/app", f"docker://{plain.host}/app"], tmp_path / "out", registry=access)


@pytest.mark.parametrize("pair", [("", "x"), ("a:b", "x"), ("a",), "ab", ("a", b"x"), ["a", "b"]])
def test_credentials_that_are_none(pair: Any) -> None:
    with pytest.raises(OptionError, match="credentials must be"):
        RegistryAccess(credentials=pair)


# --- proxies ---------------------------------------------------------------------------------------------------------


class Proxy:
    """A proxy that refuses everything, and notes what was asked of it.

    Attributes:
        asked: The request lines and headers.
        url: Where it is.
    """

    def __init__(self, certificate: Path | None = None) -> None:
        asked = self.asked = list[tuple[str, dict[str, str]]]()

        class Refusing(BaseHTTPRequestHandler):
            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base has that name
                pass

            def do_CONNECT(self) -> None:
                asked.append((self.requestline, {key.lower(): value for key, value in self.headers.items()}))
                self.send_error(403)

            do_GET = do_POST = do_CONNECT  # noqa: N815 - the base has these names

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Refusing)
        self._server.daemon_threads = True
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        scheme = "http" if certificate is None else "https"
        self.url = f"{scheme}://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """Have a proxy, in the environment."""
    server = Proxy()
    for name in ("HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, server.url)
    yield server
    server.close()


def test_this_machine_is_asked_without_the_proxy(plain: FakeRegistry, proxy: Proxy, tmp_path: Path) -> None:
    build(plain.host, tmp_path)
    assert not proxy.asked


def test_a_token_server_elsewhere_is_asked_through_the_proxy(plain: FakeRegistry, proxy: Proxy, tmp_path: Path) -> None:
    plain.login, plain.realm = "bearer", "https://other.test/token"
    refused(plain.host, tmp_path, "other.test cannot be reached")
    assert {line for line, _ in proxy.asked} == {"CONNECT other.test:443 HTTP/1.1"}
    assert not any("authorization" in headers for _, headers in proxy.asked)


def test_a_registry_elsewhere_may_lead_back_to_no_proxy(
    plain: FakeRegistry, proxy: Proxy, other: FakeRegistry, tmp_path: Path
) -> None:
    plain.next(BLOB, redirect(f"https://{other.host}{BLOB}"))
    build(plain.host, tmp_path)
    assert other.requests(BLOB)
    assert not proxy.asked


def test_the_certificate_of_a_proxy_is_checked(
    certificate: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    server = Proxy(certificate)
    try:
        for name in ("HTTP_PROXY", "HTTPS_PROXY"):
            monkeypatch.setenv(name, server.url)
        refused("registry.test", tmp_path, UNTRUSTED, tls_verify=False)
        assert not server.asked
    finally:
        server.close()


# --- the rules, as such ----------------------------------------------------------------------------------------------

HOSTS = ["localhost", "LOCALHOST", "127.0.0.1", "127.8.8.8", "[::1]", "registry.test", "REGISTRY.test", "other.test"]
HOSTS += ["10.0.0.1", "127.0.0.1.test", "localhost.test", "[::2]", "[::ffff:10.0.0.1]"]
urls = st.builds(
    "{}://{}{}/x".format,
    st.sampled_from(["http", "https", "HTTPS", "ftp", "file", "ws"]),
    st.sampled_from(HOSTS),
    st.sampled_from(["", ":80", ":443", ":5000"]),
)


@given(
    registry=st.sampled_from(["localhost:5000", "127.0.0.1", "[::1]:1", "registry.test", "Registry.test:5000"]),
    tls_verify=st.sampled_from([None, True, False]),
    steps=st.lists(urls, min_size=1, max_size=6),
)
def test_no_step_lowers_the_trust(registry: str, tls_verify: bool | None, steps: list[str]) -> None:
    name = RegistryName.parse(f"//{registry}/app")
    rules = TrustRules(name, RegistryAccess(tls_verify=tls_verify), source="x")
    here = httpx.URL(f"https://{registry}/v2/")
    for step in steps:
        there = httpx.URL(step)
        if not rules.may_lead(here, there):
            continue
        assert there.scheme in ("http", "https")
        assert rules.trust(there) >= rules.trust(here)
        is_local = there.host.lower() in ("localhost", "127.0.0.1", "127.8.8.8", "::1")
        is_own = there.host.lower() == name.server_host
        may_be_unchecked = tls_verify is not True and (is_local or (is_own and tls_verify is False))
        assert rules.trust(there) is Trust.CHECKED or may_be_unchecked
        assert rules.connection(there).is_checked is not may_be_unchecked
        assert rules.connection(there).uses_proxy is not is_local
        here = there


def test_a_url_with_credentials_leads_nowhere() -> None:
    rules = TrustRules(RegistryName.parse("//localhost/app"), RegistryAccess(), source="x")
    assert not rules.may_lead(httpx.URL("https://localhost/"), httpx.URL("https://a:b@other.test/"))


def test_a_password_in_a_name_is_not_a_host(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="a login is not part of a name") as caught:
        pysquash.build(["docker://alice:secret@registry.test/app"], tmp_path / "out")
    assert "secret" not in str(caught.value)
