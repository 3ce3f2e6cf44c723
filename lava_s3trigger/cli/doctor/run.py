"""What the command `doctor` does: makes the checks, and writes what they find."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final

import click

from lava_s3trigger.cli.deployed.aws import Aws
from lava_s3trigger.cli.errors import COULD_NOT_TELL, NO, YES
from lava_s3trigger.cli.output.streams import opened, write_json
from lava_s3trigger.cli.output.text import Piece, line, styled, write_page

from . import checks  # noqa: F401 - registers the checks
from .realm import Deployment, find_realm
from .registry import CHECKS, SEVERITIES, diagnose

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import TextIO

    from lava_s3trigger.cli.output.text import Line

    from .registry import Diagnosis

_STYLES: Final = {"error": "bold red", "warning": "yellow", "info": "cyan"}
_LEVELS: Final = {"error": "error", "warning": "warning", "info": "notice"}
"""Severities as GitHub's workflow commands have them."""


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
    chosen = [each for each in CHECKS.values() if not select or each.name in select]
    found = diagnose(deployed, chosen)
    with opened(output) as file:
        _WRITERS[format_](file, deployed, found)
    return _status(found, fail_on)


def _status(found: Diagnosis, fail_on: str) -> int:
    for severity in SEVERITIES:
        if severity == fail_on and found.is_at_least(severity):
            return NO
    return COULD_NOT_TELL if found.unread else YES


def _write_text(file: TextIO, deployed: Deployment, found: Diagnosis) -> None:
    write_page(file, _lines(deployed, found))


def _lines(deployed: Deployment, found: Diagnosis) -> Iterator[Line]:
    for finding in found.findings:
        check, fault = finding.check, finding.fault
        head = Piece(f"{check.severity} ", _STYLES[check.severity])
        yield line(head, f"{check.name}: {fault.subject}: {fault.message}")
        yield line(check.why, indent=2)
        yield from (line(f"$ {each}", indent=2) for each in fault.command.splitlines())
    for unread in found.unread:
        yield styled(f"could not tell {unread.check.name}: needs {unread.action}", "magenta")
    count = len(found.findings)
    told = "nothing wrong was found" if not count else f"{count} findings"
    if found.unread:
        told += f"; {len(found.unread)} checks could not be made"
    yield line(f"{deployed.function_name}: {told}")


def _write_json(file: TextIO, deployed: Deployment, found: Diagnosis) -> None:
    write_json(
        file,
        {
            "realm": deployed.realm,
            "function": deployed.function_name,
            "findings": [
                {
                    "check": finding.check.name,
                    "severity": finding.check.severity,
                    "subject": finding.fault.subject,
                    "message": finding.fault.message,
                    "why": finding.check.why,
                    "command": finding.fault.command,
                }
                for finding in found.findings
            ],
            "unreadable": [
                {"check": unread.check.name, "action": unread.action, "reason": unread.reason}
                for unread in found.unread
            ],
        },
    )


def _write_github(file: TextIO, deployed: Deployment, found: Diagnosis) -> None:  # noqa: ARG001 - as the others
    for finding in found.findings:
        check, fault = finding.check, finding.fault
        text = f"{fault.subject}: {fault.message}. {check.why}\n{fault.command}"
        _annotate(file, _LEVELS[check.severity], check.name, text)
    for unread in found.unread:
        _annotate(file, "warning", unread.check.name, f"could not tell: needs {unread.action}")


def _annotate(file: TextIO, level: str, title: str, text: str) -> None:
    # https://docs.github.com/actions/reference/workflow-commands-for-github-actions
    with contextlib.suppress(BrokenPipeError):
        escaped = text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
        safe = "".join(char if char.isprintable() else ascii(char)[1:-1] for char in escaped)
        file.write(f"::{level} title={title}::{safe}\n")


_WRITERS: Final[dict[str, Callable[[TextIO, Deployment, Diagnosis], None]]] = {
    "text": _write_text,
    "json": _write_json,
    "github": _write_github,
}
