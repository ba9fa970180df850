"""Whatever an image is, reading it gives a result or one of our errors, and takes neither long nor much memory."""

from __future__ import annotations

import contextlib
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pysquash.format.constants import DATA_START, MAGIC
from pysquash.format.records import SUPERBLOCK
from tests.fuzz.exercise import exercise
from tests.fuzz.hostile import HOSTILE
from tests.fuzz.measure import WAYS
from tests.fuzz.mutation import mutated
from tests.fuzz.seeds import FOUND, own_image

if sys.platform != "linux":
    pytest.skip("limits of time and memory are those of Linux", allow_module_level=True)
import resource

DEADLINE = 10
"""Processor seconds for one image; a hundred times as many as are needed."""

MEMORY = 1 << 30
"""Bytes more than there are to begin with. Threads that extract files take room for 64 MiB each, and use none of it."""

IMAGES = [own_image(), own_image(exports=False, many=200), own_image("zstd"), own_image("xz", exports=False)]


@pytest.fixture(autouse=True)
def limited_memory() -> Iterator[None]:
    """Let an image that takes much memory be a MemoryError, which is none of ours."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    limit = pages * resource.getpagesize() + MEMORY
    if before[0] == resource.RLIM_INFINITY or limit < before[0]:
        resource.setrlimit(resource.RLIMIT_AS, (limit, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


@contextlib.contextmanager
def deadline() -> Iterator[None]:
    def late(*_: object) -> None:
        raise TimeoutError(f"an image took more than {DEADLINE} s of processor time")

    before = signal.signal(signal.SIGPROF, late)
    signal.setitimer(signal.ITIMER_PROF, DEADLINE)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def try_all(data: bytes) -> None:
    with deadline():
        exercise(data)


several = settings(max_examples=60)


@given(st.binary(max_size=400))
@several
@example(b"")
@example(b"hsqs")
def test_any_bytes(data: bytes) -> None:
    try_all(data)


positions = st.integers(DATA_START, 3000) | st.sampled_from([0, DATA_START, 2**63, 2**64 - 1])


@given(
    content=st.binary(min_size=20, max_size=2000),
    starts=st.tuples(positions, positions, positions, positions, positions, positions),
    counts=st.tuples(*[st.sampled_from([0, 1, 2, 700, 2**16 - 1, 2**31, 2**32 - 1])] * 2),
    id_count=st.sampled_from([0, 1, 3000, 65535]),
    compressor=st.integers(0, 7),
    block_log=st.integers(11, 21),
    root_ref=st.sampled_from([0, 1, 0x60, 2**32, 2**64 - 1]) | st.integers(0, 500),
)
@several
def test_any_bytes_behind_a_superblock(
    content: bytes,
    starts: tuple[int, ...],
    counts: tuple[int, ...],
    id_count: int,
    compressor: int,
    block_log: int,
    root_ref: int,
) -> None:
    ids, xattrs, inodes, directories, fragments, exports = starts
    if inodes > directories:  # or else nearly nothing comes of it
        inodes, directories = directories, inodes
    superblock = SUPERBLOCK.pack(
        MAGIC,
        counts[0],
        0,
        1 << block_log,
        counts[1],
        compressor,
        block_log,
        0,
        id_count,
        4,
        0,
        root_ref,
        DATA_START + len(content),
        ids,
        xattrs,
        inodes,
        directories,
        fragments,
        exports,
    )
    try_all(superblock + content)


@given(which=st.integers(0, len(IMAGES) - 1), seed=st.integers(0, 2**64 - 1))
@settings(several, max_examples=250)
def test_changed_images(which: int, seed: int) -> None:
    try_all(mutated(IMAGES[which], random.Random(seed)))


@given(which=st.integers(0, len(IMAGES) - 1), length=st.integers(0, 20000))
@several
def test_images_that_are_cut_off(which: int, length: int) -> None:
    try_all(IMAGES[which][:length])


@pytest.mark.parametrize("image", IMAGES, ids=range(len(IMAGES)))
def test_good_images(image: bytes) -> None:
    try_all(image)


@pytest.mark.parametrize("path", sorted(FOUND.glob("*.squashfs")), ids=lambda path: path.stem)
def test_what_was_found(path: Path) -> None:
    try_all(path.read_bytes())


SHARE = 32
"""By which hostile images are made smaller than 64 KiB: what is linear takes as many times less, and what is not, and
would take hours, still takes more than the limits."""

SECONDS = {"tar": 6.0}
"""Processor seconds for one way to read one image, where that is not OTHER_SECONDS: a tar is long, and cut at 8 MiB."""

OTHER_SECONDS = 3.0
PEAK = 400
"""MiB, Python's own among them."""


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_images_take_neither_long_nor_much_memory(name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz.measure", name, f"--share={SHARE}"],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        cwd=Path(__file__).parents[2],
    )
    assert done.returncode == 0, done.stderr
    _, *fields = done.stdout.split()
    measured = {way: float(number) for way, _, number in (field.partition("=") for field in fields)}
    assert measured.pop("MiB") <= PEAK
    assert measured.keys() == WAYS.keys()
    assert {way: took for way, took in measured.items() if took > SECONDS.get(way, OTHER_SECONDS)} == {}
