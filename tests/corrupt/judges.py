"""What the kernel and unsquashfs make of an image that may be broken.

A judge "takes" an image, "refuses" it, or "misreads" it: no error, but another tree than the good image shows. Every
program has a time limit, because a broken image can keep one busy for ever, and nothing stays mounted.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import pickle
import platform
import re
import select
import stat
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import fields, replace
from functools import cache
from pathlib import Path
from typing import Literal, NamedTuple

import pytest

from tests.snapshot import Seen, Tree, need_root, need_tool, remove, walk

__all__ = [
    "TIMED_OUT",
    "Answer",
    "Verdict",
    "ask_kernel",
    "ask_unsquashfs",
    "extracted_tree",
    "good_tree",
    "kernel",
    "mounted_tree",
    "need_judges",
    "unsquashfs",
]

Verdict = Literal["takes", "refuses", "misreads"]

TIMED_OUT = "not done"
"""How the reason of a judge begins that was not done in time."""

_TIME_LIMIT = 30
_ROOT = Path(__file__).parents[2]
_EXTRACTED_SIZE_LIMIT = 64 << 20  # an image of a few KiB can say that it holds a file of any size


class Answer(NamedTuple):
    """A verdict, and the reason of one that is not "takes"."""

    verdict: Verdict
    reason: str


def kernel(image: Path, folder: Path, good: Path | Tree | None) -> Verdict:
    """Mount an image, read everything in it, and compare with what the good image shows."""
    return ask_kernel(image, folder, good).verdict


def unsquashfs(image: Path, folder: Path, good: Path | Tree | None) -> Verdict:
    """Extract an image, and compare with what the good image shows through the kernel."""
    return ask_unsquashfs(image, folder, good).verdict


def ask_kernel(image: Path, folder: Path, good: Path | Tree | None) -> Answer:
    """As `kernel`, with the reason."""
    need_root()
    expected = good_tree(good, folder) if isinstance(good, Path) else good
    return _judged(mounted_tree(image, folder), expected)


def ask_unsquashfs(image: Path, folder: Path, good: Path | Tree | None) -> Answer:
    """As `unsquashfs`, with the reason."""
    need_root()
    need_tool("unsquashfs", "squashfs-tools")
    expected = good_tree(good, folder) if isinstance(good, Path) else good
    return _judged(extracted_tree(image, folder), expected)


def extracted_tree(image: Path, folder: Path) -> Tree | str:
    """Extract an image with unsquashfs and read everything; a text says why that failed."""
    target = folder / f"unsquashed-{image.name}"
    command: list[str | Path] = ["prlimit", f"--fsize={_EXTRACTED_SIZE_LIMIT}", "unsquashfs", "-no-progress"]
    try:
        done = _run([*command, "-d", target, image])
        if done.returncode or done.stderr:
            said = " / ".join(line for line in done.stderr.splitlines() if line) or done.stdout.strip()[-200:]
            return f"exit {done.returncode}: {said}"
        return _walker.walk(target)
    finally:
        remove(target)


@cache
def good_tree(good: Path, folder: Path) -> Tree:
    """Give what the kernel shows of an image that is whole."""
    tree = mounted_tree(good, folder)
    assert not isinstance(tree, str), f"the kernel refuses the good image: {tree}"
    return tree


def need_judges() -> None:
    """Skip where the judges are not those whose verdicts `format.rules` has."""
    need_root()
    need_tool("unsquashfs", "squashfs-tools")
    said = subprocess.run(["unsquashfs", "-version"], capture_output=True, text=True, check=False).stdout
    version = re.search(r"version (\d+\.\d+)", said)
    if version is None or version[1] != "4.5":
        pytest.skip(f"the verdicts are those of unsquashfs 4.5, this is {said.splitlines()[0]}")
    if int(platform.release().split(".")[0]) < 6:
        pytest.skip(f"the verdicts are those of Linux 6, this is {platform.release()}")


def mounted_tree(image: Path, folder: Path, *, is_backwards: bool = False) -> Tree | str:
    """Mount an image and read everything in it; a text says why that failed.

    What Linux shows of a damaged image depends on what was read first: it keeps inodes by their numbers.
    """
    point = folder / f"mount-{image.name}"
    point.mkdir(exist_ok=True)
    done = _run(["mount", "-t", "squashfs", "-o", "loop,ro", image, point])
    if done.returncode:
        return f"mount: {done.stderr.strip().splitlines()[0].removeprefix(f'mount: {point}: ')}"
    try:
        return _walker.walk(point, is_backwards=is_backwards)
    finally:
        _unmount(point)
        point.rmdir()


def _unmount(point: Path) -> None:
    for _ in range(20):
        done = _run(["umount", point])
        if not done.returncode:
            return
        if TIMED_OUT in done.stderr:
            break
        time.sleep(0.1)  # a walk that was killed may hold on to it for a moment
    _run(["umount", "-l", point])


class _Walker:
    """Walks trees in a process of its own, which can be killed; one process walks many trees."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def walk(self, root: Path, *, is_backwards: bool = False) -> Tree | str:
        """Walk a tree; a text says why that failed."""
        if self._process is None:
            command = [sys.executable, "-m", __name__]
            self._process = subprocess.Popen(command, cwd=_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        requests, answers = self._process.stdin, self._process.stdout
        assert requests is not None
        assert answers is not None
        requests.write((b"-" if is_backwards else b"+") + os.fsencode(root) + b"\n")
        requests.flush()
        if not select.select([answers], [], [], _TIME_LIMIT)[0]:
            self.close()
            return f"{TIMED_OUT} after {_TIME_LIMIT} s"
        try:
            tree: Tree | str = pickle.load(answers)
        except EOFError:
            self.close()
            return "walk: the process died"
        return tree

    def close(self) -> None:
        """End the process."""
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired, ValueError):
            process.communicate(timeout=5)  # not without a limit: a process can be stuck inside the kernel


_walker = _Walker()
atexit.register(_walker.close)


def _run(command: Sequence[str | Path]) -> subprocess.CompletedProcess[str]:
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace")
    try:
        output, complaint = process.communicate(timeout=_TIME_LIMIT)
    except subprocess.TimeoutExpired:
        process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.communicate(timeout=5)  # not without a limit: a process can be stuck inside the kernel
        return subprocess.CompletedProcess(command, -1, "", f"{TIMED_OUT} after {_TIME_LIMIT} s")
    return subprocess.CompletedProcess(command, process.returncode, output, complaint)


def _judged(tree: Tree | str, expected: Tree | None) -> Answer:
    if isinstance(tree, str):
        return Answer("refuses", tree)
    if expected is None or tree == expected:
        return Answer("takes", "")
    return Answer("misreads", _difference(tree, expected))


def _difference(tree: Tree, expected: Tree) -> str:
    """Tell the first difference."""
    for path in sorted(tree.keys() | expected.keys()):
        is_shown, is_expected = path in tree, path in expected
        if not is_shown or not is_expected:
            return f"{path[-60:]!r} is {'shown' if is_shown else 'missing'}"
        for each in fields(Seen):
            shown, wanted = getattr(tree[path], each.name), getattr(expected[path], each.name)
            if shown != wanted:
                return f"{path[-60:]!r}: {each.name} {shown!r:.100}, not {wanted!r:.100}"
    return ""


def _as_listed(root: Path, path: bytes, seen: Seen) -> Seen:
    """Note where the directory that holds a name says another kind than its inode, which `find` would go by."""
    below = os.path.join(os.fsencode(root), path)
    if seen.kind != "directory" or len(below) > 3000:  # a longer path cannot be asked for
        return seen
    with os.scandir(below) as entries:
        for entry in entries:
            # These answer from the directory, without asking for the inode.
            listed = entry.is_dir(follow_symlinks=False), entry.is_file(follow_symlinks=False), entry.is_symlink()
            mode = os.lstat(entry.path).st_mode
            if listed != (stat.S_ISDIR(mode), stat.S_ISREG(mode), stat.S_ISLNK(mode)):
                return replace(seen, content=f"says another kind of {entry.name!r} than its inode")
    return seen


def _main() -> None:
    """Walk the trees named on standard input, one a line, for `_Walker`."""
    for line in sys.stdin.buffer:
        root, is_backwards = Path(os.fsdecode(line[1:].rstrip(b"\n"))), line.startswith(b"-")
        result: Tree | str
        try:
            result = {
                path: _as_listed(root, path, seen) for path, seen in walk(root, is_backwards=is_backwards).items()
            }
        except (OSError, RecursionError) as error:
            result = f"{type(error).__name__}: {error}"
        sys.stdout.buffer.write(pickle.dumps(result))
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    _main()
