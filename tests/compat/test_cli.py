"""The command line: what it prints where, how it exits, and that it leaves nothing half-written behind."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import click
import pytest

import pysquash
from pysquash.cli.build import build
from tests.tarbuild import END, header, padded

COMMAND = [sys.executable, "-m", "pysquash"]
LAYER = header(b"etc/", b"5") + header(b"etc/hostname", size=3) + padded(b"vm\n") + END


def call(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *map(str, arguments)],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        check=False,
    )


@pytest.fixture
def layer(tmp_path: Path) -> Path:
    path = tmp_path / "layer.tar"
    path.write_bytes(LAYER)
    return path


def test_build_says_what_it_did_on_standard_error(layer: Path, tmp_path: Path) -> None:
    done = call("build", layer, "-o", tmp_path / "image")
    assert (done.returncode, done.stdout) == (0, "")
    assert "from 1 layer of 2.5 KiB: 1 directory, 1 file; 0 duplicates" in done.stderr
    assert (tmp_path / "image").read_bytes()[:4] == b"hsqs"


def test_quiet_and_json(layer: Path, tmp_path: Path) -> None:
    assert call("build", "-q", layer, "-o", tmp_path / "image").stderr == ""
    done = call("build", "-q", "--json", layer, "-o", tmp_path / "image")
    report = json.loads(done.stdout)
    assert (report["entries"]["file"], report["layers"]) == (1, 1)
    assert report["bytes_out"] == (tmp_path / "image").stat().st_size


def test_options_reach_the_image(layer: Path, tmp_path: Path) -> None:
    image = tmp_path / "image"
    assert call("build", layer, "-o", image, "-c", "gzip", "-X", "level=1", "-b", "64K", "--exports").returncode == 0
    raw = image.read_bytes()
    assert int.from_bytes(raw[12:16], "little") == 65536
    assert int.from_bytes(raw[20:22], "little") == 1
    assert int.from_bytes(raw[24:26], "little") & 0x480 == 0x480  # exportable, with compressor options


def test_the_options_of_an_image(tmp_path: Path) -> None:
    """Each is what Python's option of it makes, and not what none makes."""
    layer, plain, image, expected = (tmp_path / name for name in ("layer.tar", "plain", "image", "expected"))
    text = b" ".join(b"%d" % (row * row) for row in range(30_000))
    contents = {"long": text, "same": text, "short": text[:999], "zeros": bytes(200_000), "first": text[100_000:]}
    with tarfile.open(layer, "w", format=tarfile.PAX_FORMAT) as archive:
        for name, content in contents.items():
            info = tarfile.TarInfo(name)
            info.size, info.pax_headers = len(content), {"SCHILY.xattr.user.x": "v", "SCHILY.xattr.trusted.y": "v"}
            archive.addfile(info, io.BytesIO(content))
        info.type, info.name, info.linkname, info.size, info.pax_headers = tarfile.LNKTYPE, "link", "long", 0, {}
        archive.addfile(info)
    pysquash.tar2squashfs([layer], plain)
    priorities = tmp_path / "priorities"
    priorities.write_text("short 5\n")
    for arguments, options in (
        (["-c", "lz4", "-X", "hc"], {"compressor": "lz4", "compressor_options": {"hc": True}}),
        (["-c", "lzo"], {"compressor": "lzo"}),
        (["-c", "lzma"], {"compressor": "lzma"}),
        (
            ["-c", "gzip", "-X", "level=3", "-X", "strategy=fixed,filtered", "-X", "window-size=9"],
            {
                "compressor": "gzip",
                "level": 3,
                "compressor_options": {"strategy": ("filtered", "fixed"), "window-size": 9},
            },
        ),
        (
            ["-c", "xz", "-X", "bcj=x86", "-X", "dict-size=50%"],
            {"compressor": "xz", "compressor_options": {"bcj": ("x86",), "dict-size": 65536}},
        ),
        (
            ["--uncompressed", "data,fragments", "--uncompressed", "ids"],
            {"uncompressed": {"data", "fragments", "ids"}},
        ),
        (["--no-fragments"], {"fragments": False}),
        (["--no-tail-ends"], {"tail_ends": False}),
        (["--no-dedup"], {"find_duplicates": False}),
        (["--no-holes"], {"find_holes": False}),
        (["--no-hard-links"], {"hard_links": False}),
        (["--no-xattrs"], {"xattrs": False}),
        (["--xattrs-include", "^user", "--xattrs-exclude", "x"], {"xattrs_include": "^user", "xattrs_exclude": "x"}),
        (["--no-padding"], {"padded": False}),
        (["--sort-by", "path"], {"sort_by": "path"}),
        (["--sort-by", "size"], {"sort_by": "size"}),
        (["--sort-by", str(priorities), "--sort-by", "size"], {"sort_by": "size", "sort_priorities": {b"short": 5}}),
    ):
        done = call("build", layer, "-o", image, *arguments)
        assert done.returncode == 0, done.stderr
        pysquash.tar2squashfs([layer], expected, options=pysquash.WriterOptions(**options))
        assert image.read_bytes() == expected.read_bytes(), arguments
        assert image.read_bytes() != plain.read_bytes(), arguments


def test_help_has_sections() -> None:
    said = call("build", "--help").stdout
    assert said.index("--output") < said.index("Compression:") < said.index("-X ") < said.index("Image:")
    assert said.index("Image:") < said.index("--no-dedup")
    for parameter in build.params:
        assert max(parameter.opts, key=len) in said or isinstance(parameter, click.Argument)


def test_source_date_epoch(layer: Path, tmp_path: Path) -> None:
    image = tmp_path / "image"
    assert call("build", layer, "-o", image, SOURCE_DATE_EPOCH="1234567890").returncode == 0
    assert int.from_bytes(image.read_bytes()[8:12], "little") == 1234567890
    done = call("build", layer, "-o", image, SOURCE_DATE_EPOCH="yesterday")
    assert done.returncode == 2
    assert "SOURCE_DATE_EPOCH" in done.stderr


def test_standard_input_and_added_files(layer: Path, tmp_path: Path) -> None:
    motd = tmp_path / "motd"
    motd.write_bytes(b"hello\n")
    image = tmp_path / "image"
    command = [*COMMAND, "build", "-", "-o", str(image), "--json", "-q"]
    command += ["--file", f"etc/motd={motd}", "--default-file", f"etc/hostname={motd}"]
    done = subprocess.run(command, input=LAYER, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["entries"]["file"] == 2


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (["missing.tar", "-o", "image"], 1, "missing.tar"),
        (["layer.tar", "-o", "no/such/folder/image"], 1, "no/such/folder"),
        (["layer.tar", "-o", "."], 1, "directory"),
        (["bad.tar", "-o", "image"], 1, "bad.tar: at byte 0: is not a tar archive; it looks like text: 'xxx"),
        (["layer.tar"], 2, "--output"),
        (["-o", "image"], 2, "SOURCE"),
        (["layer.tar", "-o", "image", "-b", "100K"], 2, "power of two"),
        (["layer.tar", "-o", "image", "-b", "many"], 2, "is not a size"),
        (["layer.tar", "-o", "image", "-X", "level=99"], 2, "level 99"),
        (["layer.tar", "-o", "image", "-X", "speed=1"], 2, "no option 'speed', only: level"),
        (["layer.tar", "-o", "image", "-X", "level=1", "-X", "level=2"], 2, "level is there twice"),
        (["layer.tar", "-o", "image", "-X", "level"], 2, "one whole number"),
        (["layer.tar", "-o", "image", "-c", "xz", "-X", "level=6"], 2, "no option 'level', only: dict-size, bcj"),
        (["layer.tar", "-o", "image", "-c", "xz", "-X", "dict-size=3"], 2, "dict-size must be 8192 to"),
        (["layer.tar", "-o", "image", "-c", "lz4", "-X", "hc=maybe"], 2, "hc must be true or false"),
        (["layer.tar", "-o", "image", "-c", "lzo", "-X", "algorithm=lzo1x_1_15"], 2, "lzo1x_999 at level 8"),
        (["layer.tar", "-o", "image", "--uncompressed", "data,names"], 2, "not 'names'"),
        (["layer.tar", "-o", "image", "--xattrs-exclude", "("], 2, "must be a regular expression"),
        (["layer.tar", "-o", "image", "--sort-by", "path", "--sort-by", "size"], 2, "at most one"),
        (["layer.tar", "-o", "image", "--sort-by", "missing"], 1, "missing"),
        (["layer.tar", "-o", "image", "--sort-by", "layer.tar"], 2, "line 1 is not a path and a number"),
        (["layer.tar", "--layers", "images", "--sort-by", "path"], 2, "--sort-by does not go with --layers"),
        (["layer.tar", "-o", "image", "--file", "x"], 2, "DEST=SRC"),
    ],
)
def test_errors_are_one_line_and_leave_nothing(
    layer: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], code: int, text: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.tar").write_bytes(b"x" * 1024)
    done = call("build", *arguments)
    assert done.returncode == code
    assert text in done.stderr
    assert "Traceback" not in done.stderr
    if code == 1:
        assert done.stderr.count("\n") == 1
    assert sorted(os.listdir(tmp_path)) == ["bad.tar", "layer.tar"]


def test_version_and_help() -> None:
    assert pysquash.__version__ in call("--version").stdout
    assert "SOURCE" in call("build", "--help").stdout
    assert call("biuld").returncode == 2


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo-terminals")
def test_progress_is_shown_on_a_terminal_only(tmp_path: Path) -> None:
    pty = pytest.importorskip("pty")
    large = tmp_path / "large.tar"
    with large.open("wb") as file:
        for row in range(200):
            file.write(header(b"%d" % row, size=1 << 20) + os.urandom(1 << 20))
        file.write(END)
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, "build", large, "-o", tmp_path / "image"], stderr=theirs, env={**os.environ, "TERM": "xterm"}
    )
    os.close(theirs)
    said = b""
    try:
        while chunk := os.read(ours, 4096):
            said += chunk
    except OSError:  # how Linux ends a pseudo-terminal
        pass
    os.close(ours)
    assert process.wait(timeout=60) == 0
    assert b"read" in said
    assert "━".encode() in said  # the bar
    assert b"200 files" in said
    assert "━" not in call("build", large, "-o", tmp_path / "image").stderr


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path: Path = tmp_path_factory.mktemp("read") / "image"
    with pysquash.SquashfsWriter(path, pysquash.WriterOptions(compressor="gzip", source_date_epoch=86_400)) as writer:
        writer.add_file(
            "etc/data", bytes(range(256)) * 1000, mode=0o4750, uid=5, gid=6, xattrs={"user.note": b"\xff\n"}
        )
        writer.add_symlink("etc/link", "data")
        writer.add_device("dev/null", "character", 1, 3)
    return path


def test_ls(image: Path) -> None:
    assert call("ls", image).stdout.split() == ["/", "dev", "dev/null", "etc", "etc/data", "etc/link"]
    lines = call("ls", "-l", image, "etc").stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["drwxr-xr-x", "-rwsr-x---", "lrwxrwxrwx"]
    assert lines[2].endswith("etc/link -> data")
    assert "1, 3" in call("ls", "-l", image, "dev").stdout
    done = call("ls", image, "missing")
    assert (done.returncode, done.stdout) == (1, "")
    assert "missing: there is no such path" in done.stderr


def test_cat(image: Path) -> None:
    done = subprocess.run([*COMMAND, "cat", image, "etc/link", "etc/data"], capture_output=True, check=False)
    assert done.stdout == bytes(range(256)) * 2000
    done = subprocess.run([*COMMAND, "cat", image, "etc"], capture_output=True, check=False)
    assert done.returncode == 1
    assert b"etc is a directory" in done.stderr


def test_cat_into_a_pipe_that_closes(image: Path) -> None:
    with subprocess.Popen(
        [*COMMAND, "cat", image, "etc/data"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.read(1)
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 1


def test_stat(image: Path) -> None:
    said = call("stat", image, "etc/data").stdout
    for text in ("4750 -rwsr-x---", "5:6", "256000", "extended file", "user.note", "\\xff\\n"):
        assert text in said
    assert "target" in call("stat", image, "etc/link").stdout
    assert "1, 3" in call("stat", image, "dev/null").stdout


def test_info(image: Path) -> None:
    said = call("info", image).stdout
    for text in ("4.0", "1970-01-02T00:00:00Z", "gzip", "128.0 KiB", "duplicates"):
        assert text in said
    fields = json.loads(call("info", "--json", image).stdout)
    assert (fields["compressor_name"], fields["inode_count"], fields["block_size"]) == ("gzip", 6, 131072)


def test_no_image(layer: Path) -> None:
    for command in ("ls", "info"):
        done = call(command, layer)
        assert done.returncode == 1
        assert done.stderr.count("\n") == 1
        assert "the first four bytes" in done.stderr


def test_tar_and_diff(image: Path, tmp_path: Path) -> None:
    made = tmp_path / "again"
    tar = subprocess.run([*COMMAND, "tar", image], capture_output=True, check=False)
    assert tar.returncode == 0
    done = subprocess.run(
        [*COMMAND, "build", "-q", "-", "-o", made], input=tar.stdout, capture_output=True, check=False
    )
    assert done.returncode == 0
    same = call("diff", image, made)
    assert (same.returncode, same.stdout) == (0, "")
    with pysquash.SquashfsWriter(made) as writer:
        writer.add_file("etc/data", b"")
    other = call("diff", image, made)
    assert other.returncode == 1
    assert "etc/data: mode: 4750 against 0644" in other.stdout
    assert "etc/link: only in the first" in other.stdout


def test_extract(image: Path, tmp_path: Path) -> None:
    done = call("extract", image, "-d", tmp_path / "all")
    assert done.returncode == 0
    assert (tmp_path / "all/etc/data").read_bytes() == bytes(range(256)) * 1000
    assert os.readlink(tmp_path / "all/etc/link") == "data"
    assert call("extract", "-q", image, "-d", tmp_path / "part", "etc/link").stderr == ""
    assert sorted(os.listdir(tmp_path / "part/etc")) == ["link"]
    for arguments, text in [
        (["-d", tmp_path / "all"], "is not empty"),
        (["-d", tmp_path / "new", "missing"], "missing: there is no such path"),
    ]:
        done = call("extract", image, *arguments)
        assert done.returncode == 1
        assert text in done.stderr
        assert done.stderr.count("\n") == 1
    assert not (tmp_path / "new").exists()


def test_check(image: Path, tmp_path: Path) -> None:
    done = call("check", image)
    assert (done.returncode, done.stdout) == (0, "")
    assert "nothing is wrong" in done.stderr
    assert call("check", "-q", image).stderr == ""
    broken = tmp_path / "broken"
    raw = bytearray(image.read_bytes())
    raw[26:28] = (9).to_bytes(2, "little")
    broken.write_bytes(raw)
    done = call("check", broken)
    assert done.returncode == 1
    assert "[table-block-size: refused or misread by unsquashfs]" in done.stdout
    findings = json.loads(call("check", "--json", broken).stdout)
    assert {finding["rule"] for finding in findings} == {"table-block-size"}
    assert findings[0]["refused_by"] == ["unsquashfs"]
    assert findings[0]["severity"] == "error"
    assert findings[0]["section"] == "id table"
    done = call("check", tmp_path / "missing")
    assert done.returncode == 1


def test_check_passes_what_is_only_noted(image: Path, tmp_path: Path) -> None:
    noted = tmp_path / "noted"
    raw = bytearray(image.read_bytes())
    raw[39] |= 0x80  # the highest bit of root_ref
    noted.write_bytes(raw)
    done = call("check", noted)
    assert done.returncode == 0
    assert done.stdout.startswith("note: superblock, root_ref: ")
    assert call("check", "--strict", noted).returncode == 1
    assert call("check", "-q", noted).stdout == ""
    findings = json.loads(call("check", "--json", noted).stdout)
    found = [(finding["rule"], finding["severity"], finding["refused_by"]) for finding in findings]
    assert found == [("unused", "note", [])]
    assert call("ls", noted).stdout == call("ls", image).stdout
    assert call("diff", noted, image).returncode == 0


def test_build_verifies(layer: Path, tmp_path: Path) -> None:
    done = call("build", "-q", "--verify", "--json", layer, "-o", tmp_path / "image")
    assert done.returncode == 0
    assert json.loads(done.stdout)["seconds"]["verify"] > 0


def test_layers(layer: Path, tmp_path: Path) -> None:
    upper = tmp_path / "upper.tar"
    upper.write_bytes(header(b"etc/.wh.hostname") + header(b"etc/new") + END)
    done = call("build", layer, upper, "--layers", tmp_path / "out", "--overlay-xattrs", "user")
    assert done.returncode == 0, done.stderr
    assert "2 images" in done.stderr
    assert "lowerdir=001:000" in done.stderr
    assert sorted(os.listdir(tmp_path / "out")) == ["000.squashfs", "001.squashfs"]
    assert call("ls", tmp_path / "out/001.squashfs").stdout.split() == ["/", "etc", "etc/new"]
    assert "user.overlay.opaque" in call("stat", tmp_path / "out/001.squashfs", "etc").stdout
    for arguments in (
        ["--layers", "x", "--vm"],
        ["--layers", "x", "-o", "y"],
        ["-o", "y", "--overlay-xattrs", "user"],
        [],
    ):
        assert call("build", layer, *arguments).returncode == 2
    done = call("build", layer, "--layers", tmp_path / "out")
    assert done.returncode == 1
    assert "not an empty folder" in done.stderr


def test_an_updated_archive_is_read_as_mksquashfs_does_or_as_extraction_does(tmp_path: Path) -> None:
    """`tar -r` appends a newer entry of the same name."""
    for content in ("old", "new"):
        (tmp_path / "f").write_text(content)
        subprocess.run(["tar", "-C", tmp_path, "-rf", tmp_path / "a.tar", "f"], check=True)
    first = call("build", tmp_path / "a.tar", "-o", tmp_path / "first")
    assert "the first entry wins, extraction would keep the last (option duplicates)" in first.stderr
    last = call("build", tmp_path / "a.tar", "-o", tmp_path / "last", "--duplicates", "last")
    assert "the last entry wins" in last.stderr
    assert [call("cat", tmp_path / name, "f").stdout for name in ("first", "last")] == ["old", "new"]
    assert "tar -r" in call("build", "--help").stdout
