"""``lava-s3trigger schema``: prints the JSON Schema of entries."""

from __future__ import annotations

import json

import click

from .entries.schema import SCHEMAS
from .options import Command, output_option
from .output.streams import opened


@click.command(
    cls=Command,
    yes="the schema was printed",
    no="never",
    examples=(
        "lava-s3trigger schema --output triggers.schema.json",
        "lava-s3trigger schema --of job | jq .title",
    ),
)
@click.option(
    "--of",
    type=click.Choice(list(SCHEMAS)),
    default="trigger",
    show_default=True,
    help="Kind of entry.",
)
@output_option
def schema(of: str, output: str | None) -> None:
    """Print a JSON Schema of entries.

    It is of version 2020-12, for an entry, or for a file that is a list of entries.

    For editors (`# yaml-language-server: $schema=triggers.schema.json` on the first line of a
    file) and for check-jsonschema. The function refuses all that the schema refuses, and more
    that a schema cannot express. `lava-s3trigger check` reports all of it.
    """
    with opened(output) as file:
        json.dump(SCHEMAS[of](), file, indent=2)
        file.write("\n")
