"""``lava-s3trigger test``: runs the cases that entries carry."""

from __future__ import annotations

from typing import Any

import click

from lava_s3trigger.cli.options import (
    PATH,
    Command,
    aws_options,
    entries_options,
    output_options,
    paths_option,
)


@click.command(
    cls=Command,
    yes="every case came out as expected",
    no="a case did not",
    examples=(
        "lava-s3trigger test entries/ jobs/",
        "lava-s3trigger test entries/ --cases cases/orders.yaml --coverage --format junit",
    ),
)
@click.argument("paths", type=PATH, nargs=-1, metavar="[PATH]...")
@entries_options
@paths_option("--cases", metavar="FILE", help="File of cases, each of which names its trigger_id.")
@click.option(
    "--coverage",
    is_flag=True,
    help="List entries without a case, and untested results of conditions.",
)
@aws_options
@output_options("text", "json", "junit")
def test(**options: Any) -> int:
    """Run the cases that entries carry.

    Decides on the object of each case, and compares the dispatches with the expected ones.

    A PATH is a file or a folder of entries, of triggers or jobs. Without a PATH or --triggers,
    entries are those of the realm's tables. Entries carry their cases under x-tests.
    """
    from .run import run  # noqa: PLC0415 - start-up

    return run(**options)
