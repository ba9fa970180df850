"""Whatever a layer is, packing it gives an image or one of our errors, and takes neither long nor much memory."""

from __future__ import annotations

import sys

import pytest

import tests.fuzz.hostile_tars  # noqa: F401 -- which adds to them
from tests.fuzz.hostile_layers import HOSTILE_LAYERS
from tests.fuzz.measure_layers import measure

if sys.platform != "linux":
    pytest.skip("memory is measured as on Linux", allow_module_level=True)

SHARE = 4
"""By which hostile layers are made smaller: what is not bounded still takes more than the limits."""

SECONDS = 20
"""Processor seconds: several times as many as are needed, for slow machines."""

MEBIBYTES = 700


@pytest.mark.parametrize("name", HOSTILE_LAYERS)
def test_hostile_layers_take_neither_long_nor_much_memory(name: str) -> None:
    cost = measure(name, SHARE)
    assert cost.code in (0, 1), cost.message
    assert "Traceback" not in cost.message
    assert cost.seconds < SECONDS
    assert cost.mebibytes < MEBIBYTES
