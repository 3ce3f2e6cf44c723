"""``lava-s3trigger compare``: what two functions did with the same events, and why it differs."""

from __future__ import annotations

from typing import Any

import click

from lava_s3trigger.cli.options import PATH, Command, aws_options, output_options, paths_option


@click.command(
    cls=Command,
    yes="both did the same",
    no="something differs",
    examples=[
        "lava-s3trigger compare /aws/lambda/lava-prod-observer --dispatches received.json",
        "lava-s3trigger compare observed.log /aws/lambda/lava-prod-s3trigger --since 2h",
        "lava-s3trigger compare observed.log --dispatches received.json --triggers entries/",
    ],
)
@click.argument("ours", type=PATH, metavar="LOG")
@click.argument("theirs", type=PATH, metavar="[OTHER_LOG]", required=False)
@paths_option(
    "--dispatches",
    metavar="FILE",
    help="Messages that the other function sent to workers' queues: bodies, or what `aws sqs"
    " receive-message` prints.",
)
@click.option(
    "--since",
    default="1d",
    show_default=True,
    metavar="TIME",
    help="First line to read of log groups: 2h, 7d, or 2026-03-01.",
)
@paths_option(
    "--triggers",
    help="File or folder of trigger entries, which explain more of the differences. Without it,"
    " the realm's table if a realm is given.",
)
@aws_options
@output_options("text", "json")
def compare(**options: Any) -> int:
    """Compare what two functions did with the same events.

    LOG is the log of this function, usually of one that only observes
    (S3TRIGGER_MODE=observe). The other function is another deployment of this
    one, with OTHER_LOG, or lava's own, with messages in --dispatches. A log is a
    file, or a log group such as /aws/lambda/lava-prod-s3trigger. The result lists
    what only one of them did, by object, trigger and job, with the row of the
    table of differences from lava that explains it, if there is one.
    """
    from .run import run  # noqa: PLC0415 - start-up

    return run(**options)
