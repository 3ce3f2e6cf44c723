"""Runs commands of lava-s3trigger for the other tools, as a user runs them."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from typing import TYPE_CHECKING

from lava_s3trigger.cli.errors import CommandError
from lava_s3trigger.cli.output.signals import uninterrupted

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_MAX_CHARACTERS = 600


def run_command(*arguments: str, state: Path, environment: Mapping[str, str] | None = None) -> None:
    """Run a command that asks nothing.

    Ctrl-C reaches only the caller, which then ends the command.

    Args:
        *arguments: Its name and its arguments.
        state: The folder for what it saves, in place of the user's.
        environment: Its environment, if not that of this process.

    Raises:
        CommandError: Its exit status is not 0.
    """
    with contextlib.ExitStack() as undo:
        with uninterrupted():
            process = _started(arguments, state, environment)
            undo.enter_context(process)
            undo.callback(process.kill)
        output, _ = process.communicate()
    if process.returncode:
        told = " ".join(output.split())[-_MAX_CHARACTERS:]
        raise CommandError(f"{arguments[0]} ended with status {process.returncode}: {told}")


def _started(
    arguments: tuple[str, ...], state: Path, environment: Mapping[str, str] | None
) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "lava_s3trigger", *arguments, "--yes"],
        env={**(os.environ if environment is None else environment), "XDG_STATE_HOME": str(state)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
