"""Writer: compresses batches of blocks, on threads or in an executor, and lands them in the order of submission.

In: batches of blocks. Out: for each batch, in order, a call with what is to be stored, always on the caller's thread.
Rules kept here: the image's bytes do not depend on the number of workers, nor on where they are; a caller's executor is
never shut down; what is in flight is bounded; a batch, not a block, is what travels, because a worker that must take
the GIL back after each block waits behind the parsing thread (measured: 22 MB/s instead of 144 beside a busy thread).
Not here: where the results land (data).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future

from pysquash.compression.base import CompressorSettings, Stored, block_codec
from pysquash.errors import ExecutorError
from pysquash.format.words import DATA_RAW
from pysquash.host.threads import Workers

__all__ = ["BATCH_SIZE", "Compressed", "Land", "Pipeline", "compress_batch", "compress_to_bytes"]

BATCH_SIZE = 2 << 20
"""Bytes of blocks that make a batch: 16 blocks of 128 KiB, some 6 ms of zstd level 3."""

_WAITING_LIMIT = 6
"""Batches that wait for a worker, or for those before them: what large files leave waiting keeps the workers busy
through many small ones, of which the parsing thread makes fewer bytes than they compress."""


Compressed = Sequence[Stored | None]
"""A batch's blocks in their compressed forms; None where raw is not larger."""

Land = Callable[[Sequence[bytes], Compressed], None]
"""Takes a batch's blocks, and the same compressed."""


def compress_batch(settings: CompressorSettings, blocks: Sequence[bytes]) -> Compressed:
    """Compress blocks, with None for each that is to be stored raw. Runs on any thread."""
    compressed = block_codec(settings).compress(blocks)
    return [new if len(new) < len(old) else None for old, new in zip(blocks, compressed, strict=True)]


def compress_to_bytes(settings: CompressorSettings, blocks: Sequence[bytes]) -> list[bytes | None]:
    """Do the same in any process: a view could not come back from there."""
    return [None if new is None else bytes(new) for new in compress_batch(settings, blocks)]


def _left(blocks: Sequence[bytes]) -> Future[Compressed]:
    """Make what stands for a batch that is stored as it is: it keeps its place, and goes nowhere."""
    future: Future[Compressed] = Future()
    future.set_result([None] * len(blocks))
    return future


class Pipeline:
    """Compresses in parallel, lands in order."""

    def __init__(self, settings: CompressorSettings, worker_count: int, executor: Executor | None = None) -> None:
        """Set up the workers; one worker means the caller's own thread, which is the reference for all other counts.

        Args:
            settings: What compresses.
            worker_count: How many batches can be compressed at the same time.
            executor: The caller's, which compresses instead of threads of ours; None for these.
        """
        self._settings = settings
        self._is_ours = executor is None
        if executor is None and worker_count > 1:
            executor = Workers(worker_count, "pysquash-compress")
        self._executor = executor
        self._flying: deque[tuple[Future[Compressed], Sequence[bytes], Land]] = deque()
        self._flying_limit = worker_count + _WAITING_LIMIT
        self._may_land = False

    def submit(self, blocks: Sequence[bytes], land: Land, *, is_raw: bool = False) -> None:
        """Have a batch compressed; it lands during this or a later call.

        Args:
            blocks: About BATCH_SIZE bytes in all; not changed by anyone from now on.
            land: Called once, after the calls of all batches submitted earlier.
            is_raw: Whether the batch is to be stored as it is.
        """
        if self._executor is None:
            land(blocks, [None] * len(blocks) if is_raw else compress_batch(self._settings, blocks))
            return
        self._flying.append((_left(blocks) if is_raw else self._begin(self._executor, blocks), blocks, land))
        # What the first landing needs takes long to import: the workers are to have something to do by then.
        if len(self._flying) > _WAITING_LIMIT:
            self._may_land = True
        while self._flying and (
            len(self._flying) > self._flying_limit or (self._may_land and self._flying[0][0].done())
        ):
            self._land_oldest()

    def plain(self, stored: bytes, size_word: int) -> bytes:
        """Give back what was compressed.

        Args:
            stored: A block's bytes in the image.
            size_word: Its DATA_WORD.
        """
        if size_word & DATA_RAW:
            return stored
        return block_codec(self._settings).decompress(stored, self._settings.block_size)

    def drain(self) -> None:
        """Wait for all batches, and land them."""
        while self._flying:
            self._land_oldest()

    def close(self) -> None:
        """Let go of the workers; batches that have not landed are given up. Harmless when called twice."""
        while self._flying:
            self._flying.popleft()[0].cancel()
        if self._is_ours and self._executor is not None:
            self._executor.shutdown(wait=True, cancel_futures=True)

    def _begin(self, executor: Executor, blocks: Sequence[bytes]) -> Future[Compressed]:
        if self._is_ours:
            return executor.submit(compress_batch, self._settings, blocks)
        try:
            return executor.submit(compress_to_bytes, self._settings, blocks)
        except Exception as error:
            raise _executor_error(error) from error

    def _land_oldest(self) -> None:
        future, blocks, land = self._flying.popleft()
        try:
            compressed = future.result()
        except Exception as error:
            if self._is_ours:
                raise
            raise _executor_error(error) from error
        land(blocks, compressed)


def _executor_error(error: Exception) -> ExecutorError:
    """Make one error of ours of whatever a caller's executor fails with."""
    text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return ExecutorError(f"the executor did not compress a batch of blocks: {text}")
