"""Where the format has an edge: one more and something else must happen. Judged by the kernel and by unsquashfs."""

from __future__ import annotations

import io
import os
import random
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import pysquash
from pysquash import LimitError, SquashfsWriter, WriterOptions
from tests.snapshot import Tree, assert_same, kernel_tree, mounted, need_root, need_tool, run, unsquashfs_tree, walk
from tests.tarbuild import END, header, pax


@pytest.fixture(autouse=True)
def _tools() -> None:
    need_root()
    need_tool("unsquashfs", "squashfs-tools")


def judged(image: Path) -> Tree:
    """Read an image through both judges, who must agree."""
    seen = kernel_tree(image, image.parent)
    assert_same(unsquashfs_tree(image, image.parent), seen)
    return seen


def written(folder: Path, fill: Callable[[SquashfsWriter], None], **options: object) -> Tree:
    image = folder / "image.squashfs"
    with SquashfsWriter(image, WriterOptions(**options)) as writer:  # type: ignore[arg-type]
        fill(writer)
    return judged(image)


@pytest.mark.parametrize("count", [0, 1, 255, 256, 257, 512, 513])
def test_names_behind_one_directory_header(tmp_path: Path, count: int) -> None:
    def fill(writer: SquashfsWriter) -> None:
        writer.add_directory("d")
        for row in range(count):
            writer.add_file(f"d/{row:05}", b"%d" % row)

    assert len(written(tmp_path, fill)) == 2 + count


def test_inode_numbers_further_apart_than_int16(tmp_path: Path) -> None:
    count = 33_000

    def fill(writer: SquashfsWriter) -> None:
        writer.add_file("a-first/file", b"shared")
        for row in range(count):
            writer.add_symlink(f"middle/{row:05}", "t")
        for row in range(3):
            writer.add_hard_link(f"z-last/{row}", "a-first/file")
            writer.add_file(f"z-last/{row}-own", b"own")

    seen = written(tmp_path, fill)
    assert len(seen[b"z-last/1"].links) == 4
    assert len(seen) == count + 11


@pytest.mark.parametrize("size", range(8190, 8195))
def test_metadata_that_fills_a_block(tmp_path: Path, size: int) -> None:
    # A basic symlink is 24 bytes and its target, the root directory 32: together exactly `size` bytes of inodes.
    lengths = [4000, size - 32 - 3 * 24 - 4000 - 50, 50]

    def fill(writer: SquashfsWriter) -> None:
        for row, length in enumerate(lengths):
            writer.add_symlink(str(row), "t" * length)

    seen = written(tmp_path, fill)
    assert [seen[b"%d" % row].content for row in range(3)] == [repr(b"t" * length) for length in lengths]


@pytest.mark.parametrize("block_size", [4096, 131072, 1 << 20])
@pytest.mark.parametrize("fragments", [True, False])
def test_files_around_a_number_of_blocks(tmp_path: Path, block_size: int, fragments: bool) -> None:
    data = random.Random(7).randbytes(3 * block_size + 1)
    sizes = [
        blocks * block_size + more for blocks in range(4) for more in (-1, 0, 1) if blocks * block_size + more >= 0
    ]

    def fill(writer: SquashfsWriter) -> None:
        for size in sizes:
            writer.add_file(f"same/{size}", data[:size])
            writer.add_file(f"other/{size}", data[1:size] + b"#")
            writer.add_file(f"zeros/{size}", bytes(size))
            writer.add_file(f"mixed/{size}", data[: block_size - 1] + bytes(size))

    seen = written(tmp_path, fill, block_size=block_size, fragments=fragments)
    plain = tmp_path / "plain"
    for size in sizes:
        for name, content in (
            ("same", data[:size]),
            ("other", data[1:size] + b"#"),
            ("zeros", bytes(size)),
            ("mixed", data[: block_size - 1] + bytes(size)),
        ):
            (plain / name).mkdir(parents=True, exist_ok=True)
            (plain / name / str(size)).write_bytes(content)
    wanted = {path: one.content for path, one in walk(plain).items() if one.kind == "file"}
    assert {path: one.content for path, one in seen.items() if one.kind == "file"} == wanted


@pytest.mark.parametrize("extra", range(-2, 3))
def test_a_listing_of_64_kib(tmp_path: Path, extra: int) -> None:
    # A basic directory's listing is at most 65535 - 3 bytes. A header is 12, an entry 8 and its name: 12 + 249 * 263
    # leaves 33 for one entry more.
    names = [f"{row:0255}" for row in range(249)] + ["z" * (33 - 8 + extra)]

    def fill(writer: SquashfsWriter) -> None:
        for name in names:
            writer.add_symlink(f"d/{name}", "t")

    assert len(written(tmp_path, fill)) == 2 + len(names)
    with mounted(tmp_path / "image.squashfs", tmp_path) as point:
        assert (point / "d").stat().st_size == 65_535 + extra


def test_a_directory_of_70_000_is_found_by_name(tmp_path: Path) -> None:
    image = tmp_path / "image.squashfs"
    with SquashfsWriter(image) as writer:
        for row in range(70_000):
            writer.add_file(f"d/file-{row * 7919 % 70_000:05}", b"%d" % (row % 100))
    with mounted(image, tmp_path) as point:
        assert len(os.listdir(point / "d")) == 70_000
        for row in range(0, 70_000, 997):  # by name, which goes through the directory's index
            assert (point / "d" / f"file-{row * 7919 % 70_000:05}").read_bytes() == b"%d" % (row % 100)
        assert not (point / "d" / "file-99999").exists()


SPARSE_FORMS = ["--sparse-version=0.0", "--sparse-version=0.1", "--sparse-version=1.0", "--format=gnu"]


def id_layer(count: int) -> Iterator[bytes]:
    for row in range(count):
        yield header(b"%d" % row, b"2", target=b"t", uid=row, gid=row)
    yield END


def test_65535_owners(tmp_path: Path) -> None:
    image = tmp_path / "image.squashfs"
    pysquash.tar2squashfs([id_layer(65_535)], image)
    with mounted(image, tmp_path) as point, os.scandir(point) as names:
        assert all(name.stat(follow_symlinks=False).st_uid == int(name.name) for name in names)
    assert run(["unsquashfs", "-lls", image]).returncode == 0


def test_65536_owners_are_one_too_many(tmp_path: Path) -> None:
    with pytest.raises(LimitError, match="user and group ids is 65536, the limit is 65535"):
        pysquash.tar2squashfs([id_layer(65_536)], tmp_path / "image.squashfs")
    assert list(tmp_path.iterdir()) == []


def test_the_longest_names_targets_and_values(tmp_path: Path) -> None:
    def fill(writer: SquashfsWriter, value_size: int) -> None:
        writer.add_symlink("n" * 255, "t" * 4095)
        writer.add_file("deep" + "/d" * 1022, b"at the bottom")
        for row in range(3):
            writer.add_file(f"x{row}", b"", xattrs={"user.big": b"v" * value_size, "trusted.own": b"%d" % row})
        writer.add_directory("", xattrs={"security.root": b"here"})

    # The file system that unsquashfs extracts to may hold less in an attribute than an image does.
    seen = written(tmp_path, lambda writer: fill(writer, 3000))
    assert seen[b"n" * 255].content == repr(b"t" * 4095)
    assert seen[b"deep" + b"/d" * 1022].content.startswith("13 ")
    assert dict(seen[b"x2"].xattrs) == {b"user.big": b"v" * 3000, b"trusted.own": b"2"}
    assert dict(seen[b""].xattrs) == {b"security.root": b"here"}

    image = tmp_path / "large.squashfs"
    with SquashfsWriter(image) as writer:
        fill(writer, 65536)
    assert dict(kernel_tree(image, tmp_path)[b"x2"].xattrs) == {b"user.big": b"v" * 65536, b"trusted.own": b"2"}


def test_a_name_of_256_bytes_and_a_target_of_4096_are_refused(tmp_path: Path) -> None:
    for raw in (header(b"x" * 90, prefix=b"y" * 155), header(b"l", b"2", target=b"t")):
        pysquash.tar2squashfs([io.BytesIO(raw + END)], tmp_path / "fine.squashfs")
    for raw in (
        pax((b"path", b"n" * 256)) + header(b"x"),
        pax((b"linkpath", b"t" * 4096)) + header(b"l", b"2"),
    ):
        with pytest.raises(LimitError):
            pysquash.tar2squashfs([io.BytesIO(raw + END)], tmp_path / "image.squashfs")
    assert [path.name for path in tmp_path.iterdir()] == ["fine.squashfs"]


@pytest.mark.parametrize(
    "form", ["--sparse-version=0.0", "--sparse-version=0.1", "--sparse-version=1.0", "--format=gnu"]
)
def test_a_sparse_file_beyond_4_gib(tmp_path: Path, form: str) -> None:
    need_tool("tar", "tar")
    folder = tmp_path / "sparse"
    folder.mkdir()
    with (folder / "big").open("wb") as file:
        for start in (0, 70_000, 5 << 30, (5 << 30) + 200_000):
            file.seek(start)
            file.write(b"data at %d" % start)
        file.truncate((5 << 30) + 300_001)
    layer, image = tmp_path / "layer.tar", tmp_path / "image.squashfs"
    command = ["tar", "--create", "--sparse", "--file", str(layer), "--directory", str(folder), "."]
    assert run(command + ([form] if "gnu" in form else ["--format=posix", form])).returncode == 0
    assert layer.stat().st_size < 1_000_000
    pysquash.tar2squashfs([layer], image)
    assert image.stat().st_size < 1_000_000
    with mounted(image, tmp_path) as point:
        status = (point / "big").stat()
        assert status.st_size == (5 << 30) + 300_001
        assert status.st_blocks * 512 < 1_000_000  # the holes are holes
        assert_same_around_data(point / "big", folder / "big")
    target = tmp_path / "out"
    assert run(["unsquashfs", "-no-progress", "-d", target, image]).returncode == 0
    assert_same_around_data(target / "big", folder / "big")


def assert_same_around_data(one: Path, two: Path) -> None:
    """Compare where there is data, and one MiB to both sides: all 5 GiB take half a minute."""
    with one.open("rb") as left, two.open("rb") as right:
        size = os.fstat(right.fileno()).st_size
        assert os.fstat(left.fileno()).st_size == size
        for start in (0, (5 << 30) - (1 << 20), size // 2):
            left.seek(start)
            right.seek(start)
            assert left.read(3 << 20) == right.read(3 << 20)


@pytest.mark.parametrize("compressor", ["zstd", "gzip", "xz", "none"])
@pytest.mark.parametrize("block_size", [4096, 65536, 1 << 20])
def test_every_compressor_and_block_size(tmp_path: Path, compressor: str, block_size: int) -> None:
    layer, image, plain = tmp_path / "layer.tar", tmp_path / "image.squashfs", tmp_path / "plain"
    source = Path(tarfile.__file__).parent
    with tarfile.open(layer, "w") as archive:
        for name in ("tarfile.py", "email", "ensurepip"):
            archive.add(source / name, name)
    pysquash.tar2squashfs(
        [layer],
        image,
        options=WriterOptions(compressor=compressor, block_size=block_size, exports=True),  # type: ignore[arg-type]
    )
    plain.mkdir()
    assert run(["tar", "--extract", "--file", layer, "--directory", plain, "--numeric-owner"]).returncode == 0
    seen, wanted = judged(image), walk(plain)
    assert_same(seen, wanted, ignore_root=True)


def test_the_empty_image(tmp_path: Path) -> None:
    image = tmp_path / "image.squashfs"
    pysquash.tar2squashfs([io.BytesIO(END)], image)
    assert list(judged(image)) == [b""]
    pysquash.tar2squashfs([], image)
    assert list(judged(image)) == [b""]
