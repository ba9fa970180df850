"""Make docs/format.md out of the texts in pysquash/format/records.py. Run with `make docs`; a test holds them equal."""

from __future__ import annotations

from pathlib import Path

import construct

from pysquash.format.layouts import LAYOUTS
from pysquash.format.records import CODECS

__all__ = ["page"]


def page() -> str:
    """Return the page's text."""
    lines = [
        "# The structures of SquashFS 4.0",
        "",
        "All integers are little-endian. `make docs` makes this page from the declarations in `format/records.py`.",
    ]
    for name, codec in CODECS.items():
        title = name.lower().replace("_", " ")
        lines += ["", f"## {title}", "", f"{codec.size} bytes, in the {codec.section}.", ""]
        about = (codec.record.__doc__ or "").strip()
        lines += [about, "", "| byte | size | field | what it is |", "|---|---|---|---|"]
        offset = 0
        for field in LAYOUTS[name].subcons:
            size = construct.Struct(field).sizeof()
            text = field.docs.replace("|", "\\|")
            lines.append(f"| {offset} | {size} | {field.name} | {text} |")
            offset += size
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    Path(__file__).with_name("format.md").write_text(page())
