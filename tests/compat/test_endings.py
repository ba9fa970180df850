"""How programs end: one line on standard error, the right exit code, and no temporary file, whatever ends them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.processes import ENDING_SIGNALS, started
from tests.tarbuild import END, header, padded

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has other signals and descriptors")

ROOT = Path(__file__).parents[2]
SECONDS = 60
TEXT = {"SIGINT": b"interrupted", "SIGTERM": b"terminated", "SIGHUP": b"hangup"}
LAYER = header(b"etc/", b"5") + header(b"etc/hostname", size=3) + padded(b"vm\n") + END
PROGRAMS = {
    "pysquash": ["pysquash", "build", "-", "-q", "-o", "image"],
    "mksquashfs": ["pysquash.mksquashfs", "-", "image", "-tar", "-quiet", "-no-progress", "-noappend"],
    "sqfstar": ["pysquash.sqfstar", "-quiet", "-no-progress", "image"],
}
IMPORTED_LATE = {
    "pysquash": "pysquash.program.tuning",
    "mksquashfs": "pysquash.squashfs_tools.option_table",
    "sqfstar": "pysquash.squashfs_tools.option_table",
}


def module(*arguments: str) -> list[str]:
    return [sys.executable, "-m", *arguments]


def entries(count: int) -> bytes:
    return b"".join(header(b"%d" % row, size=1 << 20) + os.urandom(1 << 20) for row in range(count))


@pytest.mark.parametrize("number", ENDING_SIGNALS, ids=lambda number: number.name)
@pytest.mark.parametrize("program", PROGRAMS)
def test_a_signal_ends_a_build_and_leaves_what_was_there(program: str, number: signal.Signals, tmp_path: Path) -> None:
    before = {} if program == "sqfstar" else {"image": b"before"}  # sqfstar overwrites nothing
    for name, content in before.items():
        (tmp_path / name).write_bytes(content)
    with started(module(*PROGRAMS[program]), folder=tmp_path) as process:
        assert process.stdin is not None
        process.stdin.write(entries(20))  # a pipe holds 64 KiB: nearly all of it is read now, and the rest never comes
        process.stdin.flush()
        process.send_signal(number)
        _, errors = process.communicate(timeout=SECONDS)
    assert process.returncode == 128 + number
    assert errors == program.encode() + b": " + TEXT[number.name] + b"\n"
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("number", ENDING_SIGNALS, ids=lambda number: number.name)
@pytest.mark.parametrize("program", PROGRAMS)
def test_a_signal_that_the_parent_ignores_stays_ignored(program: str, number: signal.Signals, tmp_path: Path) -> None:
    with started(module(*PROGRAMS[program]), folder=tmp_path, ignored=[number]) as process:
        assert process.stdin is not None
        process.stdin.write(entries(20))
        process.stdin.flush()
        process.send_signal(number)
        process.stdin.write(END)
        _, errors = process.communicate(timeout=SECONDS)
    assert (process.returncode, errors) == (0, b"")
    assert os.listdir(tmp_path) == ["image"]


@pytest.mark.parametrize("program", PROGRAMS)
def test_an_interrupt_during_imports(program: str, tmp_path: Path) -> None:
    code = f"""
import runpy, signal, sys
class Interrupting:
    def find_spec(self, name, path=None, target=None):
        if name == {IMPORTED_LATE[program]!r}:
            signal.raise_signal(signal.SIGINT)
sys.meta_path.insert(0, Interrupting())
runpy.run_module(sys.argv.pop(1), run_name="__main__", alter_sys=True)
"""
    with started([sys.executable, "-c", code, *PROGRAMS[program]], folder=tmp_path) as process:
        _, errors = process.communicate(timeout=SECONDS)
    assert (process.returncode, errors) == (130, program.encode() + b": interrupted\n")


def test_what_comes_before_the_handlers_is_imported_quickly() -> None:
    """What `run_guarded` itself imports, an interrupt cannot get past."""
    code = "import sys; old = set(sys.modules); import pysquash.cli; print(*sorted(set(sys.modules) - old))"
    done = subprocess.run([sys.executable, "-S", "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    own = {"pysquash", "pysquash.cli", "pysquash.program", "pysquash.program.guard"}
    assert set(done.stdout.split()) <= {"__future__", *own}


@pytest.mark.parametrize("number", ENDING_SIGNALS, ids=lambda number: number.name)
def test_a_signal_in_a_finalizer_is_not_lost(number: signal.Signals, tmp_path: Path) -> None:
    code = f"""
import signal, time
from pysquash.program.guard import run_guarded
class Finalized:
    def __del__(self):
        signal.raise_signal({int(number)})
        time.sleep(0)
def run():
    Finalized()
    for _ in range(600):
        time.sleep(0.1)
    print("went on")
run_guarded("program", run)
"""
    with started([sys.executable, "-c", code], folder=tmp_path) as process:
        output, errors = process.communicate(timeout=SECONDS)
    assert (process.returncode, output, errors) == (128 + number, b"", b"program: " + TEXT[number.name] + b"\n")


@pytest.mark.parametrize(
    ("raised", "code", "line"),
    [
        ("MemoryError()", 1, b"out of memory"),
        ("ImportError('cannot map it', name='extension')", 1, b"cannot import extension: cannot map it"),
        ("KeyboardInterrupt()", 130, b"interrupted"),
        ("OSError(28, 'No space left on device', 'image\\n')", 1, b"image\\n: No space left on device"),
        ("OSError(5, 'Input/output error', b'\\xff')", 1, b"\\xff: Input/output error"),
        ("OSError('of our own')", 1, b"of our own"),
        ("errors.OptionError('wrong')", 2, b"wrong"),
        ("errors.SourceError('bad', source='layer')", 1, b"layer: bad"),
    ],
)
def test_an_error_is_one_line(raised: str, code: int, line: bytes, tmp_path: Path) -> None:
    script = f"""
from pysquash import errors
from pysquash.program.guard import run_guarded
def run():
    raise {raised}
run_guarded("program", run, usage_code=2)
"""
    with started([sys.executable, "-c", script], folder=tmp_path) as process:
        _, errors = process.communicate(timeout=SECONDS)
    assert (process.returncode, errors) == (code, b"program: " + line + b"\n")


@pytest.fixture
def image(tmp_path: Path) -> Path:
    (tmp_path / "layer.tar").write_bytes(LAYER)
    done = subprocess.run(module("pysquash", "build", "-q", "layer.tar", "-o", "image"), cwd=tmp_path, check=True)
    assert done.returncode == 0
    return tmp_path / "image"


OUTPUTS = {
    "ls": ["pysquash", "ls", "image"],
    "cat": ["pysquash", "cat", "image", "etc/hostname"],
    "tar": ["pysquash", "tar", "image"],
    "json": ["pysquash", "build", "-q", "--json", "layer.tar", "-o", "other"],
    "help": ["pysquash", "--help"],
    "mksquashfs": ["pysquash.mksquashfs", ".", "other", "-no-progress"],
    "mksquashfs help": ["pysquash.mksquashfs", "-help"],
}


@pytest.mark.parametrize("buffering", ["", "1"], ids=["buffered", "unbuffered"])
@pytest.mark.parametrize(("to", "why"), [("&-", "Bad file descriptor"), ("/dev/full", "No space left on device")])
@pytest.mark.parametrize("name", OUTPUTS)
def test_an_output_that_cannot_be_written(name: str, to: str, why: str, buffering: str, image: Path) -> None:
    if to == "/dev/full" and not os.path.exists(to):
        pytest.skip("/dev/full is Linux's")
    environment = {**os.environ, "PYTHONUNBUFFERED": buffering}
    command = ["sh", "-c", f'exec "$@" >{to}', "sh", *module(*OUTPUTS[name])]
    with started(command, folder=image.parent, environment=environment) as process:
        _, errors = process.communicate(timeout=SECONDS)
    program = "mksquashfs" if "mksquashfs" in name else "pysquash"
    assert (process.returncode, errors.decode()) == (1, f"{program}: standard output: {why}\n")


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_an_image_does_not_get_the_descriptor_of_a_closed_stream(closed: str, image: Path) -> None:
    """What is written to a closed standard error would be in the image."""
    code = """
import os, runpy, sys, warnings
from pysquash.writer.output import Output
opened = Output.__init__
def init(self, *arguments, **words):
    opened(self, *arguments, **words)
    assert self._file.fileno() > 2
    for number in (1, 2):
        try: os.write(number, b"stray")
        except OSError: pass
Output.__init__ = init
runpy.run_module(sys.argv.pop(1), run_name="__main__", alter_sys=True)
"""
    arguments = ["pysquash", "build", "-q", "layer.tar", "-o", "other"]
    command = ["sh", "-c", f'exec "$@" {closed}', "sh", sys.executable, "-c", code, *arguments]
    with started(command, folder=image.parent) as process:
        process.communicate(timeout=SECONDS)
    assert process.returncode == 0
    assert (image.parent / "other").read_bytes() == image.read_bytes()


def test_an_input_that_is_closed(tmp_path: Path) -> None:
    command = ["sh", "-c", 'exec "$@" <&-', "sh", *module(*PROGRAMS["pysquash"])]
    with started(command, folder=tmp_path) as process:
        _, errors = process.communicate(timeout=SECONDS)
    assert (process.returncode, errors.count(b"\n")) == (1, 1)
    assert b"Bad file descriptor" in errors


def test_a_reader_that_has_enough(image: Path) -> None:
    ours, theirs = os.pipe()
    os.close(ours)
    with started(module("pysquash", "ls", "image"), folder=image.parent, stdout=theirs) as process:
        os.close(theirs)
        _, errors = process.communicate(timeout=SECONDS)
    assert (process.returncode, errors) == (1, b"")


@pytest.mark.skipif(sys.platform != "linux", reason="limits of the address space are Linux's")
def test_too_little_memory(tmp_path: Path) -> None:
    """Wherever the memory ends: in imports, while threads start, in the compressor."""
    (tmp_path / "layer.tar").write_bytes(entries(30) + END)
    endings = set()
    for mib in range(20, 400, 20):
        command = ["sh", "-c", f'ulimit -v {mib << 10}; exec "$@"', "sh", sys.executable]
        arguments = ["-m", "pysquash", "build", "-q", "layer.tar", "-o", "image"]
        with started([*command, *arguments], folder=tmp_path) as process:
            _, errors = process.communicate(timeout=SECONDS)
        if b"pysquash" not in errors and process.returncode not in (0, -signal.SIGSEGV):
            continue  # the interpreter itself did not start
        endings.add(process.returncode)
        assert b"Traceback" not in errors, f"{mib} MiB"
        assert errors.count(b"\n") == (process.returncode == 1), f"{mib} MiB: {errors!r}"
    assert endings >= {0, 1}
