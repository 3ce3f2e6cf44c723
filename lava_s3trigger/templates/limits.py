"""Bounds time and memory of the work that trigger authors and object keys cause.

Time is bounded by a signal, since nothing else interrupts a regular expression. Memory is
bounded for the whole process, since no list of dangerous operations is complete. Python
handles signals only between bytecodes, so a long call in C is not interrupted: see `weighing`.
"""

from __future__ import annotations

import os
import resource
import signal
import threading
import time
import warnings
from functools import cache
from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

T = TypeVar("T")

SECONDS: Final = 1.0
"""Seconds that the conditions and templates of one trigger may take for one event."""
COMPILE_SECONDS: Final = 3.0
"""Seconds that compiling them may take in addition, once per cached entry."""
MEMORY: Final = 64 * 1024 * 1024
"""Bytes of memory that they may add to the process."""

_PAGE: Final = resource.getpagesize()
_ALARM: Final = signal.SIGALRM
_REPEAT_SECONDS: Final = 2.0
_MIN_SECONDS: Final = 0.001
# Not RLIMIT_AS: it also keeps the stack from growing. With the memory used up, the next deep
# recursion in C, such as freeing a chain of objects, would end the process.
_DATA: Final = resource.RLIMIT_DATA


class ThreadError(RuntimeError):
    """This is not the main thread; only that one receives signals."""


class CompileTimeoutError(TimeoutError):
    """Compiling took longer than `COMPILE_SECONDS`, although it had all of them."""


class _TimeUpError(BaseException):
    """Not an Exception, so that the bounded work does not catch it as an error of its own."""


def _time_up(_signal: int, frame: FrameType | None) -> None:
    """Interrupt only the work of the innermost `run_bounded`.

    The exception rises from the interrupted frame. It reaches the `except` of `run_bounded` only
    if it passes `_work`. If the frame of `run_bounded` or of this function is found first, the
    work has not begun or is over.
    """
    global _is_missed  # noqa: PLW0603 - what else does a signal handler have?
    while frame:
        if frame.f_code is _WORK:
            raise _TimeUpError
        if frame.f_code in _AROUND_WORK:
            _is_missed = True
            return
        frame = frame.f_back


_is_missed = False
"""Whether an alarm came during `run_bounded` itself, where nothing can be raised."""
_is_listening = False
_IGNORE_WARNINGS: Final = (("ignore", None, Warning, None, 0),)


class listening:  # noqa: N801 - as contextlib's are; as a generator it would take longer
    """Install the alarm's handler for a block, not for each `run_bounded` in it.

    Installing and removing it takes longer than everything else that `run_bounded` does.

    Warnings are ignored inside. A template can cause one, for example with a time zone that
    dateutil does not know. It would be printed outside of the log's format, and Python would
    keep its text.
    """

    __slots__ = ("_before", "_filters", "_is_outermost")

    def __enter__(self) -> None:
        global _is_listening  # noqa: PLW0603 - the signal handler is global too
        self._is_outermost = not _is_listening and _is_main_thread()
        if self._is_outermost:
            # As `catch_warnings` does, which takes as long as everything else here.
            self._filters, warnings.filters = warnings.filters, [*_IGNORE_WARNINGS]
            self._before = signal.signal(_ALARM, _time_up)
            _is_listening = True

    def __exit__(self, *_: object) -> None:
        global _is_listening  # noqa: PLW0603 - as above
        if self._is_outermost:
            _is_listening = False
            signal.signal(_ALARM, self._before)
            warnings.filters = self._filters


def run_bounded(work: Callable[[], T], seconds: float = SECONDS, memory: int = MEMORY) -> T:
    """Run some work, bounded in wall time and in memory.

    Inside other bounded work, the clock of the outer one is stopped.

    Args:
        work: What to run.
        seconds: Seconds that it may take.
        memory: Bytes of memory that it may add.

    Raises:
        TimeoutError: It took longer.
        MemoryError: It took more.
        ThreadError: This is not the main thread.
    """
    global _compile_seconds_left, _is_missed  # noqa: PLW0603 - as the timer is
    if not _is_main_thread():
        raise ThreadError("templates and conditions run only in the main thread")
    if not _is_listening:
        with listening():
            return run_bounded(work, seconds, memory)
    # Repeated, since Python swallows an exception in a finalizer. Not so soon that it
    # comes while the interrupted work is still being cleaned up.
    outer_seconds, _ = signal.setitimer(signal.ITIMER_REAL, seconds, _REPEAT_SECONDS)
    if not outer_seconds:
        _compile_seconds_left = COMPILE_SECONDS
    is_outer_late = outer_seconds > 0 and _is_missed
    try:
        if not is_outer_late:
            return _work_in_memory(work, memory)
    except _TimeUpError:
        pass
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        _is_missed = is_outer_late  # and not whether this one is
        if outer_seconds:
            signal.setitimer(signal.ITIMER_REAL, outer_seconds, _REPEAT_SECONDS)
            if _is_missed:
                raise _TimeUpError  # in the work of the outer one
    raise TimeoutError(f"it took longer than {seconds:g} s")


def _work_in_memory(work: Callable[[], T], memory: int) -> T:
    """Run some work, bounded in memory.

    In a function of its own, so that CPython does not loop forever where memory is used up
    (`environment._Context.call` says how).
    """
    before = _limit_memory(memory)
    try:
        return _work(work)
    finally:
        resource.setrlimit(_DATA, before)


def _work(work: Callable[[], T]) -> T:
    return work()


_WORK: Final = _work.__code__
_AROUND_WORK: Final = (run_bounded.__code__, _time_up.__code__)
_compile_seconds_left = COMPILE_SECONDS


def compile_bounded(compile_: Callable[[], T]) -> T:
    """Compile something, bounded as by `run_bounded`.

    All compiling inside other bounded work has `COMPILE_SECONDS` together.

    Raises:
        CompileTimeoutError: It took all of them.
        TimeoutError: It took longer than the seconds that other compiling had left.
        MemoryError: It took too much memory.
        ThreadError: This is not the main thread.
    """
    global _compile_seconds_left  # noqa: PLW0603 - as in `run_bounded`
    is_outermost = not signal.getitimer(signal.ITIMER_REAL)[0]
    left = COMPILE_SECONDS if is_outermost else _compile_seconds_left
    start = time.monotonic()
    try:
        return run_bounded(compile_, max(left, _MIN_SECONDS))
    except TimeoutError as error:
        if left == COMPILE_SECONDS:
            raise CompileTimeoutError(str(error)) from None
        raise
    finally:
        _compile_seconds_left = left - (time.monotonic() - start)


def _limit_memory(memory: int) -> tuple[int, int]:
    """Limit the memory of the process to what it uses plus some; return the former limit."""
    before = soft, hard = resource.getrlimit(_DATA)
    try:
        # Each time, so that memory that others keep in between does not count for this work.
        limit = int(os.pread(_usage(os.getpid()), 128, 0).split()[5]) * _PAGE + memory
        if soft == resource.RLIM_INFINITY or limit < soft:
            resource.setrlimit(_DATA, (limit, hard))
    except (OSError, ValueError):
        pass  # as on an operator's laptop
    return before


@cache
def _usage(pid: int) -> int:
    """Open the file with the number of pages that a process uses; it stays open."""
    return os.open(f"/proc/{pid}/statm", os.O_RDONLY | os.O_CLOEXEC)


def _is_main_thread() -> bool:
    return threading.get_ident() == threading.main_thread().ident
