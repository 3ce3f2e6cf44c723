"""`lava-s3trigger check`: lints entries of files, or of a realm."""

from __future__ import annotations

from typing import Any, Final

import click
from click.core import ParameterSource

from lava_s3trigger.cli.options import (
    PATH,
    Command,
    aws_options,
    entries_options,
    fail_on_option,
    output_options,
)

_EXAMPLES: Final = (
    "lava-s3trigger check entries/ jobs/",
    "lava-s3trigger check --realm prod --format github",
    "lava-s3trigger check --fix --diff entries/",
    "lava-s3trigger check --explain LT201",
)


@click.command(
    cls=Command,
    yes="no finding at or above --fail-on",
    no="findings",
    examples=_EXAMPLES,
)
@click.argument("paths", nargs=-1, type=PATH, metavar="[PATH]...")
@entries_options
@aws_options
@click.option(
    "--select", multiple=True, metavar="IDS", help="Apply only these rules: ids, or beginnings."
)
@click.option(
    "--ignore", multiple=True, metavar="IDS", help="Do not apply these rules: ids, or beginnings."
)
@fail_on_option("error", "warning")
@click.option("--fix", is_flag=True, help="Correct in the files what has one right answer.")
@click.option(
    "--unsafe-fixes",
    is_flag=True,
    help="With --fix or --diff: also corrections after which entries fire for other objects.",
)
@click.option(
    "--diff", is_flag=True, help="Show what --fix changes; without --fix, what it would change."
)
@click.option("--explain", metavar="ID", help="Print the page of a rule, and exit.")
@output_options("text", "json", "jsonl", "github", "sarif", "junit")
@click.pass_context
def check(ctx: click.Context, /, **options: Any) -> int:
    """Lint the entries of files or of a realm.

    Errors are in entries that the function would refuse. Warnings are in entries that it
    accepts, but that are very likely mistakes.
    Without a PATH, --triggers or --jobs, the entries of the realm's tables are checked. With
    files, and --realm on the command line, the jobs and the queues of the realm are known.
    """
    from .run import run  # noqa: PLC0415 - start-up

    is_named = ctx.get_parameter_source("realm") is ParameterSource.COMMANDLINE
    return run(**options, is_realm_named=is_named)
