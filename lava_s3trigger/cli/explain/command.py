"""``lava-s3trigger explain``: what the function would do with an object or a payload, and why."""

from __future__ import annotations

from typing import Any

import click

from lava_s3trigger.cli.objects.options import object_options
from lava_s3trigger.cli.options import PATH, Command, aws_options, entries_options, output_options


@click.command(
    cls=Command,
    yes="something would be dispatched",
    no="nothing would be dispatched",
    examples=[
        "lava-s3trigger explain s3://my-bucket/incoming/a.csv --triggers entries/",
        "lava-s3trigger explain --event payload.json --realm prod --format json",
    ],
)
@click.argument("uri", required=False, metavar="[s3://BUCKET/KEY]")
@click.option("--event", type=PATH, metavar="FILE", help="Payload by any route; - is stdin.")
@object_options
@entries_options
@aws_options
@click.option(
    "--changes/--no-changes",
    default=True,
    show_default=True,
    help="Look for changes that would make it dispatch.",
)
@output_options("text", "json")
def explain(**options: Any) -> int:
    """Show what the function would do with an object or a payload, and why.

    Shows the prefixes that were tried, every condition with the value that it
    saw, the messages, and changes of entries that would make it dispatch. Each
    change was tried with the function's own code.

    An object is taken as put now, with 1 byte, unless options say otherwise;
    where AWS is at hand, S3 is asked about it.
    """
    from .run import run  # noqa: PLC0415 - start-up

    return run(**options)
