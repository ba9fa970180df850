"""Make docs/rules.md out of pysquash/format/rules.py. Run with `make docs`; a test holds them equal."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path

from pysquash.format.rules import Rule

__all__ = ["page"]

_INTRODUCTION = """\
# The rules of SquashFS 4.0

What `pysquash check` looks for, and what the errors of the reader name. The last column says who refuses an image that
breaks the rule: whose reading of all of it fails somewhere, or shows something else than the image was made of. That
was measured, with Linux 6.18 and unsquashfs 4.5.1, on the images of `tests/corrupt/cases.py`, which break one rule
each. Where it depends on the value, this is the worst case, and each finding says who it is. A rule that nobody
enforces is there because what breaks it shows that the image is not what its author meant.

This page is made by `make docs`, of the declarations in `format/rules.py`.
"""


def page() -> str:
    """Give the page's text."""
    lines = [_INTRODUCTION]
    for part, rules in groupby(Rule, key=lambda rule: rule.part):
        lines += [f"## {part}", "", "| rule | what has to hold | refused by |", "|---|---|---|"]
        lines += [f"| `{rule}` | {rule.text} | {' and '.join(rule.refused_by) or '-'} |" for rule in rules]
        lines.append("")
    return "\n".join(lines).rstrip("\n") + "\n"


if __name__ == "__main__":
    Path(__file__).with_name("rules.md").write_text(page())
