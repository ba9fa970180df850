"""It boots: container images become the roots of virtual machines, and their programs run as the images say."""

from __future__ import annotations

import io
import json
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest

from examples import boot
from tests.snapshot import run, unavailable


@pytest.fixture(scope="session")
def guest() -> boot.Guest:
    """What a VM needs besides its root, from the cache if it is there."""
    try:
        boot.need_tools(boot.QEMU)
        return boot.get_guest(boot.cache_folder())
    except boot.UnavailableError as error:
        unavailable(str(error))
        raise


@pytest.fixture(scope="session")
def debian_root() -> Path:
    try:
        return boot.debian_root(boot.cache_folder())
    except boot.UnavailableError as error:
        unavailable(str(error))
        raise


def booted(guest: boot.Guest, source: Path, folder: Path, *, overlay: str) -> list[str]:
    """Pack a container image, boot it, and give what the console says."""
    root, initrd = folder / "root.squashfs", folder / "initramfs.cpio"
    boot.run(boot.pack_command(f"oci:{source}", guest, root))
    initrd.write_bytes(boot.initramfs(guest))
    return boot.boot(boot.qemu_command(guest, initrd, root, overlay=overlay)).lines


def test_debian_with_an_application_boots_and_runs_it(guest: boot.Guest, debian_root: Path, tmp_path: Path) -> None:
    config = {
        **boot.CONFIG,
        "Env": [*boot.CONFIG["Env"][:1], 'GREETING=It\'s "$0" \\ `é` 😀'],
        "Cmd": ["the $(world)"],
    }
    source = boot.write_image(tmp_path / "image", [debian_root.read_bytes(), boot.application_layer()], config)
    lines = booted(guest, source, tmp_path, overlay="init")
    console = "\n".join(lines)

    kernel = next(line for line in lines if line.startswith("vm-init: Linux"))
    assert guest.kernel.name.removeprefix("vmlinuz-") in kernel
    for module in guest.modules:
        assert module.stem[3:].replace("-", "_") in kernel
    assert "vm-init: / is overlay rw" in lines, console
    assert "vm-init: /rom is squashfs ro" in lines, console
    (hello,) = [line for line in lines if line.startswith("It's")]
    assert hello.startswith('It\'s "$0" \\ `é` 😀, the $(world), from Debian')
    assert "working directory: /srv/app" in lines
    assert "user: www-data, 33:33" in lines  # the name of which the image's /etc/passwd says the number
    assert [line for line in lines if line.startswith("state: ")] == [
        "state: from the image",
        "state: written in the VM",
    ]
    assert "vm-init: exit status 0" in lines
    assert not [line for line in lines if "fail" in line.lower() or "can't" in line], console


def test_an_image_with_a_single_program_boots(guest: boot.Guest, tmp_path: Path) -> None:
    """There is no shell but that program, no passwd, no working directory and no mount point in the image."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        info = tarfile.TarInfo("opt/sh")
        info.size, info.mode = guest.busybox.stat().st_size, 0o755
        with guest.busybox.open("rb") as file:
            archive.addfile(info, file)
    script = 'read -r n p a b </proc/self/stat; echo "$p $PWD $A $(id -u):$(id -g) $# $HOME"; exit 7'
    config = {
        "Entrypoint": ["sh", "-c", script],  # looked up in the image's PATH, not among the programs of the init
        "Cmd": ["name", "one", ""],
        "Env": ["PATH=/usr/bin:/opt", "A=b=c"],
        "WorkingDir": "/there/is/none",
        "User": "1000:1001",
    }
    source = boot.write_image(tmp_path / "image", [packed.getvalue()], config)
    lines = booted(guest, source, tmp_path, overlay="initramfs")
    assert "(sh) /there/is/none b=c 1000:1001 2 /" in lines, "\n".join(lines)
    assert "vm-init: exit status 7" in lines


STRINGS = [
    "plain",
    "",
    "it's",
    'say "no"',
    "back\\slash \\n",
    "two\nlines\n",
    "\t\b\f\r\x1b",
    "$(reboot) `x` $HOME",
    "é€😀",
    "a/b",
]


@pytest.mark.parametrize("ascii_only", [True, False])
def test_the_init_reads_any_configuration(guest: boot.Guest, tmp_path: Path, ascii_only: bool) -> None:
    process = {
        "args": STRINGS,
        "env": [f"V{row}={string}" for row, string in enumerate(STRINGS)],
        "cwd": "/a b",
        "user": {"uid": 1, "gid": 2, "additionalGids": [3, 4]},
    }
    document: dict[str, Any] = {
        "ociVersion": "1.2.0",
        "process": process,
        "a": {},
        "b": [[], {}, None, -1.5e3, True],
        "root": {"path": "x"},
    }
    file = tmp_path / "config.json"
    for indent in (None, 2):
        file.write_text(json.dumps(document, ensure_ascii=ascii_only, indent=indent))
        shell = f"""bb={guest.busybox}; eval "$($bb awk -f {boot.GUEST}/config.awk {file})"
            $bb printf '%s\\0' "$uid" "$gid" "$directory" "$@"; with_environment $bb cat /proc/self/environ"""
        seen = subprocess.check_output([guest.busybox, "sh", "-c", shell]).decode().split("\0")[:-1]
        assert seen == ["1", "2", "/a b", *STRINGS, *process["env"]]


@pytest.mark.parametrize(
    "text",
    ["", "{", '{"process": {"args": ["a"]}', '{"process": {"args": ["a",]}}', '{"process": {"args": []}}', "{} {}",
     '{"process": {"args": ["a\\u0000"]}}', '{"process": {"args": ["a\n"]}}', '{"process": {"args": ["a\\x"]}}'],
)  # fmt: skip
def test_the_init_refuses_what_is_no_configuration(guest: boot.Guest, tmp_path: Path, text: str) -> None:
    file = tmp_path / "config.json"
    file.write_text(text)
    done = run([guest.busybox, "awk", "-f", boot.GUEST / "config.awk", file])
    assert done.returncode == 1
    assert done.stderr.startswith("config.awk: ")
