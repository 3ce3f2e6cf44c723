"""The JSON Schemas of what commands print."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import Any

from jsonschema import Draft202012Validator


def schema(command: str) -> Any:
    """Return the JSON Schema of what a command prints as JSON."""
    folder = {"test": "testing", "disconnect": "connect"}.get(command, command.replace("-", "_"))
    return json.loads((files("lava_s3trigger.cli") / folder / "schema.json").read_text())


@cache
def validator(command: str) -> Draft202012Validator:
    """Return the validator of a command's JSON."""
    found = schema(command)
    Draft202012Validator.check_schema(found)
    return Draft202012Validator(found, format_checker=Draft202012Validator.FORMAT_CHECKER)


def validate(command: str, output: Any) -> None:
    """Assert that output is as the schema of its command says."""
    validator(command).validate(output)
