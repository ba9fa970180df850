"""`pysquash check`: reports the rules that an image breaks, and which programs refuse it."""

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


@click.command(short_help="Check an image against every rule of the format.")
@click.option("--json", "as_json", is_flag=True, help="Print the findings as a JSON list.")
@click.option("-q", "--quiet", is_flag=True, help="Print errors only: no notes, and nothing for a clean image.")
@click.option("--strict", is_flag=True, help="Treat notes as errors: exit with 1 for any finding.")
@offset_option
@click.argument("image", type=click.Path(readable=False))
def check(image: str, as_json: bool, quiet: bool, strict: bool, offset: int) -> int:
    """Check that IMAGE keeps every rule of the format and can be read to the last byte.

    Each line names the place, the value, the rule, and whether the kernel or unsquashfs refuses or misreads the image.
    Findings that one of them refuses or misreads are errors, and the exit code is 1. Others are notes, and the exit
    code is 0 unless --strict is given. SquashFS has no checksums: changed content that still decompresses is not found.
    """
    with image_errors(image):
        findings = check_image(image, offset=offset)
    failures = [finding for finding in findings if strict or finding.severity == "error"]
    if as_json:
        click.echo(json.dumps(list(map(_plain, findings))))
    else:
        for finding in failures if quiet else findings:
            click.echo(str(finding))
    if not quiet and not findings:
        tell(f"{image}: nothing is wrong")
    return 1 if failures else 0


def _plain(finding: Finding) -> dict[str, object]:
    """Give a finding as JSON has it: its fields, and the text of its rule."""
    fields = dataclasses.asdict(finding)
    fields["severity"] = finding.severity
    fields["rule_text"] = finding.rule.text
    fields["path"] = None if finding.path is None else printable(finding.path)
    return fields
