"""Running `lava-s3trigger check` in tests."""

import json
from pathlib import Path
from typing import Any, Final

from lava_s3trigger.cli.check.lint import Linted, Selection, Surroundings, lint
from lava_s3trigger.cli.entries.load import Loaded, load_texts
from tests.cli.commandline import CommandLine, Ran

EVERYTHING: Final = Selection.of([], [])
BUT_INFO: Final = Selection.of([], ["LT146", "LT147"])


def run(*arguments: str | Path, folder: Path | str = ".", stdin: str = "", **variables: str) -> Ran:
    """Run the command in a folder, on a machine that knows of no realm."""
    return CommandLine(["check"], {"LAVA_REALM": "", **variables}, folder)(*arguments, stdin=stdin)


def found_in(text: str, name: str = "t.yaml", selection: Selection = BUT_INFO) -> Linted:
    return checked(load_texts([(name, text)]), selection)


def checked(loaded: Loaded, selection: Selection = BUT_INFO) -> Linted:
    return lint(loaded, selection, Surroundings())


def rules_in(text: str, name: str = "t.yaml") -> list[str]:
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
    return json.dumps(trigger(**fields))
