"""Boot a container image: pack it as the root of a virtual machine, boot that, and show what the image's program says.

Usage: python examples/boot.py [SOURCE] [--folder FOLDER] [--overlay init|initramfs] [--accel tcg|kvm]

SOURCE is a container image as `pysquash build` takes it; without one, a Debian root and a small application over it are
made into one (which needs root, for debootstrap). Standard library and pysquash only; apt delivers the kernel and
busybox, which are unpacked into a cache and not installed. docs/boot.md says how it works.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import io
import json
import lzma
import os
import platform
import re
import shlex
import shutil
import stat
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

GUEST = Path(__file__).with_name("boot-guest")  # what runs in the VM: two shell scripts, and one of awk's
KERNELS = ("linux-image-cloud-amd64", "linux-image-virtual")  # Debian's and Ubuntu's kernel for virtual machines
MODULES = ("virtio_pci", "virtio_blk", "squashfs", "overlay")
QEMU = {"qemu-system-x86_64": "qemu-system-x86"}
APT = {"apt-get": "apt", "dpkg-deb": "dpkg"}
TIMEOUT = 120.0
MEMORY = 256  # MiB

HELLO = """#!/bin/sh
. /etc/os-release
echo "$GREETING, $1, from $PRETTY_NAME"
echo "working directory: $PWD"
echo "user: $(id -un), $(id -u):$(id -g)"
echo "state: $(cat state)"
echo 'written in the VM' >state
echo "state: $(cat state)"
"""
CONFIG: dict[str, Any] = {
    "Entrypoint": ["/srv/app/hello"],
    "Cmd": ["world"],
    "Env": ["PATH=/usr/sbin:/usr/bin:/sbin:/bin", "GREETING=Hello"],
    "WorkingDir": "/srv/app",
    "User": "www-data",
}


class BootError(Exception):
    """Something went wrong, and what."""


class UnavailableError(BootError):
    """Something is missing on this machine, and what to install."""


@dataclass(frozen=True)
class Guest:
    """What a VM needs besides its root: a kernel, its modules in the order to load them, and a static busybox."""

    kernel: Path
    modules: tuple[Path, ...]
    busybox: Path


@dataclass(frozen=True)
class Booted:
    """What a VM said, and how long it took."""

    lines: list[str]
    seconds: float


# Things of this machine


def run(command: Sequence[str | Path], cwd: Path | None = None) -> str:
    """Run a program to its end, and give what it prints."""
    english = {**os.environ, "LC_ALL": "C.UTF-8"}  # what apt says is read
    done = subprocess.run(  # noqa: S603
        command, cwd=cwd, env=english, capture_output=True, text=True, errors="replace", check=False
    )
    if done.returncode:
        raise BootError(f"{shlex.join(map(str, command))}: exit {done.returncode}\n{done.stderr}{done.stdout[-2000:]}")
    return done.stdout


def need_tools(tools: Mapping[str, str]) -> None:
    """Say what to install where programs are missing."""
    missing = [package for tool, package in tools.items() if shutil.which(tool) is None]
    if missing:
        raise UnavailableError(f"{', '.join(missing)} missing: apt install {' '.join(missing)}")


def cache_folder() -> Path:
    """Where things are kept between runs, which take a minute to make."""
    folder = os.environ.get("PYSQUASH_TEST_CACHE") or Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")) / "pysquash"
    path = Path(folder).expanduser()
    path.mkdir(parents=True, exist_ok=True)
    return path


def made_once(path: Path, make: Callable[[Path], Path]) -> Path:
    """Make a file or folder of the cache if it is not there, however many processes want it.

    `make` gets a folder of its own, which goes away afterwards, and says what in there is to be kept.
    """
    import fcntl  # noqa: PLC0415 - not on Windows, where this module is to be importable

    with path.with_name(f".{path.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            folder = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
            try:
                make(folder).rename(path)
            finally:
                shutil.rmtree(folder, ignore_errors=True)
    return path


# A Debian root


def mirror_and_suite() -> list[str]:
    """Where this machine's apt gets Debian from, in either form of its lists; else debootstrap's own default."""
    for path in [*Path("/etc/apt/sources.list.d").glob("*"), Path("/etc/apt/sources.list")]:
        text = path.read_text() if path.is_file() else ""
        uri, suite = (
            re.search(r"^URIs: *(\S+/debian)/?$", text, re.MULTILINE),
            re.search(r"^Suites: *(\S+)", text, re.MULTILINE),
        )
        if uri and suite:
            return [suite[1], uri[1]]
        line = re.search(r"^deb +(?:\[.*?\] +)?(\S+/debian)/? +(\S+)", text, re.MULTILINE)
        if line:
            return [line[2], line[1]]
    return ["stable"]


def debian_root(cache: Path) -> Path:
    """Give a minimal Debian root as a tar."""

    def make(folder: Path) -> Path:
        need_tools({"debootstrap": "debootstrap"})
        if os.geteuid() != 0:
            raise UnavailableError("debootstrap makes devices, which needs root")
        suite, *mirror = mirror_and_suite()
        target, tar = folder / "root", folder / "root.tar"
        run(["debootstrap", "--variant=minbase", "--merged-usr", suite, target, *mirror])
        shutil.rmtree(target / "var/cache/apt")
        run(["tar", "-C", target, "--xattrs", "--numeric-owner", "-cf", tar, "."])
        return tar

    return made_once(cache / "debian-minbase.tar", make)


# An application over it, and both as a container image


def application_layer() -> bytes:
    """Make a layer with a program, and a file that it may write to, both of the user www-data."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, mode, content in [
            ("srv/app", 0o755, None),
            ("srv/app/hello", 0o755, HELLO),
            ("srv/app/state", 0o644, "from the image\n"),
        ]:
            info = tarfile.TarInfo(name)
            info.mode, info.mtime, info.uid, info.gid = mode, 1_700_000_000, 33, 33
            data = (content or "").encode()
            info.size, info.type = len(data), tarfile.DIRTYPE if content is None else tarfile.REGTYPE
            archive.addfile(info, io.BytesIO(data))
    return packed.getvalue()


def write_image(folder: Path, layers: Sequence[bytes], config: Mapping[str, Any]) -> Path:
    """Write tars and a configuration as an OCI layout, which is what `pysquash build oci:FOLDER` takes."""
    blobs = folder / "blobs/sha256"
    shutil.rmtree(folder, ignore_errors=True)
    blobs.mkdir(parents=True)

    def blob(media_type: str, data: bytes) -> dict[str, Any]:
        digest = hashlib.sha256(data).hexdigest()
        (blobs / digest).write_bytes(data)
        return {"mediaType": f"application/vnd.oci.image.{media_type}", "digest": f"sha256:{digest}", "size": len(data)}

    document = {
        "architecture": "amd64",
        "os": "linux",
        "config": config,
        "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(layer).hexdigest() for layer in layers]},
    }
    manifest = {
        "schemaVersion": 2,
        "config": blob("config.v1+json", json.dumps(document).encode()),
        "layers": [blob("layer.v1.tar", layer) for layer in layers],
    }
    index = {"schemaVersion": 2, "manifests": [blob("manifest.v1+json", json.dumps(manifest).encode())]}
    (folder / "index.json").write_text(json.dumps(index))
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    return folder


# A kernel, its modules and a busybox, out of the packages of Debian or Ubuntu


def get_guest(cache: Path) -> Guest:
    """Download what a VM needs besides its root, and keep the few files of it that are used."""
    if platform.machine() not in ("x86_64", "AMD64"):
        raise UnavailableError(f"the VM is an x86-64 one, and this machine is {platform.machine()}")

    def make(folder: Path) -> Path:
        need_tools(APT)
        tree, kept = folder / "tree", folder / "kept"
        download([*kernel_packages(), "busybox-static"], folder, tree)
        (kept / "modules").mkdir(parents=True)
        kernel = next((tree / "boot").glob("vmlinuz-*"))
        shutil.copyfile(kernel, kept / kernel.name)
        shutil.copyfile(next(path for path in tree.glob("**/bin/busybox") if path.is_file()), kept / "busybox")
        (kept / "busybox").chmod(0o755)
        release = kernel.name.removeprefix("vmlinuz-")
        modules = next(path for path in tree.glob(f"**/modules/{release}") if (path / "kernel").is_dir())
        for row, (name, content) in enumerate(modules_in_order(modules)):
            (kept / "modules" / f"{row:02}-{name}.ko").write_bytes(content)
        return kept

    folder = made_once(cache / f"boot-{'-'.join(MODULES)}", make)
    kernel = next(folder.glob("vmlinuz-*"))
    return Guest(kernel, tuple(sorted((folder / "modules").iterdir())), folder / "busybox")


def kernel_packages() -> list[str]:
    """Follow the name that stands for the newest kernel to the packages that hold it."""
    for name in KERNELS:
        with contextlib.suppress(BootError):
            run(["apt-cache", "show", name])
            break
    else:
        raise UnavailableError(f"apt knows none of {', '.join(KERNELS)}: apt-get update, on Debian or Ubuntu")
    packages = [name]
    for package in packages:
        for needed in re.findall(
            r"^  Depends: (linux-(?:image|modules)-\S+)", run(["apt-cache", "depends", package]), re.MULTILINE
        ):
            if needed not in packages:
                packages.append(needed)
    return packages


def download(packages: Sequence[str], folder: Path, tree: Path) -> None:
    """Unpack packages into a tree, without installing them."""
    sandbox = ["-o", "APT::Sandbox::User=root"] if os.geteuid() == 0 else []  # apt's own user may not write here
    try:
        run(["apt-get", *sandbox, "download", *packages], cwd=folder)
    except BootError as error:
        raise BootError(f"{error}\nIf apt's lists are old, apt-get update helps.") from None
    for package in folder.glob("*.deb"):
        run(["dpkg-deb", "--extract", package, tree])


def modules_in_order(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Give the modules that the VM needs, those first that others need; not those which are part of the kernel."""
    files = {path.name.partition(".ko")[0].replace("-", "_"): path for path in folder.glob("kernel/**/*.ko*")}
    built_in = {Path(line).stem.replace("-", "_") for line in (folder / "modules.builtin").read_text().splitlines()}
    done: set[str] = set()

    def needed(name: str) -> Iterator[tuple[str, bytes]]:
        if name in done or name in built_in:
            return
        done.add(name)
        if name not in files:
            raise BootError(f"the kernel has no module {name}")
        content = plain_module(files[name])
        depends = re.search(rb"\0depends=([^\0]*)", content)
        for other in depends[1].decode().split(",") if depends else []:
            if other:
                yield from needed(other.replace("-", "_"))
        yield name, content

    for name in MODULES:
        yield from needed(name)


def plain_module(path: Path) -> bytes:
    """Read a module, which Debian packs with xz since 13, and Ubuntu with zstd."""
    if path.suffix == ".xz":
        return lzma.decompress(path.read_bytes())
    if path.suffix == ".zst":
        import zstandard  # noqa: PLC0415 - pysquash needs it, so it is there

        return zstandard.ZstdDecompressor().decompressobj().decompress(path.read_bytes())
    return path.read_bytes()


# The root, and the initramfs


def pack_command(source: str, guest: Guest, root: Path) -> list[str | Path]:
    """Make the command that packs a container image as the root of a VM."""
    command: list[str | Path] = [sys.executable, "-m", "pysquash", "build", source, "-o", root, "--vm"]
    for name, path in (("init", GUEST / "vm-init"), ("busybox", guest.busybox)):
        command += ["--file", f".vm/{name}={path},mode=755"]
    command += ["--file", f".vm/config.awk={GUEST / 'config.awk'},mode=644"]
    command += ["--config-format", "oci", "--config-in-image", ".vm/config.json"]
    return [*command, "--config-out", root.with_suffix(".json")]


def initramfs(guest: Guest) -> bytes:
    """Make the archive that the kernel unpacks and starts: cpio's "new ASCII" format, as the kernel wants it."""
    packed = io.BytesIO()

    def add(name: str, mode: int, content: bytes = b"", device: tuple[int, int] = (0, 0)) -> None:
        number = packed.tell() + 1  # of the inode: anything that no other name has
        path = name.encode() + b"\0"
        numbers = [number, mode, 0, 0, 1, 0, len(content), 0, 0, *device, len(path), 0]
        packed.write(b"070701" + b"".join(b"%08x" % each for each in numbers) + path)
        packed.write(bytes(-packed.tell() % 4) + content)
        packed.write(bytes(-packed.tell() % 4))

    for name in ("bin", "dev", "disk", "merged", "modules", "proc", "writes"):
        add(name, stat.S_IFDIR | 0o755)
    add("dev/console", stat.S_IFCHR | 0o600, device=(5, 1))
    add("init", stat.S_IFREG | 0o755, (GUEST / "initramfs-init").read_bytes())
    add("bin/busybox", stat.S_IFREG | 0o755, guest.busybox.read_bytes())
    for module in guest.modules:
        add(f"modules/{module.name}", stat.S_IFREG | 0o644, module.read_bytes())
    add("TRAILER!!!", 0)
    return packed.getvalue()


# The machine


def qemu_command(guest: Guest, initrd: Path, root: Path, *, overlay: str = "init", accel: str = "tcg") -> list[str]:
    """Make the command that boots a root, read-only, as the VM's first disk."""
    arguments = f"console=ttyS0 quiet panic=-1 init=/.vm/init overlay={overlay}"
    return [
        *("qemu-system-x86_64", "-accel", accel, "-m", str(MEMORY), "-no-reboot"),
        *("-nodefaults", "-no-user-config", "-display", "none", "-serial", "stdio"),
        *("-kernel", str(guest.kernel), "-initrd", str(initrd), "-append", arguments),
        *("-drive", f"file={root},format=raw,if=none,id=root,readonly=on", "-device", "virtio-blk-pci,drive=root"),
    ]


def boot(command: Sequence[str], *, timeout: float = TIMEOUT, show: Callable[[str], None] | None = None) -> Booted:
    """Run a VM until it ends, and give the lines of its console."""
    lines: list[str] = []
    begun = time.monotonic()
    with subprocess.Popen(  # noqa: S603
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as machine:
        assert machine.stdout is not None  # noqa: S101
        timer = threading.Timer(timeout, machine.kill)
        timer.start()
        try:
            for line in machine.stdout:
                lines.append(line.decode(errors="replace").rstrip("\r\n"))
                if show:
                    show(lines[-1])
        except BaseException:
            machine.kill()
            raise
        finally:
            timer.cancel()
    seconds = time.monotonic() - begun
    if machine.returncode:
        why = f"did not end within {timeout:g} s" if seconds >= timeout else f"failed with {machine.returncode}"
        raise BootError("\n".join([f"the VM {why}; it said:", *lines]))
    return Booted(lines, seconds)


def main() -> None:
    """Do it all, and say what is done."""
    parser = argparse.ArgumentParser(description="Boot a container image in a virtual machine.")
    parser.add_argument("source", nargs="?", help="oci:DIR, oci-archive:FILE or docker-archive:FILE; Debian by default")
    parser.add_argument("--folder", type=Path, default=Path("demo/boot"), help="where to leave what is made")
    parser.add_argument("--overlay", choices=["init", "initramfs"], default="init", help="who makes / writable")
    parser.add_argument("--accel", default="tcg", help="kvm is faster, where there is /dev/kvm")
    options = parser.parse_args()
    folder, cache = options.folder, cache_folder()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        need_tools(QEMU)
        print(f"1. A kernel and a busybox, from apt's packages, kept in {cache}")
        guest = get_guest(cache)
        print(f"   {guest.kernel.name}, modules {', '.join(path.stem[3:] for path in guest.modules)}")
        source = options.source
        if source is None:
            print(f"2. A container image: Debian, kept in {cache}, and an application, into {folder}/image")
            write_image(folder / "image", [debian_root(cache).read_bytes(), application_layer()], CONFIG)
            source = f"oci:{folder}/image"
        else:
            print(f"2. The container image {source}")
        root = folder / "root.squashfs"
        command = pack_command(source, guest, root)
        print(f"3. The root of a VM out of it:\n   {shlex.join(['pysquash', *map(str, command[3:])])}")
        run(command)
        print(f"   {root}, {root.stat().st_size / 1e6:.1f} MB; the image's configuration is beside it, and inside")
        initrd = folder / "initramfs.cpio"
        initrd.write_bytes(initramfs(guest))
        machine = qemu_command(guest, initrd, root, overlay=options.overlay, accel=options.accel)
        print(f"4. The VM:\n   {shlex.join(machine)}\n")
        booted = boot(machine, show=lambda line: print("   |", line))
        print(f"\n   It ended after {booted.seconds:.1f} s.")
    except BootError as error:
        sys.exit(f"boot.py: {error}")


if __name__ == "__main__":
    main()
