"""Runs commands in this process, as their users do."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lava_s3trigger.cli import main

from .schemas import validate

if TYPE_CHECKING:
    import pytest


@dataclass(frozen=True, slots=True)
class Ran:
    """What a command printed, and how it ended."""

    status: int
    output: str
    errors: str

    def json(self, schema: str | None = None) -> Any:
        """Return the JSON that it printed, which the schema of the named command allows."""
        value = json.loads(self.output)
        if schema:
            validate(schema, value)
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
