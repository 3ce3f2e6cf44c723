"""Runs commands in this process, as their users do."""

from __future__ import annotations

import contextlib
import io
import json
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from unittest import mock

import pytest

from lava_s3trigger.cli import main

from .schemas import has_schema, validate

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Ran:
    """What a command printed, and how it ended."""

    status: int
    output: str
    errors: str
    command: str = ""

    def json(self, schema: str | None = None) -> Any:
        """Return the JSON that it printed, which the schema of the command allows."""
        value = json.loads(self.output)
        if has_schema(schema or self.command):
            validate(schema or self.command, value)
        return value


@dataclass(frozen=True)
class CommandLine:
    """Runs commands.

    Args:
        first: The words that each command line begins with.
        environment: Variables besides those of this process.
        folder: The folder in which commands run.
    """

    first: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    folder: Path | str = "."

    def __call__(self, *arguments: str) -> Ran:
        words = [*self.first, *arguments]
        streams = [io.TextIOWrapper(io.BytesIO(), "utf-8", newline="") for _ in range(2)]
        with (
            mock.patch.dict(os.environ, self.environment),
            contextlib.chdir(self.folder),
            contextlib.redirect_stdout(streams[0]),
            contextlib.redirect_stderr(streams[1]),
            pytest.raises(SystemExit) as ended,
        ):
            main(words)
        for stream in streams:
            stream.flush()
        output, errors = (stream.buffer.getvalue().decode() for stream in streams)
        assert "Traceback" not in errors, errors
        status = ended.value.code
        assert isinstance(status, int | None)
        return Ran(status or 0, output, errors, words[0])

    run = __call__

    def json(self, *arguments: str) -> Ran:
        """Run a command, and have it print JSON."""
        return self(*arguments, "--format", "json")
