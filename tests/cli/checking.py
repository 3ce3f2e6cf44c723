"""Running `lava-s3trigger check` in tests."""

import contextlib
import io
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from unittest import mock

from lava_s3trigger.cli import main
from lava_s3trigger.cli.check.lint import Linted, Selection, Surroundings, lint
from lava_s3trigger.cli.entries.load import Loaded, load_texts
from tools.local.server import ACCESS_KEY, REGION, SECRET_KEY, LocalAws

EVERYTHING: Final = Selection.of([], [])
BUT_INFO: Final = Selection.of([], ["LT146", "LT147"])


@dataclass(frozen=True)
class Done:
    """What a run of the command came to."""

    returncode: int
    stdout: str
    stderr: str


def run(
    *arguments: str | Path,
    cwd: Path | None = None,
    text: str = "",
    environ: Mapping[str, str] | None = None,
) -> Done:
    """Run the command in this process, as its program does.

    Args:
        *arguments: What follows ``lava-s3trigger check``.
        cwd: The folder to run it in.
        text: Its standard input.
        environ: Variables besides those of this process.
    """
    out, err = io.StringIO(), io.StringIO()
    given = io.TextIOWrapper(io.BytesIO(text.encode()))
    status = 0
    with (
        mock.patch.dict(os.environ, environ or {}),
        mock.patch.object(sys, "stdin", given),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        contextlib.chdir(cwd or "."),
    ):
        if not (environ and "LAVA_REALM" in environ):
            os.environ.pop("LAVA_REALM", None)
        try:
            main(["check", *map(str, arguments)])
        except SystemExit as ended:
            status = ended.code if isinstance(ended.code, int) else 0
    return Done(status, out.getvalue(), err.getvalue())


def variables_of(aws: LocalAws) -> dict[str, str]:
    """Return the variables with which the command calls a local AWS server."""
    return {
        "AWS_ENDPOINT_URL": aws.endpoint,
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        "AWS_REGION": REGION,
    }


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
