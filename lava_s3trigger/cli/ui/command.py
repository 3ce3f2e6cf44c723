"""``lava-s3trigger ui``: a page on the user's own machine that shows a realm, and tries keys."""

from __future__ import annotations

from typing import Any

import click

from lava_s3trigger.cli.options import Command, aws_options, entries_options


@click.command(
    cls=Command,
    yes="the page was shown until Ctrl-C",
    no="never",
    examples=[
        "lava-s3trigger ui --triggers entries/ --jobs jobs/",
        "lava-s3trigger ui --realm prod",
    ],
)
@entries_options
@aws_options
@click.option("--function", metavar="NAME", help="Name of the function, if not the stack's.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=0,
    show_default="a free one",
    help="Port on 127.0.0.1.",
)
@click.option(
    "--open",
    "state",
    metavar="STATE",
    default="",
    help="What to show first: what stands behind the # of a colleague's address.",
)
@click.option(
    "--browser/--no-browser", default=True, show_default=True, help="Open the page in a browser."
)
def ui(**options: Any) -> int:
    """Show entries in a browser: what is where, what a key does, what a draft changes.

    The page is served on 127.0.0.1 to whoever has the link that is printed. It
    decides with the function that `explain` calls, and writes nothing to AWS.
    Needs the extra: pip install 'lava-s3trigger[cli,ui]'
    """
    from .run import run  # noqa: PLC0415 - start-up

    return run(**options)
