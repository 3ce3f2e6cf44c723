"""What the command `doctor` does: makes the checks, and writes what they find."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import click

from lava_s3trigger.cli.deployed.aws import Aws
from lava_s3trigger.cli.deployed.realm import Deployment, find_realm
from lava_s3trigger.cli.errors import COULD_NOT_TELL, NO, YES
from lava_s3trigger.cli.output.findings import STYLES, Finding, is_at_least
from lava_s3trigger.cli.output.github import write_github
from lava_s3trigger.cli.output.streams import opened, write_json
from lava_s3trigger.cli.output.text import Piece, line, styled, write_page

from . import checks  # noqa: F401 - registers the checks
from .registry import CHECKS, diagnose

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TextIO

    from lava_s3trigger.cli.output.text import Line

    from .registry import Diagnosis


def run(  # noqa: PLR0913 - the options
    *,
    realm: str | None,
    profile: str | None,
    region: str | None,
    endpoint_url: str | None,
    function_name: str | None,
    select: tuple[str, ...],
    fail_on: str,
    format_: str,
    output: str | None,
) -> int:
    """Run the command, and return its exit status."""
    unknown = [name for name in select if name not in CHECKS]
    if unknown:
        raise click.BadParameter(
            f"no check {unknown[0]!r}; checks: {', '.join(CHECKS)}",
            click.get_current_context(),
            param_hint="--select",
        )
    name, function = find_realm(realm, function_name)
    deployed = Deployment(Aws(profile, region, endpoint_url), name, function)
    chosen = [check for check in CHECKS.values() if not select or check.name in select]
    # Last, so that redriven events meet what the commands of the other checks correct.
    chosen.sort(key=lambda check: check.name == "dead-letters")
    diagnosis = diagnose(deployed, chosen)
    with opened(output) as file:
        if format_ == "json":
            _write_json(file, deployed, diagnosis)
        elif format_ == "github":
            _write_github(file, diagnosis)
        else:
            write_page(file, _lines(deployed, diagnosis))
    if any(is_at_least(finding.severity, fail_on) for finding in diagnosis.findings):
        return NO
    return COULD_NOT_TELL if diagnosis.unread else YES


def _lines(deployed: Deployment, diagnosis: Diagnosis) -> Iterator[Line]:
    explained: set[str] = set()
    for finding in diagnosis.findings:
        head = Piece(f"{finding.severity} ", STYLES[finding.severity])
        yield line(head, f"{finding.rule}: {finding.subject}: {finding.message}")
        if finding.rule not in explained:
            yield line(finding.why, indent=2)
        explained.add(finding.rule)
        yield from (line(f"$ {command}", indent=2) for command in finding.command.splitlines())
        if finding.cause:
            yield line(f"corrected by the commands of {finding.cause}", indent=2)
    for unread in diagnosis.unread:
        yield styled(f"could not tell {unread.check.name}: needs {unread.action}", "magenta")
    count = len(diagnosis.findings)
    told = "nothing wrong was found" if not count else f"{count} findings"
    if diagnosis.unread:
        told += f"; {len(diagnosis.unread)} checks could not be made"
    yield line(f"{deployed.function_name}: {told}")


def _write_json(file: TextIO, deployed: Deployment, diagnosis: Diagnosis) -> None:
    write_json(
        file,
        {
            "realm": deployed.realm,
            "function": deployed.function_name,
            "findings": [
                {
                    "check": finding.rule,
                    "severity": finding.severity,
                    "subject": finding.subject,
                    "message": finding.message,
                    "why": finding.why,
                    "command": finding.command,
                    "cause": finding.cause,
                }
                for finding in diagnosis.findings
            ],
            "unreadable": [
                {"check": unread.check.name, "action": unread.action, "reason": unread.reason}
                for unread in diagnosis.unread
            ],
        },
    )


def _write_github(file: TextIO, diagnosis: Diagnosis) -> None:
    findings: list[Finding] = [
        replace(
            finding, message=f"{finding.message}. {finding.why}\n{finding.command or finding.cause}"
        )
        for finding in diagnosis.findings
    ]
    for unread in diagnosis.unread:
        message = f"could not tell: needs {unread.action}"
        findings.append(Finding(rule=unread.check.name, severity="warning", message=message))
    write_github(file, findings)
