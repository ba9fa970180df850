"""Make pysquash/format/packed_formats.py from the records. Run with `make docs`; a test holds them equal."""

from __future__ import annotations

from pathlib import Path

from pysquash.format import packed_formats
from pysquash.format.layouts import LAYOUTS, format_of
from pysquash.format.records import CODECS

__all__ = ["MODULE", "module_text"]

MODULE = Path(packed_formats.__file__)


def module_text() -> str:
    """Return the module's text."""
    lines = [
        '"""Format: the struct module\'s format of each record. Made by `make docs` from the records: do not edit."""',
        "",
        "from __future__ import annotations",
        "",
        "from typing import Final",
        "",
        '__all__ = ["FORMATS"]',
        "",
        "FORMATS: Final[dict[str, str]] = {",
    ]
    lines += [f'    "{CODECS[name].record.__name__}": "{format_of(layout)}",' for name, layout in LAYOUTS.items()]
    return "\n".join([*lines, "}"]) + "\n"


if __name__ == "__main__":
    MODULE.write_text(module_text())
