"""Images from a registry that misbehaves: what is tried again, what is refused, and what never leaves us."""

from __future__ import annotations

import contextlib
import gzip
import json
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import pysquash
from pysquash import Report
from pysquash.errors import InputError, LimitError, SourceError
from pysquash.options.writer import WriterOptions
from pysquash.sources.oci import registry_requests
from pysquash.sources.oci.image import ContainerImage, open_image
from pysquash.sources.oci.registry_access import RegistryAccess
from tests.oci.builder import INDEX, Image, Layer, digest_of, file, packed, tar
from tests.oci.registry_server import (
    IDENTITY_TOKEN,
    PASSWORD,
    TOKEN,
    USER,
    Answer,
    FakeRegistry,
    Handler,
    basic,
    broken_off,
    held,
    redirect,
    status,
)
from tests.snapshot import need_tool, run

NOISE = bytes((at * at * 7 + at // 251) & 0xFF for at in range(3_000_000))
LAYERS = [tar(file("base", NOISE[:50_000])), tar(file("middle", b"m")), tar(file("top", NOISE[:30_000]))]
SECONDS = 20.0
ACCESS = ("auth_files", "blob_cache", "credentials", "tls_verify", "cert_dir", "deadline", "min_rate")


@pytest.fixture(autouse=True)
def _no_long_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry_requests, "_PAUSE_SECONDS", 0.01)


@pytest.fixture(autouse=True)
def _nothing_left_behind() -> Iterator[None]:
    yield
    until = time.monotonic() + SECONDS
    while (names := download_threads()) and time.monotonic() < until:
        time.sleep(0.02)
    assert not names


def download_threads() -> list[str]:
    return [each.name for each in threading.enumerate() if each.name.startswith("pysquash-sha")]


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    with FakeRegistry() as server:
        server.add(Image(LAYERS))
        yield server


def build(registry: FakeRegistry, folder: Path, name: str = "app", **options: object) -> tuple[bytes, Report]:
    """Build what there is under a name."""
    access = {"auth_files": [], **{key: options.pop(key) for key in ACCESS if key in options}}
    options["registry"] = RegistryAccess(**access)  # type: ignore[arg-type]
    path = folder / "out.squashfs"
    report = pysquash.build([f"docker://{registry.host}/{name}"], path, **options)  # type: ignore[arg-type]
    return path.read_bytes(), report


def refused(registry: FakeRegistry, folder: Path, match: str, name: str = "app", **options: object) -> str:
    """See that there is an error, and no image."""
    with pytest.raises(InputError, match=match) as caught:
        build(registry, folder, name, **options)
    assert not (folder / "out.squashfs").exists()
    assert "docker://" in str(caught.value)
    message = str(caught.value)
    assert not any(secret in message for secret in (PASSWORD, basic().split()[1], TOKEN, IDENTITY_TOKEN))
    return message


def expected(folder: Path) -> bytes:
    """Build the same layers as tars."""
    path = folder / "expected.squashfs"
    pysquash.tar2squashfs([(layer,) for layer in LAYERS], path, options=WriterOptions(duplicates="last"))
    return path.read_bytes()


def layer_path(row: int) -> str:
    return f"/v2/app/blobs/{digest_of(packed(LAYERS[row], 'gzip'))}"


def logins(folder: Path, host: str, **entry: str) -> list[Path]:
    """Write an auth.json."""
    row = entry or {"auth": basic().split()[1]}
    path = folder / "auth.json"
    path.write_text(json.dumps({"auths": {host: row}}))
    return [path]


# --- what is right ---------------------------------------------------------------------------------------------------


def test_an_image_is_what_its_layers_are(registry: FakeRegistry, tmp_path: Path) -> None:
    image, report = build(registry, tmp_path)
    assert image == expected(tmp_path)
    assert {digest_of(packed(layer, "gzip")) for layer in LAYERS} <= set(report.digests_verified)
    assert report.layers == 3


def test_by_digest(registry: FakeRegistry, tmp_path: Path) -> None:
    row = registry.add(Image(LAYERS), "old")
    registry.manifests[row["digest"]] = registry.manifests["old"]
    assert build(registry, tmp_path, f"app@{row['digest']}")[0] == expected(tmp_path)
    registry.manifests[row["digest"]] = (row["mediaType"], registry.blobs[row["digest"]] + b" ")
    (tmp_path / "out.squashfs").unlink()
    refused(registry, tmp_path, "has the digest sha256:.*, not sha256:", f"app@{row['digest']}")


def test_of_an_index_the_platform_that_is_wanted(registry: FakeRegistry, tmp_path: Path) -> None:
    rows = []
    for platform in ("linux/arm64", "linux/riscv64"):
        image = Image(LAYERS[:2] if platform == "linux/riscv64" else LAYERS[1:], platform=platform)
        system, architecture = platform.split("/")
        row = registry.blobs.image(image) | {"platform": {"os": system, "architecture": architecture}}
        registry.manifests[row["digest"]] = (row["mediaType"], registry.blobs[row["digest"]])
        rows.append(row)
    registry.add_document(registry.blobs.index(rows), "many")
    _, report = build(registry, tmp_path, "app:many", platform="linux/riscv64")
    assert report.layers == 2
    assert rows[1]["digest"] in report.digests_verified
    accepted = registry.requests(rows[1]["digest"])[0].headers["accept"]
    assert INDEX in accepted
    (tmp_path / "out.squashfs").unlink()
    refused(registry, tmp_path, "has no image for linux/s390x; there is: .*arm64", "app:many", platform="linux/s390x")


def test_a_registry_that_does_not_know_what_a_manifest_is(registry: FakeRegistry, tmp_path: Path) -> None:
    registry.manifests["latest"] = ("text/plain; charset=utf-8", registry.manifests["latest"][1])
    assert build(registry, tmp_path)[0] == expected(tmp_path)


# --- what is tried again ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "answers",
    [
        [status(503), status(502)],
        [status(429, Retry_After="0")],
        [status(429, Retry_After="Wed, 21 Oct 2015 07:28:00 GMT")],
        [broken_off(0), broken_off(0)],
        [broken_off(1000), broken_off(0), broken_off(5000)],
    ],
    ids=["5xx", "429", "429 with a date", "no body", "half a body"],
)
@pytest.mark.parametrize("takes_ranges", [True, False])
def test_what_may_pass_is_tried_again(
    answers: list[Answer], takes_ranges: bool, registry: FakeRegistry, tmp_path: Path
) -> None:
    registry.takes_ranges = takes_ranges
    registry.next("/v2/app/manifests/latest", *([] if not takes_ranges else answers[:1]))
    for row in range(3):
        script = answers if takes_ranges else answers[:1]
        registry.next(layer_path(row), *script)
    assert build(registry, tmp_path)[0] == expected(tmp_path)


def test_what_breaks_off_goes_on_from_there(registry: FakeRegistry, tmp_path: Path) -> None:
    registry.next(layer_path(0), broken_off(10_000))
    build(registry, tmp_path)
    ranges = [each.headers.get("range") for each in registry.requests(layer_path(0))]
    assert ranges == [None, "bytes=10000-"]


def test_a_range_that_is_another_is_refused(registry: FakeRegistry, tmp_path: Path) -> None:
    def other(handler: Handler, body: bytes) -> None:
        handler.send(206, body[5:], Content_Range=f"bytes 5-{len(body) - 1}/{len(body)}")

    registry.next(layer_path(0), broken_off(10_000), other)
    refused(registry, tmp_path, "another range")


@pytest.mark.parametrize("part", ["/v2/app/manifests/latest", layer_path(0), layer_path(2)])
@pytest.mark.parametrize(
    ("answer", "match"), [(status(503), "answers 503.*tried 5 times"), (broken_off(0), "tried 5 times")]
)
def test_attempts_are_counted(part: str, answer: Answer, match: str, registry: FakeRegistry, tmp_path: Path) -> None:
    registry.next(part, *[answer] * 20)
    refused(registry, tmp_path, match)
    assert len(registry.requests(part)) == 5


def test_a_server_that_asks_to_wait_is_waited_for(registry: FakeRegistry, tmp_path: Path) -> None:
    registry.next("/v2/app/manifests/latest", status(429, Retry_After="1"))
    begun = time.monotonic()
    build(registry, tmp_path)
    assert time.monotonic() - begun >= 1


def test_nobody_there(tmp_path: Path) -> None:
    with FakeRegistry() as registry:
        pass
    message = refused(registry, tmp_path, "cannot be reached.*tried 5 times")
    assert "\n" not in message


# --- what is refused -------------------------------------------------------------------------------------------------


def test_what_is_not_there(registry: FakeRegistry, tmp_path: Path) -> None:
    refused(registry, tmp_path, "no such thing: the manifest v9 .BLOB_UNKNOWN", "app:v9")
    del registry.blobs[layer_path(1).rpartition("/")[2]]
    refused(registry, tmp_path, "no such thing: the blob sha256:")


@pytest.mark.parametrize("row", range(3))
@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda data: gzip.compress(b"no tar at all" * 100, mtime=0), "the blob"),
        (lambda data: data[:-1] + b"?", "has the digest sha256:.*, not sha256:"),
        (lambda data: data + b"more", "larger than the"),
        (lambda data: data[: len(data) // 2], "the blob has .* bytes, not"),
        (lambda data: b"", "the blob has 0 bytes, not|ends early"),
        (lambda data: b"?" * len(data), "has the digest sha256:.*, not sha256:"),
    ],
    ids=["other", "last byte", "longer", "shorter", "empty", "garbage"],
)
def test_a_layer_that_is_another(
    row: int, change: Callable[[bytes], bytes], match: str, registry: FakeRegistry, tmp_path: Path
) -> None:
    digest = layer_path(row).rpartition("/")[2]
    registry.blobs[digest] = change(registry.blobs[digest])
    cache = tmp_path / "cache"
    refused(registry, tmp_path, match, blob_cache=cache)
    assert not (cache / "blobs" / digest.replace(":", "/")).exists()
    assert not list(cache.rglob(".*"))


def test_a_digest_that_the_registry_names_is_held_to(registry: FakeRegistry, tmp_path: Path) -> None:
    media_type, body = registry.manifests["latest"]

    def named(digest: str) -> Answer:
        return lambda handler, _: handler.send(200, body, Content_Type=media_type, Docker_Content_Digest=digest)

    registry.next("/v2/app/manifests/latest", named(digest_of(body, "sha512")))
    build(registry, tmp_path)
    (tmp_path / "out.squashfs").unlink()
    registry.next("/v2/app/manifests/latest", named(digest_of(b"other")), named("sha256:../../x"))
    refused(registry, tmp_path, "has the digest sha256:.*, not sha256:")
    refused(registry, tmp_path, "which is none")


def test_documents_are_bounded(registry: FakeRegistry, tmp_path: Path) -> None:
    media_type, body = registry.manifests["latest"]
    registry.manifests["latest"] = (media_type, body + b" " * (4 << 20))
    with pytest.raises(LimitError, match="the size of the manifest latest"):
        build(registry, tmp_path)

    def endless(handler: Handler, _body: bytes) -> None:
        with contextlib.suppress(ConnectionError):
            handler.send(200, b" " * (8 << 20), size=1 << 40)
        handler.close_connection = True

    registry.next("/v2/app/manifests/latest", endless)
    with pytest.raises(LimitError, match="the size of the manifest latest"):
        build(registry, tmp_path)


def test_what_is_no_manifest(registry: FakeRegistry, tmp_path: Path) -> None:
    registry.manifests["text"] = ("text/html", b"<html>")
    refused(registry, tmp_path, "has no image for linux", "app:text")
    schema_1 = b'{"schemaVersion": 1, "fsLayers": []}'
    registry.manifests["v1"] = ("application/vnd.docker.distribution.manifest.v1+prettyjws", schema_1)
    refused(registry, tmp_path, "schema 1, which is not read", "app:v1")


# --- logins ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["basic", "bearer"])
def test_a_login_is_used_when_it_is_asked_for(kind: str, registry: FakeRegistry, tmp_path: Path) -> None:
    files = logins(tmp_path, registry.host)
    build(registry, tmp_path, auth_files=files)
    assert not any("authorization" in each.headers for each in registry.asked)
    registry.login = kind
    registry.asked.clear()
    assert build(registry, tmp_path, auth_files=files)[0] == expected(tmp_path)
    for each in registry.requests("/token"):
        assert each.query["scope"] == ["repository:app:pull"]
        assert each.query["service"] == ['a "registry"']
        assert each.query["account"] == [USER]
        assert each.headers["authorization"] == basic()
    assert len(registry.requests("/token")) == (kind == "bearer")


def test_a_token_without_a_login(registry: FakeRegistry, tmp_path: Path) -> None:
    registry.login = "bearer"
    assert build(registry, tmp_path)[0] == expected(tmp_path)
    assert "authorization" not in registry.requests("/token")[0].headers


def test_an_identity_token_buys_another(registry: FakeRegistry, tmp_path: Path) -> None:
    registry.login = "bearer"
    files = logins(tmp_path, registry.host, identitytoken=IDENTITY_TOKEN)
    assert build(registry, tmp_path, auth_files=files)[0] == expected(tmp_path)
    assert [each.method for each in registry.requests("/token")] == ["POST"]
    files = logins(tmp_path, registry.host, identitytoken=IDENTITY_TOKEN[::-1])
    (tmp_path / "out.squashfs").unlink()
    assert IDENTITY_TOKEN[::-1] not in refused(registry, tmp_path, "does not accept the login", auth_files=files)


def test_a_registry_token_is_used_as_it_is(registry: FakeRegistry, tmp_path: Path) -> None:
    registry.login = "bearer"
    files = logins(tmp_path, registry.host, registrytoken=TOKEN)
    assert build(registry, tmp_path, auth_files=files)[0] == expected(tmp_path)
    assert not registry.requests("/token")


def test_a_token_that_expires_is_got_anew(registry: FakeRegistry, tmp_path: Path) -> None:
    registry.login = "bearer"
    challenge = f'Bearer realm="http://{registry.host}/token"'
    registry.next(layer_path(1), status(401, WWW_Authenticate=challenge))
    assert build(registry, tmp_path)[0] == expected(tmp_path)
    assert len(registry.requests("/token")) == 2


def test_a_token_server_may_be_slow_to_answer(registry: FakeRegistry, tmp_path: Path) -> None:
    registry.login = "bearer"
    realm = f"http://{registry.host}/v2/tokens"
    registry.realm = realm
    answer = json.dumps({"token": TOKEN}).encode()
    registry.next("/v2/tokens", status(503), lambda handler, _: handler.send(200, answer))
    assert build(registry, tmp_path)[0] == expected(tmp_path)


@pytest.mark.parametrize("kind", ["basic", "bearer"])
def test_a_wrong_login(kind: str, registry: FakeRegistry, tmp_path: Path) -> None:
    registry.login = kind
    files = logins(tmp_path, registry.host, username=USER, password="secret")
    message = refused(registry, tmp_path, f"does not accept the login of '{USER}'", auth_files=files)
    assert "secret" not in message


def test_no_login(registry: FakeRegistry, tmp_path: Path) -> None:
    registry.login = "basic"
    refused(registry, tmp_path, "wants a login, and there is none")
    registry.next("/v2/app/manifests/latest", status(401, WWW_Authenticate="Negotiate"), status(401), status(403))
    refused(registry, tmp_path, "of a kind that is not known: negotiate")
    refused(registry, tmp_path, "of a kind that is not known: it does not say which")
    refused(registry, tmp_path, "does not let us have the manifest latest")


def test_a_store_of_logins_that_is_not_installed(registry: FakeRegistry, tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text('{"auths": {}, "credsStore": "that-is-not-there"}')
    text = f"{path}: credential helper docker-credential-that-is-not-there (credsStore) is not installed"
    registry.login = "bearer"
    image, report = build(registry, tmp_path, auth_files=[path])
    assert image == expected(tmp_path)
    assert [group.examples for group in report.warnings] == [(f"docker://{registry.host}/app: {text}",)]
    (tmp_path / "out.squashfs").unlink()
    refused(registry, tmp_path, re.escape(text), auth_files=[path], options=WriterOptions(strict=True))
    registry.login = "basic"
    assert refused(registry, tmp_path, "wants a login", auth_files=[path]).endswith(f"; {text}")
    realm = f'Bearer realm="http://{registry.host}/token"'
    registry.next("/v2/app/manifests/latest", status(401, WWW_Authenticate=realm), status(403))
    assert refused(registry, tmp_path, "does not let us have", auth_files=[path]).endswith(f"; {text}")


@pytest.mark.parametrize("realm", ["ftp://127.0.0.1/token", "token", "http://alice:x@127.0.0.1/", "http://[::1", " "])
def test_a_token_server_that_is_none(realm: str, registry: FakeRegistry, tmp_path: Path) -> None:
    registry.login, registry.realm = "bearer", realm
    refused(
        registry,
        tmp_path,
        "names the token server .*, which is not a URL or not as secure",
        auth_files=logins(tmp_path, registry.host),
    )


@pytest.mark.parametrize("body", [b"{", b"[]", b"{}", b'{"token": "a\\r\\nX: y"}', b'{"token": 1}', b" " * (2 << 20)])
def test_a_token_that_is_none(body: bytes, registry: FakeRegistry, tmp_path: Path) -> None:
    registry.login, registry.realm = "bearer", f"http://{registry.host}/v2/tokens"
    registry.next("/v2/tokens", *[lambda handler, _: handler.send(200, body)] * 2)
    refused(registry, tmp_path, "gives no token")


# --- redirects -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("kind", ["basic", "bearer"])
def test_a_redirect_takes_no_login_along(code: int, kind: str, registry: FakeRegistry, tmp_path: Path) -> None:
    with FakeRegistry() as other:
        other.blobs.update(registry.blobs)
        registry.login = kind
        for row in range(3):
            target = f"http://{other.host}{layer_path(row)}?signature=secret"
            registry.next(layer_path(row), redirect(target, code))
        image, _ = build(registry, tmp_path, auth_files=logins(tmp_path, registry.host))
        assert image == expected(tmp_path)
        assert len(other.asked) == 3
        assert not any("authorization" in each.headers for each in other.asked)


def test_another_host_that_wants_a_login_gets_none(registry: FakeRegistry, tmp_path: Path) -> None:
    with FakeRegistry() as other:
        other.blobs.update(registry.blobs)
        other.login = registry.login = "basic"
        registry.next(layer_path(2), redirect(f"http://{other.host}{layer_path(2)}?signature=secret"))
        files = logins(tmp_path, registry.host)
        message = refused(registry, tmp_path, "does not let us have the blob", auth_files=files)
        assert "secret" not in message
        assert not any("authorization" in each.headers for each in other.asked)


def test_a_redirect_on_the_same_host(registry: FakeRegistry, tmp_path: Path) -> None:
    registry.login = "basic"
    registry.next(layer_path(0), redirect("/v2/app/elsewhere"))
    body = registry.blobs[layer_path(0).rpartition("/")[2]]
    registry.next("/v2/app/elsewhere", lambda handler, _: handler.send(200, body))
    build(registry, tmp_path, auth_files=logins(tmp_path, registry.host))
    assert registry.requests("elsewhere")[0].headers["authorization"] == basic()


@pytest.mark.parametrize(
    "target",
    [
        "",
        "ftp://127.0.0.1/x",
        "http://[::1",
        "http://alice:x@127.0.0.1/",
        "file:///x",
        "https:x",
        "http://127.0.0.1:x/",
        "http://\x80",
        "http://" + "a" * 70 + ".example/",
        "https://" + "a" * 70 + ".example/",
    ],
)
def test_a_redirect_to_nowhere(target: str, registry: FakeRegistry, tmp_path: Path) -> None:
    registry.next(layer_path(0), *[redirect(target)] * 10)
    refused(registry, tmp_path, "redirects|the host name is invalid")


def test_a_host_name_that_is_none(tmp_path: Path) -> None:
    name = "a" * 70 + ".example"
    with pytest.raises(SourceError, match="the host name is invalid"):
        pysquash.build([f"docker://{name}/app"], tmp_path / "out", registry=RegistryAccess(auth_files=[]))


def test_redirects_are_counted(registry: FakeRegistry, tmp_path: Path) -> None:
    registry.next(layer_path(0), *[redirect(layer_path(0))] * 50)
    refused(registry, tmp_path, "redirects more than 5 times")


# --- HTTPS -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a certificate that nobody trusts, with its key."""
    need_tool("openssl", "openssl")
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    done = run([*command, "-subj", "/CN=127.0.0.1", "-keyout", path, "-out", f"{path}.crt"])
    assert done.returncode == 0, done.stderr
    path.write_text(path.read_text() + Path(f"{path}.crt").read_text())
    return path


def test_this_machine_is_asked_over_https_first(certificate: Path, tmp_path: Path) -> None:
    with FakeRegistry(certificate=certificate) as registry:
        registry.add(Image(LAYERS))
        assert build(registry, tmp_path)[0] == expected(tmp_path)
        with FakeRegistry() as plain:
            registry.next(layer_path(0), redirect(f"http://{plain.host}/x"))
            (tmp_path / "out.squashfs").unlink()
            refused(registry, tmp_path, "redirects to http://127.0.0.1, which is not a URL or not as secure")
            registry.login, registry.realm = "bearer", f"http://{plain.host}/token"
            refused(registry, tmp_path, "names the token server .*, which is not a URL or not as secure")
            assert not plain.asked


def test_elsewhere_a_certificate_must_be_trusted(
    certificate: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pysquash.sources.oci.registry_trust.is_loopback", lambda _host: False)
    with FakeRegistry(certificate=certificate) as registry:
        registry.add(Image(LAYERS))
        monkeypatch.setenv("NO_PROXY", "*")
        message = refused(registry, tmp_path, "(?i)certificate verify failed")
        assert "tried" not in message
        assert not registry.asked


# --- several layers at once ------------------------------------------------------------------------------------------


@contextlib.contextmanager
def opened(registry: FakeRegistry, cache: Path | None = None) -> Iterator[ContainerImage]:
    image = open_image(
        f"docker://{registry.host}/app",
        platform=None,
        options=WriterOptions(),
        warn=lambda _notice: None,
        registries=RegistryAccess(auth_files=[], blob_cache=cache),
    )
    try:
        yield image
    finally:
        image.close()


def test_a_layer_is_read_before_it_and_others_are_there(registry: FakeRegistry) -> None:
    plain = tar(file("first", NOISE[:1000]), file("second", NOISE[:2_000_000]))
    registry.add(Image([LAYERS[0], Layer(plain, packing="plain")]))
    until = threading.Event()
    registry.next(layer_path(0), held(until))
    registry.next(f"/v2/app/blobs/{digest_of(plain)}", held(until, after=4096))
    with opened(registry) as image:
        _, open_top = image.sources(WriterOptions(), lambda _line: None)
        source = open_top()
        entries = iter(source)
        assert next(entries).path == b"first"
        assert source.read(1000) == NOISE[:1000]
        until_asked = time.monotonic() + SECONDS
        while not registry.requests(layer_path(0)) and time.monotonic() < until_asked:
            time.sleep(0.01)
        assert registry.requests(layer_path(0)), "the next layer is not fetched meanwhile"
        until.set()
        assert next(entries).path == b"second"
        assert source.read(2_000_000) == NOISE[:2_000_000]
        assert list(entries) == []
        source.close()


def test_three_at_once_and_no_more(registry: FakeRegistry, tmp_path: Path) -> None:
    layers = [tar(file(str(row), NOISE[: 1000 * row])) for row in range(12)]
    registry.add(Image(layers))
    for layer in layers:
        registry.next(f"/v2/app/blobs/{digest_of(packed(layer, 'gzip'))}", slow)
    build(registry, tmp_path)
    assert registry.most_at_once == 3


def slow(handler: Handler, body: bytes) -> None:
    time.sleep(0.1)
    handler.send(200, body)


def test_the_same_layer_twice(registry: FakeRegistry, tmp_path: Path) -> None:
    registry.add(Image([LAYERS[0], LAYERS[1], LAYERS[1], LAYERS[2], LAYERS[1], LAYERS[0]]))
    _, report = build(registry, tmp_path)
    assert report.layers == 6


def test_layers_in_any_order(registry: FakeRegistry) -> None:
    layers = [tar(file(str(row), b"x")) for row in range(8)]
    registry.add(Image(layers))
    with opened(registry) as image:
        opens = image.sources(WriterOptions(), lambda _line: None)
        for row in (0, 7, 3, 3, 1, 6):
            source = opens[row]()
            assert [entry.path for entry in source] == [str(row).encode()]
            source.close()


@pytest.mark.parametrize("after", [None, 0, 5000], ids=["before the headers", "before the body", "within"])
def test_closing_ends_what_hangs(after: int | None, registry: FakeRegistry, tmp_path: Path) -> None:
    until = threading.Event()

    def hanging(handler: Handler, body: bytes) -> None:
        if after is None:
            until.wait(SECONDS)
        else:
            held(until, after=after)(handler, body)

    registry.next(layer_path(0), hanging)
    cache = tmp_path / "cache"
    with opened(registry, cache) as image:
        source = image.sources(WriterOptions(), lambda _line: None)[2]()
        assert [entry.path for entry in source] == [b"top"]
        source.close()
        asked = time.monotonic() + SECONDS
        while not registry.requests(layer_path(0)) and time.monotonic() < asked:
            time.sleep(0.01)
        begun = time.monotonic()
    assert time.monotonic() - begun < SECONDS / 2  # and not until the server goes on
    assert not download_threads()
    assert not list(cache.rglob(".*"))
    until.set()


def test_a_layer_that_cannot_be_had_fails_when_it_is_read(registry: FakeRegistry) -> None:
    registry.next(layer_path(0), status(404))
    with opened(registry) as image:
        opens = image.sources(WriterOptions(), lambda _line: None)
        for row in (2, 1):
            source = opens[row]()
            assert len(list(source)) == 1
            source.close()
        with pytest.raises(SourceError, match="no such thing: the blob"):
            opens[0]()


def test_after_closing_nothing_is_read(registry: FakeRegistry) -> None:
    with opened(registry) as image:
        opens = image.sources(WriterOptions(), lambda _line: None)
    with pytest.raises(SourceError, match="was closed"):
        opens[0]()
    image.close()


# --- the cache -------------------------------------------------------------------------------------------------------


def test_what_is_in_the_cache_is_not_fetched_again(registry: FakeRegistry, tmp_path: Path) -> None:
    cache = tmp_path / "deep" / "cache"
    first, _ = build(registry, tmp_path, blob_cache=cache)
    blobs = {path.name: path.read_bytes() for path in (cache / "blobs" / "sha256").iterdir()}
    assert len(blobs) == 4  # three layers and a configuration
    assert all(digest_of(data) == f"sha256:{name}" for name, data in blobs.items())
    registry.asked.clear()
    second, report = build(registry, tmp_path, blob_cache=cache)
    assert first == second == expected(tmp_path)
    assert not registry.requests("/blobs/")
    assert len([each for each in report.digests_verified if not each.startswith("diff_id")]) == 5


@pytest.mark.parametrize("damage", [lambda data: data[:-1], lambda data: data[:-1] + b"?", lambda data: b""])
def test_what_is_damaged_in_the_cache_is_fetched_again(
    damage: Callable[[bytes], bytes], registry: FakeRegistry, tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    first, _ = build(registry, tmp_path, blob_cache=cache)
    places = list((cache / "blobs" / "sha256").iterdir())
    for place in places:
        place.write_bytes(damage(place.read_bytes()))
    registry.asked.clear()
    assert build(registry, tmp_path, blob_cache=cache)[0] == first
    assert len(registry.requests("/blobs/")) == 4
    assert all(digest_of(place.read_bytes()) == f"sha256:{place.name}" for place in places)
    assert sorted((cache / "blobs" / "sha256").iterdir()) == sorted(places)


def test_several_at_once_share_a_cache(registry: FakeRegistry, tmp_path: Path) -> None:
    images: list[bytes] = []

    def one(row: int) -> None:
        folder = tmp_path / str(row)
        folder.mkdir()
        images.append(build(registry, folder, blob_cache=tmp_path / "cache")[0])

    threads = [threading.Thread(target=one, args=(row,)) for row in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert images == [expected(tmp_path)] * 6
    assert len(list((tmp_path / "cache" / "blobs" / "sha256").iterdir())) == 4


def test_a_cache_that_cannot_be_is_an_error(registry: FakeRegistry, tmp_path: Path) -> None:
    (tmp_path / "cache").write_bytes(b"a file")
    with pytest.raises(OSError, match="cache"):
        build(registry, tmp_path, blob_cache=tmp_path / "cache")


# --- as a user has it ------------------------------------------------------------------------------------------------


def test_the_command_line_reads_the_environment(
    registry: FakeRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.login = "basic"
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    for name in ("REGISTRY_AUTH_FILE", "XDG_CONFIG_HOME", "DOCKER_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    out = tmp_path / "out.squashfs"
    command = [sys.executable, "-m", "pysquash", "build", f"docker://{registry.host}/app", "-o", str(out)]
    done = run(command)
    assert done.returncode == 1
    assert "wants a login" in done.stderr
    assert done.stderr.count("\n") == 1
    [file_with_logins] = logins(tmp_path, registry.host)
    for place in ("run/containers/auth.json", ".config/containers/auth.json", ".docker/config.json"):
        (tmp_path / place).parent.mkdir(parents=True)
        (tmp_path / place).write_bytes(file_with_logins.read_bytes())
        done = run([*command, "--blob-cache", str(tmp_path / "cache")])
        assert done.returncode == 0, done.stderr
        assert out.read_bytes() == expected(tmp_path)
        (tmp_path / place).unlink()
    assert (tmp_path / "cache" / "blobs").is_dir()
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(file_with_logins))
    assert run(command).returncode == 0
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(tmp_path / "none"))
    assert run(command).returncode == 1
    assert run([*command, "--authfile", str(file_with_logins)]).returncode == 0


@pytest.mark.parametrize("package", ["httpx", "truststore"])
def test_a_package_that_is_missing_is_named(package: str) -> None:
    script = f"import sys; sys.modules[{package!r}] = None; import pysquash, os; pysquash.build(['docker://a/b'], 'x')"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert "pip install 'pysquash[registry]'" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("pysquash.errors.SourceError: docker://a/b: ")


def test_what_is_not_for_a_registry_needs_no_client() -> None:
    script = "import sys, pysquash.api; assert not {'httpx', 'truststore', 'subprocess'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", script], check=True)
