"""OCI: logins for registries, as podman, skopeo and docker keep them.

In: their files, and the name of an image. Out: the login for it, or None.
Source: containers-auth.json(5); docker's config.json; the protocol of docker-credential-helpers.
Rules kept here: the most specific key of a file wins, and the first file that has any; a helper program that a file
names for a registry comes before what the file holds itself; nothing secret is in a message or in a representation.
Not here: how a login is used (registry_login), which files there are by default (registry_access).
"""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pysquash.errors import SourceError
from pysquash.sources.oci.registry_name import DOCKER_HUB, RegistryName

__all__ = ["Credentials", "find_credentials"]

_DOCKER_HUB_KEY = "https://index.docker.io/v1/"
_DOCKER_HUB_HOSTS = ("index.docker.io", "registry-1.docker.io")
_HELPER = re.compile(r"[A-Za-z0-9._-]{1,80}")
_HELPER_SECONDS = 60
_NOT_FOUND = "credentials not found"
_IDENTITY_TOKEN_USER = "<token>"  # noqa: S105 - what a helper says in place of a user


@dataclass(frozen=True, slots=True)
class Credentials:
    """A login.

    Attributes:
        user: Who.
        password: And the password.
        identity_token: Or a token that buys others.
        registry_token: Or a token that the registry takes as it is.
    """

    user: str = ""
    password: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)
    registry_token: str = field(default="", repr=False)


def find_credentials(
    files: Sequence[str | os.PathLike[str]], name: RegistryName, report: Callable[[str], None]
) -> Credentials | None:
    """Find the credentials for an image.

    Args:
        files: Where to look, the first one first; those that do not exist are skipped.
        name: The image's.
        report: Called with a message where the helper program that is to keep all credentials is not installed.

    Raises:
        SourceError: A file is none of these, or a helper program does not work.
        OSError: A file cannot be read.
    """
    for path in files:
        try:
            data = Path(path).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            continue
        found = _find_in_file(data, os.fspath(path), name, report)
        if found is not None:
            return found
    return None


def _find_in_file(data: bytes, path: str, name: RegistryName, report: Callable[[str], None]) -> Credentials | None:
    try:
        document = json.loads(data) if data.strip() else {}
    except (ValueError, RecursionError):
        raise SourceError("is no JSON", source=path) from None  # the parser's own words may show what it holds
    if not isinstance(document, dict):
        raise SourceError("is no JSON object", source=path)
    auths, helpers = (_mapping(document, key, path) for key in ("auths", "credHelpers"))
    helper = helpers.get(name.host)
    if helper is None and name.host == DOCKER_HUB:
        helper = helpers.get(_DOCKER_HUB_KEY) or helpers.get("index.docker.io")
    if helper is not None:
        return _from_helper(helper, name.host, path)
    for key in _keys(auths, name):
        found = _from_entry(auths[key], f"{path}: {key}")
        if found is not None:
            return found
    store = document.get("credsStore")
    if not store:
        return None
    program = _helper_program(store, path)
    if shutil.which(program) is None:
        # Docker Desktop leaves this in the file when it is removed. Public images need no credentials.
        report(f"{path}: credential helper {program} (credsStore) is not installed")
        return None
    return _from_helper(store, name.host, path)


def _mapping(document: Mapping[str, Any], key: str, path: str) -> Mapping[str, Any]:
    value = document.get(key) or {}
    if not isinstance(value, dict):
        raise SourceError(f"{key} is no JSON object", source=path)
    return value


def _keys(auths: Mapping[str, Any], name: RegistryName) -> Iterator[str]:
    """Yield the keys that are for an image, from its whole name up to its host, and then the host as docker has it."""
    key = f"{name.host}/{name.repository}"
    while key:
        if key in auths:
            yield key
        key = key.rpartition("/")[0]
    for key in auths:
        host = key.partition("://")[2] or key
        host, _slash, rest = host.partition("/")
        is_host_only = "://" in key or rest.rstrip("/") in ("", "v1", "v2")
        if host in _DOCKER_HUB_HOSTS:
            host = DOCKER_HUB
        if is_host_only and host == name.host and key != name.host:
            yield key


def _from_entry(entry: object, where: str) -> Credentials | None:
    """Read an entry of "auths"; None for an empty one, which docker writes beside a helper's."""
    if not isinstance(entry, dict):
        raise SourceError("is no JSON object", source=where)
    texts = {key: entry.get(key) or "" for key in ("auth", "username", "password", "identitytoken", "registrytoken")}
    if not all(isinstance(text, str) for text in texts.values()):
        raise SourceError("has a login that is no text", source=where)
    user, password = texts["username"], texts["password"]
    if texts["auth"]:
        try:
            user, colon, password = base64.b64decode(texts["auth"], validate=True).decode().partition(":")
        except ValueError:
            colon = ""
        if not colon:
            raise SourceError("auth is not user:password in base64", source=where)
        password = password.rstrip("\0")
    found = Credentials(user, password, texts["identitytoken"], texts["registrytoken"])
    return found if found != Credentials() else None


def _helper_program(helper: object, path: str) -> str:
    if not isinstance(helper, str) or not _HELPER.fullmatch(helper):
        raise SourceError(f"names {helper!r:.80} as a credential helper", source=path)
    return f"docker-credential-{helper}"


def _from_helper(helper: object, host: str, path: str) -> Credentials | None:
    """Ask a helper program; None where it has no login."""
    program = _helper_program(helper, path)
    found = shutil.which(program)
    if found is None:
        raise SourceError(f"credential helper {program} (credHelpers) is not installed", source=path)
    server = _DOCKER_HUB_KEY if host == DOCKER_HUB else host
    pipe, nowhere = subprocess.PIPE, subprocess.DEVNULL
    command = [found, "get"]
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=nowhere) as process:  # noqa: S603 - the user's own
        try:
            said, _ = process.communicate(server.encode(), timeout=_HELPER_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            raise SourceError(f"gives no answer in {_HELPER_SECONDS} s", source=program) from None
    if process.returncode:
        if _NOT_FOUND in said.decode("utf-8", "replace").lower():
            return None
        raise SourceError(f"failed for {host} with exit code {process.returncode}", source=program)
    try:
        answer = json.loads(said)
        user, secret = answer["Username"], answer["Secret"]
    except (ValueError, KeyError, TypeError, RecursionError):
        user = secret = None
    if not isinstance(user, str) or not isinstance(secret, str):
        raise SourceError(f"gives an answer for {host} that is no login", source=program)
    if user == _IDENTITY_TOKEN_USER:
        return Credentials(identity_token=secret)
    return Credentials(user, secret)
