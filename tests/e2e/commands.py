"""The command as a user runs it; and the demo and the local server, and what they leave behind."""

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from tests.processes import SECONDS, finish, signals_received
from tools.local.server import CHECKOUT

COMMAND: Final = Path(sys.executable).with_name("lava-s3trigger")


def start_command(
    *arguments: str | Path,
    folder: Path | str,
    environment: Mapping[str, str],
    stdin: int | None = subprocess.DEVNULL,
    command: Sequence[str | Path] = (COMMAND,),
) -> subprocess.Popen[str]:
    """Start a command in a folder, as a user does."""
    with signals_received():
        return subprocess.Popen(
            [*command, *arguments],
            cwd=folder,
            env=os.environ | environment,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )


def start(
    *arguments: str,
    folder: Path,
    program: Sequence[str] = (sys.executable, "-m", "tools.local"),
    **environment: str,
) -> subprocess.Popen[str]:
    """Start the demo or the local server, whose temporary files are in a folder."""
    variables = {"TMPDIR": str(folder)} | environment
    return start_command(
        *arguments, folder=CHECKOUT, environment=variables, stdin=None, command=program
    )


def running_in(folder: Path) -> list[str]:
    """Name the processes that were started from a folder: servers, and functions they run."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
            place = str((process / "cwd").readlink())
        except OSError:  # it has ended
            continue
        command = b" ".join(words).decode(errors="replace")
        if str(folder) in command + place:
            found.append(f"{process.name} {command}")
    return found


def wait_for_server(process: subprocess.Popen[str], folder: Path) -> None:
    """Wait until a command has started its server."""
    deadline = time.monotonic() + SECONDS
    while not running_in(folder):
        assert process.poll() is None, finish(process)
        assert time.monotonic() < deadline, f"{process.args!r} started no server in {SECONDS} s"
        time.sleep(0.02)


def nothing_left(folder: Path) -> bool:
    """Return whether neither processes nor files are left of a command."""
    return running_in(folder) == [] and list(folder.iterdir()) == []
