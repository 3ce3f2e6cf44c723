"""Ends a command on a signal through its ``with`` blocks, so that they clean up."""

from __future__ import annotations

import contextlib
import signal
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextlib.contextmanager
def _received_by(receive: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Pass signals to a function inside the block, except those ignored before, as by nohup."""
    before = {
        number: signal.signal(number, receive)
        for number in _SIGNALS
        if signal.getsignal(number) is not signal.SIG_IGN
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class Interrupted(SystemExit):
    """A signal asked the command to end. The exit status is the one that a shell reports."""

    def __init__(self, number: int) -> None:
        super().__init__(128 + number)


class _Signals:
    """The signal that arrived, and whether it may interrupt now."""

    received: int | None = None
    is_deferred: bool = False


def _receive(number: int, _frame: FrameType | None) -> None:
    # Further signals must not interrupt the cleanup that this one starts.
    for handled in _SIGNALS:
        signal.signal(handled, signal.SIG_IGN)
    _Signals.received = number
    if not _Signals.is_deferred:
        raise Interrupted(number)


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Make SIGINT, SIGTERM and SIGHUP raise ``Interrupted`` inside the block, once.

    A signal that was ignored before, as by nohup, stays ignored.
    """
    _Signals.received = None
    with _received_by(_receive):
        yield


class Request:
    """Whether a signal has asked a block of `ending_in_order` to end."""

    number: int | None = None

    def __bool__(self) -> bool:
        return self.number is not None


@contextlib.contextmanager
def ending_in_order() -> Iterator[Request]:
    """Let the first signal only ask the block to end; a second one interrupts it.

    For work that must record the outcome of each step. After the first signal, `Interrupted` is
    raised at the end of the block.
    """
    request = Request()

    def receive(number: int, _frame: FrameType | None) -> None:
        if request:
            raise Interrupted(number)
        request.number = number

    with _received_by(receive):
        yield request
    if request.number is not None:
        raise Interrupted(request.number)


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """Defer the signals of ``interruptible`` to the end of the block.

    For what would be left behind if a signal came after making it and before recording it.
    """
    _Signals.is_deferred = True
    try:
        yield
    finally:
        _Signals.is_deferred = False
        if _Signals.received is not None:
            raise Interrupted(_Signals.received)
