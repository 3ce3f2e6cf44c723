"""Bounds in time and memory for what trigger authors and object keys can cause.

Jinja's sandbox bounds neither. The clock is a signal, since nothing else
interrupts a regular expression; the memory is the process's address space, since
no list of dangerous operations is ever complete.
"""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import threading
from functools import cache
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

SECONDS: Final = 1.0
"""Longest that the conditions and templates of one trigger may take for one event."""
COMPILING: Final = 3.0
"""Longest that compiling the templates of one trigger may take, once in its life."""
MAX_RUN_SECONDS: Final = SECONDS + COMPILING
MEMORY: Final = 64 * 1024 * 1024
"""Bytes of address space that they may add to the process."""

_PAGE: Final = resource.getpagesize()
_ALARM: Final = signal.SIGALRM
_AGAIN: Final = 2.0


class _TimeUpError(BaseException):
    """Not an Exception: whatever runs must not mistake it for an error of its own."""


def _time_up(_signal: int, _frame: Any) -> None:
    raise _TimeUpError


_is_listening = False


@contextlib.contextmanager
def listening() -> Iterator[None]:
    """Listen for the alarm in all of a block, so that each `bounded` need not.

    It takes longer to begin and to end than all else that `bounded` does.
    """
    global _is_listening  # noqa: PLW0603 - as is the signal handler that it tells of
    if _is_listening or not _is_main_thread():
        yield
        return
    before = signal.signal(_ALARM, _time_up)
    _is_listening = True
    try:
        yield
    finally:
        _is_listening = False
        signal.signal(_ALARM, before)


class bounded:  # noqa: N801 - used as contextlib's are; as a generator it would take longer
    """Bound what runs inside, in wall time and in memory.

    Bounds hold in the main thread, where Lambda runs the handler, and on Linux;
    elsewhere, as on an operator's laptop, code runs unbounded.

    Args:
        seconds: Longest that it may take.
        memory: Bytes of address space that it may add.

    Raises:
        TimeoutError: It took longer.
        MemoryError: It took more.
    """

    __slots__ = ("_address_space", "_listening", "_memory", "_seconds")

    def __init__(self, seconds: float = SECONDS, memory: int = MEMORY) -> None:
        self._seconds = seconds
        self._memory = memory
        self._address_space: tuple[int, int] | None = None
        self._listening: contextlib.AbstractContextManager[None] | None = None

    def __enter__(self) -> None:
        if not _is_main_thread():
            return
        if not _is_listening:
            self._listening = listening()
            self._listening.__enter__()
        self._address_space = resource.getrlimit(resource.RLIMIT_AS)
        _confine(self._address_space, self._memory)
        # Again, later: Python swallows what is raised in a finalizer. Not so soon
        # that it comes while what was ended is still being cleared away.
        signal.setitimer(signal.ITIMER_REAL, self._seconds, _AGAIN)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._address_space is None:
            return
        is_late = kind is _TimeUpError
        try:
            _lift(self._address_space)
        except _TimeUpError:
            _lift(self._address_space)  # the alarm came in the middle of it
            is_late = True
        if self._listening:
            self._listening.__exit__(None, None, None)
        if is_late:
            raise TimeoutError(f"it took longer than {self._seconds:g} s") from None


def _lift(address_space: tuple[int, int]) -> None:
    signal.setitimer(signal.ITIMER_REAL, 0)
    resource.setrlimit(resource.RLIMIT_AS, address_space)


def _confine(address_space: tuple[int, int], memory: int) -> None:
    """Lower the limit of the address space to what is in use now, and some more."""
    soft, hard = address_space
    with contextlib.suppress(OSError, ValueError):
        limit = int(os.pread(_usage(os.getpid()), 32, 0).split()[0]) * _PAGE + memory
        if soft == resource.RLIM_INFINITY or limit < soft:
            resource.setrlimit(resource.RLIMIT_AS, (limit, hard))


@cache
def _usage(pid: int) -> int:
    """Open what tells how much address space a process uses, in pages; it stays open."""
    return os.open(f"/proc/{pid}/statm", os.O_RDONLY | os.O_CLOEXEC)


def _is_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()
