"""Running `lava-s3trigger check` in tests."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from lava_s3trigger.cli.entries import Loaded, load_texts
from lava_s3trigger.cli.linting import Linted, Selection, Surroundings, lint

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

EVERYTHING = Selection.of([], [])
BUT_INFO = Selection.of([], ["LT146", "LT147"])


def run(
    *arguments: str | Path,
    cwd: Path | None = None,
    text: str | None = None,
    environ: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "lava_s3trigger", "check", *map(str, arguments)],
        check=False,
        capture_output=True,
        text=True,
        encoding="utf-8",
        input=text,
        cwd=cwd,
        env=None if environ is None else dict(environ),
        timeout=60,
    )


def found_in(text: str, name: str = "t.yaml", selection: Selection = BUT_INFO) -> Linted:
    """Check the text of one file."""
    return checked(load_texts([(name, text)]), selection)


def checked(loaded: Loaded, selection: Selection = BUT_INFO) -> Linted:
    """Check entries."""
    return lint(loaded, selection, Surroundings())


def rules_in(text: str, name: str = "t.yaml") -> list[str]:
    """Return the ids of the rules that find something in the text of one file."""
    return [each.rule for each in found_in(text, name).findings]


def trigger(**fields: Any) -> dict[str, Any]:
    """Return a good trigger entry, with some fields of its own; None leaves one out."""
    entry = {
        "trigger_id": "t",
        "description": "Loads orders.",
        "owner": "orders team",
        "bucket": "orders",
        "prefix": "incoming",
        "enabled": True,
        "job_id": "load",
    }
    return {name: value for name, value in (entry | fields).items() if value is not ...}


def as_json(**fields: Any) -> str:
    """Return a good trigger entry as JSON."""
    return json.dumps(trigger(**fields))
