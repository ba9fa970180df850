"""Images from a real registry: Debian's docker-registry, which umoci and skopeo filled."""

from __future__ import annotations

import base64
import json
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import pysquash
from pysquash.errors import SourceError
from tests.oci.builder import Image, directory, file, layout, link, symlink, tar, to_directory, whiteout
from tests.snapshot import need_tool, run

USER, PASSWORD = "alice", "correct horse"
PASSWORD_LINE = "alice:$2b$04$IWZIvLgwq0RQjngPZoKcYOyQLHKqPUdX5epb0KhYd.PUR9CO80lf."
START_SECONDS = 30

LAYERS = [
    tar(directory("etc"), file("etc/passwd", b"root:x:0:0::/:/bin/sh\n"), symlink("lib", "usr/lib"), directory("usr")),
    tar(file("etc/motd", b"hello\n" * 5000), link("etc/hello", "etc/motd"), whiteout("etc/passwd")),
    tar(file("usr/lib/x", bytes(range(256)) * 4000)),
]


@contextmanager
def serving(folder: Path, *, with_login: bool) -> Iterator[str]:
    """Run a registry on a free loopback port, and give its host."""
    need_tool("docker-registry", "docker-registry")
    need_tool("skopeo", "skopeo")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{free.getsockname()[1]}"
    config: dict[str, object] = {
        "version": "0.1",
        "log": {"level": "error"},
        "storage": {"filesystem": {"rootdirectory": str(folder / "blobs")}},
        "http": {"addr": host},
    }
    if with_login:
        (folder / "passwords").write_text(PASSWORD_LINE + "\n")
        config["auth"] = {"htpasswd": {"realm": "here", "path": str(folder / "passwords")}}
    (folder / "config.yml").write_text(json.dumps(config))
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(["docker-registry", "serve", folder / "config.yml"], stdout=log, stderr=log)
    try:
        until = time.monotonic() + START_SECONDS
        while not answers(host):
            assert process.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < until, "the registry does not start"
            time.sleep(0.05)
        yield host
    finally:
        process.kill()  # it may have inherited that SIGTERM is ignored
        process.wait(10)


def answers(host: str) -> bool:
    address, _, port = host.partition(":")
    try:
        socket.create_connection((address, int(port)), 1).close()
    except OSError:
        return False
    return True


def skopeo(source: str, target: str, *options: str) -> None:
    done = run(["skopeo", "--insecure-policy", "copy", "--quiet", *options, source, target])
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Have a registry with our image in it, as team/app:v1."""
    folder = tmp_path_factory.mktemp("registry")
    with serving(folder, with_login=False) as host:
        source = to_directory(layout(Image(LAYERS)), folder / "layout")
        skopeo(f"oci:{source}:latest", f"docker://{host}/team/app:v1", "--dest-tls-verify=false")
        yield host


def built(source: str, path: Path, **options: object) -> bytes:
    registry = pysquash.RegistryAccess(**{"auth_files": [], **options})  # type: ignore[arg-type]
    pysquash.build([source], path, registry=registry)
    return path.read_bytes()


def test_every_transport_gives_the_same_bytes(registry: str, tmp_path: Path) -> None:
    folder = to_directory(layout(Image(LAYERS)), tmp_path / "layout")
    skopeo(f"oci:{folder}:latest", f"oci-archive:{tmp_path}/layout.tar:v1")
    skopeo(f"oci:{folder}:latest", f"docker-archive:{tmp_path}/saved.tar:app:v1")
    sources = [
        f"docker://{registry}/team/app:v1",
        f"oci:{folder}:latest",
        f"oci-archive:{tmp_path}/layout.tar:v1",
        f"docker-archive:{tmp_path}/saved.tar",
    ]
    images = {source: built(source, tmp_path / f"{row}.squashfs") for row, source in enumerate(sources)}
    assert len(set(images.values())) == 1, images.keys()


def test_what_umoci_makes(registry: str, tmp_path: Path) -> None:
    need_tool("umoci", "umoci")
    image, tree = f"{tmp_path}/layout:v1", tmp_path / "tree"
    (tree / "deep").mkdir(parents=True)
    # A multiple of 512: umoci 0.4.7 leaves out what pads the last file of the tar that it inserts.
    (tree / "deep" / "file").write_bytes(b"content\n" * 128)
    (tree / "link").symlink_to("deep/file")
    commands: list[list[str | Path]] = [
        ["umoci", "init", "--layout", tmp_path / "layout"],
        ["umoci", "new", "--image", image],
        ["umoci", "insert", "--rootless", "--image", image, tree, "/srv"],
        ["umoci", "insert", "--rootless", "--image", image, tree / "deep", "/srv/other"],
        ["umoci", "insert", "--rootless", "--image", image, "--whiteout", "/srv/link"],
    ]
    for command in commands:
        done = run(command)
        assert done.returncode == 0, done.stderr
    skopeo(f"oci:{image}", f"docker://{registry}/umoci", "--dest-tls-verify=false")
    skopeo(f"oci:{image}", f"oci-archive:{tmp_path}/layout.tar")
    skopeo(f"oci:{image}", f"docker-archive:{tmp_path}/saved.tar")
    images = [
        built(source, tmp_path / f"{row}.squashfs")
        for row, source in enumerate(
            [
                f"oci:{image}",
                f"docker://{registry}/umoci",
                f"oci-archive:{tmp_path}/layout.tar",
                f"docker-archive:{tmp_path}/saved.tar",
            ]
        )
    ]
    assert len(set(images)) == 1
    with pysquash.SquashfsImage(tmp_path / "0.squashfs") as opened:
        assert (opened / "srv" / "other" / "file").read_bytes() == b"content\n" * 128
        assert not (opened / "srv" / "link").exists()


def test_by_digest_and_from_the_cache(registry: str, tmp_path: Path) -> None:
    done = run(["skopeo", "inspect", "--tls-verify=false", "--format={{.Digest}}", f"docker://{registry}/team/app:v1"])
    assert done.returncode == 0, done.stderr
    digest, cache = done.stdout.strip(), tmp_path / "cache"
    first = built(f"docker://{registry}/team/app:v1", tmp_path / "1.squashfs", blob_cache=cache)
    assert first == built(f"docker://{registry}/team/app@{digest}", tmp_path / "2.squashfs", blob_cache=cache)
    assert len(list((cache / "blobs" / "sha256").iterdir())) == 4
    with pytest.raises(SourceError, match="no such thing: the manifest sha256:.*MANIFEST_UNKNOWN"):
        built(f"docker://{registry}/team/app@sha256:{'0' * 64}", tmp_path / "3.squashfs")


@pytest.mark.parametrize("name", ["team/app:v2", "team/none", "none"])
def test_what_is_not_there(name: str, registry: str, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no such thing: the manifest .*MANIFEST_UNKNOWN"):
        built(f"docker://{registry}/{name}", tmp_path / "out.squashfs")


def test_a_login(tmp_path: Path) -> None:
    with serving(tmp_path, with_login=True) as host:
        folder = to_directory(layout(Image(LAYERS)), tmp_path / "layout")
        login = ["--dest-tls-verify=false", f"--dest-creds={USER}:{PASSWORD}"]
        skopeo(f"oci:{folder}:latest", f"docker://{host}/team/app:v1", *login)
        expected = built(f"oci:{folder}", tmp_path / "expected.squashfs")
        source, out = f"docker://{host}/team/app:v1", tmp_path / "out.squashfs"
        with pytest.raises(SourceError, match="wants a login"):
            built(source, out)
        auth = tmp_path / "auth.json"
        done = run(["skopeo", "login", "--tls-verify=false", f"--authfile={auth}", "-u", USER, "-p", PASSWORD, host])
        assert done.returncode == 0, done.stderr
        assert built(source, out, auth_files=[auth]) == expected
        wrong = base64.b64encode(f"{USER}:secret".encode()).decode()
        auth.write_text(json.dumps({"auths": {f"{host}/team": {"auth": wrong}}}))
        with pytest.raises(SourceError, match="does not accept the login of 'alice'"):
            built(source, out, auth_files=[auth])
