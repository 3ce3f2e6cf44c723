"""``lava-s3trigger explain``: what the function would do with an object or a payload, and why."""

from __future__ import annotations

from typing import Any

import click
from click.core import ParameterSource

from lava_s3trigger.cli.objects.options import object_options
from lava_s3trigger.cli.options import PATH, Command, aws_options, entries_options, output_options


@click.command(
    cls=Command,
    yes="something would be dispatched; with a realm, a dispatch would arrive",
    no="nothing would",
    examples=[
        "lava-s3trigger explain s3://my-bucket/incoming/a.csv --triggers entries/",
        "lava-s3trigger explain --event payload.json --realm prod --format json",
    ],
)
@click.argument("uri", required=False, metavar="[s3://BUCKET/KEY]")
@click.option("--event", type=PATH, metavar="FILE", help="Payload by any route; - is stdin.")
@object_options
@entries_options
@click.option("--function", metavar="NAME", help="The function, if not lava-REALM-s3trigger.")
@aws_options
@click.option(
    "--changes/--no-changes",
    default=True,
    show_default=True,
    help="Look for changes that would make it dispatch.",
)
@output_options("text", "json")
@click.pass_context
def explain(ctx: click.Context, /, **options: Any) -> int:
    """Show what the function would do with an object or a payload, and why.

    Shows the prefixes that were tried, every condition with the value that it
    saw, the messages, and changes of entries that would make it dispatch. Each
    change was tried with the function's own code.

    An object is assumed to be put now, with 1 byte, unless options say otherwise;
    where AWS is available, S3 is asked about it.

    With a realm, the deployed function, the queues of workers, and the routes of
    the bucket are looked at: with --realm on the command line, or if entries come
    from its tables. Exit status 3: something would be dispatched, but whether it
    arrives could not be read. The routes of a payload (--event) are not looked at.
    """
    from .run import run  # noqa: PLC0415 - start-up

    is_named = ctx.get_parameter_source("realm") is ParameterSource.COMMANDLINE
    return run(**options, is_realm_named=is_named)
