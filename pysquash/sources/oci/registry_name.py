"""OCI: names of images in registries, as users write them.

In: "//alpine", "//localhost:5000/team/app:v1", "//quay.io/x/y:v1@sha256:...". Out: a `RegistryName`.
Source: containers-transports(5); the reference grammar of the distribution project; the distribution specification for
the grammar of repositories and tags.
Rules kept here: what has no host is on docker.io, and in its "library" where it has one part only; what does not
follow the grammar never becomes a part of an address; a login in a name is refused and not repeated.
"""

from __future__ import annotations

import ipaddress
import re
from typing import NamedTuple

from pysquash.errors import SourceError
from pysquash.sources.oci.digests import Digest, parse_digest

__all__ = ["DOCKER_HUB", "RegistryName", "is_loopback"]

DOCKER_HUB = "docker.io"
_DOCKER_HUB_NAMES = (DOCKER_HUB, "index.docker.io", "registry-1.docker.io")
_DOCKER_HUB_SERVER = "registry-1.docker.io"
_DOCKER_HUB_FOLDER = "library"

_LABEL = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?"
_HOST = re.compile(rf"({_LABEL}(?:\.{_LABEL})*|\[[0-9a-fA-F:.]+\])(?::([0-9]{{1,5}}))?")
_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REPOSITORY = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
_REPOSITORY_SIZE = 255
_DIGEST_AT_END = re.compile(r"^[^@]*@[a-z0-9+._-]+:[0-9a-zA-Z=_-]*$")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_PORT_COUNT = 1 << 16


class RegistryName(NamedTuple):
    """What a name means.

    Attributes:
        host: The registry, with its port where that is said, as logins are kept for it: "docker.io".
        repository: "library/alpine".
        tag: "latest" by default. Where there is a digest, "" by default, and only a name.
        digest: The manifest's, which takes precedence over the tag; or None.
    """

    host: str
    repository: str
    tag: str
    digest: Digest | None

    @classmethod
    def parse(cls, text: str) -> RegistryName:
        """Read a name.

        Args:
            text: What follows `docker:`.

        Raises:
            SourceError: It is none.
        """
        source = f"docker:{text:.300}"
        if "@" in text and not _DIGEST_AT_END.search(text):
            # Not repeated: it may be meant for a password.
            raise SourceError(
                "what follows the @ is no digest, and a login is not part of a name", source="docker://..."
            )
        if not text.startswith("//"):
            raise SourceError("names of images in registries begin with docker://", source=source)
        host, repository = _split_host(text[2:])
        repository, at, digest_text = repository.partition("@")
        digest = parse_digest(digest_text, source=source, what="the name") if at else None
        repository, colon, tag = repository.partition(":")
        if host == DOCKER_HUB and repository and "/" not in repository:
            repository = f"{_DOCKER_HUB_FOLDER}/{repository}"
        matched = _HOST.fullmatch(host)
        if matched is None or int(matched[2] or 0) >= _PORT_COUNT or not _is_address(matched[1]):
            raise SourceError(f"{host!r:.120} is no host", source=source)
        if not _REPOSITORY.fullmatch(repository) or len(repository) > _REPOSITORY_SIZE:
            raise SourceError(
                f"{repository!r:.120} is no name of a repository: lower case, digits, . _ - /", source=source
            )
        if colon and not _TAG.fullmatch(tag):
            raise SourceError(f"{tag!r:.150} is no tag", source=source)
        return cls(host, repository, tag if colon or digest is not None else "latest", digest)

    @property
    def reference(self) -> str:
        """The digest, or the tag."""
        return self.tag if self.digest is None else str(self.digest)

    @property
    def server(self) -> str:
        """Who serves it: the host, but for docker.io."""
        return _DOCKER_HUB_SERVER if self.host == DOCKER_HUB else self.host

    @property
    def server_host(self) -> str:
        """The server without its port, in lower case and without brackets, as the host of a URL."""
        matched = _HOST.fullmatch(self.server)
        return matched[1].strip("[]").lower() if matched else ""


def is_loopback(host: str) -> bool:
    """Return whether the host of a URL is this machine: localhost, 127.0.0.0/8 or ::1."""
    try:
        return host.lower() == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _split_host(text: str) -> tuple[str, str]:
    """Cut the host off, where the first part is one: it has a dot, a colon or a capital, or is localhost."""
    first, slash, rest = text.partition("/")
    if not slash or (not any(sign in first for sign in ".:") and first != "localhost" and first == first.lower()):
        return DOCKER_HUB, text
    return DOCKER_HUB if first in _DOCKER_HUB_NAMES else first, rest


def _is_address(host: str) -> bool:
    """Tell whether a host in brackets is an IPv6 address; others are what their grammar says."""
    if not host.startswith("["):
        return True
    try:
        ipaddress.IPv6Address(host[1:-1])
    except ValueError:
        return False
    return True
