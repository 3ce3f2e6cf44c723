"""``lava-s3trigger connect``: connects a bucket to the function."""

from __future__ import annotations

from typing import Any

import click

from lava_s3trigger.cli.options import (
    PATH,
    Command,
    aws_options,
    output_options,
    paths_option,
)


@click.command(
    cls=Command,
    yes="the bucket is connected so; with --dry-run, nothing would change",
    no="it is not: refused, or not confirmed; or events come twice; with --dry-run, something would"
    " change",
    examples=[
        "lava-s3trigger connect my-bucket --realm prod",
        "lava-s3trigger connect my-bucket --realm prod --by eventbridge --dry-run",
        "lava-s3trigger connect --undo FILE",
    ],
)
@click.argument("bucket", required=False)
@click.option(
    "--by",
    type=click.Choice(["s3", "queue", "sns", "eventbridge"]),
    help="The route to the function: S3 itself, the intake queue, a topic, or EventBridge. Without"
    " it, the one that connect has made before, or s3.",
)
@click.option("--topic", metavar="TOPIC", help="Name or ARN of the topic, for --by sns.")
@click.option(
    "--events",
    multiple=True,
    metavar="EVENT",
    help="Events of entries without if_event_type, such as ObjectRemoved:*; without it, those of"
    " new objects. Repeatable.",
)
@paths_option(
    "--triggers", help="File or folder of trigger entries, in place of the realm's table."
)
@click.option("--move", "is_move", is_flag=True, help="Replace other routes to the function.")
@click.option(
    "--wait",
    type=click.FloatRange(min=0),
    default=300,
    show_default=True,
    envvar="S3TRIGGER_CONNECT_WAIT",
    show_envvar=True,
    help="Seconds for which a new route takes effect before an old one goes.",
)
@click.option("--undo", type=PATH, metavar="FILE", help="Undo the changes of a run.")
@click.option("--dry-run", "is_dry", is_flag=True, help="Show what would change; change nothing.")
@click.option("--yes", "is_sure", is_flag=True, help="Change it without a question.")
@click.option("--function", help="Name of the function, if not lava-<REALM>-s3trigger.")
@aws_options
@output_options("text", "json")
def connect(**options: Any) -> int:
    """Connect a bucket to the function, for what its entries need and no more.

    Merges with the notifications that the bucket has, and keeps all others as
    they are. Makes what the route needs: a permission, a statement in the policy
    of a queue or a topic, or a rule. Shows all changes, asks, saves what it
    replaces, and reads it back. Not yet verified on AWS.
    """
    from .run import run  # noqa: PLC0415 - start-up

    return run(**options)
