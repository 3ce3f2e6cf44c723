"""Findings as workflow commands of GitHub Actions.

https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from .escaping import safe

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import TextIO

    from .findings import Finding

_COMMANDS: Final = {"error": "error", "warning": "warning", "info": "notice"}


def write_github(file: TextIO, findings: Iterable[Finding]) -> None:
    """Write one command for each finding."""
    for finding in findings:
        properties = {
            "file": finding.path,
            "line": finding.line,
            "col": finding.column,
            "title": finding.rule,
        }
        listed = ",".join(
            f"{name}={_property(str(value))}" for name, value in properties.items() if value
        )
        text = finding.message
        if finding.subject and not finding.path:
            text = f"{finding.subject}: {text}"
        file.write(f"::{_COMMANDS[finding.severity]} {listed}::{_data(text)}\n")


def _data(value: str) -> str:
    return safe(value, keep="\n").replace("%", "%25").replace("\n", "%0A")


def _property(value: str) -> str:
    return _data(safe(value)).replace(":", "%3A").replace(",", "%2C")
