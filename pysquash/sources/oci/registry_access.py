"""OCI: what a caller may say about registries: credentials, certificates, the blob cache, and how slow one may be.

Not here: reading credentials (credentials) and blobs (blob_cache), the rules for connections (registry_trust).
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pysquash.errors import OptionError, OptionTypeError

__all__ = ["RegistryAccess", "default_auth_files"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryAccess:
    """How registries are used.

    Attributes:
        auth_files: Files with credentials; the first one that has any for an image wins, missing ones are skipped.
            None for those of podman and docker in the home directory.
        credentials: User and password, in place of all files and helper programs. Only for one registry: an error
            if the sources of a build are in several.
        tls_verify: Whether the registry's certificate is checked. None checks all but those on this machine
            (localhost, 127.0.0.0/8, [::1]); False exempts the registry's own host as well, and allows HTTP there; True
            checks all. Token servers and redirects on other hosts are always checked.
        cert_dir: A directory as in containers-certs.d(5) for the registry's own host: *.crt are further certificate
            authorities, *.cert with *.key a client certificate.
        blob_cache: A directory in which blobs are kept, made where there is none; None for no cache.
        deadline: Seconds that all transfers of one image may take together.
        min_rate: Bytes per second that must arrive on average over `WriterOptions.timeout` (60 seconds where that is
            None) for a transfer to go on; 0 for any rate.
    """

    auth_files: Sequence[str | os.PathLike[str]] | None = None
    credentials: tuple[str, str] | None = field(default=None, repr=False)
    tls_verify: bool | None = None
    cert_dir: str | os.PathLike[str] | None = None
    blob_cache: str | os.PathLike[str] | None = None
    deadline: float = 24 * 3600
    min_rate: int = 1024

    def __post_init__(self) -> None:
        """Check every value against its range."""
        files = self.auth_files
        if files is not None and (isinstance(files, str | bytes) or not isinstance(files, Sequence)):
            raise OptionTypeError(f"auth_files must be a list of paths, not {files!r:.80}")
        pair = self.credentials
        if pair is not None:
            is_pair = isinstance(pair, tuple) and len(pair) == 2 and all(isinstance(part, str) for part in pair)
            if not is_pair or not pair[0] or ":" in pair[0]:  # which is not repeated: it may hold a password
                raise OptionError("credentials must be a user name without a colon, and a password")
        if self.tls_verify is not None and not isinstance(self.tls_verify, bool):
            raise OptionTypeError(f"tls_verify must be True, False or None, not {self.tls_verify!r:.80}")
        for name in ("cert_dir", "blob_cache"):
            value = getattr(self, name)
            if value is not None and not isinstance(value, str | os.PathLike):
                raise OptionTypeError(f"{name} must be a path or None, not {value!r:.80}")
        if not _is_number(self.deadline) or self.deadline <= 0:
            raise OptionError(f"deadline must be a number of seconds over 0, not {self.deadline!r:.80}")
        if not _is_number(self.min_rate) or self.min_rate < 0:
            raise OptionError(f"min_rate must be a number of bytes per second from 0, not {self.min_rate!r:.80}")


def default_auth_files() -> list[Path]:
    """Return the files in which podman, skopeo and docker keep credentials by default."""
    home = Path.home()
    return [home / ".config" / "containers" / "auth.json", home / ".docker" / "config.json"]


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
