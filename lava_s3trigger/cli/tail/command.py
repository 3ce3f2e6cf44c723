"""``lava-s3trigger tail``: the function's log, for people."""

from __future__ import annotations

from typing import Any

import click

from lava_s3trigger.cli.deployed.log_line import OUTCOMES
from lava_s3trigger.cli.options import Command, aws_options, output_options


@click.command(
    cls=Command,
    yes="there are such lines",
    no="there are none",
    examples=[
        "lava-s3trigger tail --realm prod --follow",
        "lava-s3trigger tail --realm prod --since 2h --outcome parked --outcome failed",
        "lava-s3trigger tail --realm prod --since 7d --key 'incoming/*.csv' --format json",
    ],
)
@click.option("--follow", "-f", is_flag=True, help="Continue with new lines, until Ctrl-C.")
@click.option(
    "--since",
    metavar="TIME",
    default="10m",
    show_default=True,
    help="Lines since a time: 2h, 7d, or 2026-03-01.",
)
@click.option("--trigger", multiple=True, metavar="ID", help="Only of this trigger. Repeatable.")
@click.option("--job", multiple=True, metavar="ID", help="Only of this job. Repeatable.")
@click.option(
    "--key",
    multiple=True,
    metavar="GLOB",
    help="Only of such keys (no bucket), as if_fnmatch. Repeatable.",
)
@click.option(
    "--outcome", multiple=True, type=click.Choice(OUTCOMES), help="Only of these. Repeatable."
)
@click.option("--function", metavar="NAME", help="The function, if not lava-REALM-s3trigger.")
@aws_options
@output_options("text", "json")
def tail(**options: Any) -> int:
    """Show the function's log.

    Each line is the outcome of an object, a trigger or a job, or the summary of
    an invocation. Of Lambda's own lines, failures are shown, such as a timeout.
    JSON has one object per line.
    """
    from .run import run  # noqa: PLC0415 - start-up

    return run(**options)
