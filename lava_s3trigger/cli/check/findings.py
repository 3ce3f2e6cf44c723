"""Findings of `check`: what a rule found, where, and its correction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lava_s3trigger.cli.output import findings

if TYPE_CHECKING:
    from lava_s3trigger.cli.entries.load import Entry, SourceFile
    from lava_s3trigger.cli.entries.positions import Span


@dataclass(frozen=True, slots=True)
class Fix:
    """The correct value, if there is only one, for a wrong value in a file."""

    value: Any
    """A string, number or boolean, or a list of strings."""
    path: tuple[str | int, ...]
    """The path of the wrong value in the entry."""
    of_name: bool = False
    """Whether it replaces the name of a field, not its value."""
    is_safe: bool = True
    """Whether the entry fires for nothing now, or for the same after the correction, and no other
    entry is affected."""

    def __str__(self) -> str:
        if isinstance(self.value, str):
            return self.value
        if isinstance(self.value, list):
            return "[" + ", ".join(f'"{item}"' for item in self.value) + "]"
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding(findings.Finding):
    """A finding, with its place and its entry."""

    file: SourceFile | None = None
    span: Span | None = None
    entry: Entry | None = None
    field: str | None = None
    """Such as ``parameters.args[0]``."""
    fix: Fix | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the finding as in the JSON output; unknown values are null."""
        ids = {self.entry.kind: self.entry.id} if self.entry else {}
        return {
            "rule": self.rule,
            "severity": self.severity,
            "trigger_id": ids.get("trigger"),
            "job_id": ids.get("job"),
            "field": self.field,
            "file": self.path,
            "line": self.line,
            "column": self.column,
            "message": self.message,
            "fix": str(self.fix) if self.fix else None,
            "fix_is_safe": self.fix.is_safe if self.fix else None,
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
