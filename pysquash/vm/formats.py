"""Formats: writes down how an image is to be run, in the shapes that inits and runtimes read.

In: a `RunConfig`. Out: JSON text, the same for the same input. docs/vm.md shows all of them.
Sources: the OCI runtime specification, "config.json"; fly's init-snapshot, src/lib.rs; thi's init, README.md.
Not here: where it is written (config_output).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Literal

from pysquash.vm.defaults import HOSTNAME
from pysquash.vm.image_config import RunConfig

__all__ = ["FORMATS", "ConfigFormat"]

ConfigFormat = Literal["json", "oci", "fly", "thi"]

_SHELL = ["/bin/sh"]
_NAMESPACES = ("pid", "network", "ipc", "uts", "mount")
_MOUNTS: tuple[tuple[str, str, str, list[str]], ...] = (
    ("/proc", "proc", "proc", []),
    ("/dev", "tmpfs", "tmpfs", ["nosuid", "strictatime", "mode=755", "size=65536k"]),
    ("/dev/pts", "devpts", "devpts", ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]),
    ("/dev/shm", "tmpfs", "shm", ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]),  # noqa: S108
    ("/sys", "sysfs", "sysfs", ["nosuid", "noexec", "nodev", "ro"]),
)


def _sidecar(config: RunConfig) -> dict[str, Any]:
    image, user = config.image, config.user
    return {
        "version": 1,
        "entrypoint": image.entrypoint,
        "cmd": image.cmd,
        "env": config.env,
        "workingDir": image.working_dir,
        "user": {
            "name": user.name,
            "uid": user.uid,
            "gid": user.gid,
            "additionalGids": list(user.additional_gids),
            "home": user.home,
            "configured": image.user,
        },
        "stopSignal": image.stop_signal,
        "exposedPorts": image.exposed_ports,
        "volumes": image.volumes,
        "labels": image.labels,
        "os": image.platform.system,
        "architecture": image.platform.architecture,
        "variant": image.platform.variant,
    }


def _runtime(config: RunConfig) -> dict[str, Any]:
    image, user = config.image, config.user
    return {
        "ociVersion": "1.0.2",
        "process": {
            "terminal": False,
            # The primary group is among the additional ones, as containerd and Docker have it: a process must not lose
            # it, and with it what the group may not do, by setgid.
            "user": {"uid": user.uid, "gid": user.gid, "additionalGids": [user.gid, *user.additional_gids]},
            "args": [*image.entrypoint, *image.cmd] or _SHELL,
            "env": config.env,
            "cwd": image.working_dir,
        },
        "root": {"path": "rootfs", "readonly": True},
        "hostname": HOSTNAME,
        "mounts": [
            {"destination": place, "type": kind, "source": source, **({"options": options} if options else {})}
            for place, kind, source, options in _MOUNTS
        ],
        "linux": {"namespaces": [{"type": kind} for kind in _NAMESPACES]},
        # config.json has no fields for these: "Conversion to OCI Runtime Configuration" of the image specification.
        "annotations": {
            f"org.opencontainers.image.{field}": value
            for field, value in zip(("os", "architecture", "variant"), image.platform, strict=True)
            if value
        },
    }


def _run_json(config: RunConfig, user: str) -> dict[str, Any]:
    image = config.image
    return {
        "ImageConfig": {
            "Cmd": image.cmd,
            "Entrypoint": image.entrypoint,
            "Env": config.env,
            "WorkingDir": image.working_dir,
            "User": user,
        },
        "Hostname": HOSTNAME,
    }


def _fly(config: RunConfig) -> dict[str, Any]:
    # By number, because fly's init takes a number without a line in passwd for its group, too.
    return {**_run_json(config, f"{config.user.uid}:{config.user.gid}"), "RootDevice": "/dev/vdb", "TTY": False}


def _thi(config: RunConfig) -> dict[str, Any]:
    # By name, because thi finds users by nothing else.
    name = config.user.name or str(config.user.uid)
    return {**_run_json(config, name), "RootDevice": "/dev/vdb", "EtcResolv": {"Nameservers": []}}


def _written(shape: Callable[[RunConfig], dict[str, Any]]) -> Callable[[RunConfig], bytes]:
    return lambda config: (json.dumps(shape(config), indent=2, ensure_ascii=True) + "\n").encode()


FORMATS: dict[str, Callable[[RunConfig], bytes]] = {
    "json": _written(_sidecar),
    "oci": _written(_runtime),
    "fly": _written(_fly),
    "thi": _written(_thi),
}
"""What writes each format."""
