"""Options about registries on the command line: what reaches the registry, and what is never repeated."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

import pysquash.cli.build as build_module
from pysquash import RegistryAccess
from tests.oci.builder import Image, file, tar
from tests.oci.registry_server import PASSWORD, USER, FakeRegistry, basic
from tests.snapshot import run


def program(*arguments: str) -> tuple[int, str]:
    done = run([sys.executable, "-m", "pysquash", "build", *arguments])
    return done.returncode, done.stderr


def access(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> RegistryAccess:
    """Give what a build gets for options."""
    seen: list[RegistryAccess] = []

    def build_image(*_arguments: object, registry: RegistryAccess, **_options: object) -> None:
        seen.append(registry)
        raise SystemExit(0)

    monkeypatch.setattr(build_module, "build_image", build_image)
    done = CliRunner().invoke(build_module.build, ["docker://a/b", "-o", "out", *arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return seen[0]


def test_what_options_say(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    nothing = access(monkeypatch)
    assert (nothing.tls_verify, nothing.cert_dir, nothing.credentials) == (None, None, None)
    assert (nothing.deadline, nothing.min_rate) == (RegistryAccess().deadline, RegistryAccess().min_rate)
    assert access(monkeypatch, "--tls-verify").tls_verify is True
    assert access(monkeypatch, "--no-tls-verify").tls_verify is False
    assert access(monkeypatch, "--cert-dir", "certs").cert_dir == Path("certs")
    assert access(monkeypatch, "--creds", "me:a:b").credentials == ("me", "a:b")
    assert access(monkeypatch, "--creds", "me:").credentials == ("me", "")
    slow = access(monkeypatch, "--deadline", "1.5", "--min-rate", "2K")
    assert (slow.deadline, slow.min_rate) == (1.5, 2048)


def test_credentials_reach_the_registry_and_nobody_else(tmp_path: Path) -> None:
    with FakeRegistry() as registry:
        registry.add(Image([tar(file("a", b"1"))]))
        registry.login = "basic"
        source, out = f"docker://{registry.host}/app", str(tmp_path / "out")
        assert program(source, "-o", out, "--creds", f"{USER}:{PASSWORD}")[0] == 0
        assert registry.asked[-1].headers["authorization"] == basic()
        code, text = program(source, "-o", out, "--creds", f"{USER}:wrong password")
        assert (code, text.count("\n")) == (1, 1)
        assert "wrong" not in text


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--creds", ":secret"], "--creds has no user"),
        (["--creds", "me"], "standard input is not a terminal"),
        (["--creds", "me:secret", "--authfile", "x"], "--authfile and --creds contradict each other"),
        (["--deadline", "0"], "--deadline"),
        (["--min-rate", "slow"], "--min-rate"),
        (["--timeout", "0"], "--timeout"),
    ],
)
def test_options_that_are_none(options: list[str], message: str, tmp_path: Path) -> None:
    code, text = program("docker://127.0.0.1:1/a", "-o", str(tmp_path / "out"), *options)
    assert code == 2
    assert message in text
    assert "secret" not in text


def test_an_auth_file_is_still_taken(tmp_path: Path) -> None:
    with FakeRegistry() as registry:
        registry.add(Image([tar(file("a", b"1"))]))
        registry.login = "basic"
        auth = tmp_path / "auth.json"
        auth.write_text(json.dumps({"auths": {registry.host: {"auth": basic().split()[1]}}}))
        source = f"docker://{registry.host}/app"
        assert program(source, "-o", str(tmp_path / "out"), "--authfile", str(auth))[0] == 0
