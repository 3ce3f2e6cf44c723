"""Bounds in time and memory for what trigger authors and object keys can cause.

Jinja's sandbox bounds neither. The clock is a signal, since nothing else
interrupts a regular expression; the memory is the process's address space, since
no list of dangerous operations is ever complete.
"""

from __future__ import annotations

import contextlib
import resource
import signal
import threading
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

SECONDS: Final = 1.0
"""Longest that the conditions and templates of one trigger may take for one event."""
MEMORY: Final = 64 * 1024 * 1024
"""Bytes of address space that they may add to the process."""

_PAGE: Final = resource.getpagesize()


class _TimeUpError(BaseException):
    """Not an Exception: whatever runs must not mistake it for an error of its own."""


def _time_up(_signal: int, _frame: Any) -> None:
    raise _TimeUpError


@contextlib.contextmanager
def bounded(seconds: float = SECONDS, memory: int = MEMORY) -> Iterator[None]:
    """Bound what runs inside, in wall time and in memory.

    Bounds hold in the main thread, where Lambda runs the handler, and on Linux;
    elsewhere, as on an operator's laptop, code runs unbounded.

    Raises:
        TimeoutError: It took longer.
        MemoryError: It took more.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handler = signal.signal(signal.SIGALRM, _time_up)
    address_space = _confine(memory)

    def lift() -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        resource.setrlimit(resource.RLIMIT_AS, address_space)
        signal.signal(signal.SIGALRM, handler)

    try:
        try:
            # Again and again: Python swallows what is raised in a finalizer.
            signal.setitimer(signal.ITIMER_REAL, seconds, 0.1)
            yield
        finally:
            lift()
    except _TimeUpError:
        lift()  # the alarm may have come in the middle of it
        raise TimeoutError(f"it took longer than {seconds:g} s") from None


def _confine(memory: int) -> tuple[int, int]:
    """Lower the limit of the address space, and give what it was."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    with contextlib.suppress(OSError, ValueError):
        with open("/proc/self/statm", "rb") as statm:  # noqa: PTH123 - half the time of Path
            limit = int(statm.read().split()[0]) * _PAGE + memory
        if soft == resource.RLIM_INFINITY or limit < soft:
            resource.setrlimit(resource.RLIMIT_AS, (limit, hard))
    return soft, hard
