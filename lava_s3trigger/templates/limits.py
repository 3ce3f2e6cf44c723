"""Bounds in time and memory for what trigger authors and object keys can cause.

The clock is a signal, since nothing else interrupts a regular expression. The memory is
the process's address space, since no list of dangerous operations is ever complete. A
signal waits for the C code that it interrupts: see `weighing`.
"""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import threading
import time
import warnings
from functools import cache
from typing import Any, ClassVar, Final, Self

SECONDS: Final = 1.0
"""Seconds that the conditions and templates of one trigger may take for one event."""
COMPILE_SECONDS: Final = 3.0
"""Seconds that compiling them may take besides, once for as long as the entry is cached."""
MEMORY: Final = 64 * 1024 * 1024
"""Bytes of address space that they may add to the process."""

_PAGE: Final = resource.getpagesize()
_ALARM: Final = signal.SIGALRM
_REPEAT_SECONDS: Final = 2.0
_MIN_SECONDS: Final = 0.001
_STACK_DEPTH: Final = 150
_MAIN_THREAD: Final = threading.main_thread().ident


class ThreadError(RuntimeError):
    """This is not the main thread, which alone receives signals."""


class _TimeUpError(BaseException):
    """Not an Exception: whatever runs must not mistake it for an error of its own."""


def _time_up(_signal: int, _frame: Any) -> None:
    raise _TimeUpError


_is_listening = False
_IGNORE_WARNINGS: Final = (("ignore", None, Warning, None, 0),)


class listening:  # noqa: N801 - as `bounded`
    """Install the alarm's handler for all of a block, so that each `bounded` need not.

    It takes longer to install and to remove than all else that `bounded` does.

    Warnings are ignored inside. What a template makes a library warn of, such as a time
    zone that dateutil does not know, would be printed outside of the log's format, and
    Python would keep its text for as long as the process lives.
    """

    __slots__ = ("_before", "_filters", "_is_outermost")

    def __enter__(self) -> None:
        global _is_listening  # noqa: PLW0603 - as is the signal handler that it tells of
        self._is_outermost = not _is_listening and _is_main_thread()
        if self._is_outermost:
            _grow_stack()
            _memory.start()
            # As `catch_warnings` does, which takes as long as all else here.
            self._filters, warnings.filters = warnings.filters, [*_IGNORE_WARNINGS]
            self._before = signal.signal(_ALARM, _time_up)
            _is_listening = True

    def __exit__(self, *_: object) -> None:
        global _is_listening  # noqa: PLW0603 - likewise
        if self._is_outermost:
            _is_listening = False
            signal.signal(_ALARM, self._before)
            warnings.filters = self._filters


class bounded:  # noqa: N801 - used as contextlib's are; as a generator it would take longer
    """Bound what runs inside, in wall time and in memory.

    Inside another `bounded`, the time of the outer one stands still.

    Args:
        seconds: Seconds that it may take.
        memory: Bytes of address space that it may add.

    Raises:
        TimeoutError: It took longer.
        MemoryError: It took more.
        ThreadError: This is not the main thread.
    """

    __slots__ = ("_address_space", "_listening", "_memory", "_outer", "_seconds")

    def __init__(self, seconds: float = SECONDS, memory: int = MEMORY) -> None:
        self._seconds = seconds
        self._memory = memory
        self._outer = 0.0
        self._listening: listening | None = None

    def __enter__(self) -> Self:
        if not _is_main_thread():
            raise ThreadError("templates and conditions run in the main thread alone")
        if not _is_listening:
            self._listening = listening()
            self._listening.__enter__()
        self._address_space = _memory.confine(self._memory)
        # Repeated, since Python swallows what is raised in a finalizer. Not so soon that
        # it comes while what was interrupted is still being cleared away.
        self._outer = signal.setitimer(signal.ITIMER_REAL, self._seconds, _REPEAT_SECONDS)[0]
        if not self._outer:
            compiling.left = COMPILE_SECONDS
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        is_late = kind is _TimeUpError
        try:
            self.lift()
        except _TimeUpError:
            self.lift()  # the alarm came in the middle of it
            is_late = True
        if self._listening:
            self._listening.__exit__(None, None, None)
        if is_late:
            raise TimeoutError(f"it took longer than {self._seconds:g} s") from None

    def lift(self) -> None:
        """Lift the bounds; to do so twice does no harm."""
        # First the memory: where it is used up, the rest may need some.
        _memory.set(self._address_space)
        signal.setitimer(signal.ITIMER_REAL, self._outer, _REPEAT_SECONDS if self._outer else 0)


class compiling(bounded):  # noqa: N801 - likewise
    """Bound compiling, for which all that one `bounded` runs has `COMPILE_SECONDS` together.

    Attributes:
        left: Seconds that are left of them.
        is_whole: Whether all of them were left for this.
    """

    __slots__ = ("_start", "is_whole")

    left: ClassVar[float] = COMPILE_SECONDS

    def __init__(self) -> None:
        is_outermost = not signal.getitimer(signal.ITIMER_REAL)[0]
        super().__init__(COMPILE_SECONDS if is_outermost else max(compiling.left, _MIN_SECONDS))

    def __enter__(self) -> Self:
        super().__enter__()
        self.is_whole = compiling.left == COMPILE_SECONDS
        self._start = time.monotonic()
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        compiling.left -= time.monotonic() - self._start
        super().__exit__(kind, *rest)


class _AddressSpace:
    """The limit of the process's address space, and how much of it is in use."""

    def __init__(self) -> None:
        self._limit = resource.getrlimit(resource.RLIMIT_AS)
        self._used = 0
        self._age = 0

    def start(self) -> None:
        """Ask the system for both anew."""
        self._limit = resource.getrlimit(resource.RLIMIT_AS)
        self._age = _MAX_AGE_RUNS

    def confine(self, memory: int) -> tuple[int, int]:
        """Limit it to what is in use and some more; return the limit before."""
        before = soft, hard = self._limit
        try:
            if self._age >= _MAX_AGE_RUNS:
                pages, _, _ = os.pread(_usage(os.getpid()), 32, 0).partition(b" ")
                self._used, self._age = int(pages) * _PAGE, 0
            self._age += 1
            limit = self._used + memory
            if soft == resource.RLIM_INFINITY or limit < soft:
                self.set((limit, hard))
        except (OSError, ValueError):
            pass  # as on an operator's laptop
        return before

    def set(self, limit: tuple[int, int]) -> None:
        """Set the limit."""
        resource.setrlimit(resource.RLIMIT_AS, limit)
        self._limit = limit


_MAX_AGE_RUNS: Final = 16
"""Runs after which the use of memory is read again, which takes as long as all else here.
What is kept of so many renderings is far less than `MEMORY`."""
_memory: Final = _AddressSpace()


@cache
def _usage(pid: int) -> int:
    """Open the file that tells how many pages a process uses; it stays open."""
    return os.open(f"/proc/{pid}/statm", os.O_RDONLY | os.O_CLOEXEC)


@cache
def _grow_stack() -> None:
    """Have the stack grow once, further than Python lets a template recurse.

    Where the address space is used up, a stack that must grow ends the process. Templates
    make it grow to 400 KB, this to 800.
    """

    def recurse(depth: int) -> int:
        return depth and sorted((depth - 1,), key=recurse)[0]  # noqa: FURB192 - it takes much of it

    with contextlib.suppress(RecursionError):
        recurse(_STACK_DEPTH)


def _is_main_thread() -> bool:
    return threading.get_ident() == threading.main_thread().ident
