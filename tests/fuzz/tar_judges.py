"""What other programs make of a tar: GNU tar, bsdtar and Python's tarfile, and pysquash beside them.

Each judge returns the tree that it leaves, or None where it refuses the archive. GNU tar and bsdtar extract into a
temporary directory. tarfile's members are applied to a tree in memory, so that nothing is written outside of it.
"""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import stat
import subprocess
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pysquash
from pysquash.errors import InputError
from pysquash.options.writer import WriterOptions
from pysquash.tree.entry import Kind

__all__ = ["JUDGES", "Node", "Outcome", "Tree", "ours"]

_OPTIONS = WriterOptions(compressor="none", workers=1, duplicates="last", source_date_epoch=1)
_STRICT_OPTIONS = WriterOptions(compressor="none", workers=1, duplicates="last", source_date_epoch=1, strict=True)
_TOOL_SECONDS = 20
_SHOWN_SIZE = 1 << 16
_LETTERS = {
    Kind.DIRECTORY: "d",
    Kind.FILE: "f",
    Kind.SYMLINK: "l",
    Kind.BLOCK_DEVICE: "b",
    Kind.CHARACTER_DEVICE: "c",
    Kind.FIFO: "p",
    Kind.SOCKET: "s",
}


class Node(NamedTuple):
    """What is at a path.

    Attributes:
        kind: d, f, l, b, c, p or s.
        value: A file's size and digest, a symlink's target, a device's numbers.
        first_name: The first of the names that share the inode.
    """

    kind: str
    value: bytes
    first_name: bytes = b""


Tree = dict[bytes, Node]


class Outcome(NamedTuple):
    """What pysquash makes of an archive.

    Attributes:
        tree: The tree, or None where it refuses the archive.
        error: Why it does.
        warnings: Kinds and texts of the warnings.
        is_strict_error: Whether it refuses the archive with `strict`.
    """

    tree: Tree | None
    error: str
    warnings: list[str]
    is_strict_error: bool


def _file(content: bytes) -> Node:
    return Node("f", b"%d %s" % (len(content), hashlib.sha256(content).hexdigest()[:16].encode()))


def _large_file(path: Path, size: int) -> Node:
    """Describe a file that may be large and full of holes: its size, its beginning and its end."""
    if size <= _SHOWN_SIZE:
        return _file(path.read_bytes())
    with path.open("rb") as file:
        ends = file.read(_SHOWN_SIZE // 2)
        file.seek(-_SHOWN_SIZE // 2, os.SEEK_END)
        ends += file.read()
    return Node("f", b"%d %s" % (size, hashlib.sha256(ends).hexdigest()[:16].encode()))


def _linked(tree: Tree, inodes: dict[bytes, object]) -> Tree:
    """Note for each path the first name of its inode; directories and symlinks have one name only."""
    firsts: dict[object, bytes] = {}
    for path in sorted(tree):
        first = firsts.setdefault(inodes.get(path, path), path)
        tree[path] = tree[path]._replace(first_name=first)
    return tree


def _walked(root: Path) -> Tree:
    tree: Tree = {}
    inodes: dict[bytes, object] = {}
    stack = [root]
    while stack:
        for item in os.scandir(stack.pop()):
            path = Path(item.path)
            name = os.fsencode(path.relative_to(root))
            status = item.stat(follow_symlinks=False)
            inodes[name] = status.st_ino
            letter = {
                stat.S_IFDIR: "d",
                stat.S_IFREG: "f",
                stat.S_IFLNK: "l",
                stat.S_IFBLK: "b",
                stat.S_IFCHR: "c",
                stat.S_IFIFO: "p",
                stat.S_IFSOCK: "s",
            }[stat.S_IFMT(status.st_mode)]
            if letter == "d":
                tree[name] = Node("d", b"")
                stack.append(path)
            elif letter == "f":
                tree[name] = _large_file(path, status.st_size)
            elif letter == "l":
                tree[name] = Node("l", os.fsencode(os.readlink(path)))
            elif letter in "bc":
                tree[name] = Node(letter, b"%d:%d" % (os.major(status.st_rdev), os.minor(status.st_rdev)))
            else:
                tree[name] = Node(letter, b"")
    return _linked(tree, inodes)


def _extracted(command: list[str], data: bytes) -> Tree | None:
    with tempfile.TemporaryDirectory(prefix="pysquash-", ignore_cleanup_errors=True) as place:
        root = Path(place, "root")
        root.mkdir()
        try:
            done = subprocess.run(
                [*command, "-C", str(root)],
                input=data,
                capture_output=True,
                check=False,
                timeout=_TOOL_SECONDS,
                env={**os.environ, "LC_ALL": "C.UTF-8", "TZ": "UTC"},
            )
        except subprocess.TimeoutExpired:
            return None
        return _walked(root) if done.returncode == 0 else None


def gnu_tar(data: bytes) -> Tree | None:
    """Extract by GNU tar."""
    return _extracted(["tar", "-x", "-f", "-", "--delay-directory-restore"], data)


def bsdtar(data: bytes) -> Tree | None:
    """Extract by bsdtar, which is libarchive."""
    return _extracted(["bsdtar", "-x", "-f", "-"], data)


def python_tarfile(data: bytes) -> Tree | None:
    """Apply the members that Python's tarfile finds, in order, as extracting them would."""
    tree: Tree = {}
    inodes: dict[bytes, object] = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:", encoding="utf-8", errors="surrogateescape") as archive:
            for member in archive:
                _apply(tree, inodes, archive, member)
    except (tarfile.TarError, ValueError, KeyError, OSError, EOFError, OverflowError, IndexError, _RefusedError):
        return None
    return _linked(tree, inodes)


class _RefusedError(Exception):
    """tarfile would not extract this."""


def _apply(tree: Tree, inodes: dict[bytes, object], archive: tarfile.TarFile, member: tarfile.TarInfo) -> None:
    path = _path(os.fsencode(member.name))
    if not path:
        if not member.isdir():
            raise _RefusedError
        return
    parent = path
    while b"/" in parent:
        parent = parent.rpartition(b"/")[0]
        if tree.setdefault(parent, Node("d", b"")).kind != "d":
            raise _RefusedError
    old = tree.get(path)
    if old is not None and (old.kind == "d") != member.isdir():
        raise _RefusedError  # tarfile cannot replace a directory
    if member.isdir():
        tree[path] = Node("d", b"")
    elif member.issym():
        tree[path] = Node("l", os.fsencode(member.linkname))
        inodes[path] = object()
    elif member.islnk():
        target = _path(os.fsencode(member.linkname))
        if target not in tree or tree[target].kind == "d":
            raise _RefusedError
        tree[path] = tree[target]
        inodes[path] = inodes[target]
    else:
        inodes[path] = object()
        if member.isfifo():
            tree[path] = Node("p", b"")
        elif member.isdev():
            tree[path] = Node("c" if member.ischr() else "b", b"%d:%d" % (member.devmajor, member.devminor))
        else:  # unknown types are extracted as files
            if member.size > 1 << 28:
                raise _RefusedError
            stream = archive.extractfile(member)
            content = b"" if stream is None else stream.read()
            if len(content) > _SHOWN_SIZE:
                node = _file(content[: _SHOWN_SIZE // 2] + content[-_SHOWN_SIZE // 2 :])
                tree[path] = node._replace(value=b"%d %s" % (len(content), node.value.partition(b" ")[2]))
            else:
                tree[path] = _file(content)


def _path(name: bytes) -> bytes:
    parts = [part for part in name.split(b"/") if part not in (b"", b".")]
    if b".." in parts or b"\0" in name or any(len(part) > 255 for part in parts):
        raise _RefusedError
    return b"/".join(parts)


def ours(data: bytes) -> Outcome:
    """Pack by pysquash, and look at the image."""
    file = io.BytesIO()
    is_strict_error = False
    try:
        pysquash.tar2squashfs([io.BytesIO(data)], io.BytesIO(), options=_STRICT_OPTIONS)
    except InputError:
        is_strict_error = True
    try:
        report = pysquash.tar2squashfs([io.BytesIO(data)], file, options=_OPTIONS)
    except InputError as error:
        return Outcome(None, str(error), [], is_strict_error)
    warnings = [f"{group.kind}: {example}" for group in report.warnings for example in group.examples]
    tree: Tree = {}
    inodes: dict[bytes, object] = {}
    with pysquash.SquashfsImage(io.BytesIO(file.getvalue())) as image:
        for each in image.root.walk():
            path = os.fsencode(each.path).strip(b"/")
            if not path:
                continue
            inode = each.inode
            letter = _LETTERS[inode.kind]
            if letter == "f":
                content = each.read_bytes()
                if len(content) > _SHOWN_SIZE:
                    node = _file(content[: _SHOWN_SIZE // 2] + content[-_SHOWN_SIZE // 2 :])
                    tree[path] = node._replace(value=b"%d %s" % (len(content), node.value.partition(b" ")[2]))
                else:
                    tree[path] = _file(content)
            elif letter == "l":
                tree[path] = Node("l", inode.target)
            elif letter in "bc":
                tree[path] = Node(letter, b"%d:%d" % (os.major(each.stat().st_rdev), os.minor(each.stat().st_rdev)))
            else:
                tree[path] = Node(letter, b"")
            inodes[path] = each.stat().st_ino
    return Outcome(_linked(tree, inodes), "", warnings, is_strict_error)


JUDGES: dict[str, Callable[[bytes], Tree | None]] = {"GNU tar": gnu_tar, "bsdtar": bsdtar, "tarfile": python_tarfile}
"""By the name of the program; `missing_judges` names those that are not installed."""


def missing_judges() -> list[str]:
    """Return the programs that are not installed."""
    return [name for name, program in (("GNU tar", "tar"), ("bsdtar", "bsdtar")) if shutil.which(program) is None]
