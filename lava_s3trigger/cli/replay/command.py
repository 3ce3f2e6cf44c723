"""``lava-s3trigger replay``: S3 events for existing objects."""

from __future__ import annotations

from typing import Any, Final

import click

from lava_s3trigger.cli.objects.options import event_type_option
from lava_s3trigger.cli.options import Command, aws_options, output_options, sources_options

_WAYS: Final = ("invoke", "queue", "s3-batch")


@click.command(
    cls=Command,
    yes="all that was planned was handed over, or only planned with --dry-run",
    no="some of it failed, or is not known to have arrived",
    examples=[
        "lava-s3trigger replay s3://my-bucket/incoming/ --include '*.csv' --dry-run",
        "lava-s3trigger replay s3://my-bucket/incoming/ --since 2026-03-01 --rate 20",
        "lava-s3trigger replay --resume",
    ],
)
@click.argument("listings", nargs=-1, metavar="[s3://BUCKET/PREFIX]...")
@sources_options
@click.option(
    "--include", multiple=True, metavar="GLOB", help="Only keys that match, as if_fnmatch does."
)
@click.option("--exclude", multiple=True, metavar="GLOB", help="Leave out keys that match.")
@click.option("--larger-than", metavar="SIZE", help="Only larger objects, such as 0 or 10MB.")
@click.option("--since", metavar="TIME", help="Only objects modified since: 7d, or 2026-03-01.")
@click.option("--until", metavar="TIME", help="Only objects modified before.")
@event_type_option("Type of the events.")
@click.option(
    "--would-fire", is_flag=True, help="Only objects that the entries dispatch a job for now."
)
@click.option(
    "--missing", is_flag=True, help="Of these, only objects that the log has no dispatch for."
)
@click.option(
    "--settle",
    metavar="DURATION",
    default="15m",
    show_default=True,
    help="With --missing, leave out younger objects: the log comes late.",
)
@click.option(
    "--despite-waiting",
    is_flag=True,
    help="With --missing, send although events wait in queues: these objects may run twice.",
)
@click.option("--dry-run", is_flag=True, help="Plan, print what would happen, and send nothing.")
@click.option(
    "--via",
    type=click.Choice(_WAYS),
    default=_WAYS[0],
    show_default=True,
    help="How to hand over: asynchronous invocations, the intake queue, or a job of AWS's.",
)
@click.option(
    "--batch",
    type=click.IntRange(1, 1000),
    default=20,
    show_default=True,
    help="Objects of an invocation, at most.",
)
@click.option("--queue", help="Queue for --via queue, if not the stack's intake queue.")
@click.option("--job-role", metavar="ARN", help="Role for the job of --via s3-batch.")
@click.option(
    "--job-files", metavar="URI", help="Where --via s3-batch puts manifest and report in S3."
)
@click.option(
    "--rate",
    type=click.FloatRange(min=0, min_open=True),
    help="Objects a second, at most.",
)
@click.option(
    "--concurrency",
    type=click.IntRange(1, 64),
    default=4,
    show_default=True,
    help="The most concurrent calls.",
)
@click.option("--resume", is_flag=True, help="Continue the replay in the state file.")
@click.option("--retry-failed", is_flag=True, help="Continue, and send again what failed.")
@click.option(
    "--resend-unknown",
    is_flag=True,
    help="Continue, and send again what may have arrived: some of it may then run twice.",
)
@click.option("--restart", is_flag=True, help="Forget the replay in the state file; plan again.")
@click.option(
    "--state",
    type=click.Path(dir_okay=False),
    metavar="FILE",
    help="File of plan and progress, if not one below the user's state folder.",
)
@click.option("--function", help="Name of the function, if not lava-<REALM>-s3trigger.")
@aws_options
@output_options("text", "json")
def replay(**options: Any) -> int:
    """Hand S3 events for existing objects to the deployed function.

    Objects come from listings, from S3 Inventory and from files of keys. The
    plan and its progress are in one file, so that an interrupted replay continues
    with --resume, and sends nothing twice. docs/backfill.md compares the
    ways of --via.
    """
    from .run import run  # noqa: PLC0415 - start-up

    return run(**options)
