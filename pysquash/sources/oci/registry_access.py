"""OCI: what a caller may say about registries: where logins and blobs are kept.

Not here: reading logins (credentials) and blobs (blob_cache).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

__all__ = ["RegistryAccess", "default_auth_files"]


class RegistryAccess(NamedTuple):
    """How registries are used.

    Attributes:
        auth_files: Files with logins, the first that has one for an image wins; those that do not exist are passed
            over. None for those of podman and docker in the home directory.
        blob_cache: A directory in which blobs are kept, made where there is none; None for no such thing.
    """

    auth_files: Sequence[str | os.PathLike[str]] | None = None
    blob_cache: str | os.PathLike[str] | None = None


def default_auth_files() -> list[Path]:
    """Give the files in which podman, skopeo and docker keep logins, where the environment does not say otherwise."""
    home = Path.home()
    return [home / ".config" / "containers" / "auth.json", home / ".docker" / "config.json"]
