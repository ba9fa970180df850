"""Names of images in registries: what they mean, and what is none."""

from __future__ import annotations

import pytest

from pysquash.errors import SourceError
from pysquash.sources.oci.registry_name import RegistryName, is_loopback

DIGEST = "sha256:" + "0a" * 32


@pytest.mark.parametrize(
    ("text", "host", "repository", "reference"),
    [
        ("//alpine", "docker.io", "library/alpine", "latest"),
        ("//alpine:3.20", "docker.io", "library/alpine", "3.20"),
        (f"//alpine@{DIGEST}", "docker.io", "library/alpine", DIGEST),
        (f"//alpine:3.20@{DIGEST}", "docker.io", "library/alpine", DIGEST),
        (f"//localhost:5000/app:v1@{DIGEST}", "localhost:5000", "app", DIGEST),
        ("//team/app", "docker.io", "team/app", "latest"),
        ("//docker.io/alpine", "docker.io", "library/alpine", "latest"),
        ("//index.docker.io/library/alpine:1", "docker.io", "library/alpine", "1"),
        ("//quay.io/a/b/c:v1", "quay.io", "a/b/c", "v1"),
        ("//localhost/app", "localhost", "app", "latest"),
        ("//localhost:5000/app", "localhost:5000", "app", "latest"),
        (f"//[::1]:5000/app@{DIGEST}", "[::1]:5000", "app", DIGEST),
        ("//Registry/app", "Registry", "app", "latest"),
        ("//127.0.0.1:80/x__y/z-.._z".replace("-.._", "--"), "127.0.0.1:80", "x__y/z--z", "latest"),
    ],
)
def test_a_name_means(text: str, host: str, repository: str, reference: str) -> None:
    name = RegistryName.parse(text)
    assert (name.host, name.repository, name.reference) == (host, repository, reference)
    assert name.server == ("registry-1.docker.io" if host == "docker.io" else host)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "//",
        "alpine",
        "/alpine",
        "//alpine:",
        "//alpine@",
        "//alpine@sha256:0",
        f"//alpine:@{DIGEST}",
        f"//alpine:?@{DIGEST}",
        f"//alpine@{DIGEST}:1",
        "//Alpine",
        "//quay.io/",
        "//quay.io/../x",
        "//quay.io/a//b",
        "//quay.io/a?b",
        "//quay.io:99999/a",
        "//quay.io:/a",
        "//[::1/a",
        "//[1.2]/a",
        "//a..b/c",
        "//alpine:" + "x" * 129,
        "//quay.io/" + "a" * 256,
        "//quay.io/a\n",
        "//quay.io/a:b\n",
        "//quay.io%2fa/b",
    ],
)
def test_what_is_no_name_is_refused(text: str) -> None:
    with pytest.raises(SourceError):
        RegistryName.parse(text)


@pytest.mark.parametrize("text", ["//alice:secret@quay.io/app", "//alice:se/cret@quay.io/app:1", "//secret@quay.io"])
def test_a_login_in_a_name_is_not_repeated(text: str) -> None:
    with pytest.raises(SourceError) as caught:
        RegistryName.parse(text)
    assert "cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "server_host", "expected"),
    [
        ("localhost", "localhost", True),
        ("LOCALHOST:1", "localhost", True),
        ("127.0.0.1:5000", "127.0.0.1", True),
        ("127.9.9.9", "127.9.9.9", True),
        ("[::1]:5000", "::1", True),
        ("localhost.example", "localhost.example", False),
        ("10.0.0.1", "10.0.0.1", False),
        ("127.0.0.1.example", "127.0.0.1.example", False),
        ("[::2]", "::2", False),
        ("quay.io", "quay.io", False),
        ("docker.io", "registry-1.docker.io", False),
    ],
)
def test_only_this_machine_is_loopback(text: str, server_host: str, expected: bool) -> None:
    name = RegistryName.parse(f"//{text}/app")
    assert name.server_host == server_host
    assert is_loopback(name.server_host) is expected
