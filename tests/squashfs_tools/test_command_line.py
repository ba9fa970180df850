"""The command lines of mksquashfs and sqfstar: what is taken, and what is refused in which words."""

from __future__ import annotations

import subprocess
import sys

import pytest

from pysquash.errors import OptionError
from pysquash.squashfs_tools.command_line import Invocation, parse_arguments
from pysquash.squashfs_tools.compressor_table import COMPRESSORS
from pysquash.squashfs_tools.help_pages import help_text
from pysquash.squashfs_tools.option_table import OPTIONS, SECTIONS, Option, Tool, options_of
from pysquash.squashfs_tools.plan import times, tree_overrides, writer_options

VALUES = {
    "text": "text",
    "number": "7",
    "count": "2",
    "regex": "^user",
    "percent": "50",
    "size": "4K",
    "block_size": "64K",
    "time": "1000",
    "mode": "755",
    "user": "5",
    "group": "6",
    "compressor": "xz",
    "rest": "a b",
}


def mksquashfs(line: str) -> Invocation:
    return parse_arguments("mksquashfs", line.split())


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.name)
def test_each_option_is_taken_under_each_name_by_the_program_that_has_it(option: Option) -> None:
    tools: list[Tool] = ["mksquashfs", "sqfstar"]
    for tool in tools:
        for name in option.names:
            words = [name] if option.kind == "flag" else [name, *VALUES[option.kind].split()]
            arguments = ["in", "out", *words] if tool == "mksquashfs" else [*words, "out"]
            if tool[0] not in option.tools:
                with pytest.raises(OptionError, match="is no option"):
                    parse_arguments(tool, arguments)
            elif option.effect == "refused":
                with pytest.raises(OptionError, match=f"{name} cannot be had here: {option.note}"):
                    parse_arguments(tool, arguments)
            else:
                call = parse_arguments(tool, arguments)
                assert call.excludes == ["a", "b"] if option.kind == "rest" else call.has(option.name)


@pytest.mark.parametrize("option", [each for each in OPTIONS if each.kind != "flag"], ids=lambda each: each.name)
def test_an_option_without_its_value_is_refused(option: Option) -> None:
    tool: Tool = "mksquashfs" if "m" in option.tools else "sqfstar"
    with pytest.raises(OptionError):
        parse_arguments(tool, ["in", "out", option.name] if tool == "mksquashfs" else [option.name])


def test_the_table_is_one() -> None:
    names = [name for option in OPTIONS for name in option.names]
    assert len(names) == len(set(names))
    assert {option.section for option in OPTIONS} == set(SECTIONS)
    for option in OPTIONS:
        assert bool(option.note) == (option.effect != "done")
        assert bool(option.value) == (option.kind != "flag")
        assert set(option.undoes) <= set(names)


def test_sources_and_image() -> None:
    call = mksquashfs("a b - out -noappend -e x -noI")
    assert (call.sources, call.destination, call.excludes) == (["a", "b", "-"], "out", ["x", "-noI"])
    call = parse_arguments("sqfstar", ["-comp", "xz", "out", "a/*", "-b"])
    assert (call.destination, call.compressor, call.excludes) == ("out", "xz", ["a/*", "-b"])


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("in out -nopads", "-nopads is no option; is -nopad meant?"),
        ("in out -Xcompresion-level 3", "-Xcompresion-level is no option of gzip"),
        ("in out -Xhc", "-Xhc is no option of gzip, which has -Xcompression-level"),
        ("in out -comp bzip2", "-comp: 'bzip2' is no compressor; there are gzip"),
        ("in out -b", "-b is to have SIZE behind it"),
        ("in out -e", "-e is to have names behind it"),
        ("in out -noI more", "'more' stands where an option is to be"),
        ("in", "a source and an image are needed"),
        ("-noI", "a source and an image are needed"),
        ("in out -b 12X", "-b: '12X' is no size"),
        ("in out -b 12K", "-b: '12K' is no power of two"),
        ("in out -processors 0", "-processors: at least 1 is needed"),
        ("in out -xattrs-include +", "-xattrs-include: '[+]' is no regular expression"),
        ("in out -root-mode 8", "-root-mode: '8' are no permissions"),
        ("in out -force-uid no-such-user", "-force-uid: 'no-such-user' is no user"),
    ],
)
def test_what_is_refused(line: str, text: str) -> None:
    with pytest.raises(OptionError, match="^" + text.replace("?", "[?]")):
        mksquashfs(line)


def test_later_options_win() -> None:
    assert "-no-exports" not in mksquashfs("in out -no-exports -exports").given
    assert mksquashfs("in out -force-uid 7 -all-root").given == {"-all-root": True}
    call = mksquashfs("in out -all-root -force-gid 9")
    overrides = tree_overrides(call, times(call, now=5, epoch=None), newest=0, has_root=True)
    assert (overrides.uid, overrides.gid) == (0, 9)


def test_defaults_are_theirs() -> None:
    options = writer_options(mksquashfs("in out"), is_tar=False, image_time=1)
    assert (options.compressor, options.block_size, options.exports, options.tail_ends) == ("gzip", 131072, True, False)
    assert (options.whiteouts, options.duplicates, options.source_date_epoch) == ("keep", "first", 1)
    options = writer_options(mksquashfs("- out -tar -comp zstd"), is_tar=True, image_time=1)
    assert (options.level, options.exports, options.tail_ends) == (15, False, True)
    options = writer_options(mksquashfs("in out -no-compression"), is_tar=False, image_time=1)
    assert set(options.uncompressed) == {"inodes", "data", "fragments", "xattrs"}


def test_times() -> None:
    assert times(mksquashfs("in out"), now=5, epoch=None)[:2] == (5, 5)
    assert times(mksquashfs("in out"), now=5, epoch="3") == (3, 3, None, None, 3)
    assert times(mksquashfs("in out -repro"), now=5, epoch=None)[:2] == (None, None)
    assert times(mksquashfs("in out -repro-time 9"), now=5, epoch=None) == (9, 5, 9, None, None)
    assert times(mksquashfs("in out -repro -all-time inode"), now=5, epoch="3") == (3, 3, "inode", None, 3)
    assert times(mksquashfs("in out -repro-time 9 -all-time 9"), now=5, epoch=None)[:3] == (9, 5, 9)
    for line in ("-repro -mkfs-time 1", "-repro -repro-time 1", "-repro-time inode", "-repro-time 1 -all-time inode"):
        with pytest.raises(OptionError, match="-repro"):
            times(mksquashfs(f"in out {line}"), now=5, epoch=None)
    for line in ("-mkfs-time 1", "-all-time 1", "-repro-time 1"):
        with pytest.raises(OptionError, match="exclude each other"):
            times(mksquashfs(f"in out {line}"), now=5, epoch="3")
    with pytest.raises(OptionError, match="SOURCE_DATE_EPOCH: 'x'"):
        times(mksquashfs("in out"), now=5, epoch="x")


@pytest.mark.parametrize(
    "line",
    [
        "-no-progress -progress",
        "-percentage -no-progress",
        "-xattrs-add user.a=1 -no-xattrs",
        "-xattrs-include a -no-xattrs",
        "-xattrs-exclude a -no-xattrs",
    ],
)
def test_options_that_exclude_each_other(line: str) -> None:
    with pytest.raises(OptionError, match="exclude each other"):
        mksquashfs(f"in out {line}")


@pytest.mark.parametrize("name", ["-xattrs-add", "-xattrs-include", "-xattrs-exclude"])
def test_options_of_attributes_undo_no_xattrs(name: str) -> None:
    assert not mksquashfs(f"in out -no-xattrs {name} user.a=1").has("-no-xattrs")


def test_help_has_every_option_and_compressor() -> None:
    tools: list[Tool] = ["mksquashfs", "sqfstar"]
    for tool in tools:
        text = help_text(parse_arguments(tool, ["-help"]))
        for option in options_of(tool):
            assert all(name in text for name in option.names)
        for name, options in COMPRESSORS.items():
            assert name in text
            assert all(option.name in text for option in options)
        assert max(map(len, text.splitlines())) <= 100


@pytest.mark.parametrize(
    ("words", "has", "has_not"),
    [
        ("-help-option uid", "-force-uid", "-noI"),
        ("-ho ^-b$", "-b SIZE", "-comp"),
        ("-help-section compression", "-noI", "-tar"),
        ("-hs comp|xattrs", "-xattrs-add", "-tar"),
        ("-help-section list", "pseudo", "-p"),
        ("-help-comp xz", "-Xbcj", "-Xhc"),
        ("-help-comp list", "lzo", "-X"),
        ("-help-comp all", "-Xhc", "-noI"),
        ("in out -comp lz4 -Xhelp", "-Xhc", "-Xbcj"),
        ("-help-all", "-Xhc", "nothing of that name"),
        ("-version", "mksquashfs version 4.7", "sqfstar"),
    ],
)
def test_help_says_what_is_asked(words: str, has: str, has_not: str) -> None:
    text = help_text(mksquashfs(words))
    assert has in text
    assert has_not not in text


@pytest.mark.parametrize("words", ["-help-option (", "-ho nothing-like-it", "-hs nowhere", "-help-comp bzip2"])
def test_help_on_nothing_is_refused(words: str) -> None:
    with pytest.raises(OptionError):
        help_text(mksquashfs(words))


def test_help_starts_without_what_only_images_need() -> None:
    code = "import sys; sys.argv = ['x', '-help']\nimport pysquash.mksquashfs as m\n"
    code += "try: m.main()\nexcept SystemExit: pass\nprint('loaded', *sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = done.stdout.rpartition("loaded ")[2].split()
    late = {"click", "construct", "zstandard", "rich", "pysquash.packing.pack", "pysquash.reader.image"}
    assert not late & set(loaded)
    assert "-noappend" in done.stdout


@pytest.mark.parametrize("tool", ["mksquashfs", "sqfstar"])
def test_nothing_at_all_is_a_mistake(tool: str) -> None:
    done = subprocess.run([sys.executable, "-m", f"pysquash.{tool}"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"usage: {tool} ")


@pytest.mark.parametrize("line", ["-overcommit 50", "-no-pager", "-cols 80", "-read-queue 64", "-fragment-queue 64"])
def test_options_without_effect_are_accepted(line: str) -> None:
    assert mksquashfs(f"in out {line}").has(line.split(maxsplit=1)[0])
    assert mksquashfs(f"in out {line} --version").help_option == "-version"


@pytest.mark.parametrize("line", ["-stream", "-fix image", "-zip", "-dereference", "-deref keep", "-deref-path a"])
def test_options_that_are_not_done_are_refused_with_the_reason(line: str) -> None:
    with pytest.raises(OptionError, match=f"{line.split(maxsplit=1)[0]} cannot be had here: .{{10}}"):
        mksquashfs(f"in out {line}")
