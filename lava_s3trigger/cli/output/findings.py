"""A finding: something that a command found wrong, as every format writes it."""

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
    line: int | None = None
    column: int | None = None

    @property
    def path(self) -> str | None:
        """The file that it is in."""
        return None

    @property
    def where(self) -> str:
        """The place in a file, or the thing that it is about."""
        return ""

    @property
    def full_text(self) -> str:
        """The message, with the thing that it is about where that is in no file."""
        return self.message if self.path or not self.where else f"{self.where}: {self.message}"

    @property
    def logical_name(self) -> str:
        """The dotted name of what it is about; empty if that has none."""
        return ""


def is_at_least(severity: Severity, threshold: str) -> bool:
    """Return whether a severity reaches a threshold; none reaches ``none``."""
    return threshold != "none" and SEVERITIES.index(severity) <= SEVERITIES.index(threshold)
