"""The JSON Schema of entries, made from the definitions of the function's own readers.

It refuses what the function refuses once an entry is enabled, except what a schema cannot
say: see docs/command-line.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from lava_s3trigger import conditions, jobs, triggers, units
from lava_s3trigger.conditions import KINDS
from lava_s3trigger.templates.documents import RESERVED
from lava_s3trigger.triggers import KEYS, READERS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    Schema = dict[str, Any]

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
REQUIRED: Final = (*KEYS, "enabled", "job_id")


def _quantity(known: Iterable[str]) -> Schema:
    """Return the schema of a number, or of a text with a number and one of these units."""
    # The units replace the letters in the function's own pattern.
    number, letters, rest = units._QUANTITY.pattern.partition("([A-Za-z]*)")  # noqa: SLF001 - this
    assert letters  # noqa: S101 - the pattern has another form: adapt this
    named = "|".join(sorted(filter(None, known), key=len, reverse=True))
    return {
        "anyOf": [
            {"type": "number"},
            {
                "type": "string",
                "maxLength": units._LONGEST,  # noqa: SLF001 - as above
                "pattern": f"^{number}(?:{named})?{rest}$",
            },
        ]
    }


def _one_or_more(schema: Schema, **limits: int) -> Schema:
    return {"anyOf": [schema, {"type": "array", "items": schema, **limits}]}


_BOOLEAN: Final = {"type": ["boolean", "integer", "string", "null"]}
_TEXT: Final = {"type": "string", "minLength": 1}
_PATTERN: Final = {
    "type": "string",
    "maxLength": conditions._MAX_PATTERN_CHARACTERS,  # noqa: SLF001 - as above
}
SHAPES: Final[dict[Callable[[Any], Any], Schema]] = {
    units.boolean: _BOOLEAN,
    units.duration: _quantity(units._SECONDS),  # noqa: SLF001 - as above
    units.size: _quantity(units._BYTES),  # noqa: SLF001 - as above
    READERS["parameters"]: {"type": ["object", "null"]},
    READERS["job_id"]: _one_or_more(_TEXT, minItems=1),
    KINDS["fnmatch"].read: _one_or_more(
        _PATTERN,
        maxItems=conditions._MAX_PATTERNS,  # noqa: SLF001 - as above
    ),
}
"""The schema of the values that each reader of the function accepts."""

_TRIGGER: Final = {
    "trigger_id": "Name of the entry, unique in the realm.",
    "bucket": "Name of the bucket.",
    "prefix": "Folder of the objects, without a slash at its end; * is the whole bucket.",
    "enabled": "Whether it fires. A disabled entry hides entries at shorter prefixes.",
    "job_id": "Job or jobs to dispatch. Each is a template.",
    "parameters": "Parameters of the jobs. All strings in it together are one template.",
    "globals": f"Globals of the jobs, rendered too. No template may make a name with {RESERVED}.",
    "jinja": "Whether job ids, parameters and globals are templates.",
    "delay": "Delay of the dispatch, at most 15 minutes: seconds, or such as 90s or 1.5m.",
    "description": "What it is for. The function ignores it.",
    "owner": "Whose it is. The function ignores it.",
    "x-tests": "Cases of `lava-s3trigger test`. The function ignores it.",
}
"""A description of each field of a trigger, for people."""
_JOB: Final = {
    "job_id": "Name of the job, unique in the realm.",
    "type": "Type of the job, for the worker.",
    "worker": "Name of the worker that runs it.",
    "payload": "What the worker runs.",
    "enabled": "Whether it is dispatched; a string is a template that the worker evaluates.",
    "globals": f"Globals of the job; no name begins with {RESERVED}.",
    "description": "What it is for.",
    "owner": "Whose it is.",
}
_DEFAULTS: Final = {"jinja": True, "delay": 0}


def trigger_schema() -> Schema:
    """Return the JSON Schema of a trigger entry, or of a list of them."""
    properties: dict[str, Schema] = {}
    for name, description in _TRIGGER.items():
        properties[name] = {"description": description}
        if name in KEYS:
            properties[name] |= _TEXT
        elif name in READERS:
            properties[name] |= _shape(READERS[name])
        if name in _DEFAULTS:
            properties[name]["default"] = _DEFAULTS[name]
    properties["prefix"]["maxLength"] = triggers._MAX_PREFIX_BYTES  # noqa: SLF001 - as above
    properties["bucket"]["maxLength"] = triggers._MAX_BUCKET_BYTES  # noqa: SLF001 - as above
    # A text may be out of range, which a schema cannot express.
    delay = properties["delay"]["anyOf"]
    properties["delay"]["anyOf"] = [{**delay[0], "minimum": 0, "maximum": 900}, *delay[1:]]
    for name, kind in KINDS.items():
        opposite = f"The opposite of if_{name}. {kind.description}"
        properties[f"if_{name}"] = {"description": kind.description, **_shape(kind.read)}
        properties[f"if_not_{name}"] = {"description": opposite, **_shape(kind.read)}
    entry = {
        "type": "object",
        "required": list(REQUIRED),
        "properties": properties,
        "patternProperties": {"^[xX]-": {}},
        "additionalProperties": False,
    }
    return _file("trigger", "A trigger entry of lava's s3triggers table, or a list of them", entry)


def job_schema() -> Schema:
    """Return the JSON Schema of the fields of a job entry that the function reads, or of a list."""
    properties: dict[str, Schema] = {
        name: {"description": description} for name, description in _JOB.items()
    }
    properties["job_id"] |= _TEXT
    properties["worker"] |= _TEXT
    properties["enabled"] |= {**_BOOLEAN, "default": False}
    reserved = "".join(f"[{char}{char.upper()}]" for char in RESERVED)
    properties["globals"] |= {"propertyNames": {"not": {"pattern": f"^{reserved}"}}}
    entry = {
        "type": "object",
        "required": list(jobs._REQUIRED),  # noqa: SLF001 - as above
        "properties": properties,
    }
    return _file("job", "A job entry of lava's jobs table, or a list of them", entry)


SCHEMAS: Final = {"trigger": trigger_schema, "job": job_schema}
"""Functions that make the schema of each kind of entry."""


def _shape(read: Callable[[Any], Any]) -> Schema:
    """Return the schema of a reader; an unknown reader accepts anything."""
    return dict(SHAPES.get(read, {}))


def _file(name: str, title: str, entry: Schema) -> Schema:
    """Return the schema of a file with an entry, or with a list of entries."""
    reference = {"$ref": f"#/$defs/{name}"}
    return {
        "$schema": DIALECT,
        "title": title,
        "if": {"type": "array"},
        "then": {"items": reference},
        "else": reference,
        "$defs": {name: entry},
    }
