"""Runs commands in this process, as their users do."""

import contextlib
import io
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from unittest import mock

import pytest

from lava_s3trigger.cli import main
from tools.local.server import CHECKOUT

from .schemas import has_schema, validate


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

    def __call__(self, *arguments: str | Path, stdin: str | bytes | None = None) -> Ran:
        """Run a command, with a text or bytes as its standard input."""
        words = [*self.first, *map(str, arguments)]
        content = stdin.encode() if isinstance(stdin, str) else stdin
        source = sys.stdin if content is None else io.TextIOWrapper(io.BytesIO(content), "utf-8")
        streams = [io.TextIOWrapper(io.BytesIO(), "utf-8", newline="") for _ in range(2)]
        with (
            mock.patch.dict(os.environ, self.environment),
            mock.patch.object(sys, "stdin", source),
            contextlib.chdir(self.folder),
            contextlib.redirect_stdout(streams[0]),
            contextlib.redirect_stderr(streams[1]),
            pytest.raises(SystemExit) as ended,
        ):
            main(words)
        for stream in streams:
            stream.flush()
        output, errors = (stream.buffer.getvalue().decode() for stream in streams)
        assert "Traceback" not in errors or "--debug" in words, errors
        status = ended.value.code
        assert isinstance(status, int | None)
        return Ran(status or 0, output, errors, next(iter(words), ""))

    run = __call__

    def json(self, *arguments: str | Path) -> Ran:
        """Run a command, and have it print JSON."""
        return self(*arguments, "--format", "json")


_MEASURED: Final = """
import resource, sys
from lava_s3trigger.cli import main
from tools.local.server import CHECKOUT
try:
    main(sys.argv[1:])
finally:
    [peak] = [line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")]
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    print(peak, children, file=sys.stderr)
"""


def peaks(*arguments: str) -> tuple[int, int, str]:
    """Return the most memory in KiB that a command and its processes take, and what it prints."""
    command = [sys.executable, "-c", _MEASURED, *arguments]
    environment = os.environ | {"PYTHONPATH": str(CHECKOUT)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stderr
    own, children = done.stderr.splitlines()[-1].split()
    return int(own), int(children), done.stdout
