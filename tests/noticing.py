"""Warnings as tests want them: each one as the text that a user sees."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NoReturn

import pytest

from pysquash.notices import Notice, WarningGroup


class Recorder(list[str]):
    """Takes warnings and keeps their texts."""

    def __call__(self, notice: Notice) -> None:
        self.append(str(notice))


def texts(groups: Iterable[WarningGroup]) -> list[str]:
    """Return the examples of all groups."""
    return [example for group in groups for example in group.examples]


def fail(notice: Notice) -> NoReturn:
    """Fail the test: where no warning is expected."""
    pytest.fail(str(notice))
