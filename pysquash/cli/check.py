"""`pysquash check`: what is wrong with an image, and who would refuse it for that."""

from __future__ import annotations

import dataclasses
import json

import click

from pysquash.cli.console import image_errors, tell
from pysquash.cli.offset_option import offset_option
from pysquash.errors import printable
from pysquash.fsck.check import check as check_image
from pysquash.fsck.findings import Finding

__all__ = ["check"]


@click.command(short_help="Say what is wrong with an image, if anything is.")
@click.option("--json", "as_json", is_flag=True, help="Print the findings as a JSON list.")
@click.option("-q", "--quiet", is_flag=True, help="Say nothing where nothing is found.")
@offset_option
@click.argument("image", type=click.Path(readable=False))
def check(image: str, as_json: bool, quiet: bool, offset: int) -> int:
    """Check that IMAGE keeps every rule of the format and can be read to the last byte; exit with 1 if not.

    Each line says where, what is there, which rule of the format that breaks, and who would refuse to read it: the
    kernel, unsquashfs, both or nobody. SquashFS has no checksums: content that was changed and still decompresses is
    not found.
    """
    with image_errors(image):
        findings = check_image(image, offset=offset)
    if as_json:
        click.echo(json.dumps(list(map(_plain, findings))))
    else:
        for finding in findings:
            click.echo(str(finding))
    if not quiet and not findings:
        tell(f"{image}: nothing is wrong")
    return 1 if findings else 0


def _plain(finding: Finding) -> dict[str, object]:
    """Give a finding as JSON has it: its fields, and the text of its rule."""
    fields = dataclasses.asdict(finding)
    fields["rule_text"] = finding.rule.text
    fields["path"] = None if finding.path is None else printable(finding.path)
    return fields
