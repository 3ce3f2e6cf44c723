"""Findings as SARIF 2.1.0.

https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html
"""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import quote

from .escaping import safe

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import TextIO

    from .findings import Finding, Severity

_LEVELS: Final = {"error": "error", "warning": "warning", "info": "note"}
_SCHEMA: Final = "https://json.schemastore.org/sarif-2.1.0.json"


class SarifRule(NamedTuple):
    """A rule; findings refer to it by its id."""

    id: str
    name: str
    title: str
    page: str
    """Paragraphs; the first is the description."""
    severity: Severity


def write_sarif(
    file: TextIO, tool: str, rules: Sequence[SarifRule], findings: Iterable[Finding]
) -> None:
    """Write the findings of a tool, and its rules."""
    index = {rule.id: n for n, rule in enumerate(rules)}
    driver = {
        "name": tool,
        "version": version("lava-s3trigger"),
        "rules": [
            {
                "id": rule.id,
                "name": rule.name,
                "shortDescription": {"text": rule.title},
                "fullDescription": {"text": rule.page.partition("\n\n")[0].replace("\n", " ")},
                "help": {"text": rule.page, "markdown": rule.page},
                "defaultConfiguration": {"level": _LEVELS[rule.severity]},
            }
            for rule in rules
        ],
    }
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "results": [_result(finding, index[finding.rule]) for finding in findings],
    }
    json.dump({"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}, file, indent=2)
    file.write("\n")


def _result(finding: Finding, index: int) -> dict[str, Any]:
    location: dict[str, Any] = {}
    if finding.path:
        region: dict[str, Any] = {"startLine": finding.line or 1}
        if finding.column:
            region["startColumn"] = finding.column
        artifact = {"uri": quote(Path(finding.path).as_posix())}
        location["physicalLocation"] = {"artifactLocation": artifact, "region": region}
    if finding.name:
        location["logicalLocations"] = [{"fullyQualifiedName": safe(finding.name)}]
    return {
        "ruleId": finding.rule,
        "ruleIndex": index,
        "level": _LEVELS[finding.severity],
        "message": {"text": safe(finding.message)},
        "locations": [location] if location else [],
    }
