"""Logins: which one of the files of podman and docker is for an image."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path
from typing import Any

import pytest

from pysquash.errors import SourceError
from pysquash.sources.oci.credentials import Credentials, find_credentials
from pysquash.sources.oci.registry_name import RegistryName


def entry(user: str, password: str = "secret") -> dict[str, str]:
    return {"auth": base64.b64encode(f"{user}:{password}".encode()).decode()}


def found(document: Any, name: str, folder: Path, messages: list[str] | None = None) -> Credentials | None:
    messages = [] if messages is None else messages
    path = folder / "auth.json"
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    return find_credentials([folder / "no such file", path], RegistryName.parse(f"//{name}"), messages.append)


def user(document: Any, name: str, folder: Path) -> str | None:
    login = found(document, name, folder)
    return None if login is None else login.user


def test_the_most_specific_key_wins(tmp_path: Path) -> None:
    keys = ("quay.io", "quay.io/team", "quay.io/team/app", "quay.io:5000", "other.example")
    document = {"auths": {key: entry(key.replace(":", "-")) for key in keys}}
    assert user(document, "quay.io/team/app:v1", tmp_path) == "quay.io/team/app"
    assert user(document, "quay.io/team/other", tmp_path) == "quay.io/team"
    assert user(document, "quay.io/teams/app", tmp_path) == "quay.io"
    assert user(document, "quay.io:5000/team/app", tmp_path) == "quay.io-5000"
    assert user(document, "else.example/app", tmp_path) is None


@pytest.mark.parametrize(
    "key", ["docker.io", "https://index.docker.io/v1/", "index.docker.io", "docker.io/library", "index.docker.io/v1/"]
)
def test_docker_hub_has_many_names(key: str, tmp_path: Path) -> None:
    assert user({"auths": {key: entry("me")}}, "alpine", tmp_path) == "me"
    assert user({"auths": {key: entry("me")}}, "quay.io/alpine", tmp_path) is None


def test_a_repository_of_another_is_not_ours(tmp_path: Path) -> None:
    assert user({"auths": {"quay.io/other/app": entry("me")}}, "quay.io/team/app", tmp_path) is None


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (entry("me", "a:b"), Credentials("me", "a:b")),
        (entry("me", "x\0\0"), Credentials("me", "x")),
        ({"username": "me", "password": "x"}, Credentials("me", "x")),
        ({**entry("me", ""), "identitytoken": "t"}, Credentials("me", "", "t")),
        ({"registrytoken": "t"}, Credentials(registry_token="t")),
        ({}, None),
    ],
)
def test_a_login_has_several_forms(row: Any, expected: Credentials | None, tmp_path: Path) -> None:
    assert found({"auths": {"quay.io": row}}, "quay.io/a", tmp_path) == expected


@pytest.mark.parametrize(
    "document",
    [
        "{",
        "[]",
        {"auths": ["x"]},
        {"auths": {"quay.io": "secret"}},
        {"auths": {"quay.io": {"auth": "secret!"}}},
        {"auths": {"quay.io": {"auth": base64.b64encode(b"secret").decode()}}},
        {"auths": {"quay.io": {"auth": 7}}},
        {"credHelpers": {"quay.io": "../secret"}},
        {"credHelpers": {"quay.io": "that-is-not-there"}},
    ],
)
def test_a_file_that_is_none_is_an_error_without_secrets(document: Any, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="auth.json") as caught:
        found(document, "quay.io/a", tmp_path)
    assert "auth" in str(caught.value)
    assert (isinstance(document, dict) and "credHelpers" in document) or "secret" not in str(caught.value)


def test_a_missing_helper_for_all_registries_is_a_warning(tmp_path: Path) -> None:
    messages: list[str] = []
    assert found({"auths": {}, "credsStore": "that-is-not-there"}, "quay.io/a", tmp_path, messages) is None
    [message] = messages
    assert "auth.json: credential helper docker-credential-that-is-not-there (credsStore) is not installed" in message
    document = {"auths": {"quay.io": entry("me")}, "credsStore": "that-is-not-there"}
    assert user(document, "quay.io/a", tmp_path) == "me"


def test_after_a_missing_helper_the_next_file_counts(tmp_path: Path) -> None:
    first, second, messages = tmp_path / "first.json", tmp_path / "second.json", list[str]()
    first.write_text('{"credsStore": "that-is-not-there"}')
    second.write_text(json.dumps({"auths": {"quay.io": entry("me")}}))
    login = find_credentials([first, second], RegistryName.parse("//quay.io/a"), messages.append)
    assert login is not None
    assert login.user == "me"
    assert len(messages) == 1


def test_a_login_does_not_show_its_secrets() -> None:
    assert "secret" not in repr(Credentials("me", "secret", "secret", "secret"))


@pytest.fixture
def helper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Have a program docker-credential-fake, which the test fills."""
    if os.name == "nt":
        pytest.skip("the helper is a shell script")
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / "docker-credential-fake"
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return program


def fill(program: Path, script: str) -> None:
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)


@pytest.mark.parametrize("document", [{"credHelpers": {"quay.io": "fake"}}, {"credsStore": "fake"}])
def test_a_helper_program_is_asked(document: Any, helper: Path, tmp_path: Path) -> None:
    fill(helper, f"""cat > {tmp_path}/asked; echo "$1" >> {tmp_path}/asked; echo '{{"Username":"me","Secret":"x"}}'""")
    document["auths"] = {"quay.io": {}}
    assert found(document, "quay.io/a", tmp_path) == Credentials("me", "x")
    assert (tmp_path / "asked").read_text() == "quay.ioget\n"


def test_a_helper_program_is_asked_for_docker_hub_by_its_old_name(helper: Path, tmp_path: Path) -> None:
    fill(helper, f"""cat > {tmp_path}/asked; echo '{{"Username":"<token>","Secret":"x"}}'""")
    assert found({"credsStore": "fake"}, "alpine", tmp_path) == Credentials(identity_token="x")
    assert (tmp_path / "asked").read_text() == "https://index.docker.io/v1/"


def test_a_helper_program_without_a_login_is_none(helper: Path, tmp_path: Path) -> None:
    fill(helper, "echo 'credentials not found in native keychain'; exit 1")
    assert found({"credsStore": "fake"}, "quay.io/a", tmp_path) is None


@pytest.mark.parametrize("script", ["echo secret; echo secret >&2; exit 1", "echo secret", """echo '{"Secret": 1}'"""])
def test_a_helper_program_that_fails_is_an_error_without_secrets(script: str, helper: Path, tmp_path: Path) -> None:
    fill(helper, script)
    with pytest.raises(SourceError, match="docker-credential-fake") as caught:
        found({"credsStore": "fake"}, "quay.io/a", tmp_path)
    assert "secret" not in str(caught.value)
