"""A finding: something wrong that a command found, in the form that every format needs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Severity = Literal["error", "warning", "info"]
SEVERITIES: Final[tuple[Severity, ...]] = ("error", "warning", "info")
"""From the most to the least severe."""
STYLES: Final[dict[Severity, str]] = {"error": "bold red", "warning": "yellow", "info": "cyan"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A finding; commands add fields of their own."""

    rule: str
    """Name of the rule or check that found it."""
    severity: Severity
    message: str
    subject: str = ""
    """Its place in a file, or the name of its subject."""
    name: str = ""
    """The dotted name of its subject, if there is one."""
    path: str | None = None
    """The file with the subject."""
    line: int | None = None
    column: int | None = None


def is_at_least(severity: Severity, threshold: str) -> bool:
    """Return whether a severity reaches a threshold; none reaches ``none``."""
    return threshold != "none" and SEVERITIES.index(severity) <= SEVERITIES.index(threshold)
