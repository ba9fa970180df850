"""Outputs: what is read is never written over or packed into itself, and what is no file is left as it is."""

from __future__ import annotations

import io
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import pysquash
from pysquash import OptionError, SquashfsImage, SquashfsWriter
from tests.compat.test_cli import LAYER, call
from tests.noticing import texts
from tests.oci.builder import Image, file, layout, old_archive, tar, to_directory, to_tar
from tests.snapshot import need_root

OPTIONS = pysquash.WriterOptions(workers=1)
needs_posix = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such files")


def small_image(path: Path) -> Path:
    with SquashfsWriter(path, OPTIONS) as writer:
        writer.add_file("a", b"1")
    return path


@pytest.fixture
def inputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with an input of each kind, which is the working directory as well."""
    (tmp_path / "x.tar").write_bytes(LAYER)
    small_image(tmp_path / "x.sqfs")
    image = Image([tar(file("a", b"1"))])
    to_directory(layout(image), tmp_path / "oci")
    to_tar(layout(image), tmp_path / "oci.tar")
    to_tar(old_archive(image), tmp_path / "docker.tar")
    (tmp_path / "link.tar").symlink_to("x.tar")
    os.link(tmp_path / "x.tar", tmp_path / "other-name.tar")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def blob(folder: Path) -> str:
    return str(next((folder / "oci/blobs/sha256").iterdir()).relative_to(folder))


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("sources", "output"),
    [
        (["x.tar"], "x.tar"),
        (["./oci/../x.tar"], "x.tar"),
        (["x.tar"], "link.tar"),
        (["link.tar"], "x.tar"),
        (["x.tar"], "other-name.tar"),
        (["x.tar", "sqfs:x.sqfs"], "x.sqfs"),
        (["oci-archive:oci.tar"], "oci.tar"),
        (["docker-archive:docker.tar"], "docker.tar"),
        (["oci:oci"], "oci/index.json"),
        (["oci:oci"], "BLOB"),
        ([pysquash.Part("x.tar", ["etc"])], "x.tar"),
    ],
)
def test_an_input_is_not_written_over(inputs: Path, sources: list[str], output: str) -> None:
    output = output.replace("BLOB", blob(inputs))
    before = contents(inputs)
    with pytest.raises(OptionError, match="are the same file") as caught:
        pysquash.build(sources, output, options=OPTIONS)
    assert f"the output {output} and the input " in str(caught.value)
    assert contents(inputs) == before


def test_no_other_input_is_written_over(inputs: Path) -> None:
    before = contents(inputs)
    with pytest.raises(OptionError, match="same file"):
        pysquash.build(["x.tar"], "x.sqfs", files=[("nested", Path("x.sqfs"), {})], options=OPTIONS)
    with pytest.raises(OptionError, match="same file"):
        pysquash.build(["x.tar"], "x.sqfs", default_files=[("nested", Path("x.sqfs"), {})], options=OPTIONS)
    with pytest.raises(OptionError, match="same file"):
        pysquash.build(["oci:oci"], "new", config=pysquash.ConfigOutput(file="oci/index.json"), options=OPTIONS)
    with pytest.raises(OptionError, match="same file"):
        pysquash.tar2squashfs(["oci.tar", Path("x.tar")], "x.tar", options=OPTIONS)
    with pytest.raises(OptionError, match="same file"):
        pysquash.tar2squashfs(["oci.tar"], "x.sqfs", [("nested", Path("x.sqfs"), {})], options=OPTIONS)
    with Path("x.tar").open("rb") as layer, pytest.raises(OptionError, match="same file"):
        pysquash.tar2squashfs([layer], "x.tar", options=OPTIONS)
    with SquashfsWriter("x.sqfs", OPTIONS) as writer:
        writer.add_file("a", b"1")
        with pytest.raises(OptionError, match="same file"):
            writer.add_file("nested", Path("x.sqfs"))
    assert contents(inputs) == before


def test_what_is_open_for_writing_is_no_input(inputs: Path) -> None:
    before = contents(inputs)
    with Path("x.tar").open("r+b") as both, pytest.raises(OptionError, match="same file"):
        pysquash.tar2squashfs(["x.tar"], both, options=OPTIONS)
    with Path("x.sqfs").open("r+b") as both:
        both.seek(0, io.SEEK_END)
        with pytest.raises(OptionError, match="same file"):
            pysquash.build(["sqfs:x.sqfs"], both, options=OPTIONS)
    assert contents(inputs) == before
    in_memory = io.BytesIO(LAYER)
    with pytest.raises(OptionError, match="same file object"):
        pysquash.tar2squashfs([in_memory], in_memory, options=OPTIONS)
    assert in_memory.getvalue() == LAYER


def test_the_command_line_refuses_as_well(inputs: Path) -> None:
    before = contents(inputs)
    for arguments in (["x.tar", "-o", "x.tar"], ["sqfs:x.sqfs", "-o", "x.sqfs"]):
        done = call("build", *arguments)
        assert done.returncode == 2
        assert "are the same file" in done.stderr
    for arguments in (["x.sqfs", "-o", "x.sqfs"], ["x.sqfs", "-o", "./oci/../x.sqfs"]):
        done = call("tar", *arguments)
        assert done.returncode == 2
        assert "the output" in done.stderr
    assert contents(inputs) == before


def names(image: Path) -> set[str]:
    with SquashfsImage(image) as opened:
        return {str(path) for path in opened.root.walk()}


def test_a_folder_is_packed_without_the_image(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    (folder / "sub").mkdir(parents=True)
    (folder / "a").write_bytes(b"1")
    output = folder / "sub/image"
    report = pysquash.build([f"dir:{folder}"], output, options=OPTIONS)
    assert report.warnings == ()
    first = output.read_bytes()
    assert names(output) == {"/", "a", "sub"}
    # The second time, there is one; with its own folder's time put back, the image is the same.
    mtimes = [(path, path.stat().st_mtime) for path in (folder, folder / "sub")]
    report = pysquash.build([f"dir:{folder}"], output, options=OPTIONS)
    assert texts(report.warnings) == [f"dir:{folder}: sub/image: is the output, and is left out"]
    assert names(output) == {"/", "a", "sub"}
    assert len(output.read_bytes()) == len(first)
    assert mtimes
    with SquashfsWriter(output, OPTIONS) as writer:
        writer.add_tree(folder)
    assert names(output) == {"/", "a", "sub"}
    assert sorted(os.listdir(folder / "sub")) == ["image"]


def test_a_folder_is_packed_without_what_is_written_beside_the_image(tmp_path: Path) -> None:
    folder = to_directory(layout(Image([tar(file("etc/passwd", b"root:x:0:0::/:/bin/sh\n"))])), tmp_path / "oci")
    for _ in range(2):
        config = pysquash.ConfigOutput(file=folder / "config")
        with (folder / "image").open("w+b") as image:
            pysquash.build([f"dir:{folder}", f"oci:{folder}"], image, config=config, options=OPTIONS)
        assert {"config", "image"}.isdisjoint(names(folder / "image"))
        assert "index.json" in names(folder / "image")
    assert not [name for name in os.listdir(folder) if name.endswith(".tmp")]


@pytest.mark.parametrize("is_there", [False, True])
def test_a_folder_is_packed_without_the_images_of_its_layers(tmp_path: Path, is_there: bool) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "a").write_bytes(b"1")
    if is_there:
        (folder / "layers").mkdir()
    images = pysquash.build_layers([f"dir:{folder}"], folder / "layers", options=OPTIONS)
    assert names(images.paths[0]) == {"/", "a"}


@needs_posix
@pytest.mark.parametrize("kind", ["pipe", "character device", "block device"])
def test_what_is_no_file_is_left_as_it_is(tmp_path: Path, kind: str) -> None:
    place = tmp_path / "node"
    (tmp_path / "x.tar").write_bytes(LAYER)
    if kind == "pipe":
        os.mkfifo(place)
    elif os.geteuid():
        pytest.skip("needs root")
    else:
        os.mknod(place, (stat.S_IFCHR if kind == "character device" else stat.S_IFBLK) | 0o600, os.makedev(1, 3))
    before = place.lstat()
    with pytest.raises(OptionError, match=f"node: is a {kind}; "):
        pysquash.build([str(tmp_path / "x.tar")], place, options=OPTIONS)
    done = call("build", tmp_path / "x.tar", "-o", place)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    after = place.lstat()
    assert (after.st_mode, after.st_ino) == (before.st_mode, before.st_ino)


def test_outputs_that_are_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("x.tar").write_bytes(LAYER)
    small_image(Path("x.sqfs"))
    for arguments, code, text in [
        (["build", "x.tar", "-o", "-"], 2, "standard output"),
        (["build", "x.tar", "-o", "x", "--config-out", "-"], 2, "standard output"),
        (["build", "x.tar", "-o", "."], 1, ".: is a directory"),
        (["build", "x.tar", "-o", "no/x"], 1, "no/x: directory "),
        (["build", "x.tar", "-o", "x.tar/x"], 1, "x.tar/x: "),
        (["build", "x.tar", "--layers", "no/x"], 1, "no/x: directory "),
        (["tar", "x.sqfs", "-o", "no/x"], 1, "no/x: directory "),
    ]:
        done = call(*arguments)
        assert (done.returncode, done.stdout) == (code, ""), arguments
        assert text in done.stderr
        assert ".pysquash" not in done.stderr
        assert sorted(os.listdir()) == ["x.sqfs", "x.tar"]
    with pytest.raises(IsADirectoryError, match="ends like the name of a directory"):
        pysquash.build(["x.tar"], "new/", options=OPTIONS)


def test_a_tar_goes_where_it_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    small_image(Path("x.sqfs"))
    for output in ("x.tar", "-"):
        done = call("tar", "x.sqfs", "-o", output)
        assert done.returncode == 0
        assert done.stdout[:2] == ("./" if output == "-" else "")
    assert sorted(os.listdir()) == ["x.sqfs", "x.tar"]
    before = Path("x.tar").read_bytes()
    raw = bytearray(Path("x.sqfs").read_bytes())
    raw[96:130] = bytes(34)  # the file's content
    Path("broken").write_bytes(raw)
    done = call("tar", "broken", "missing", "-o", "x.tar")
    assert done.returncode == 1
    assert Path("x.tar").read_bytes() == before


@needs_posix
def test_a_tar_goes_into_a_pipe(tmp_path: Path) -> None:
    image = small_image(tmp_path / "x.sqfs")
    done = call("tar", image, "-o", "/dev/stdout")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("./")


def test_a_long_name_of_many_bytes(tmp_path: Path) -> None:
    small_image(tmp_path / ("\N{SNOWMAN}" * 80))
    assert os.listdir(tmp_path) == ["\N{SNOWMAN}" * 80]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system with room for 300 KiB."""
    need_root()
    point = tmp_path / "disk"
    point.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", point], check=True)
    try:
        yield point
    finally:
        subprocess.run(["umount", point], check=True)


@pytest.mark.skipif(sys.platform != "linux", reason="a small file system is mounted")
def test_nothing_is_left_on_a_full_disk(tmp_path: Path, small_disk: Path) -> None:
    large, output = tmp_path / "large.tar", small_disk / "image"
    large.write_bytes(tar(file("large", os.urandom(1 << 20))))
    many = tmp_path / "many.tar"
    many.write_bytes(tar(*(file(f"d/{os.urandom(20).hex()}") for _ in range(20_000))))
    image = tmp_path / "image"
    pysquash.build([str(large)], image, options=OPTIONS)
    output.write_bytes(b"kept")
    for workers in (1, 4):
        options = pysquash.WriterOptions(workers=workers)
        for source in (large, many):
            with pytest.raises(OSError, match="No space left") as caught:
                pysquash.build([str(source)], output, options=options)
            assert caught.value.filename == str(output)
            with pytest.raises(OSError, match="No space left"):
                pysquash.build_layers([str(source)], small_disk / "layers", options=options)
            assert os.listdir(small_disk) == ["image"]
    with pytest.raises(OSError, match="No space left"), SquashfsWriter(output, OPTIONS) as writer:
        writer.add_file("large", os.urandom(1 << 20))
    done = call("tar", image, "-o", output)
    assert (done.returncode, done.stderr) == (1, f"pysquash: {output}: No space left on device\n")
    assert os.listdir(small_disk) == ["image"]
    assert output.read_bytes() == b"kept"
    with pytest.raises(OSError, match="No space left"), (small_disk / "file").open("w+b", buffering=0) as mine:
        pysquash.tar2squashfs([large], mine, options=OPTIONS)
    assert (small_disk / "file").stat().st_size == 0


@needs_posix
@pytest.mark.parametrize("is_there", [False, True])
def test_a_symlink_keeps_pointing_at_what_is_written(tmp_path: Path, is_there: bool) -> None:
    source = tmp_path / "x.tar"
    source.write_bytes(LAYER)
    for name in ("image", "layers"):
        (tmp_path / f"{name}-link").symlink_to(name)
    if is_there:
        (tmp_path / "layers").mkdir()
        (tmp_path / "image").touch()
    pysquash.build([str(source)], tmp_path / "image-link", options=OPTIONS)
    images = pysquash.build_layers([str(source)], tmp_path / "layers-link", options=OPTIONS)
    assert names(tmp_path / "image") == names(tmp_path / "layers/000.squashfs") == names(images.paths[0])
    assert sorted(os.listdir(tmp_path)) == ["image", "image-link", "layers", "layers-link", "x.tar"]
    assert (tmp_path / "image-link").is_symlink()
    assert (tmp_path / "layers-link").is_symlink()
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(OSError, match="symbolic links"):
        pysquash.build([str(source)], tmp_path / "loop", options=OPTIONS)
    assert (tmp_path / "loop").is_symlink()
