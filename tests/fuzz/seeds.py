"""Images to begin with: what writers make, with and without compression, and one for each rule that can be broken."""

from __future__ import annotations

import io
import random
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pysquash import SquashfsWriter, WriterOptions

__all__ = ["FOUND", "foreign_images", "own_image", "own_images", "seeds"]

FOUND = Path(__file__).parent.parent / "corrupt" / "found"
"""Images that something went wrong with."""


def own_image(
    compressor: Literal["zstd", "gzip", "xz", "none"] = "none", *, exports: bool = True, many: int = 3
) -> bytes:
    """Make an image that has something of everything."""
    file = io.BytesIO()
    options = WriterOptions(compressor=compressor, block_size=4096, workers=1, exports=exports)
    with SquashfsWriter(file, options) as writer:
        noise = random.Random(1).randbytes(4500)
        writer.add_file("a/b", noise, xattrs={"user.x": b"v" * 20})
        writer.add_file("a/c", noise[:4096] + bytes(8192) + b"tail", uid=7, xattrs={"security.y": b"v" * 20})
        writer.add_file("a/zeros", bytes(9000))
        writer.add_symlink("a/s", "b")
        writer.add_symlink("up", "a/../a", xattrs={"trusted.z": b"1"})
        writer.add_hard_link("link", "a/c")
        writer.add_device("n", "character", 1, 3)
        writer.add_socket("socket")
        writer.add_directory("a/empty", xattrs={"user.d": b"2"})
        for row in range(many):
            writer.add_fifo(f"m/{row:050}", gid=row % 5)
    return file.getvalue()


def own_images() -> Iterator[bytes]:
    yield own_image()
    yield own_image(exports=False, many=400)  # a directory with an index
    yield own_image("zstd")
    yield own_image("gzip", exports=False)
    yield own_image("xz")


def foreign_images() -> Iterator[bytes]:
    """Make images by mksquashfs, if that is here."""
    tool = shutil.which("mksquashfs")
    if tool is None:
        return
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder, "tree")
        (tree / "a/b").mkdir(parents=True)
        (tree / "a/f").write_bytes(b"content" * 2000)
        (tree / "a/tail").write_bytes(b"tail")
        (tree / "s").symlink_to("a/f")
        (tree / "link").hardlink_to(tree / "a/f")
        for number in range(20):
            (tree / f"a/b/{number:030}").write_bytes(b"%d" % number)
        for options in (
            ["-noI", "-noD", "-noF", "-noX", "-noId"],
            *(["-comp", name] for name in ("gzip", "lzo", "lz4", "xz", "zstd", "lzma")),
        ):
            image = Path(folder, "image")
            done = subprocess.run(
                [tool, tree, image, "-noappend", "-quiet", "-b", "4096", *options], capture_output=True, check=False
            )
            if done.returncode == 0:  # not every build has every compressor
                yield image.read_bytes()


def seeds() -> Iterator[bytes]:
    """Give all of them."""
    from tests.corrupt.cases import CASES  # noqa: PLC0415 -- which needs all compressors

    yield from own_images()
    yield from foreign_images()
    yield from (case.image() for case in CASES)
    yield from (path.read_bytes() for path in sorted(FOUND.glob("*.squashfs")))
