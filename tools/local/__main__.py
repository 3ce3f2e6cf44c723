"""``python -m tools.local``: what ``make demo`` and ``make local`` run."""

from __future__ import annotations

import click

from lava_s3trigger.cli import main

from .demo import demo
from .serve import serve


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def commands() -> None:
    """Run the function on a local AWS server."""


commands.add_command(demo)
commands.add_command(serve)

if __name__ == "__main__":
    main(group=commands, name="python -m tools.local")
