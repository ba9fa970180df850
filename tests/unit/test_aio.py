"""The asyncio front: the same image, an event loop that stays free, and nothing left when cancelled."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

import pysquash
import pysquash.aio
from tests.tarbuild import END, header, padded

BASE = header(b"a", size=5) + padded(b"lower") + END
UPPER = header(b"b", size=5) + padded(b"upper") + header(b".wh.a") + END


async def chunks(raw: bytes, size: int = 100) -> AsyncIterator[bytes]:
    for at in range(0, len(raw), size):
        await asyncio.sleep(0)
        yield raw[at : at + size]


async def later(value: Any) -> Any:
    await asyncio.sleep(0.01)
    return value


def test_every_form_gives_the_same_image() -> None:
    wanted = io.BytesIO()
    pysquash.tar2squashfs([io.BytesIO(BASE), io.BytesIO(UPPER)], wanted)

    async def pack(streams: list[Any]) -> bytes:
        output = io.BytesIO()
        report = await pysquash.aio.tar2squashfs(streams, output)
        assert report.layers == 2
        return output.getvalue()

    assert asyncio.run(pack([io.BytesIO(BASE), chunks(UPPER)])) == wanted.getvalue()

    async def awaitables() -> bytes:
        return await pack([later(chunks(BASE)), later(io.BytesIO(UPPER))])

    assert asyncio.run(awaitables()) == wanted.getvalue()


def test_errors_come_through(tmp_path: Path) -> None:
    async def failing() -> AsyncIterator[bytes]:
        yield BASE[:600]
        raise ConnectionResetError("gone")

    with pytest.raises(ConnectionResetError, match="gone"):
        asyncio.run(pysquash.aio.tar2squashfs([failing()], tmp_path / "image"))
    with pytest.raises(pysquash.SourceError, match="ends"):
        asyncio.run(pysquash.aio.tar2squashfs([chunks(BASE[:600])], tmp_path / "image"))
    assert list(tmp_path.iterdir()) == []


def test_cancelling_leaves_nothing(tmp_path: Path) -> None:
    async def main() -> None:
        is_at_work = asyncio.Event()

        async def stuck() -> AsyncIterator[bytes]:
            yield BASE[:600]
            is_at_work.set()
            await asyncio.sleep(60)

        packing = asyncio.ensure_future(pysquash.aio.tar2squashfs([stuck()], tmp_path / "image"))
        await is_at_work.wait()
        packing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await packing
        assert list(tmp_path.iterdir()) == []

    asyncio.run(main())


def test_progress_is_told_on_the_loop() -> None:
    told: list[tuple[str, int, int | None]] = []

    async def main() -> None:
        await pysquash.aio.tar2squashfs([chunks(BASE)], io.BytesIO(), progress=lambda *step: told.append(step))

    asyncio.run(main())
    assert told[0] == ("read", len(BASE), len(BASE))
    assert told[-1] == ("write", 2, 2)
