"""OCI: which hosts are asked how: over checked HTTPS, over unchecked HTTPS, or over HTTP.

In: a URL. Out: how far its connection can be trusted, and whether a URL may lead to another one.
Rules kept here: the certificate check depends on the host of the URL itself, never on the URL that led there; only this
machine, and a registry for which the caller turned the check off, are exempt from it and may be asked over HTTP; no
redirect and no token server lowers the trust.
Not here: sending requests (registry_requests).
"""

from __future__ import annotations

import enum
import ssl
from pathlib import Path
from typing import NamedTuple

import httpx
import truststore

from pysquash.errors import SourceError
from pysquash.sources.oci.registry_access import RegistryAccess
from pysquash.sources.oci.registry_name import RegistryName, is_loopback

__all__ = ["Connection", "Trust", "TrustRules"]


class Trust(enum.IntEnum):
    """How far a connection can be trusted."""

    PLAIN = 0
    UNCHECKED = 1
    CHECKED = 2


class Connection(NamedTuple):
    """What connections with equal settings have in common: they may share an HTTP client.

    Attributes:
        is_checked: Whether the server's certificate is checked.
        is_registry: Whether the server is the registry itself, for which there may be certificates of its own.
        uses_proxy: Whether the proxies of the environment are used.
    """

    is_checked: bool
    is_registry: bool
    uses_proxy: bool


class TrustRules:
    """The rules for one registry."""

    def __init__(self, name: RegistryName, access: RegistryAccess, *, source: str) -> None:
        """Take the registry's host, and what the caller says of it.

        Args:
            name: The image's name.
            access: tls_verify and cert_dir are used.
            source: What errors name.
        """
        self._host = name.server_host
        self._verify = access.tls_verify
        self._cert_dir = None if access.cert_dir is None else Path(access.cert_dir)
        self._source = source

    def is_exempt(self, host: str) -> bool:
        """Return whether the certificate of a host is not checked, and plain HTTP is allowed."""
        if self._verify:
            return False
        return is_loopback(host) or (self._verify is False and host.lower() == self._host)

    def trust(self, url: httpx.URL) -> Trust:
        """Return how far a connection to a URL can be trusted."""
        if url.scheme != "https":
            return Trust.PLAIN
        return Trust.UNCHECKED if self.is_exempt(url.host) else Trust.CHECKED

    def may_lead(self, origin: httpx.URL, target: httpx.URL) -> bool:
        """Return whether a server may send us to a URL, by a redirect or as its token server."""
        if target.scheme not in ("http", "https") or not target.host or target.userinfo:
            return False
        if target.scheme == "http" and not self.is_exempt(target.host):
            return False
        return self.trust(target) >= self.trust(origin)

    def connection(self, url: httpx.URL) -> Connection:
        """Return how to connect to a URL."""
        is_registry = self._cert_dir is not None and url.host.lower() == self._host
        return Connection(not self.is_exempt(url.host), is_registry, not is_loopback(url.host))

    def context(self, connection: Connection) -> ssl.SSLContext:
        """Make the TLS settings of a connection.

        Raises:
            SourceError: A file of the certificate directory is not a certificate or a key.
            OSError: One cannot be read.
        """
        context: ssl.SSLContext
        if connection.is_checked:
            context = truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        else:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if connection.is_registry and self._cert_dir is not None:
            self._load(self._cert_dir, context)
        return context

    def _load(self, folder: Path, context: ssl.SSLContext) -> None:
        """Load what containers-certs.d(5) describes: *.crt are authorities, *.cert and *.key a client's."""
        path = folder
        try:
            for path in sorted(folder.iterdir()):
                if path.suffix == ".crt":
                    context.load_verify_locations(path)
                elif path.suffix == ".cert":
                    key = path.with_suffix(".key")
                    if not key.exists():
                        raise SourceError(f"client certificate {path} has no key {key.name}", source=self._source)
                    context.load_cert_chain(path, key, password="")  # never ask for one on the terminal
                elif path.suffix == ".key" and not path.with_suffix(".cert").exists():
                    raise SourceError(f"key {path} has no client certificate", source=self._source)
        except ssl.SSLError as error:
            reason = error.reason or "it cannot be parsed"
            raise SourceError(
                f"{path} is not a certificate or key in PEM form: {reason}", source=self._source
            ) from None
