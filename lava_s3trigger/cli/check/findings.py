"""Findings of `check`: what a rule found, where, and what would correct it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

if TYPE_CHECKING:
    from lava_s3trigger.cli.entries.load import Entry, SourceFile
    from lava_s3trigger.cli.entries.positions import Span

Severity = Literal["error", "warning", "info"]
SEVERITIES: Final[tuple[Severity, ...]] = ("error", "warning", "info")
"""From the most to the least severe."""


@dataclass(frozen=True, slots=True)
class Fix:
    """The one right value in place of one that a file has."""

    value: Any
    """A string, number or boolean, or a list of strings."""
    path: tuple[str | int, ...]
    """Where it stands in the entry."""
    of_name: bool = False
    """Whether it replaces the name of a field, not its value."""

    def __str__(self) -> str:
        if isinstance(self.value, str):
            return self.value
        if isinstance(self.value, list):
            return "[" + ", ".join(f'"{each}"' for each in self.value) + "]"
        return str(self.value).lower()


@dataclass(frozen=True, slots=True)
class Found:
    """What a rule found in an entry or a file."""

    message: str
    path: tuple[str | int, ...] = ()
    """Names and positions, from the entry down to the value."""
    of_name: bool = False
    """Whether the finding is about the name of a field, not its value."""
    fix: Fix | None = None
    text: str | None = None
    """The part of the value that the finding is about."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A finding, with its place."""

    rule: str
    """Id, such as ``LT201``."""
    severity: Severity
    message: str
    file: SourceFile | None = None
    span: Span | None = None
    line: int | None = None
    column: int | None = None
    entry: Entry | None = field(default=None, repr=False)
    field: str | None = None
    """Such as ``parameters.args[0]``."""
    fix: Fix | None = None

    @property
    def trigger_id(self) -> str | None:
        """The trigger that it is about."""
        return self.entry.id if self.entry and self.entry.kind == "trigger" else None

    @property
    def job_id(self) -> str | None:
        """The job entry that it is about."""
        return self.entry.id if self.entry and self.entry.kind == "job" else None

    def as_json(self) -> dict[str, Any]:
        """Return the finding as the JSON output has it; what is not known is null."""
        return {
            "rule": self.rule,
            "severity": self.severity,
            "trigger_id": self.trigger_id,
            "job_id": self.job_id,
            "field": self.field,
            "file": self.file.name if self.file else None,
            "line": self.line,
            "column": self.column,
            "message": self.message,
            "fix": str(self.fix) if self.fix else None,
        }


def field_of(path: tuple[str | int, ...]) -> str | None:
    """Return a path as text, such as ``parameters.args[0]``."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            text += f".{step}" if text else step
    return text or None


def is_at_least(severity: Severity, threshold: str) -> bool:
    """Tell whether a severity reaches a threshold; none reaches ``none``."""
    return threshold != "none" and SEVERITIES.index(severity) <= SEVERITIES.index(threshold)
