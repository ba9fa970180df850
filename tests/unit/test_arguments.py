"""Arguments of the wrong type: one error that says what was wanted, whatever was given."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import pysquash
from pysquash import OptionError, OptionTypeError
from tests.noticing import texts
from tests.tarbuild import END

CASES: dict[str, tuple[Callable[[Any], object], str]] = {
    "a text for layers": (lambda out: pysquash.tar2squashfs("x.tar", out), r"layers are a list, as \['x.tar'\]"),
    "a path for layers": (lambda out: pysquash.tar2squashfs(Path("x.tar"), out), "layers are a list"),  # type: ignore[arg-type]
    "a file for layers": (lambda out: pysquash.tar2squashfs(io.BytesIO(END), out), "layers are a list"),  # type: ignore[arg-type]
    "bytes for layers": (lambda out: pysquash.tar2squashfs(END, out), "layers are a list"),  # type: ignore[arg-type]
    "a number for layers": (lambda out: pysquash.tar2squashfs(5, out), "layers are a list, not 5"),  # type: ignore[arg-type]
    "bytes for a layer": (lambda out: pysquash.tar2squashfs([END], out), "not bytes: use io.BytesIO"),  # type: ignore[list-item]
    "a number for a layer": (lambda out: pysquash.tar2squashfs([5], out), "a layer is a path, .*, not 5"),  # type: ignore[list-item]
    "texts in a layer": (lambda out: pysquash.tar2squashfs([io.StringIO("x")], out), "open the file with 'rb'"),  # type: ignore[list-item]
    "numbers in a layer": (lambda out: pysquash.tar2squashfs([[512]], out), "a layer gives bytes, not 512"),  # type: ignore[list-item]
    "a dict for options": (lambda out: pysquash.tar2squashfs([], out, options={"level": 3}), "WriterOptions"),  # type: ignore[arg-type]
    "two parts for a file": (lambda out: pysquash.tar2squashfs([], out, [("a", b"")]), "content, attr"),  # type: ignore[list-item]
    "no function": (lambda out: pysquash.tar2squashfs([], out, progress=5), "cannot be called"),  # type: ignore[arg-type]
    "no output": (lambda _out: pysquash.tar2squashfs([], None), "the output is a path"),  # type: ignore[arg-type]
    "a text output": (lambda _out: pysquash.tar2squashfs([], io.StringIO()), r"open it with 'w\+b'"),  # type: ignore[arg-type]
    "a text for sources": (lambda out: pysquash.build("x.tar", out), "sources are a list"),
    "a number for a source": (lambda out: pysquash.build([5], out), "a source is a text, .*, not 5"),  # type: ignore[list-item]
    "bytes for a source": (lambda out: pysquash.build([b"x.tar"], out), "a source is a text"),  # type: ignore[list-item]
    "a text for patterns": (lambda out: pysquash.build([], out, exclude="*.pyc"), "exclude's patterns are a list"),
    "a name for a file": (lambda out: pysquash.build([], out, files=["etc"]), "each of files is"),  # type: ignore[list-item]
    "a text for a config": (lambda out: pysquash.build([], out, config="x"), "ConfigOutput"),  # type: ignore[arg-type]
    "a pair for owners": (lambda out: pysquash.build([], out, owners=(0, 0)), "Owners"),  # type: ignore[arg-type]
    "a number for a platform": (lambda out: pysquash.build([], out, platform=5), "platform"),  # type: ignore[arg-type]
    "a dict for the writer": (lambda out: pysquash.SquashfsWriter(out, {}), "WriterOptions"),  # type: ignore[arg-type]
    "a text for layer images": (lambda out: pysquash.build_layers("x.tar", out), "sources are a list"),
    "a text for a flag": (lambda _out: pysquash.WriterOptions(strict="yes"), "strict must be True or False"),  # type: ignore[arg-type]
    "none for limits": (lambda _out: pysquash.WriterOptions(limits=None), "limits are"),  # type: ignore[arg-type]
    "a path for a part": (lambda _out: pysquash.Part("x.tar", "etc"), "list of paths"),
    "a number for an image": (lambda _out: pysquash.SquashfsImage(5), "an image is a path"),  # type: ignore[arg-type]
    "bytes for an image": (lambda _out: pysquash.SquashfsImage(b"hsqs"), "io.BytesIO"),  # type: ignore[arg-type]
    "a text image": (lambda _out: pysquash.check(io.StringIO("x")), "'rb'"),  # type: ignore[arg-type]
    "no content": (lambda out: add(out, "a", None), "the content of 'a' is bytes, pathlib.Path or a binary file"),
    "text content": (lambda out: add(out, "a", io.StringIO("x")), "open it with 'rb'"),
    "a number for a name": (lambda out: add(out, 5, b""), "a name in an image is text or bytes, not 5"),
    "a text for an xattr": (lambda out: add(out, "a", b"", xattrs={"user.a": "1"}), "the value is bytes, not '1'"),
    "no xattrs": (lambda out: add(out, "a", b"", xattrs=None), "xattrs are names and values"),
    "a number for a target": (lambda out: pysquash.build([], out, symlinks=[("a", 5, {})]), "target is text or bytes"),  # type: ignore[list-item]
    "a text for directories": (lambda out: pysquash.build([], out, directories=["a"]), "is .name, attributes."),  # type: ignore[list-item]
    "a text for logins": (
        lambda out: pysquash.RegistryAccess(auth_files="auth.json"),
        "auth_files must be a list of paths",
    ),
    "a number for a pattern": (lambda out: pysquash.build([], out, exclude=[5]), "a pattern is text, not 5"),  # type: ignore[list-item]
    "no folder": (lambda _out: pysquash.build_layers([], None), "the folder is a path, not None"),  # type: ignore[arg-type]
    "a number for an owner": (lambda _out: pysquash.Owners(everything=5), "an owner is .uid, gid., not 5"),  # type: ignore[arg-type]
}


def add(output: Path, *arguments: Any, **attributes: Any) -> None:
    with pysquash.SquashfsWriter(output) as writer:
        writer.add_file(*arguments, **attributes)


@pytest.mark.parametrize("name", CASES)
def test_a_wrong_type_is_one_clear_error(name: str, tmp_path: Path) -> None:
    call, match = CASES[name]
    with pytest.raises(OptionTypeError, match=match) as caught:
        call(tmp_path / "out")
    assert isinstance(caught.value, OptionError)
    assert isinstance(caught.value, TypeError)
    assert list(tmp_path.iterdir()) == []


def test_a_platform_that_nothing_is_for_is_said(tmp_path: Path) -> None:
    tar = tmp_path / "x.tar"
    tar.write_bytes(END)
    with pytest.raises(OptionError, match="platform must be os/arch"):
        pysquash.build([str(tar)], tmp_path / "out", platform="foo")
    report = pysquash.build([str(tar)], tmp_path / "out", platform="linux/arm64")
    assert texts(report.warnings) == ["platform linux/arm64 has no effect: none of the sources is a container image"]
    with pytest.raises(OptionError, match="has no effect"):
        pysquash.build([str(tar)], tmp_path / "x", platform="linux/arm64", options=pysquash.WriterOptions(strict=True))
