"""The trees that are packed and read: made once, out of what apt, pip and npm deliver, and kept in benchmarks/cache."""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

__all__ = ["CACHE", "CORPORA", "corpus", "entry_count", "gzipped"]

CACHE = Path(__file__).parent / "cache"

PIP_PACKAGES = ["numpy", "pandas", "sympy", "matplotlib", "django", "botocore"]
_PIP_INSTALL = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--target"]
NPM_PACKAGES = [
    "webpack",
    "typescript",
    "eslint",
    "@babel/core",
    "@babel/preset-env",
    "jest",
    "lodash",
    "react",
    "next",
]


def _tar(folder: Path, tar: Path) -> None:
    command = ["tar", "-C", str(folder), "--numeric-owner", "--owner=0", "--group=0", "--sort=name", "-cf"]
    subprocess.run([*command, str(tar), "."], check=True)


def debian(folder: Path, tar: Path) -> None:
    """A minimal Debian root."""
    root = folder / "root"
    subprocess.run(["debootstrap", "--variant=minbase", "stable", str(root)], check=True, stdout=subprocess.DEVNULL)
    shutil.rmtree(root / "var/cache/apt")
    subprocess.run(["tar", "-C", str(root), "--numeric-owner", "-cf", str(tar), "."], check=True)


def site_packages(folder: Path, tar: Path) -> None:
    """What pip installs for some data work and a web site."""
    subprocess.run([*_PIP_INSTALL, str(folder), *PIP_PACKAGES], check=True)
    _tar(folder, tar)


def torch(folder: Path, tar: Path) -> None:
    """A package of few and large binaries: PyTorch for the CPU, which its own index has for Linux, and alone."""
    command = [*_PIP_INSTALL, str(folder), "--no-deps", "--extra-index-url", "https://download.pytorch.org/whl/cpu"]
    subprocess.run([*command, "torch==2.13.0+cpu"], check=True)
    _tar(folder, tar)


def node_modules(folder: Path, tar: Path) -> None:
    """What npm installs for a web front end."""
    command = ["npm", "install", "--silent", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix", str(folder)]
    subprocess.run([*command, *NPM_PACKAGES], check=True, stdout=subprocess.DEVNULL)
    _tar(folder, tar)


def small_files(count: int, in_directory: int = 1000) -> Callable[[Path, Path], None]:
    """So many files of a few bytes, in directories of a thousand, or as many as said."""

    def make(_folder: Path, tar: Path) -> None:
        with tarfile.open(tar, "w", format=tarfile.USTAR_FORMAT) as archive:
            for row in range(count):
                info = tarfile.TarInfo(f"d{row // in_directory:04}/f{row % in_directory:03}")
                content = b"file %d\n" % row
                info.size, info.mtime = len(content), 1_700_000_000
                archive.addfile(info, io.BytesIO(content))

    return make


CORPORA: dict[str, Callable[[Path, Path], None]] = {
    "debian": debian,
    "node_modules": node_modules,
    "site-packages": site_packages,
    "small-files-20k": small_files(20_000),
    "torch": torch,
    "entries-1k": small_files(1_000),
    "entries-10k": small_files(10_000),
    "entries-100k": small_files(99_900),  # and the hundred directories that they are in
    "entries-1M": small_files(1_000_000),
    "flat-100k": small_files(100_000, 100_000),
}


def corpus(name: str) -> Path | None:
    """Give the tar of a corpus, made if need be; None where what makes it is missing or fails."""
    CACHE.mkdir(exist_ok=True)
    tar = CACHE / f"{name}.tar"
    if tar.exists():
        return tar
    folder, part = CACHE / f"{name}.part", CACHE / f"{name}.tar.part"
    folder.mkdir(exist_ok=True)
    print(f"making {tar}", file=sys.stderr)
    try:
        CORPORA[name](folder, part)
        part.replace(tar)
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"{name} is left out: {error}", file=sys.stderr)
        return None
    finally:
        part.unlink(missing_ok=True)
        shutil.rmtree(folder, ignore_errors=True)
    return tar


def entry_count(tar: Path) -> int:
    """Count what a tar says."""
    listing = subprocess.run(["tar", "-tf", str(tar)], check=True, stdout=subprocess.PIPE)
    return listing.stdout.count(b"\n")


def gzipped(tar: Path) -> Path:
    """Give the tar as a gzip layer, as registries hold it."""
    packed = tar.with_suffix(".tar.gz")
    if not packed.exists():
        part = tar.with_suffix(".gz.part")
        with part.open("wb") as file:
            subprocess.run(["gzip", "-6", "-c", str(tar)], check=True, stdout=file)
        part.replace(packed)
    return packed
