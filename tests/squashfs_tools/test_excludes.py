"""What is left out: shell patterns are those of glibc, regular expressions those of POSIX, names are inodes."""

from __future__ import annotations

import ctypes
import os
import platform
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from pysquash.errors import OptionError
from pysquash.squashfs_tools.excludes import Excludes, inodes_named
from pysquash.squashfs_tools.posix_expression import posix_expression

PATHNAME, PERIOD, EXTENDED = 1, 4, 32  # of fnmatch.h
EXTENDED_REGEX, NO_SUBEXPRESSIONS = 1, 8  # of regex.h
NAMES = [b"a", b"b", b"ab", b"ba", b"abc", b".a", b".ab", b"a.b", b"B", b"a1", b"[", b"-", b"a-b", b"!a", b"aab", b"*"]


@pytest.mark.parametrize(
    ("pattern", "path", "is_left_out"),
    [
        ("a", b"a", True),
        ("a", b"a/b", True),
        ("a", b"b/a", False),
        ("... a", b"b/a", True),
        ("... a", b"b/a/c", True),
        ("... a/b", b"x/a/b", True),
        ("... a/b", b"x/a", False),
        ("a/*", b"a", False),
        ("a/*", b"a/b/c", True),
        ("*", b".hidden", False),
        (".*", b".hidden", True),
        ("a*c", b"a/c", False),
        ("a//b", b"a/b", True),
    ],
)
def test_patterns(pattern: str, path: bytes, is_left_out: bool) -> None:
    assert Excludes([pattern]).leaves_out(path) is is_left_out


PATTERNS = st.recursive(
    st.sampled_from(
        ["a", "b", "*", "?", ".", "[ab]", "[!a]", "[^b]", "[a-b]", "[[:alpha:]]", "[[:upper:]1]", "1", "\\*"]
    ),
    lambda inner: (
        st.tuples(st.sampled_from("?*+@!"), st.lists(inner, min_size=1, max_size=2)).map(
            lambda each: f"{each[0]}({'|'.join(each[1])})"
        )
        | st.tuples(inner, inner).map("".join)
    ),
    max_leaves=4,
)


def fnmatch(pattern: str, name: bytes) -> bool:
    """Ask the C library what mksquashfs asks it."""
    return int(ctypes.CDLL(None).fnmatch(pattern.encode(), name, PATHNAME | PERIOD | EXTENDED)) == 0


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has extended patterns")
@given(PATTERNS)
@settings(max_examples=300, derandomize=True)
def test_patterns_match_what_they_match_in_the_c_library(pattern: str) -> None:
    # Where glibc and bash both find that `a` does not match `*!(a)` nor `a*+(*)`: a group of nothing behind a star.
    assume(not re.search(r"\*\W*(!\(|[+@?*]\(\W*\*)", pattern))
    excludes = Excludes([pattern])
    assert [name for name in NAMES if excludes.leaves_out(name)] == [name for name in NAMES if fnmatch(pattern, name)]


BRACKETS = st.lists(
    st.sampled_from(
        ["a", "b", "-", "[", "]", "!", "^", "*", "\\", ".", "&&", "~~", "||", "[.b.]", "[=a=]", "a--", "b-a"]
    ),
    min_size=1,
    max_size=5,
).map("".join)
BRACKET_NAMES = [
    *NAMES,
    b"]",
    b"\\",
    b"^",
    b"~",
    b"|",
    b"&",
    b"[a-",
    b"[a-b",
    b"[[a-",
    b"[]-",
    b"[a-\\",
    b"x[a-",
    b"\x1c",
]


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc treats unclosed brackets so")
@pytest.mark.filterwarnings("error")
@given(st.sampled_from(["[", "*[", "x[", "[!"]), BRACKETS)
@example("[", "a-")
@example("*[", "a-\\")
@example("[", "[a-")
@example("[", "a--]")
@example("[", "&&a]")
@example("[", "[.b")
def test_brackets_match_what_they_match_in_the_c_library(start: str, rest: str) -> None:
    """Also those that are not closed, and ranges up to a hyphen."""
    pattern = start + rest
    excludes = Excludes([pattern])
    expected = [name for name in BRACKET_NAMES if fnmatch(pattern, name)]
    assert [name for name in BRACKET_NAMES if excludes.leaves_out(name)] == expected


def regular_matches(expression: str) -> list[bytes] | None:
    """Ask the C library which names an extended regular expression matches; None where it refuses the expression."""
    library, compiled = ctypes.CDLL(None), ctypes.create_string_buffer(256)
    if library.regcomp(compiled, expression.encode(), EXTENDED_REGEX | NO_SUBEXPRESSIONS):
        return None
    found = [name for name in BRACKET_NAMES if library.regexec(compiled, name, 0, None, 0) == 0]
    library.regfree(compiled)
    return found


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the flags and the size of regex_t are those of glibc")
@pytest.mark.filterwarnings("error")
@given(BRACKETS | st.sampled_from(["[:space:]", "[:punct:]", "[:alpha:]-z", "[:", "a-[:digit:]", "[:nothing:]", "[=a"]))
@example("a--")
@example("a-b-c")
@example("--a")
@example("+--")
def test_brackets_match_what_they_match_in_regcomp(inner: str) -> None:
    expression = f"[{inner}]"
    expected = regular_matches(expression)
    if expected is None:
        with pytest.raises(OptionError):
            Excludes([expression], are_regular=True)
        return
    excludes = Excludes([expression], are_regular=True)
    assert [name for name in BRACKET_NAMES if excludes.leaves_out(name)] == expected


EXPRESSIONS = st.sampled_from(
    ["a", "^a", "a$", "^a.*b$", "[[:alpha:]]+", "[^[:alnum:]]", "a|B", "(ab)+c?", "a{2}", "[]a]", "[.]", "\\.", "^$"]
) | st.lists(
    st.sampled_from(["a", "b", ".", "[ab]", "(a|b)", "a*", "b+", "[[:digit:]]", "[^a-b]"]), min_size=1, max_size=3
).map("".join)


@pytest.mark.skipif(shutil.which("grep") is None, reason="there is no grep")
@given(EXPRESSIONS)
@settings(max_examples=60)
def test_expressions_match_what_they_match_in_grep(expression: str) -> None:
    lines = b"\n".join([*NAMES, b""])
    done = subprocess.run(["grep", "-E", "-e", expression], input=lines, capture_output=True, check=False)
    excludes = Excludes([expression], are_regular=True)
    assert [name for name in NAMES if excludes.leaves_out(name)] == done.stdout.split(b"\n")[:-1]


def test_each_component_has_its_expression() -> None:
    excludes = Excludes(["^a$/b", "... ^z"], are_regular=True)
    assert excludes.leaves_out(b"a/xbx")
    assert not excludes.leaves_out(b"aa/b")
    assert not excludes.leaves_out(b"a")
    assert excludes.leaves_out(b"q/r/zz/s")
    assert posix_expression("a$") == r"a\Z"


@pytest.mark.parametrize("pattern", ["+(a", "@([a)", "+([||)"])
def test_groups_that_are_not_closed_are_literal(pattern: str) -> None:
    assert Excludes([pattern]).leaves_out(pattern.encode())
    assert not Excludes([pattern]).leaves_out(b"a")


@pytest.mark.parametrize("pattern", ["/a", "./a", "../a", "... /a"])
def test_patterns_that_are_none(pattern: str) -> None:
    with pytest.raises(OptionError):
        Excludes([pattern])
    with pytest.raises(OptionError):
        Excludes(["("], are_regular=True)


def test_names_are_inodes(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a").touch()
    os.link(tmp_path / "in" / "a", tmp_path / "other-name")
    inodes, missing = inodes_named(["a", "b", f"{tmp_path}/in"], [f"{tmp_path}/in"])
    excludes = Excludes(inodes=inodes)
    assert excludes.leaves_out_inode((tmp_path / "other-name").stat())
    assert excludes.leaves_out_inode((tmp_path / "in").stat())
    assert not excludes.leaves_out_inode(tmp_path.stat())
    assert missing == [f"{tmp_path}/in/b"]
    assert not excludes.leaves_out(b"a")


def test_many_stars_come_to_an_end() -> None:
    name = b"a" * 200
    assert not Excludes(["*a" * 60 + "*b"]).leaves_out(name)
    assert Excludes(["*a" * 60 + "*"]).leaves_out(name)


def test_groups_too_deep_are_refused() -> None:
    with pytest.raises(OptionError, match="in one another more than"):
        Excludes(["@(" * 1000 + "a" + ")" * 1000])
