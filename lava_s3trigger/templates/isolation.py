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
from typing import TYPE_CHECKING, Any, Final, NoReturn, TextIO

from lava_s3trigger.errors import ServiceError, UserError

from .limits import SECONDS, bounded

if TYPE_CHECKING:
    from collections.abc import Callable

_GRACE: Final = 2.0
"""Seconds after the bound in which work may still end by itself, on a busy machine."""
LONGEST: Final = SECONDS + _GRACE
"""Seconds after which the work is over, one way or the other."""
_CHUNK: Final = 1024 * 1024
_MOST: Final = 16 * 1024 * 1024
_ERRORS: Final = {each.__name__: each for each in (UserError, TimeoutError, MemoryError)}


def isolated(work: Callable[[], Any]) -> Any:
    """Do work in a process of its own, under the bounds of `limits`.

    Args:
        work: Gives a JSON value. What it changes is not changed here.

    Raises:
        UserError: The work raised it, or gave too much.
        TimeoutError: It took too long.
        MemoryError: It took too much memory.
        ChildProcessError: It ended its process.
        ServiceError: There can be no process now.
    """
    with contextlib.ExitStack() as files:
        try:
            reader, writer = os.pipe()
            files.callback(os.close, reader)
            sending = files.enter_context(os.fdopen(writer, "w", encoding="ascii"))
            # Opened here: in the process itself it would be too late to fail.
            null = files.enter_context(open(os.devnull, "r+"))  # noqa: PTH123
            process = _fork()
        except OSError as error:
            raise ServiceError(f"no process to render in: {error}") from None
        if not process:
            _work(work, sending, null)
        sending.close()  # so that its end is seen when the process closes it
        try:
            text = _read(reader, time.monotonic() + LONGEST)
        finally:
            os.kill(process, signal.SIGKILL)  # it is not waited for, whatever it does
            _, status = os.waitpid(process, 0)
    return _result(text, status)


def _fork() -> int:
    with warnings.catch_warnings():
        # Threads are no danger here: they wait for calls to make while something is
        # decided, and the child takes no lock that they might hold.
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()


def _work(work: Callable[[], Any], sending: TextIO, null: TextIO) -> NoReturn:
    """Do the work of the child, and end it."""
    code = 1
    try:
        # Should no one be there to end it.
        seconds = int(SECONDS) + 1
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        # Nothing but the answer leaves it, not even into the log.
        for each in (0, 1, 2):
            os.dup2(null.fileno(), each)
        sys.stdin = sys.stdout = sys.stderr = null
        sending.write(_answer(work))
        sending.flush()
        code = 0
    finally:
        os._exit(code)


def _answer(work: Callable[[], Any]) -> str:
    try:
        with bounded():
            try:
                text = json.dumps({"result": work()})
            except RecursionError:
                raise UserError("what it renders to is nested too deeply") from None
        if len(text) > _MOST:
            raise UserError(f"it renders to more than {_MOST} bytes in all")
    except tuple(_ERRORS.values()) as error:
        text = json.dumps({"error": [type(error).__name__, str(error)]})
    return text


def _read(reader: int, until: float) -> str | None:
    """Read until the end; give None where that does not come in time, or in due length."""
    chunks: list[bytes] = []
    length = 0
    poll = select.poll()
    poll.register(reader, select.POLLIN)
    while (left := until - time.monotonic()) > 0 and length <= _MOST:
        if poll.poll(left * 1000):
            chunk = os.read(reader, _CHUNK)
            if not chunk:
                return b"".join(chunks).decode("ascii")
            chunks.append(chunk)
            length += len(chunk)
    return None


def _result(text: str | None, status: int) -> Any:
    answer = {}
    with contextlib.suppress(ValueError):  # half an answer is none
        answer = json.loads(text or "")
    if "result" in answer:
        return answer["result"]
    if "error" in answer:
        name, message = answer["error"]
        raise _ERRORS[name](message)
    code = os.waitstatus_to_exitcode(status)
    if text is None or code == -signal.SIGXCPU:
        raise TimeoutError(f"it took longer than {SECONDS:g} s")
    how = f"by {signal.Signals(-code).name}" if code < 0 else f"with code {code}"
    raise ChildProcessError(f"it ended its process, {how}")
