"""The command line, ``lava-s3trigger``. The function never imports it."""

from __future__ import annotations

import sys

import click

from .demo import demo
from .errors import CommandError
from .local import local


@click.group()
@click.version_option(package_name="lava-s3trigger")
def commands() -> None:
    """Tools for lava's S3 triggers."""


commands.add_command(demo)
commands.add_command(local)


def main() -> None:
    """Run the command line; print a user's mistake as one message, without a traceback."""
    try:
        commands()
    except CommandError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(1)
