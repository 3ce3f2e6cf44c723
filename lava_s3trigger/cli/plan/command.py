"""``lava-s3trigger plan``: what a change of entries would do to many objects."""

from __future__ import annotations

from typing import Any

import click

from lava_s3trigger.cli.objects.options import event_type_option, size_of
from lava_s3trigger.cli.options import (
    PATH,
    Command,
    aws_options,
    output_options,
    paths_option,
    sources_options,
)


@click.command(
    cls=Command,
    yes="nothing changes",
    no="something changes",
    examples=[
        "lava-s3trigger plan entries/ --realm prod s3://my-bucket/incoming/",
        "lava-s3trigger plan new/ --against old/ --keys keys.txt",
        "lava-s3trigger plan new/ --against old/ --since 7d --realm prod",
    ],
)
@click.argument("paths", nargs=-1, type=PATH, metavar="ENTRIES... [s3://BUCKET/PREFIX]...")
@paths_option("--triggers", help="File or folder of planned entries, like ENTRIES.")
@paths_option(
    "--against", help="File or folder of the current entries, in place of the realm's table."
)
@paths_option("--jobs", help="File or folder of job entries, for a side whose files have none.")
@sources_options
@click.option(
    "--since",
    metavar="TIME",
    help="Objects that the function's log names, since a time: 7d, 12h, or 2026-03-01.",
)
@click.option(
    "--function",
    metavar="NAME",
    help="Function whose log is read.  [default: lava-REALM-s3trigger]",
)
@event_type_option("Event type to decide with.")
@click.option(
    "--size",
    callback=size_of,
    default="1",
    show_default=True,
    metavar="SIZE",
    help="Size of objects whose size is not known: of --keys and --since.",
)
@click.option(
    "--processes",
    type=click.IntRange(min=1),
    metavar="N",
    help="Number of processes.  [default: one for each processor]",
)
@aws_options
@output_options("text", "json")
def plan(**options: Any) -> int:
    """Show what a change of entries would do.

    The same objects are decided with the current entries (the realm's table, or --against)
    and with the planned ones (ENTRIES: files and folders). The plan shows, by trigger, which
    dispatches are gained, lost or changed, and the entries that no object reached. It sends
    nothing.
    """
    from .run import run  # noqa: PLC0415 - start-up

    return run(**options)
