"""The JSON Schemas of what commands print."""

import json
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

from jsonschema import Draft202012Validator


def _file(command: str) -> Traversable:
    folder = {"test": "testing", "disconnect": "connect"}.get(command, command.replace("-", "_"))
    return files("lava_s3trigger.cli") / folder / "schema.json"


def has_schema(command: str) -> bool:
    """Return whether what a command prints as JSON has a schema."""
    return _file(command).is_file()


def schema(command: str) -> Any:
    return json.loads(_file(command).read_text())


@cache
def validator(command: str) -> Draft202012Validator:
    found = schema(command)
    Draft202012Validator.check_schema(found)
    return Draft202012Validator(found, format_checker=Draft202012Validator.FORMAT_CHECKER)


def validate(command: str, output: Any) -> None:
    """Assert that output is as the schema of its command says."""
    validator(command).validate(output)
