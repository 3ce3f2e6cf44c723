"""``lava-s3trigger history``: what happened to an object, and what would happen to it now."""

from __future__ import annotations

from typing import Any

import click

from lava_s3trigger.cli.objects.options import object_options
from lava_s3trigger.cli.options import Command, aws_options, output_options, paths_option


@click.command(
    cls=Command,
    yes="something was dispatched for it",
    no="nothing was dispatched for it, as far as the log goes",
    examples=[
        "lava-s3trigger history s3://my-bucket/incoming/a.csv --realm prod",
        "lava-s3trigger history s3://my-bucket/incoming/a.csv --since 30d --versions entries/",
    ],
)
@click.argument("uri", metavar="s3://BUCKET/KEY")
@click.option(
    "--since",
    metavar="TIME",
    default="7d",
    show_default=True,
    help="Deliveries since a time: 12h, 30d, or 2026-03-01.",
)
@paths_option(
    "--versions",
    help="File or folder of earlier versions of trigger entries, to show what differs.",
)
@object_options
@click.option("--function", metavar="NAME", help="The function, if not lava-REALM-s3trigger.")
@aws_options
@output_options("text", "json")
def history(**options: Any) -> int:
    """Show what happened to an object, and what would happen to it now.

    The function's log shows what happened, delivery by delivery, next to what
    the function would do with the entries as they are now, and what differs in
    an entry that has changed since. The dead-letter queues show what waits, and
    why. What could not be looked at is listed at the end.

    The log has no sizes and no event types: S3 is asked about the object,
    unless options describe it.
    """
    from .run import run  # noqa: PLC0415 - start-up

    return run(**options)
