"""Snapshots: what a tree holds, byte for byte and attribute for attribute, however it is read.

The kernel (a loop mount), unsquashfs and GNU tar are the judges; our own reader is judged by them. Each producer gives
a `Tree`, and `assert_same` says in words how two of them differ.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
import stat
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

import pytest

from pysquash import SquashfsImage

__all__ = [
    "Seen",
    "Tree",
    "assert_same",
    "gnu_tar_tree",
    "mounted",
    "need_root",
    "need_tool",
    "reader_tree",
    "unsquashfs_tree",
    "walk",
]

IS_CI = os.environ.get("CI") == "true"


@dataclass(frozen=True)
class Seen:
    """What one name stands for."""

    kind: str
    mode: int
    uid: int
    gid: int
    mtime: int
    content: str  # size and SHA-256 of a file, target of a symlink, number of a device
    links: tuple[bytes, ...]  # all names of the inode, this one among them
    xattrs: tuple[tuple[bytes, bytes], ...]


Tree = dict[bytes, Seen]

_KINDS = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "directory",
    stat.S_IFLNK: "symlink",
    stat.S_IFIFO: "fifo",
    stat.S_IFSOCK: "socket",
    stat.S_IFBLK: "block device",
    stat.S_IFCHR: "character device",
}


def unavailable(text: str) -> None:
    """Skip on a user's machine, fail where everything is to be there."""
    if IS_CI:
        pytest.fail(text)
    pytest.skip(text)


def need_tool(name: str, package: str) -> None:
    if shutil.which(name) is None:
        unavailable(f"{name} is missing: apt install {package}")


def need_root() -> None:
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        unavailable("mounting images and making devices needs root")


def walk(root: Path, *, is_backwards: bool = False) -> Tree:
    """Read a tree on the disk, or in a mount; relative to directory descriptors, because paths may be very long.

    Args:
        root: The directory.
        is_backwards: Whether names are read from the last to the first.
    """
    seen: dict[bytes, tuple[os.stat_result, str, tuple[tuple[bytes, bytes], ...]]] = {}
    names: dict[tuple[int, int], list[bytes]] = {}

    def note(path: bytes, status: os.stat_result, content: str, proc_path: str) -> None:
        xattrs = [
            (os.fsencode(name), os.getxattr(proc_path, name, follow_symlinks=False))
            for name in _xattr_names(proc_path)
            if name.startswith(("user.", "trusted.", "security."))
        ]
        seen[path] = (status, content, tuple(sorted(xattrs)))
        if not stat.S_ISDIR(status.st_mode):
            names.setdefault((status.st_dev, status.st_ino), []).append(path)

    top = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    stack = [(b"", top)]
    try:
        note(b"", os.fstat(top), "", f"/proc/self/fd/{top}/.")
        while stack:
            path, descriptor = stack[-1]
            below = []
            for text in os.listdir(descriptor)[:: -1 if is_backwards else 1]:
                name = os.fsencode(text)
                place = path + b"/" + name if path else name
                status = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
                content = ""
                if stat.S_ISDIR(status.st_mode):
                    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
                    below.append((place, os.open(name, flags, dir_fd=descriptor)))
                elif stat.S_ISLNK(status.st_mode):
                    content = repr(os.readlink(name, dir_fd=descriptor))
                elif stat.S_ISREG(status.st_mode):
                    content = f"{status.st_size} {_digest(os.open(name, os.O_RDONLY, dir_fd=descriptor))}"
                elif status.st_rdev:
                    content = f"{os.major(status.st_rdev)}:{os.minor(status.st_rdev)}"
                note(place, status, content, f"/proc/self/fd/{descriptor}/{text}")
            os.close(descriptor)
            stack[-1:] = below
    finally:
        for _, descriptor in stack:
            os.close(descriptor)
    groups = {name: tuple(sorted(group)) for group in names.values() for name in group}
    return {
        path: Seen(
            _KINDS[stat.S_IFMT(status.st_mode)],
            stat.S_IMODE(status.st_mode),
            status.st_uid,
            status.st_gid,
            int(status.st_mtime),
            content,
            groups.get(path, (path,)),
            xattrs,
        )
        for path, (status, content, xattrs) in seen.items()
    }


def _xattr_names(path: str) -> list[str]:
    try:
        return os.listxattr(path, follow_symlinks=False)
    except OSError as error:
        if error.errno == errno.ENOTSUP:  # how the kernel says that an image has no xattr table
            return []
        raise


def _digest(descriptor: int) -> str:
    with open(descriptor, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextlib.contextmanager
def mounted(image: Path, folder: Path) -> Iterator[Path]:
    """Mount an image read-only in a new folder below the one given, and unmount it whatever happens."""
    need_root()
    point = folder / f"mount-{image.name}"
    point.mkdir(exist_ok=True)
    done = run(["mount", "-t", "squashfs", "-o", "loop,ro", image, point])
    assert done.returncode == 0, f"the kernel refuses {image}: {done.stderr}"
    try:
        yield point
    finally:
        subprocess.run(["umount", point], check=True)


def kernel_tree(image: Path, folder: Path) -> Tree:
    """Read an image through the kernel."""
    with mounted(image, folder) as point:
        return walk(point)


def reader_tree(image: Path, *, offset: int = 0) -> Tree:
    """Read an image through our own reader."""
    found: Tree = {}
    names: dict[int, list[bytes]] = {}
    with SquashfsImage(image, offset=offset) as opened:
        for path in opened.root.walk():
            status = path.stat()
            kind, content = _KINDS[stat.S_IFMT(status.st_mode)], ""
            if kind == "file":
                digest = hashlib.sha256()
                for block in path.blocks():
                    digest.update(block)
                content = f"{status.st_size} {digest.hexdigest()}"
            elif kind == "symlink":
                content = repr(path.readlink())
            elif status.st_rdev:
                content = f"{os.major(status.st_rdev)}:{os.minor(status.st_rdev)}"
            if kind != "directory":
                names.setdefault(status.st_ino, []).append(path.path)
            found[path.path] = Seen(
                kind,
                stat.S_IMODE(status.st_mode),
                status.st_uid,
                status.st_gid,
                status.st_mtime,
                content,
                (path.path,),
                tuple(sorted(path.xattrs.items())),
            )
            assert kind == "directory" or status.st_nlink >= len(names[status.st_ino])
    for group in names.values():
        for name in group:
            found[name] = replace(found[name], links=tuple(sorted(group)))
    return found


def unsquashfs_tree(image: Path, folder: Path) -> Tree:
    """Read an image through unsquashfs; any complaint of its is a failure."""
    need_tool("unsquashfs", "squashfs-tools")
    need_root()
    target = folder / f"unsquashed-{image.name}"
    try:
        done = run(["unsquashfs", "-no-progress", "-d", target, image])
        assert done.returncode == 0, f"unsquashfs refuses {image}: {done.stderr}{done.stdout}"
        assert not done.stderr, f"unsquashfs complains about {image}: {done.stderr}"
        return walk(target)
    finally:
        remove(target)


def gnu_tar_tree(layers: Sequence[Path], folder: Path) -> Tree:
    """Extract layers without whiteouts, base first, with GNU tar, and read what that made."""
    need_tool("tar", "tar")
    need_root()
    target = folder / "extracted"
    target.mkdir()
    try:
        for layer in layers:
            assert extract(layer, target), f"tar refuses {layer}"
        return walk(target)
    finally:
        remove(target)


def extract(layer: Path, target: Path) -> bool:
    """Extract one layer over a tree with GNU tar; False where it refuses to."""
    command: list[str | Path] = ["tar", "--extract", "--file", layer, "--directory", target, "--numeric-owner"]
    # Not --recursive-unlink: that empties a directory also where another directory goes over it.
    command += ["--same-permissions", "--same-owner", "--xattrs", "--xattrs-include=*", "--delay-directory-restore"]
    return run(command).returncode == 0


def run(command: Sequence[str | Path]) -> subprocess.CompletedProcess[str]:
    """Run a program and keep what it says, in whatever encoding its file names are."""
    return subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)


def remove(folder: Path) -> None:
    """Remove a tree, however deep: rmtree recurses."""
    subprocess.run(["rm", "-rf", folder], check=True)


def assert_same(left: Tree, right: Tree, *, ignore_root: bool = False) -> None:
    """Fail with a line for each difference, up to twenty."""
    lines = []
    for path in sorted(left.keys() | right.keys()):
        if path == b"" and ignore_root:
            continue
        one, two = left.get(path), right.get(path)
        if one is None or two is None:
            lines.append(f"{path[-80:]!r}: only on the {'right' if one is None else 'left'}")
        elif one != two:
            lines += [
                f"{path[-80:]!r}: {each.name} {getattr(one, each.name)!r:.200} against {getattr(two, each.name)!r:.200}"
                for each in fields(Seen)
                if getattr(one, each.name) != getattr(two, each.name)
            ]
    assert not lines, "\n".join(lines[:20])
