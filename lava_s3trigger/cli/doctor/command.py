"""``lava-s3trigger doctor``: what is wrong with a deployed realm, and what corrects it."""

from __future__ import annotations

from typing import Any

import click

from lava_s3trigger.cli.options import Command, aws_options, fail_on_option, output_options


@click.command(
    cls=Command,
    yes="nothing wrong was found",
    no="there are findings at or above --fail-on",
    examples=[
        "lava-s3trigger doctor --realm prod",
        "lava-s3trigger doctor --realm prod --format json --fail-on error",
    ],
)
@aws_options
@click.option("--function", "function_name", help="Name of the function, if it has another one.")
@click.option("--select", multiple=True, metavar="CHECK", help="Make this check only. Repeatable.")
@fail_on_option("error", "warning", "info")
@output_options("text", "json", "github")
def doctor(**options: Any) -> int:
    """Look at a deployed realm, and say what will go wrong.

    Each finding has the reason why it matters, and the commands that correct it.
    Nothing is changed. What may not be read is said, and makes the exit status
    3, where nothing else was found. docs/doctor.md lists the checks, and a
    policy that allows them all.
    """
    from .run import run  # noqa: PLC0415 - start-up

    return run(**options)
