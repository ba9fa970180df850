"""Documents of container images to begin with, and changes that leave most of them what they are."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping
from typing import Any

from tests.fuzz.oci_exercise import SEPARATOR, SIZE
from tests.oci.builder import (
    ATTESTATION,
    GONE,
    INDEX,
    MANIFEST,
    Blobs,
    Files,
    Image,
    Layer,
    Link,
    digest_of,
    file,
    image_layout,
    layout,
    named,
    new_archive,
    old_archive,
    platform_row,
    tar,
)

__all__ = ["mutated", "seeds"]

_LAYER = tar(file("a", b"1"))
_CHALLENGE = 'Bearer realm="{}",service="a \\"registry\\"",scope="x"'


def seeds() -> Iterator[bytes]:
    """Return one input of each kind and form, and those of reported faults."""
    yield from _layouts()
    yield from (
        _docker_archive(files) for files in (old_archive(Image([_LAYER, _LAYER])), new_archive(Image([_LAYER])))
    )
    yield from _registries()
    yield from _credentials()
    yield from _names()
    config = {
        "architecture": "arm",
        "variant": "v7",
        "config": {
            "User": "app:staff",
            "Entrypoint": ["/a"],
            "Cmd": None,
            "Env": ["A=1", "B"],
            "WorkingDir": "srv",
            "StopSignal": "SIGQUIT",
            "ExposedPorts": {"80/tcp": {}},
            "Volumes": {},
            "Labels": {"a": "1"},
        },
    }
    passwd, group = b"root:x:0:0::/:\napp:x:1000:1001::/home/app:/bin/sh\n", b"staff:x:50:app,other\n"
    yield b"I" + SEPARATOR.join([json.dumps(config).encode(), passwd, group])
    yield b"I" + SEPARATOR.join([b"{}", passwd, group])


def _layouts() -> Iterator[bytes]:
    for image in (
        Image([_LAYER, Layer(_LAYER, "plain")]),
        Image([Layer(_LAYER, "zstd")], is_docker=True),
        Image([]),  # a base for files to come
        Image([_LAYER], config={"os": GONE, "architecture": GONE}),
        Image([_LAYER], platform="linux/arm64/v8"),
        Image([_LAYER], manifest={"config": GONE}),
    ):
        yield _layout(layout(image))
    blobs = Blobs()
    row = blobs.image(Image([Layer(_LAYER, "plain")])) | {"platform": platform_row("linux/arm/v7")}
    attestation = blobs.image(Image([], descriptor={"annotations": {ATTESTATION: "attestation-manifest"}}))
    index = blobs.index([attestation, row])
    yield _layout(image_layout(blobs, [*named(blobs.nested(index, 2), "a", "b"), row]))


def _ordered(files: Mapping[str, bytes | Link], first: list[str]) -> list[str]:
    """Order files so that each comes before those that it names."""
    names = [name for name, data in files.items() if isinstance(data, bytes)]
    return [*first, *reversed([name for name in names if name not in first])]


def _layout(files: Files) -> bytes:
    names = _ordered(files, ["oci-layout", "index.json"])
    return b"L" + SEPARATOR.join(_with_references([_bytes(files[name]) for name in names]))


def _docker_archive(files: Files) -> bytes:
    names = [name for name in files if name not in ("manifest.json", "oci-layout", "index.json")]
    names.sort(key=lambda name: not _bytes(files[name]).startswith(b'{"arch'))  # the configuration names the layers
    contents = [_bytes(files["manifest.json"]), *(_bytes(files[name]) for name in names)]
    parts = _with_references(contents)
    listed = _with_references([b"\n".join(name.encode() for name in names), *contents[1:]])[0].split(b"\n")
    return b"D" + SEPARATOR.join(
        [parts[0], *(name + b"\n" + part for name, part in zip(listed, parts[1:], strict=True))]
    )


def _bytes(data: bytes | Link) -> bytes:
    return data if isinstance(data, bytes) else data.target.encode()


def _with_references(contents: list[bytes]) -> list[bytes]:
    """Put references in place of digests and sizes."""
    digests = {digest_of(content).partition(":")[2]: row for row, content in enumerate(contents)}
    parts = []
    for row, content in enumerate(contents):
        part = _with_sizes(content, digests) if content.startswith((b"{", b"[")) else content
        for digest, other in digests.items():
            if other > row:
                part = part.replace(digest.encode(), b"@@%d" % other)
        parts.append(part)
    return parts


def _with_sizes(content: bytes, digests: Mapping[str, int]) -> bytes:
    def walk(value: Any) -> Any:
        if isinstance(value, list):
            return [walk(each) for each in value]
        if not isinstance(value, dict):
            return value
        row = digests.get(str(value.get("digest")).partition(":")[2])
        changed = {key: walk(each) for key, each in value.items()}
        return changed if row is None else {**changed, "size": SIZE + row}

    return json.dumps(walk(json.loads(content))).encode()


def _response(code: int, body: bytes = b"", **headers: str) -> bytes:
    lines = [f"HTTP/1.1 {code} X", *(f"{key.replace('_', '-')}: {value}" for key, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode() + body


def _registries() -> Iterator[bytes]:
    blobs = Blobs()
    row = blobs.image(Image([Layer(_LAYER, "plain")]))
    names = [row["digest"], *(name for name in blobs if name != row["digest"])]
    bodies = [blobs[name] for name in names]  # the manifest, the configuration, the layer, as they are asked for
    index = blobs[blobs.index([row])["digest"]]
    for head in (b"local", b"remote", b"remote insecure"):
        asked = [] if head == b"remote" else [_response(404)]

        def together(
            *more: bytes, bodies: list[bytes] = bodies, head: bytes = head, asked: list[bytes] = asked, **headers: str
        ) -> bytes:
            """Put the answers before the manifest, the manifest and its blobs together."""
            before = [head, *asked, *more]
            rest = _with_references([*(b"" for _ in before), *bodies])[len(before) :]
            types = [INDEX if b'"manifests"' in body else MANIFEST for body in bodies]
            answers = [
                _response(200, body, Content_Type=kind, **headers) for body, kind in zip(rest, types, strict=True)
            ]
            return b"R" + SEPARATOR.join([*before, *answers])

        token = _response(200, b'{"token": "abc", "expires_in": 60}')
        other = _response(200, b'{"access_token": "a.b~c"}')
        yield together()
        yield together(bodies=[index, *bodies])
        yield together(Docker_Content_Digest="sha256:" + "0" * 64)
        yield together(_response(401, WWW_Authenticate='Basic realm="x"'))
        for realm in ("https://other.example/token", "http://other.example/token", "https://127.0.0.1/token", "token"):
            yield together(_response(401, WWW_Authenticate=_CHALLENGE.format(realm)), token)
            yield together(_response(401, WWW_Authenticate=_CHALLENGE.format(realm)), other)
        for target in ("https://other.example/x", "http://other.example/x", "//127.0.0.1:1/x", "/v2/x", "http://[::1"):
            yield together(_response(307, Location=target))
            yield together(_response(401, WWW_Authenticate='Basic realm="x"'), _response(302, Location=target))
        yield together(_response(429, Retry_After="30"), _response(503), _response(401))
        yield together(_response(404, b'{"errors": [{"code": "NAME_UNKNOWN", "message": "x"}]}'))
        yield together(
            b"HTTP/1.1 206 X\r\nContent-Range: bytes 0-1/2\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n"
        )


def _credentials() -> Iterator[bytes]:
    entry = {"auth": "YWxpY2U6c2VjcmV0", "identitytoken": "t", "registrytoken": "r"}
    answer = b'{"Username": "<token>", "Secret": "x"}'
    for document in (
        {"auths": {"quay.io/team": entry, "https://index.docker.io/v1/": {"username": "a", "password": "b"}}},
        {"auths": {"localhost:5000": {}, "127.0.0.1": {"auth": "!"}}, "credsStore": "desktop"},
        {"credHelpers": {"quay.io": "fake", "docker.io": "../x"}},
    ):
        yield b"C" + SEPARATOR.join([json.dumps(document).encode(), answer])
    yield b"C" + SEPARATOR.join([b'{"credsStore": "x"}', b"credentials not found in native keychain", b"failed"])


def _names() -> Iterator[bytes]:
    digest = "sha256:" + "0a" * 32
    for texts in (
        [
            "//alpine",
            f"//alpine:1.0@{digest}",
            "//localhost:5000/app:v1",
            "//[::1]:5000/a/b",
            "//quay.io/x/y@" + digest,
        ],
        ["//alice:secret@quay.io/app", "//ALPINE", "//a..b/c", digest, "sha512:" + "0" * 128, "md5:00"],
        ["linux/arm/v7", "linux/x86_64", "windows//", 'Basic realm="x", Bearer realm="a\\"b",service=y', "Negotiate"],
    ):
        yield b"N" + SEPARATOR.join(text.encode() for text in texts)


# --- changes ---------------------------------------------------------------------------------------------------------

_VALUES: tuple[Any, ...] = (
    *(
        None,
        True,
        False,
        0,
        1,
        -1,
        2,
        1.5,
        1e308,
        1 << 31,
        1 << 63,
        1 << 64,
        10**40,
        "",
        "a",
        "/",
        "..",
        "\0",
        "\ud800",
    ),
    *("a" * 300, "é" * 5000, "\n", "sha256:", "sha256:" + "0" * 64, "linux", "arm64", "<token>", "\u202e", [], {}),
    *([[]], [None], {"": None}, ["a"] * 50, [{"mediaType": MANIFEST, "digest": "sha256:" + "1" * 64, "size": 1}]),
)
_WORDS = (
    *(b"@@1", b"@@2", b"@@3", b"Bearer ", b"Basic ", b"realm=", b"https://other.example/", b"http://127.0.0.1/"),
    *(b"Location: ", b"WWW-Authenticate: ", b"Docker-Content-Digest: ", b"Content-Length: 0", b"Retry-After: "),
    *(
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 401 X\r\n",
        b"\r\n",
        b"\r\n\r\n",
        b"Set-Cookie: a=b",
        b"Transfer-Encoding: ",
    ),
    *(
        b"chunked",
        b"\0",
        b"\xff\xfe",
        b'"',
        b"\\",
        b"[" * 2000,
        b'{"a":' * 500,
        b"9" * 5000,
        b"-1",
        b"NaN",
        b"Infinity",
    ),
)


def mutated(data: bytes, rng: random.Random) -> bytes:
    """Change one to three parts: a value of a document, a word of anything else, or the parts themselves."""
    kind, parts = data[:1], data[1:].split(SEPARATOR)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        row = rng.randrange(len(parts))
        choice = rng.randrange(12)
        if choice == 0:
            parts.insert(row, parts[rng.randrange(len(parts))])
        elif choice == 1 and len(parts) > 1:
            del parts[row]
        elif choice == 2:
            other = rng.randrange(len(parts))
            parts[row], parts[other] = parts[other], parts[row]
        else:
            parts[row] = _changed(parts[row], rng)
    return kind + SEPARATOR.join(parts)


def _changed(part: bytes, rng: random.Random) -> bytes:
    at = max(part.find(b"\r\n\r\n") + 4 if b"\r\n\r\n" in part else 0, 0)
    head, body = part[:at], part[at:]
    if body[:1] in (b"{", b"[") and (not head or rng.randrange(2)):
        try:
            return head + _with_another_value(body, rng)
        except (ValueError, RecursionError):
            pass
    start = rng.randrange(len(part) + 1)
    end = min(len(part), start + rng.choice((0, 0, 1, 2, 8, 30)))
    return part[:start] + rng.choice(_WORDS) + part[end:]


def _with_another_value(body: bytes, rng: random.Random) -> bytes:
    """Change a value of a JSON document: into another one, or one from elsewhere in it; or remove or repeat it."""
    document = json.loads(body)
    places: list[tuple[Any, Any]] = []
    waiting = [document]
    while waiting and len(places) < 2000:
        value = waiting.pop()
        items = list(value.items()) if isinstance(value, dict) else list(enumerate(value))
        places += [(value, key) for key, _ in items]
        waiting += [each for _, each in items if isinstance(each, dict | list)]
    if not places:
        return json.dumps(rng.choice(_VALUES)).encode()
    holder, key = rng.choice(places)
    choice = rng.randrange(8)
    if choice < 4:
        holder[key] = rng.choice(_VALUES)
    elif choice < 6:
        other_holder, other_key = rng.choice(places)
        text = json.dumps(other_holder[other_key])
        holder[key] = json.loads(text) if len(text) < 2000 else None
    elif choice == 6:
        del holder[key]
    elif isinstance(holder, list):
        holder.append(json.loads(json.dumps(holder[key])))
    else:
        holder[rng.choice(("mediaType", "size", "digest", "config", "layers", "manifests", "platform", "x"))] = holder[
            key
        ]
    return json.dumps(document).encode()
