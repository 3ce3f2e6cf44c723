"""A process of its own for work that may do anything but end.

The bounds of `limits` need the work's help: a signal waits for the C code that it
interrupts, and what runs out of stack takes its process along. A process can be ended
from outside. What is left behind in it, in caches and classes, ends with it.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import select
import signal
import sys
import time
import warnings
from typing import TYPE_CHECKING, Any, Final, NoReturn

from .errors import MistakeError, ServiceError
from .limits import SECONDS, bounded

if TYPE_CHECKING:
    from collections.abc import Callable

_GRACE: Final = 0.5
"""Seconds after the bound in which work may still end by itself, and say so."""
LONGEST: Final = SECONDS + _GRACE
"""Seconds after which the work is over, one way or the other."""
_CHUNK: Final = 1024 * 1024
_MOST: Final = 16 * 1024 * 1024


def isolated(work: Callable[[], Any]) -> Any:
    """Do work in a process of its own, under the bounds of `limits`.

    Args:
        work: Gives a JSON value. What it changes is not changed here.

    Raises:
        MistakeError: The work raised it.
        TimeoutError: It took too long.
        MemoryError: It took too much memory.
        ChildProcessError: It ended its process.
        ServiceError: There can be no process now.
    """
    reader, writer = os.pipe()
    try:
        process = _fork()
    except OSError as error:
        os.close(reader)
        os.close(writer)
        raise ServiceError(f"no process to render in: {error}") from None
    if not process:
        _work(work, writer)
    os.close(writer)
    try:
        text = _read(reader, time.monotonic() + LONGEST)
    finally:
        os.close(reader)
        os.kill(process, signal.SIGKILL)  # it is not waited for, whatever it does
        _, status = os.waitpid(process, 0)
    return _result(text, status)


def _fork() -> int:
    with warnings.catch_warnings():
        # Threads are no danger here: they wait for calls to make while something is
        # decided, and the child takes no lock that they might hold.
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()


def _work(work: Callable[[], Any], writer: int) -> NoReturn:
    """Do the work of the child, and end it."""
    try:
        # Should no one be there to end it.
        seconds = int(SECONDS) + 1
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        # Nothing but the answer leaves it, not even into the log.
        null = open(os.devnull, "r+")  # noqa: PTH123, SIM115 - closed with the process
        for each in (0, 1, 2):
            os.dup2(null.fileno(), each)
        sys.stdin = sys.stdout = sys.stderr = null
        try:
            with bounded():
                answer = {"result": work()}
            text = json.dumps(answer)
        except (MistakeError, TimeoutError, MemoryError) as error:
            text = json.dumps({"error": [type(error).__name__, str(error)]})
        with open(writer, "w", encoding="ascii") as pipe:
            pipe.write(text)
    finally:
        os._exit(0)


def _read(reader: int, until: float) -> str | None:
    """Read until the end; give None where that does not come in time."""
    chunks: list[bytes] = []
    length = 0
    poll = select.poll()
    poll.register(reader, select.POLLIN)
    while (left := until - time.monotonic()) > 0 and length < _MOST:
        if poll.poll(left * 1000):
            chunk = os.read(reader, _CHUNK)
            if not chunk:
                return b"".join(chunks).decode("ascii")
            chunks.append(chunk)
            length += len(chunk)
    return None


_ERRORS: Final = {each.__name__: each for each in (MistakeError, TimeoutError, MemoryError)}


def _result(text: str | None, status: int) -> Any:
    if text is None:
        raise TimeoutError(f"it took longer than {SECONDS:g} s")
    with contextlib.suppress(ValueError):
        answer = json.loads(text)
        if "result" in answer:
            return answer["result"]
        name, message = answer["error"]
        raise _ERRORS[name](message)
    code = os.waitstatus_to_exitcode(status)
    if -code in (signal.SIGXCPU, signal.SIGKILL):
        raise TimeoutError(f"it took longer than {SECONDS:g} s")
    raise ChildProcessError(f"it ended its process, by signal {-code}")
