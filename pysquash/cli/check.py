"""`pysquash check`: what is wrong with an image, and who would refuse it for that."""

from __future__ import annotations

import dataclasses
import json

import click

from pysquash.errors import printable
from pysquash.fsck.check import check as check_image
from pysquash.fsck.findings import Finding

__all__ = ["check"]


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print the findings as a JSON list.")
@click.option("-q", "--quiet", is_flag=True, help="Say nothing where nothing is found.")
@click.argument("image", type=click.Path(exists=True, dir_okay=False))
def check(image: str, as_json: bool, quiet: bool) -> int:
    """Check every byte and every attribute of IMAGE; exit with 1 if anything is wrong.

    Each line says where, what is there, which rule of the format that breaks, and who would refuse to read it: the
    kernel, unsquashfs, both or nobody.
    """
    findings = check_image(image)
    if as_json:
        click.echo(json.dumps(list(map(_plain, findings))))
    else:
        for finding in findings:
            click.echo(str(finding))
    if not quiet and not findings:
        click.echo(f"{image}: nothing is wrong", err=True)
    return 1 if findings else 0


def _plain(finding: Finding) -> dict[str, object]:
    """Give a finding as JSON has it: its fields, and the text of its rule."""
    fields = dataclasses.asdict(finding)
    fields["rule_text"] = finding.rule.text
    fields["path"] = None if finding.path is None else printable(finding.path)
    return fields
