"""The question that a command asks before it changes or deletes something."""

from __future__ import annotations

import sys

import click

from lava_s3trigger.cli.errors import WRONG_USAGE, CommandError

from .escaping import safe


def require_consent(command: str, action: str, *, is_sure: bool) -> None:
    """Raise an error if there is nobody to ask.

    Args:
        command: The name of the command.
        action: The action that needs consent, such as "deletes".
        is_sure: Whether ``--yes`` is set.

    Raises:
        CommandError: No ``--yes``, and standard input is not a terminal.
    """
    if not (is_sure or sys.stdin.isatty()):
        raise CommandError(f"{command} asks before it {action}: give --yes", WRONG_USAGE)


def is_confirmed(question: str, *, is_sure: bool) -> bool:
    """Ask a question on standard error, and return the answer; with ``--yes``, do not ask."""
    return is_sure or click.confirm(safe(question), err=True)
