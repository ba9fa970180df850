"""What globs leave out: which paths they are for, and what becomes of content, links and whiteouts."""

from __future__ import annotations

import dataclasses
import fnmatch
import random
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pysquash
from pysquash import OptionError, WriterOptions
from pysquash.options.writer import DuplicatePolicy
from pysquash.tree.patterns import Patterns
from tests.compat.test_layers import model_tree
from tests.noticing import texts
from tests.property.layers import Layers, ModelError, layers, write_tar
from tests.snapshot import Tree, assert_same, kernel_tree, reader_tree
from tests.vm.images import built, layer, names, text


@pytest.mark.parametrize(
    ("glob", "yes", "no"),
    [
        ("*.pyc", ["a.pyc", "x/a.pyc", "x/y/.pyc"], ["a.pyc/b", "a.pyco"]),
        ("doc", ["doc", "usr/doc"], ["doc/a", "adoc", "usr/docs"]),
        ("/doc", ["doc"], ["usr/doc"]),
        ("usr/doc", ["usr/doc"], ["x/usr/doc", "usr/x/doc"]),
        ("./usr//doc", ["usr/doc"], ["doc"]),
        ("usr/*/x", ["usr/a/x"], ["usr/x", "usr/a/b/x"]),
        ("usr/**/x", ["usr/x", "usr/a/x", "usr/a/b/x"], ["usr/ax", "x"]),
        ("**/x", ["x", "a/x", "a/b/x"], ["ax"]),
        ("usr/**", ["usr/a", "usr/a/b"], ["usr", "usrx"]),
        ("**", ["a", "a/b"], []),
        ("*", ["a", "a/b"], []),
        ("a?c", ["abc", "x/a.c"], ["ac", "a/c"]),
        ("a/?", ["a/b"], ["a/bc", "a/"]),
        ("[ab]c", ["ac", "bc"], ["cc"]),
        ("[!ab]c", ["cc"], ["ac", "a/c"]),
        ("[^ab]c", ["cc"], ["ac"]),
        ("[a-c]", ["b"], ["d"]),
        ("[]x]", ["]", "x"], ["a"]),
        (r"\*", ["*"], ["a"]),
        ("a.b", ["a.b"], ["axb"]),
        ("a**b", ["ab", "axb"], ["a/b"]),
        ("na\u00efve", ["na\u00efve"], ["naive"]),
        ("a\nb", ["a\nb"], []),
        ("**/*.a", ["x.a", "c/x.a", "new\nline/x.a"], []),
    ],
)
def test_which_paths_a_glob_is_for(glob: str, yes: list[str], no: list[str]) -> None:
    patterns = Patterns([glob])
    assert [path for path in yes if not patterns.match(path.encode(), False)] == []
    assert [path for path in no if patterns.match(path.encode(), True)] == []
    assert all(patterns.may_reach(path.encode()) and patterns.may_reach(path.encode() + b"/below") for path in yes)


def test_directories_only() -> None:
    patterns = Patterns(["cache/", "usr/x/"])
    assert patterns.match(b"a/cache", True)
    assert not patterns.match(b"a/cache", False)
    assert patterns.match(b"usr/x", True)
    assert not patterns.match(b"a/usr/x", True)


def test_several_and_none() -> None:
    assert Patterns(["a", "b"]).match(b"b", False)
    assert not Patterns()
    assert not Patterns().match(b"a", True)
    assert not Patterns().may_reach(b"a")


@pytest.mark.parametrize("glob", ["", "/", ".", "..", "a/../b", "a\0b", "[a", "a/[!", "[z-a]"])
def test_globs_that_are_none(glob: str) -> None:
    with pytest.raises(OptionError, match="pattern"):
        Patterns([glob])


def test_a_directory_goes_with_all_below(tmp_path: Path) -> None:
    base = layer({"usr/doc/": None, "usr/doc/a/b": "x", "usr/lib/x.py": "x", "usr/lib/x.pyc": "x", "doc": "x"})
    image = built(tmp_path, [base], exclude=["usr/doc", "*.pyc"])
    assert names(image) == ["doc", "usr", "usr/lib", "usr/lib/x.py"]


def test_the_first_name_that_is_left_keeps_the_content(tmp_path: Path) -> None:
    secret = "content " * 100
    base = layer([("out/a", secret), ("in/b", "= out/a"), ("in/c", "= out/a")])
    image = built(tmp_path, [base, layer({"in/d": "= out/a"})], exclude=["out"])
    assert names(image) == ["in", "in/b", "in/c", "in/d"]
    assert {text(image, name) for name in ("in/b", "in/c", "in/d")} == {secret}
    assert (image / "in/b").stat().st_nlink == 3


def test_whiteouts_still_work_and_files_of_yours_stay(tmp_path: Path) -> None:
    base = layer({"a/x": "1", "a/y": "1", "b": "1"})
    upper = layer({"a/.wh.x": "", "a/z": "2", ".wh.b": ""})
    image = built(tmp_path, [base, upper], exclude=["z", ".wh.*"], files=[("a/z.yours", b"", {}), ("z", b"", {})])
    assert names(image) == ["a", "a/y", "a/z.yours", "z"]


def test_through_symlinks_it_is_the_place_that_counts(tmp_path: Path) -> None:
    base = layer({"usr/lib/": None, "lib": "-> usr/lib", "lib/secret": "x" * 50})
    assert names(built(tmp_path, [base, layer({"lib/k": "y"})], exclude=["usr/lib/secret"])) == [
        "lib",
        "usr",
        "usr/lib",
        "usr/lib/k",
    ]
    assert "usr/lib/secret" in names(built(tmp_path, [base], exclude=["lib/secret"]))


def secret() -> str:
    return random.Random(1).randbytes(3000).hex()


def raw_image(folder: Path) -> bytes:
    return (folder / "image.squashfs").read_bytes()


def test_content_that_is_left_out_is_not_in_the_image(tmp_path: Path) -> None:
    base = layer({"usr/lib/": None, "lib": "-> usr/lib", "etc/key": secret(), "lib/key2": secret() + "2"})
    upper = layer({"etc/key": secret() + "3", "lib/key3": secret() + "3"})
    image = built(tmp_path, [base, upper], exclude=["etc/key", "/usr/lib/key?"], options={"compressor": "none"})
    assert names(image) == ["etc", "lib", "usr", "usr/lib"]
    assert secret()[:100].encode() not in raw_image(tmp_path)


def test_content_that_a_symlink_led_below_what_is_left_out_is_told_of(tmp_path: Path) -> None:
    base = layer({"private/": None, "p": "-> private", "p/key": secret(), "private/kept": "x", "k": "x"})
    (tmp_path / "base.tar").write_bytes(base)
    report = pysquash.build([str(tmp_path / "base.tar")], tmp_path / "image", exclude=["private"])
    assert [line.partition(":")[0] for line in texts(report.warnings)] == ["private/key"]
    assert "its content is in the image" in texts(report.warnings)[0]
    with pytest.raises(pysquash.SourceError, match="private/key: is left out, but"):
        built(tmp_path, [base], exclude=["private"], options={"strict": True})


GLOBS = ["a", "b/", "/c", "lib/*", "a/**", "**/b", "a/b", "*/c", "**/lib/", "[ab]/c", "?", "lib/a/b", "/a/**/c"]


def is_for(glob: str, place: Sequence[str], is_directory: bool) -> bool:
    """Say the rules again, name by name."""
    parts = [part for part in glob.split("/") if part]
    if glob.endswith("/") and not is_directory:
        return False
    if "/" not in glob.rstrip("/"):
        parts = ["**", *parts]
    return fits(parts, list(place), is_last=parts[-1] == "**")


def fits(parts: list[str], place: list[str], *, is_last: bool) -> bool:
    if not parts:
        return not place
    if parts[0] == "**":
        if len(parts) == 1 and is_last:
            return bool(place)
        return any(fits(parts[1:], place[skip:], is_last=is_last) for skip in range(len(place) + 1))
    return bool(place) and fnmatch.fnmatchcase(place[0], parts[0]) and fits(parts[1:], place[1:], is_last=is_last)


def without(tree: Tree, globs: Sequence[str]) -> Tree:
    """Take out of a model's tree what globs are for."""

    def goes(path: bytes) -> bool:
        place = path.decode().split("/")
        ways = [place[:length] for length in range(1, len(place) + 1)]
        return path != b"" and any(
            is_for(glob, way, tree["/".join(way).encode()].kind == "directory") for way in ways for glob in globs
        )

    kept = {path for path in tree if not goes(path)}
    return {
        path: dataclasses.replace(tree[path], links=tuple(link for link in tree[path].links if link in kept))
        for path in kept
    }


@settings(max_examples=150)
@given(
    drawn=layers(),
    globs=st.lists(st.sampled_from(GLOBS), min_size=1, max_size=3),
    duplicates=st.sampled_from(["first", "last"]),
)
def test_leaving_out_is_taking_out_of_the_model(
    drawn: Layers, globs: list[str], duplicates: DuplicatePolicy, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("exclude", numbered=True)
    try:
        wanted = without(model_tree(drawn, duplicates), globs)
    except ModelError:
        return
    for row, one in enumerate(drawn):
        write_tar(one, folder / f"{row}.tar")
    sources = [str(folder / f"{row}.tar") for row in range(len(drawn))]
    options = WriterOptions(duplicates=duplicates, verify=True)
    pysquash.build(sources, folder / "image", exclude=globs, options=options)
    assert_same(reader_tree(folder / "image"), wanted)


def test_the_kernel_sees_the_same(tmp_path: Path) -> None:
    base = layer([("out/a", "x" * 5000), ("in/b", "= out/a"), ("in/c", "y")])
    built(tmp_path, [base], exclude=["out", "c"])
    image = tmp_path / "image.squashfs"
    assert_same(kernel_tree(image, tmp_path), reader_tree(image))
