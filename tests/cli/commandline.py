"""Runs commands in this process, as their users do."""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import jsonschema

from lava_s3trigger.cli import main

if TYPE_CHECKING:
    import pytest


@dataclass(frozen=True, slots=True)
class Ran:
    """What a command printed, and how it ended."""

    status: int
    output: str
    errors: str

    def json(self, schema: str | None = None) -> Any:
        """Return the JSON that it printed, which the named schema of the package allows."""
        value = json.loads(self.output)
        if schema:
            text = files("lava_s3trigger.cli").joinpath("schemas", f"{schema}.json").read_text()
            jsonschema.Draft202012Validator(json.loads(text)).validate(value)
        return value


@dataclass(frozen=True, slots=True)
class CommandLine:
    """Runs commands; `run` returns what came of one."""

    capture: pytest.CaptureFixture[str]

    def run(self, *arguments: str) -> Ran:
        self.capture.readouterr()
        try:
            main(list(arguments))
        except SystemExit as ended:
            status = ended.code if isinstance(ended.code, int) else 0
        printed = self.capture.readouterr()
        return Ran(status, printed.out, printed.err)
