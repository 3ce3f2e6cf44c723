"""``lava-s3trigger disconnect``: removes what `connect` made for a bucket."""

from __future__ import annotations

from typing import Any

import click

from lava_s3trigger.cli.options import PATH, Command, aws_options, output_options


@click.command(
    cls=Command,
    yes="nothing that connect made is left; with --dry-run, nothing would change",
    no="something is left: refused, or not confirmed; with --dry-run, something would change",
    examples=[
        "lava-s3trigger disconnect my-bucket --realm prod --dry-run",
        "lava-s3trigger disconnect --undo FILE",
    ],
)
@click.argument("bucket", required=False)
@click.option("--undo", type=PATH, metavar="FILE", help="Undo the changes of a run.")
@click.option(
    "--wait",
    type=click.FloatRange(min=0),
    default=300,
    show_default=True,
    help="With --undo: seconds for which a route takes effect before the other one goes.",
)
@click.option("--dry-run", "is_dry", is_flag=True, help="Show what would change; change nothing.")
@click.option("--yes", "is_sure", is_flag=True, help="Change it without a question.")
@click.option("--function", help="Name of the function, if not lava-<REALM>-s3trigger.")
@aws_options
@output_options("text", "json")
def disconnect(**options: Any) -> int:
    """Remove what connect made for a bucket, and nothing else.

    Notifications and rules that others made stay, and S3 continues to send the
    bucket's events to EventBridge. Shows all changes, asks, and saves what it
    removes. Not yet verified on AWS.
    """
    from .run import run  # noqa: PLC0415 - start-up

    return run(**options)
