"""Own files: what is being written, so that nothing that is read is written over, or packed into itself.

In: outputs, as they are opened. Out: an answer whether something on the host is one of them, whatever it is called.
Rules kept here: files are told apart by device and inode, so that links and other spellings make no difference.
Not here: how outputs are written (writer/output), what is left out of a folder that is packed (sources/directory).
"""

from __future__ import annotations

import os
from typing import Any

from pysquash.errors import OptionError

__all__ = ["OwnFiles"]


class OwnFiles:
    """The outputs of a build: those that are there already, and the temporary files that will take their names."""

    def __init__(self) -> None:
        """Know of none."""
        self._objects: list[object] = []
        self._names: dict[tuple[int, int], str | None] = {}

    def add(self, status: os.stat_result, name: str | None) -> None:
        """Note a file or folder.

        Args:
            status: What the host says of it.
            name: What the caller calls it; None for a temporary one.
        """
        if status.st_ino:  # some file systems have no such numbers
            self._names[status.st_dev, status.st_ino] = name

    def add_open(self, file: Any) -> None:
        """Note the caller's file object, and the host's file behind it, if there is one."""
        self._objects.append(file)
        status = _status(file)
        if status is not None:
            self.add(status, _name(file))

    def holds(self, status: os.stat_result) -> bool:
        """Tell whether something is one of them."""
        return (status.st_dev, status.st_ino) in self._names

    def name(self, status: os.stat_result) -> str | None:
        """Give what the caller calls it; None for a temporary file, and for what is none of them."""
        return self._names.get((status.st_dev, status.st_ino))

    @property
    def may_be_read(self) -> bool:
        """Tell whether any of them was there before, so that something could have been meant to be read from it."""
        return any(name is not None for name in self._names.values())

    def refuse(self, target: Any, *, source: str = "") -> None:
        """Refuse an input that is one of them.

        Args:
            target: A path, or a file object; anything else is passed over, as is what is not there.
            source: What messages call it; its own name by default.

        Raises:
            OptionError: It is one of them.
        """
        if any(target is each for each in self._objects):
            raise OptionError("the output and an input are the same file object")
        status = _status(target) if self._names else None
        if status is not None and self.holds(status):
            output = self.name(status) or "a temporary file"
            raise OptionError(f"the output {output} and the input {source or _name(target)} are the same file")


def _status(target: Any) -> os.stat_result | None:
    try:
        if isinstance(target, str | bytes | os.PathLike):
            return os.stat(target)
        return os.fstat(target.fileno())
    except (OSError, ValueError, AttributeError, TypeError):
        return None


def _name(target: Any) -> str:
    if isinstance(target, str | bytes | os.PathLike):
        return os.fsdecode(target)
    name = getattr(target, "name", None)
    return name if isinstance(name, str) else "that was given as an open file"
