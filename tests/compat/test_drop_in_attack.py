"""What callers of mksquashfs and sqfstar may come with, odd or wrong: through the real ones and ours, and compared."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tarfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from pysquash import check
from tests.snapshot import Tree, assert_same, need_root, need_tool, unsquashfs_tree

OURS = [sys.executable, "-m", "pysquash.mksquashfs"]
TIME = 1_500_000_000
TIMEOUT = 60
LONG = "n" * 256


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a folder with a tree of odd names."""
    need_root()
    need_tool("mksquashfs", "squashfs-tools")
    folder = tmp_path_factory.mktemp("attack")
    root = folder / "tree"
    (root / "sub" / "deep").mkdir(parents=True)
    names = [
        "a",
        "sub/b",
        "sub/deep/c",
        ".hidden",
        "sp ace",
        "blank ",
        "x\r",
        "*",
        "[x]",
        "-",
        "a.b",
        os.fsdecode(b"\xff"),
    ]
    for name in names:
        (root / name).write_bytes(name.encode("utf-8", "surrogateescape"))
    os.link(root / "a", root / "a2")
    (root / "link").symlink_to("sub")
    (folder / "follow").symlink_to("tree")
    for lines in "blank \n", "x\r\n", "\ta\n", "#a\n\\#a\n", "sub/b \n":
        (folder / f"left-out {lines!r}".replace("/", "|")).write_text(lines, newline="")
    (folder / "sorted").write_text("a +5\n")
    (folder / "with-nul").write_bytes(b"a\0sub\0")
    for at, directories, files in os.walk(root, topdown=False):
        for name in [*directories, *files]:
            os.utime(Path(at) / name, (TIME, TIME), follow_symlinks=False)
    os.utime(root, (TIME, TIME))
    return folder


def run(work: Path, program: Sequence[str], arguments: Sequence[str], stdin: bytes = b"") -> tuple[int, str]:
    done = subprocess.run(
        [*program, *arguments],
        cwd=work,
        input=stdin,
        capture_output=True,
        timeout=TIMEOUT,
        check=False,
        env=_environment(),
    )
    text = done.stderr.decode(errors="replace")
    assert "Traceback" not in text, text
    return done.returncode, text


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name != "SOURCE_DATE_EPOCH"}
    return {**kept, "PYTHONPATH": os.pathsep.join(sys.path)}


def both(
    work: Path, options: Sequence[str], sources: Sequence[str] = ("tree",), stdin: bytes = b""
) -> list[Tree | None]:
    """Run both; give the trees, or None where there is no image."""
    trees: list[Tree | None] = []
    for program in (["mksquashfs"], OURS):
        image = work / "image"
        image.unlink(missing_ok=True)
        arguments = [*sources, str(image), "-quiet", "-no-progress", "-all-time", "9", *options]
        code, _ = run(work, program, arguments, stdin)
        trees.append(unsquashfs_tree(image, work) if code == 0 else None)
    return trees


# --- the same -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        *(["-b", text] for text in ("+4096", " 4096", "4097", "1.5K", "0x1000", "", "-4096")),
        *(
            [name, text]
            for name in ("-root-uid", "-force-gid")
            for text in ("+5", " 5", "01", "1x", "-1", "4294967296")
        ),
        *(["-root-mode", text] for text in ("00000755", "7777", "10000", "755x", "-1")),
        *(["-processors", text] for text in ("2000", "0", " 2")),
        ["-comp", "xz", "-comp", "gzip"],
        ["-comp", "xz", "-comp", "xz"],
        ["-regex", "-wildcards", "-e", "b"],
        ["-wildcards", "-regex", "-e", "b"],
        ["-sort", "sorted"],
        *(
            ["-ef", f"left-out {lines!r}".replace("/", "|")]
            for lines in ("blank \n", "x\r\n", "\ta\n", "#a\n\\#a\n", "sub/b \n")
        ),
        *(["-wildcards", "-ef", f"left-out {lines!r}"] for lines in ("blank \n", "x\r\n", "\ta\n")),
        *(
            ["-wildcards", "-e", text]
            for text in ("[z-a]", "*(?)", "@(a|.hidden)", "[]x]", "\\*", "[[]x]", os.fsdecode(b"\xff*"))
        ),
        *(
            ["-regex", "-e", text]
            for text in (
                *(
                    "\\w",
                    "\\<a",
                    "a\\b",
                    "^\\W$",
                    "a**",
                    "a+?",
                    "a{1}{1}",
                    "(a)\\1",
                    ")",
                    "a|",
                    "()",
                    "[a\\]",
                    "^[[.a.]]$",
                ),
                *(
                    "[[=a=]]2",
                    "[",
                    "{",
                    "a{1",
                    "a{x}",
                    "(?:a)",
                    "*",
                    "a|*b",
                    "(*a)",
                    "^*a",
                    "a^*",
                    "\\1(a)",
                    "[z-a]",
                    "\\",
                ),
            )
        ),
        *(
            [word for text in texts for word in ("-p", text)]
            for texts in (
                ['n s 0 0 0 "q u"'],
                ["n s 0 0 0 trail "],
                ["n f 644 0 0 echo $0"],
                ["n l tree/sp\\ ace"],
                ['n l "tree/sp ace"'],
                ["n l tree/sp ace"],
                ['"unclosed d 700 0 0'],
                ["n f 600 0 0 echo", "n m 777 3 3"],
                ["a m 600 1 1", "a m 700 2 2"],
                ["n d 700 0 0", "n m 711 3 3", "n/x f 600 0 0 echo"],
            )
        ),
    ],
    ids=repr,
)
def test_the_same_comes_of_it(work: Path, options: list[str]) -> None:
    theirs, ours = both(work, options)
    assert (theirs is None) == (ours is None)
    if theirs is not None and ours is not None:
        assert_same(ours, theirs)


def test_what_is_linked_to_twice_is_one_file(work: Path) -> None:
    definitions = ["-p", "/ d 700 1 1", "-p", "x l tree/a", "-p", "y l tree/a2", "-p", "z L x"]
    theirs, ours = both(work, definitions, ["-"])
    assert theirs is not None
    assert ours is not None
    assert_same(ours, theirs)
    assert ours[b"x"].links == (b"x", b"y", b"z")


def test_a_followed_symlink_keeps_its_name(work: Path) -> None:
    for sources, options in ((["follow/"], ["-keep-as-directory"]), (["follow/", "tree/a"], []), (["follow/"], [])):
        theirs, ours = both(work, [*options, "-root-mode", "700"], sources)
        assert theirs is not None
        assert ours is not None
        assert_same(ours, theirs)


def test_an_output_may_be_a_symlink_to_nothing_yet(work: Path) -> None:
    for program in (["mksquashfs"], OURS):
        image = work / "to-come"
        (work / "link-to-image").unlink(missing_ok=True)
        image.unlink(missing_ok=True)
        (work / "link-to-image").symlink_to("to-come")
        code, text = run(work, program, ["tree", "link-to-image", "-quiet", "-no-progress"])
        assert code == 0, text
        assert check(image) == []
        assert (work / "link-to-image").is_symlink()


# --- better -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["-p", f"{LONG} d 700 0 0"], "component size is 256"),
        (["-p", f"s s 0 0 0 {'x' * 4096}"], "symlink target size is 4096"),
        (["-all-time", ""], "-all-time: a time is empty"),
        (["-root-mode", ""], "-root-mode"),
        (["-ef", "with-nul"], "has a NUL in it"),
        (["-sort", "with-nul"], "line 1 is not a path and a number"),
        (["-regex", "-e", "(" * 3000], "is no regular expression"),
    ],
    ids=lambda each: repr(each)[:40],
)
def test_what_would_come_out_wrong_is_refused(work: Path, options: list[str], text: str) -> None:
    """Theirs writes an image that cannot be read, or takes nothing for 0."""
    image = work / "refused"
    code, said = run(work, OURS, ["tree", str(image), *options])
    assert (code, len(said.splitlines())) == (1, 1)
    assert text in said
    assert not image.exists()


# --- tars ---------------------------------------------------------------------------------------------------------


def archive() -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=tarfile.GNU_FORMAT) as tar:
        info = tarfile.TarInfo("a")
        info.size = 600
        tar.addfile(info, io.BytesIO(b"x" * 600))
    return file.getvalue()


@pytest.mark.parametrize(
    ("end", "code"), [(512, 1), (700, 1), (512 + 1024, 1), (512 + 1024 + 512, 0), (512 + 1024 + 1024, 0)]
)
def test_a_tar_that_is_cut_off(work: Path, end: int, code: int) -> None:
    """Also between two of its entries: what writes into our pipe has failed then."""
    for program in (["mksquashfs"], OURS):
        image = work / "cut"
        image.unlink(missing_ok=True)
        assert run(work, program, ["-", str(image), "-tar", "-quiet", "-no-progress"], archive()[:end])[0] == code


def test_a_tar_is_not_sorted(work: Path) -> None:
    assert both(work, ["-tar", "-sort", "with-nul"], ["-"], archive()) == [None, None]
