"""``lava-s3trigger apply``: puts trigger entries of files into a realm's table."""

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
    together,
)

_objects_options = together(
    sources_options,
    click.option(
        "--since", metavar="TIME", help="Objects of the function's log since a time, as for plan."
    ),
    event_type_option("Event type to plan with."),
    click.option(
        "--size",
        callback=size_of,
        default="1",
        show_default=True,
        metavar="SIZE",
        help="Size of objects whose size is not known, to plan with.",
    ),
)


@click.command(
    cls=Command,
    yes="the table is as the files say, or the set is disabled, or all of it is undone",
    no="it would change (--dry-run), findings or failed cases refuse it, the answer was no,"
    " or some entries were left",
    examples=[
        "lava-s3trigger apply entries/ --realm prod --set orders",
        "lava-s3trigger apply entries/ --realm prod --set orders --dry-run",
        "lava-s3trigger apply --disable --realm prod --set orders",
        "lava-s3trigger apply --undo FILE",
    ],
)
@click.argument("paths", nargs=-1, type=PATH, metavar="[ENTRIES]... [s3://BUCKET/PREFIX]...")
@paths_option("--triggers", help="File or folder of trigger entries, as ENTRIES.")
@paths_option("--jobs", help="File or folder of job entries, to check with; none is written.")
@paths_option("--cases", metavar="FILE", help="File of cases, as for test.")
@click.option("--set", "set_name", metavar="NAME", help="The set to which the entries belong.")
@click.option("--adopt", is_flag=True, help="Take over entries that are not in the set.")
@click.option("--prune", is_flag=True, help="Delete entries of the set that the files lack.")
@click.option("--prune-all", is_flag=True, help="Also if these are over a fifth of the set.")
@click.option(
    "--fail-on",
    type=click.Choice(["error", "warning", "info"]),
    default="error",
    show_default=True,
    help="The least severe finding of check that refuses the change.",
)
@click.option("--dry-run", is_flag=True, help="Show what would change, and write nothing.")
@click.option("--yes", "is_sure", is_flag=True, help="Write without a question.")
@click.option("--disable", is_flag=True, help="Disable the entries of --set, or of --trigger.")
@click.option("--trigger", multiple=True, metavar="ID", help="Entry to --disable.")
@click.option(
    "--undo", type=PATH, metavar="FILE", help="Restore the entries that a run has replaced."
)
@click.option("--function", help="Name of the function, if not lava-<REALM>-s3trigger.")
@_objects_options
@aws_options
@output_options("text", "json")
def apply(**options: Any) -> int:
    """Put trigger entries of files into a realm's table.

    Shows what changes, asks, and writes each entry only if it is still as it was
    read. The replaced entries are first saved to a file for --undo. The entries
    belong to a set (x-s3trigger-set); only entries of that set are changed and
    deleted. check and test run first, on the table with the set replaced; with
    objects, as for plan, it shows which entries gain or lose dispatches.

    Not yet verified on AWS: tested on local servers.
    """
    from .run import run  # noqa: PLC0415 - start-up

    return run(**options)
