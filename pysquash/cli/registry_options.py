"""Registry options: what `pysquash build` can be told about registries, and what it takes from the environment.

In: options of the command line, and the variables that name files with credentials. Out: a `RegistryAccess`.
Rules kept here: a password that is not on the command line is asked for on the terminal; no message repeats one.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from pysquash.cli.console import byte_count
from pysquash.sources.oci.registry_access import RegistryAccess

__all__ = ["REGISTRY_OPTIONS", "registry_access", "registry_options"]

_PATH = click.Path(path_type=Path, readable=False)
_DEFAULT = RegistryAccess()

REGISTRY_OPTIONS: list[Callable[[Callable[..., Any]], Callable[..., Any]]] = [
    click.option("--authfile", type=_PATH, help="File with credentials, as `podman login` writes it."),
    click.option("--creds", metavar="USER[:PASSWORD]", help="Credentials; without a password, ask on the terminal."),
    click.option(
        "--tls-verify/--no-tls-verify",
        default=None,
        help="Check the registry's certificate, or do not and allow HTTP. By default not for localhost only.",
    ),
    click.option("--cert-dir", type=_PATH, help="Directory with the registry's *.crt, and *.cert and *.key for us."),
    click.option("--blob-cache", type=_PATH, help="Directory in which blobs from registries are kept."),
    click.option(
        "--deadline",
        type=click.FloatRange(min=0, min_open=True),
        metavar="SECONDS",
        default=_DEFAULT.deadline,
        help="Fail when the transfers of one image take longer (default: a day).",
    ),
    click.option(
        "--min-rate",
        type=byte_count,
        metavar="SIZE",
        default=str(_DEFAULT.min_rate),
        help="Fail when a registry sends fewer bytes per second over --timeout (default: 1K; 0: any rate).",
    ),
]


def registry_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command all options about registries."""
    for option in reversed(REGISTRY_OPTIONS):
        command = option(command)
    return command


def registry_access(values: dict[str, Any]) -> RegistryAccess:
    """Take what the options said out of all values.

    Raises:
        click.UsageError: The credentials are malformed.
        FileNotFoundError: The file with credentials is missing.
    """
    authfile, creds = values.pop("authfile"), values.pop("creds")
    if authfile is not None and creds is not None:
        raise click.UsageError("--authfile and --creds contradict each other")
    names = ("tls_verify", "cert_dir", "blob_cache", "deadline", "min_rate")
    return RegistryAccess(
        auth_files=None if creds is not None else _auth_files(authfile),
        credentials=None if creds is None else _credentials(creds),
        **{name: values.pop(name) for name in names},
    )


def _credentials(text: str) -> tuple[str, str]:
    user, colon, password = text.partition(":")
    if not user:
        raise click.UsageError("--creds has no user: write USER:PASSWORD or USER")
    if not colon:
        if not sys.stdin.isatty():
            raise click.UsageError("--creds has no password, and standard input is not a terminal to ask for it")
        password = click.prompt(f"Password for {user}", hide_input=True, err=True)
    return user, password


def _auth_files(chosen: Path | None) -> list[Path]:
    """Return the files with credentials: --authfile or $REGISTRY_AUTH_FILE, or else podman's and docker's own."""
    named = chosen or _path_from("REGISTRY_AUTH_FILE")
    if named is not None:
        if not named.exists():
            raise FileNotFoundError(errno.ENOENT, "file with credentials not found", str(named))
        return [named]
    runtime, config = _path_from("XDG_RUNTIME_DIR"), _path_from("XDG_CONFIG_HOME") or Path.home() / ".config"
    docker = _path_from("DOCKER_CONFIG") or Path.home() / ".docker"
    folders = [config] if runtime is None else [runtime, config]
    return [*(folder / "containers" / "auth.json" for folder in folders), docker / "config.json"]


def _path_from(variable: str) -> Path | None:
    text = os.environ.get(variable)
    return Path(text) if text else None
