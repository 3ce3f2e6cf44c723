"""``lava-s3trigger dead-letters``: shows, redrives or deletes what waits in dead-letter queues."""

from __future__ import annotations

from typing import Any, Final

import click

from lava_s3trigger.cli.options import PATH, Command, aws_options, output_options

_ACTIONS: Final = ("list", "redrive", "discard", "restore")


@click.command(
    cls=Command,
    yes="no dead letters, or none left",
    no="dead letters wait, also hidden ones, or some are still broken",
    examples=[
        "lava-s3trigger dead-letters --realm prod",
        "lava-s3trigger dead-letters redrive --trigger orders --explain",
        "lava-s3trigger dead-letters discard --queue own --reason no_such_job",
    ],
)
@click.argument("action", type=click.Choice(_ACTIONS), default=_ACTIONS[0])
@click.argument("file", required=False, type=PATH)
@click.option("--trigger", metavar="ID", help="Only messages parked for this trigger.")
@click.option(
    "--reason", metavar="TEXT", help="Only messages of this kind, or with this in their reason."
)
@click.option(
    "--queue",
    type=click.Choice(["own", "intake"]),
    help="Only the function's own queue, or only that of the intake.",
)
@click.option(
    "--explain",
    is_flag=True,
    help="Show what would happen to each with the current entries; redrive none.",
)
@click.option(
    "--quiet",
    type=click.FloatRange(min=0),
    help="Seconds without a change after which remaining messages count as still broken, and a"
    " queue as empty; without it, the function's timeout and 10 s, and a minute.",
)
@click.option("--save", metavar="FILE", help="New file for what is deleted.")
@click.option("--yes", "is_sure", is_flag=True, help="Delete without a question.")
@click.option("--function", help="Name of the function, if not lava-<REALM>-s3trigger.")
@aws_options
@output_options("text", "json")
def dead_letters(**options: Any) -> int:
    """Show what waits in the dead-letter queues of the function and of its intake.

    redrive sends messages back: those of the function's own queue through its
    event source mapping, which is turned on until only messages that are still
    broken are left; those of the intake queue through a message move task.
    discard writes messages to a file and deletes them; restore FILE sends them
    to their queues again.

    SQS counts messages that somebody has received, but does not return them: they
    are hidden until they are deleted or their visibility timeout ends.
    """
    from .run import run  # noqa: PLC0415 - start-up

    return run(**options)
