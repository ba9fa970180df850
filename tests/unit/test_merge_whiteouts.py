"""What a marker's name says."""

from __future__ import annotations

import pytest

from pysquash.tree.whiteouts import hidden_by, is_marker, is_nameless_marker


@pytest.mark.parametrize(
    ("path", "hidden"),
    [
        (b".wh.a", (b"", b"a")),
        (b"d/.wh.a", (b"d", b"a")),
        (b"d/e/.wh..hidden", (b"d/e", b".hidden")),
        (b"d/.wh.a.wh.b", (b"d", b"a.wh.b")),
        (b".wh..wh..opq", (b"", b"")),
        (b"d/e/.wh..wh..opq", (b"d/e", b"")),
    ],
)
def test_marker_hides_a_name_or_all_of_them(path: bytes, hidden: tuple[bytes, bytes]) -> None:
    assert hidden_by(path) == hidden
    assert is_marker(path)
    assert not is_nameless_marker(path)


@pytest.mark.parametrize(
    "path",
    [
        b".wh.x/f",  # below a marker
        b".wh.x/.wh.y",
        b"d/.wh.x/.wh..wh..opq",
        b".wh..wh.aufs",  # what aufs kept for itself
        b"d/.wh..wh.plnk",
        b".wh..wh.plnk/1.2",
        b".wh..wh..opqx",
    ],
)
def test_other_marker_hides_nothing(path: bytes) -> None:
    assert hidden_by(path) is None
    assert is_marker(path)
    assert not is_nameless_marker(path)


@pytest.mark.parametrize("path", [b".wh.", b"d/.wh.", b".wh./f", b"d/.wh./.wh.f"])
def test_nameless_marker_hides_nothing(path: bytes) -> None:
    assert hidden_by(path) is None
    assert is_marker(path)
    assert is_nameless_marker(path)


@pytest.mark.parametrize("path", [b"", b"a", b"a.wh.b", b"d/a.wh.", b".wh", b"d.wh./f", b".WH.a"])
def test_ordinary_name_is_no_marker(path: bytes) -> None:
    assert hidden_by(path) is None
    assert not is_marker(path)
    assert not is_nameless_marker(path)
