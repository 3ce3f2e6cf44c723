"""Processes that tests start, interrupt and wait for, with a limit to each wait."""

import contextlib
import fcntl
import os
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, AnyStr, Final

import pytest

SECONDS: Final = 600
"""The limit of a wait, far more than anything takes on a busy machine."""


@contextlib.contextmanager
def signals_received() -> Iterator[None]:
    """Have what starts in the block receive SIGINT, SIGTERM and SIGHUP, as in a terminal.

    A script starts jobs in the background with SIGINT ignored, and nohup starts them with SIGHUP
    ignored. Child processes inherit that, and a command leaves ignored signals ignored.
    """
    ends = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    ignored = [number for number in ends if signal.getsignal(number) is signal.SIG_IGN]
    for number in ignored:
        # Not SIG_DFL, which would end the tests. In a started program, it becomes that.
        signal.signal(number, signal.default_int_handler)
    try:
        yield
    finally:
        for number in ignored:
            signal.signal(number, signal.SIG_IGN)


def wait_until(condition: Callable[[], object], what: str, seconds: float = SECONDS) -> None:
    """Wait until a condition holds; at the limit, fail with what it waited for."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds} s in vain for {what}"
        time.sleep(0.05)


def unread(pipe: IO[Any]) -> int:
    """Return the number of bytes in a pipe that nobody has read."""
    [count] = struct.unpack("i", fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)))
    return int(count)


def run_python(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run Python in the checkout, with these variables as its environment; it must end with 0."""
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=Path(__file__).parents[1],
        env={"PATH": os.environ["PATH"], "LAVA_REALM": "demo", "AWS_REGION": "eu-west-1"}
        | {"AWS_ACCESS_KEY_ID": "none", "AWS_SECRET_ACCESS_KEY": "none"}
        | variables,
        check=True,
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )


def finish(process: subprocess.Popen[AnyStr], seconds: float = SECONDS) -> tuple[AnyStr, AnyStr]:
    """Wait until a process ends, and return its output and errors.

    At the limit, kill it, and fail with what it wrote.
    """
    try:
        return process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
    try:
        written: object = process.communicate(timeout=10)
    except subprocess.TimeoutExpired:
        written = "its children hold its output open"
    pytest.fail(f"{process.args!r} did not end within {seconds} s: {written}")


def end_of(process: subprocess.Popen[AnyStr], seconds: float = SECONDS) -> int:
    """Wait until a process ends, whose output something else reads; return its status.

    At the limit, kill it and fail: the end of a `with` block would wait for it, too.
    """
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
    pytest.fail(f"{process.args!r} did not end within {seconds} s")


def read_until(stream: IO[str], start: str, process: subprocess.Popen[str]) -> list[str]:
    """Read what a process writes, up to the line that begins so; return the lines.

    At the limit, kill the process. Fail where there is no such line.
    """
    timer = threading.Timer(SECONDS, process.kill)  # ends the loop below
    timer.start()
    lines: list[str] = []
    for line in stream:
        lines.append(line)
        if line.startswith(start):
            timer.cancel()
            return lines
    is_late = timer.finished.is_set()
    timer.cancel()
    within = f" within {SECONDS} s" if is_late else ""
    pytest.fail(f"{process.args!r} wrote no line that begins {start!r}{within}: {lines}")
