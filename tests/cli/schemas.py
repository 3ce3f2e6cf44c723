"""The JSON Schemas of what commands print."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import Any

from jsonschema import Draft202012Validator


@cache
def validator(command: str) -> Draft202012Validator:
    """Return the validator of a command's JSON."""
    schema = json.loads((files("lava_s3trigger.cli") / "schemas" / f"{command}.json").read_text())
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER)


def validate(command: str, output: Any) -> None:
    """Assert that output is as the schema of its command says."""
    validator(command).validate(output)
