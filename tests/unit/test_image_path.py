"""ImagePath: like pathlib's paths, and inside the image whatever symlinks and damaged directories say."""

from __future__ import annotations

import importlib.resources
import io
import os
import random
import stat
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import pytest

from pysquash import CorruptImageError, ImageError, Limits, SquashfsImage, SquashfsWriter, WriterOptions
from pysquash.reader.path import ImagePath

NO_SYMLINKS = sys.platform == "win32"


def image_of(fill: Callable[[SquashfsWriter], None], **options: Any) -> SquashfsImage:
    file = io.BytesIO()
    with SquashfsWriter(file, WriterOptions(workers=1, **options)) as writer:
        fill(writer)
    return SquashfsImage(file)


def fill_tree(writer: SquashfsWriter) -> None:
    writer.add_file("etc/hostname", b"vm\n", mode=0o640, uid=1, gid=2, mtime=3, xattrs={"user.a": b"b"})
    writer.add_file("etc/text", "Größe\r\nzwei\n".encode())
    writer.add_file("etc/latin", "Größe".encode("latin-1"))
    writer.add_symlink("etc/link", "hostname")
    writer.add_symlink("absolute", "/etc/hostname")
    writer.add_symlink("conf", "etc")
    writer.add_symlink("conf2", "conf/../conf/")
    writer.add_symlink("outside", "../../../../etc/hostname")
    writer.add_symlink("dangling", "nowhere/at/all")
    writer.add_symlink("behind-a-file", "etc/hostname/x")
    writer.add_symlink("above-a-file", "etc/hostname/..")
    writer.add_symlink("file-with-slash", "etc/hostname/")
    writer.add_symlink("itself", "itself")
    writer.add_symlink("there", "back")
    writer.add_symlink("back", "there")
    writer.add_symlink("top", "/")
    writer.add_directory("empty")
    writer.add_fifo("fifo")
    writer.add_device("disk", "block", 8, 70_000)
    writer.add_file(b"bytes-\xff", b"no UTF-8")


@pytest.fixture(scope="module")
def image() -> Iterator[SquashfsImage]:
    with image_of(fill_tree) as opened:
        yield opened


# --- the path itself -------------------------------------------------------------------------------------------------


def test_names_parents_and_joining(image: SquashfsImage) -> None:
    root = image.root
    path = root / "etc" / "hostname"
    assert (path.name, path.path, str(path), repr(path)) == (
        "hostname",
        b"etc/hostname",
        "etc/hostname",
        "ImagePath('etc/hostname')",
    )
    assert path.filesystem is image
    assert (path.parent.path, path.parent.parent.path, path.parent.parent.parent.path) == (b"etc", b"", b"")
    assert (root.name, str(root)) == ("", "/")
    for same in (
        root / "etc/hostname",
        root / b"etc//./hostname/",
        root / Path("etc") / Path("hostname"),
        root.joinpath("etc", b"hostname"),
        image / "/etc/hostname",
        root / "empty" / "/etc/hostname",
        root / "etc/../etc/hostname",
        root / "../../etc/hostname",
    ):
        assert same == path
        assert hash(same) == hash(path)
    assert root.joinpath() == root
    assert path != root / "etc"
    assert path != "etc/hostname"
    with image_of(fill_tree) as other:
        assert path != other / "etc/hostname"


def test_names_that_are_no_utf8(image: SquashfsImage) -> None:
    path = image / b"bytes-\xff"
    assert path.read_bytes() == b"no UTF-8"
    assert os.fsencode(path.name) == b"bytes-\xff" or NO_SYMLINKS
    assert image / path.name == path
    assert str(path) == "bytes-\\xff"


def test_what_is_not_there(image: SquashfsImage) -> None:
    for missing in ("nothing", "etc/nothing", "etc/hostname/below", "nothing/..", "etc/hostname/..", "etc\0", "fifo/x"):
        path = image / missing
        assert not path.exists()
        assert not path.is_dir()
        assert not path.is_file()
        assert not path.is_symlink()
        for call in (path.stat, path.lstat, path.resolve, path.readlink, path.read_bytes, path.read_text, path.open):
            with pytest.raises(FileNotFoundError):
                call()
        for iterate in (path.iterdir, path.walk, path.blocks):
            with pytest.raises(FileNotFoundError):
                list(iterate())
        with pytest.raises(FileNotFoundError):
            _ = path.xattrs
        assert list(path.glob("*")) == list(path.rglob("*")) == []
    # A path that is not there still has a name, a parent, and what is below it.
    path = image / "no" / "such" / "place"
    assert (path.path, path.name, path.parent.path) == (b"no/such/place", "place", b"no/such")
    assert (image / "no/../etc").path == b"no/../etc"


# --- symlinks --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("etc/link", b"etc/hostname"),
        ("absolute", b"etc/hostname"),
        ("conf", b"etc"),
        ("conf2", b"etc"),
        ("conf2/link", b"etc/hostname"),
        ("conf/../conf/link", b"etc/hostname"),
        ("outside", b"etc/hostname"),
        ("top", b""),
        ("top/top/top/conf2/hostname", b"etc/hostname"),
        ("conf/..", b""),
        ("", b""),
        ("empty", b"empty"),
    ],
)
def test_where_symlinks_lead(image: SquashfsImage, path: str, target: bytes) -> None:
    here = image / path
    assert here.resolve().path == target
    assert here.exists()
    assert here.is_dir() is (target in (b"", b"etc", b"empty"))
    assert here.is_file() is (target == b"etc/hostname")


@pytest.mark.parametrize(
    "path",
    ["dangling", "behind-a-file", "above-a-file", "file-with-slash", "itself", "there", "back", "conf/nothing"],
)
def test_symlinks_that_lead_nowhere(image: SquashfsImage, path: str) -> None:
    here = image / path
    assert not here.exists()
    assert not here.is_dir()
    assert not here.is_file()
    with pytest.raises(FileNotFoundError):
        here.resolve()
    with pytest.raises(FileNotFoundError):
        here.read_bytes()
    with pytest.raises(FileNotFoundError):
        here.stat(follow_symlinks=True)
    assert not (here / "below").exists()
    assert here.exists(follow_symlinks=False) is here.is_symlink() is (path != "conf/nothing")


def test_symlinks_themselves(image: SquashfsImage) -> None:
    here = image / "conf"
    assert here.is_symlink()
    assert not here.is_dir(follow_symlinks=False)
    assert not (image / "absolute").is_file(follow_symlinks=False)
    assert (image / "etc").is_dir(follow_symlinks=False)
    assert here.readlink() == b"etc"
    with pytest.raises(ImageError, match="etc is no symlink"):
        (image / "etc").readlink()
    # Names come from the path that was asked for, as with pathlib.
    assert (image / "conf/hostname").path == b"conf/hostname"
    assert sorted(path.path for path in here.iterdir()) == [b"conf/hostname", b"conf/latin", b"conf/link", b"conf/text"]
    assert [path.path for path in here.walk()] == [b"conf"], "walking follows no symlinks"


@pytest.mark.parametrize(("count", "exists"), [(40, True), (41, False)])
def test_as_many_symlinks_as_linux_follows(count: int, exists: bool) -> None:
    def fill(writer: SquashfsWriter) -> None:
        writer.add_file("0", b"there")
        for row in range(count):
            writer.add_symlink(str(row + 1), str(row))
        writer.add_symlink("here", ".")

    with image_of(fill) as opened:
        assert (opened / str(count)).exists() is exists
        # All symlinks of a path count, not only those of its last component.
        assert (opened / ("here/" * (count - 1) + "1")).exists() is exists


# --- what is there ---------------------------------------------------------------------------------------------------


def test_stat_and_xattrs(image: SquashfsImage) -> None:
    status = (image / "etc/hostname").stat()
    assert (status.st_mode, status.st_uid, status.st_gid) == (stat.S_IFREG | 0o640, 1, 2)
    assert status.st_mtime == status.st_atime == status.st_ctime == 3
    assert status.st_mtime_ns == status.st_atime_ns == status.st_ctime_ns == 3_000_000_000
    assert (status.st_size, status.st_nlink, status.st_blocks, status.st_blksize) == (3, 1, 1, 131072)
    assert (image / "etc/hostname").xattrs == {b"user.a": b"b"}
    assert (image / "etc").xattrs == {}
    link = image / "etc/link"
    assert stat.S_ISLNK(link.stat().st_mode)
    assert link.lstat() == link.stat() == link.stat(follow_symlinks=False)
    assert link.stat(follow_symlinks=True) == status
    assert link.stat().st_size == len("hostname")
    assert link.xattrs == {}
    assert link.resolve().xattrs == {b"user.a": b"b"}
    assert stat.S_ISFIFO((image / "fifo").stat().st_mode)
    disk = (image / "disk").stat()
    assert stat.S_ISBLK(disk.st_mode)
    if hasattr(os, "major"):
        assert (os.major(disk.st_rdev), os.minor(disk.st_rdev)) == (8, 70_000)
    assert image.root.stat().st_nlink == 4, "as the kernel says: two, and one for each directory in it"
    numbers = {path.stat().st_ino for path in image.root.walk()}
    assert len(numbers) == len(list(image.root.walk()))


def test_lists_by_name_and_walks_from_the_top(image: SquashfsImage) -> None:
    names = [path.name for path in image.root.iterdir()]
    assert names == sorted(names)
    assert "etc" in names
    walked = [path.path for path in image.root.walk()]
    assert walked[0] == b""
    assert walked.index(b"etc") + 1 == walked.index(b"etc/hostname")
    assert [path.path for path in image.root.iterdir()] == [path for path in walked[1:] if b"/" not in path]
    assert list((image / "empty").iterdir()) == []
    assert [path.path for path in (image / "etc/hostname").walk()] == [b"etc/hostname"]
    with pytest.raises(NotADirectoryError, match="etc/hostname"):
        list((image / "etc/hostname").iterdir())


def test_walking_goes_deeper_than_any_path_of_a_host() -> None:
    depth = 2000

    def fill(writer: SquashfsWriter) -> None:
        writer.add_file("d/" * depth + "f", b"deep")

    with image_of(fill, limits=Limits(depth=2 * depth)) as opened:
        last = list(opened.root.walk())[-1]
        assert last.path == b"d/" * depth + b"f"
        assert last.read_bytes() == b"deep"
        assert [path.path for path in opened.root.rglob("f")] == [last.path]


# --- directories that are in two places ------------------------------------------------------------------------------


def relinked(name: bytes, to: str, tree: Callable[[SquashfsWriter], None]) -> SquashfsImage:
    """Make the directory entry of a unique name lead to the inode of another path."""
    file = io.BytesIO()
    with SquashfsWriter(file, WriterOptions(compressor="none", workers=1)) as writer:
        tree(writer)
    raw = bytearray(file.getvalue())
    assert raw.count(name) == 1
    with SquashfsImage(io.BytesIO(raw)) as opened:
        offset = (opened / to).inode.ref & 0xFFFF
    at = raw.index(name) - 8  # an entry is 8 bytes, and begins with the inode's place in its metadata block
    raw[at : at + 2] = offset.to_bytes(2, "little")
    return SquashfsImage(io.BytesIO(bytes(raw)))


@pytest.mark.parametrize(
    ("name", "to"),
    [(b"inner", "outer"), (b"inner", ""), (b"deepest", "outer/inner"), (b"second", "outer/inner")],
)
def test_walking_a_directory_that_has_two_places_ends(name: bytes, to: str) -> None:
    def tree(writer: SquashfsWriter) -> None:
        writer.add_directory("outer/inner/deepest/end")
        writer.add_directory("second")
        writer.add_file("outer/inner/file", b"x")

    with relinked(name, to, tree) as opened:
        with pytest.raises(CorruptImageError, match="is in two places"):
            # What is above both places finds it; what is not may not, and ends all the same.
            list(opened.root.walk())
        for path in opened.root.iterdir():
            try:
                assert len(list(path.walk())) < 10
                assert len(list(path.glob("**/*"))) < 10
            except CorruptImageError:
                pass


# --- patterns --------------------------------------------------------------------------------------------------------

PATTERNS = [
    "*", "f*", "*.txt", "*/*", "*/f.txt", "?", "[ab]", "[!ab]*", "a/*", "a/b/*", "a//b/./f.txt", "*/", "*/b/", "f.txt",
    "**/*", "**/*.txt", "**/b/*", "**/b/**/*.txt", "**/**/f.txt", "a/**/*", "a/**/f.txt", "**/", "**/a/", "b/**/",
    "link/*", "link/**/*", "*/**/f.txt", "**/link/*", "*/link/*", "link", "**/.hidden", ".*", "**/[.]*", "no/*", "no",
    "**/no", "f.txt/*", "f.txt/**/*", "*.TXT", "a/b/c/f.txt", "**/new?line", "**/Größe", "dangling/*", "**/c", "...",
]  # fmt: skip


@pytest.fixture(scope="module")
def twin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, SquashfsImage]]:
    """Give a folder, and an image of it."""
    if NO_SYMLINKS:
        pytest.skip("the tree has symlinks, and names that Windows does not have")
    folder: Path = tmp_path_factory.mktemp("twin")
    for name in ("a/b/c", "b/b", "c", "d.txt"):
        (folder / name).mkdir(parents=True)
    for name in (
        "f.txt",
        "a/f.txt",
        "a/b/f.txt",
        "a/b/c/f.txt",
        "b/b/x.txt",
        "b/.hidden",
        ".top",
        "b/new\nline",
        "...",
    ):
        (folder / name).write_bytes(name.encode())
    (folder / "c/Größe").write_bytes(b"")
    for name, target in (("link", "a"), ("a/link", "b"), ("a/b/up", "../.."), ("dangling", "none"), ("l.txt", "f.txt")):
        (folder / name).symlink_to(target)
    file = io.BytesIO()
    with SquashfsWriter(file) as writer:
        writer.add_tree(folder)
    with SquashfsImage(file) as opened:
        yield folder, opened


def listed(paths: Iterable[Path], folder: Path) -> list[str]:
    return sorted({path.relative_to(folder).as_posix() for path in paths} - {"."})  # pathlib may give a path twice


@pytest.mark.parametrize("start", ["", "a", "link", "b/b"])
@pytest.mark.parametrize("pattern", PATTERNS)
def test_patterns_match_what_pathlib_matches(twin: tuple[Path, SquashfsImage], start: str, pattern: str) -> None:
    folder, opened = twin
    here = opened / start
    for found, wanted in (
        (list(here.glob(pattern)), (folder / start).glob(pattern)),
        (list(here.rglob(pattern)), (folder / start).rglob(pattern)),
    ):
        assert sorted(path.path.decode() for path in found if path.path) == listed(wanted, folder)
        assert len(set(found)) == len(found)


def test_patterns_for_directories_alone(twin: tuple[Path, SquashfsImage]) -> None:
    # Python 3.13 gives files as well for a "**" at the end; we stay with directories, which the pattern stands for.
    _, opened = twin
    wanted = [path for path in opened.root.walk() if path.is_dir(follow_symlinks=False)]
    assert list(opened.root.glob("**")) == wanted
    assert list(opened.root.glob("**/**")) == wanted
    assert [path.path for path in opened.root.glob("a/**")] == [b"a", b"a/b", b"a/b/c"]


@pytest.mark.parametrize("pattern", ["", "/", "/etc", ".", "./"])
def test_patterns_that_are_none(image: SquashfsImage, pattern: str) -> None:
    with pytest.raises(ValueError, match="no pattern"):
        list(image.root.glob(pattern))
    with pytest.raises(ValueError, match="no pattern"):
        list(image.root.rglob(pattern))


# --- content ---------------------------------------------------------------------------------------------------------


def test_reading_text_and_bytes(image: SquashfsImage) -> None:
    path = image / "etc/text"
    assert path.read_bytes() == "Größe\r\nzwei\n".encode()
    assert b"".join(path.blocks()) == path.read_bytes()
    assert path.read_text() == "Größe\nzwei\n"
    assert path.read_text(newline="") == "Größe\r\nzwei\n"
    assert (image / "etc/latin").read_text("latin-1") == "Größe"
    assert (image / "etc/latin").read_text(errors="replace") == "Gr\ufffd\ufffde"
    with pytest.raises(UnicodeDecodeError):
        (image / "etc/latin").read_text()
    for other, error in (("etc", IsADirectoryError), ("conf", IsADirectoryError), ("fifo", ImageError)):
        for call in ((image / other).read_bytes, (image / other).read_text, (image / other).open):
            with pytest.raises(error, match=other):
                call()


@pytest.mark.skipif(sys.platform == "win32", reason="the host's file has no holes")
def test_a_hole_of_many_gigabytes_takes_no_time_or_room(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    with (tmp_path / "tree/f").open("wb") as sparse:
        sparse.truncate(64 << 30)
        sparse.seek(40 << 30)
        sparse.write(b"x")
    file = io.BytesIO()
    with SquashfsWriter(file, WriterOptions(block_size=1 << 20, workers=1)) as writer:
        writer.add_tree(tmp_path / "tree")
    with SquashfsImage(file) as opened, (opened / "f").open("rb") as binary:
        assert (opened / "f").stat().st_blocks == (1 << 20) // 512
        assert binary.seek(-1, io.SEEK_END) == (64 << 30) - 1
        assert binary.read() == b"\0"
        binary.seek((40 << 30) - 1)
        assert binary.read(3) == b"\0x\0"


def test_content_that_no_memory_holds_is_an_error_of_ours() -> None:
    file = io.BytesIO()
    with SquashfsWriter(file, WriterOptions(compressor="none", block_size=4096, workers=1, fragments=False)) as writer:
        writer.add_file("f", bytes(5000) + b"!")
    raw, size = bytearray(file.getvalue()), (5001).to_bytes(8, "little")
    assert raw.count(size) == 1
    at = raw.index(size)
    raw[at : at + 8] = (1 << 62).to_bytes(8, "little")
    with SquashfsImage(io.BytesIO(bytes(raw))) as opened:
        assert (opened / "f").stat().st_size == 1 << 62
        with pytest.raises(ImageError, match="no memory"):
            (opened / "f").read_bytes()
        with (opened / "f").open("rb") as binary:
            assert binary.seek(0, io.SEEK_END) == 1 << 62
            binary.seek(0)
            with pytest.raises(CorruptImageError):  # its list of blocks is not that long
                binary.read(1)


def test_open_as_builtin_open(image: SquashfsImage) -> None:
    path = image / "etc/text"
    with path.open() as text:
        assert isinstance(text, io.TextIOWrapper)
        assert text.readlines() == ["Größe\n", "zwei\n"]
        text.seek(0)
        assert text.read(3) == "Grö"
    assert text.closed
    for mode in ("r", "rt", "tr"):
        with path.open(mode, newline="\n") as text:
            assert text.readline() == "Größe\r\n"
    for mode in ("rb", "br"):
        with path.open(mode) as binary:
            assert isinstance(binary, io.BufferedReader)
            assert binary.read() == path.read_bytes()
    with path.open("rb", buffering=0) as raw:
        assert isinstance(raw, io.RawIOBase)
        assert raw.readable()
        assert raw.seekable()
        assert not raw.writable()
        assert (raw.name, raw.mode) == ("etc/text", "rb")
        assert raw.readall() == path.read_bytes()
        assert raw.read(1) == b""
        assert raw.tell() == len(path.read_bytes())
        with pytest.raises(OSError, match="fileno"):
            raw.fileno()
        with pytest.raises(ValueError, match="-1"):
            raw.seek(-1)
        with pytest.raises(ValueError, match="whence"):
            raw.seek(0, 3)
    for closed in (raw.tell, raw.read, lambda: raw.seek(0), lambda: raw.readinto(bytearray(1))):
        with pytest.raises(ValueError, match="closed"):
            closed()
    with (image / "absolute").open("rb") as binary:
        assert binary.read() == b"vm\n"


@pytest.mark.parametrize(
    ("mode", "options"),
    [
        ("w", {}),
        ("a", {}),
        ("r+", {}),
        ("rb+", {}),
        ("x", {}),
        ("", {}),
        ("rbt", {}),
        ("rr", {}),
        ("r", {"buffering": 0}),
        ("rb", {"encoding": "utf-8"}),
        ("rb", {"errors": "replace"}),
        ("rb", {"newline": "\n"}),
    ],
)
def test_open_refuses(image: SquashfsImage, mode: str, options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="mode|binary"):
        (image / "etc/text").open(mode, **options)


def test_importlib_resources_takes_paths(image: SquashfsImage) -> None:
    path = image / "etc/hostname"
    assert isinstance(path, Traversable)
    with importlib.resources.as_file(path) as host:
        assert host.read_bytes() == b"vm\n"
    if sys.version_info >= (3, 12):
        with importlib.resources.as_file(image / "etc") as host:
            assert sorted(entry.name for entry in host.iterdir()) == ["hostname", "latin", "link", "text"]
            assert (host / "link").read_bytes() == b"vm\n"


# --- threads ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_path", [True, False])
def test_threads_that_read_one_image_get_right_bytes(tmp_path: Path, is_path: bool) -> None:
    rng = random.Random(1)
    wanted = {f"{row % 7}/{row:04}": rng.randbytes(rng.choice([0, 10, 4096, 9000, 30_000])) for row in range(400)}
    wanted |= {f"8/{row}": bytes(4096) + rng.randbytes(100) + bytes(9000) for row in range(20)}
    target = tmp_path / "image"
    with SquashfsWriter(target, WriterOptions(block_size=4096)) as writer:
        for name, content in wanted.items():
            writer.add_file(name, content, uid=len(content), xattrs={"user.name": name.encode()})
    names = list(wanted)
    failures: list[str] = []

    def read(opened: SquashfsImage, seed: int) -> None:
        mine = random.Random(seed)
        try:
            for _ in range(150):
                name = mine.choice(names)
                path = opened / name
                with path.open("rb") as file:
                    at = mine.randrange(len(wanted[name]) + 1)
                    file.seek(at)
                    part = file.read(5000)
                is_right = (
                    path.read_bytes() == wanted[name]
                    and part == wanted[name][at : at + 5000]
                    and path.stat().st_uid == len(wanted[name])
                    and path.xattrs == {b"user.name": name.encode()}
                    and path in set(path.parent.iterdir())
                )
                if not is_right:
                    failures.append(name)
        except BaseException as error:
            failures.append(repr(error))

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with open(target, "rb") as file, SquashfsImage(target if is_path else file) as opened:
            threads = [threading.Thread(target=read, args=(opened, seed)) for seed in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert not failures


def test_a_path_is_no_larger_than_it_has_to_be(image: SquashfsImage) -> None:
    # Hundreds of thousands of them may be alive at a time.
    assert not hasattr(ImagePath(image, b"x", None), "__dict__")
