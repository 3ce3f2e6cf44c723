"""A signal ends a command through its ``with`` blocks."""

import contextlib
import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from lava_s3trigger.cli.output.signals import (
    Interrupted,
    ending_in_order,
    interruptible,
    uninterrupted,
)

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@pytest.fixture(autouse=True)
def _not_ignored() -> Iterator[None]:
    """The shell of a job in the background, or nohup, has some signals ignored."""
    before = {number: signal.signal(number, signal.SIG_DFL) for number in SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", SIGNALS)
class TestASignal:
    """The signals that end a command."""

    def test_it_ends_the_block_with_the_status_that_a_shell_reports(self, number: int) -> None:
        with pytest.raises(Interrupted) as raised, interruptible():
            os.kill(os.getpid(), number)
        assert raised.value.code == 128 + number

    def test_a_second_one_does_not_interrupt_the_cleanup(self, number: int) -> None:
        done: list[str] = []

        class Cleanup:
            def close(self) -> None:
                for each in SIGNALS:
                    os.kill(os.getpid(), each)
                done.append("cleanup")

        with pytest.raises(Interrupted), interruptible(), contextlib.closing(Cleanup()):
            os.kill(os.getpid(), number)
        assert done == ["cleanup"]

    def test_it_waits_for_the_end_of_an_uninterrupted_block(self, number: int) -> None:
        done: list[str] = []

        def work() -> None:
            with uninterrupted():
                os.kill(os.getpid(), number)
                done.append("inside")
            done.append("after")

        with pytest.raises(Interrupted), interruptible():
            work()
        assert done == ["inside"]

    def test_one_that_was_ignored_before_stays_ignored(self, number: int) -> None:
        before = signal.signal(number, signal.SIG_IGN)
        try:
            with interruptible():
                os.kill(os.getpid(), number)
        finally:
            signal.signal(number, before)


@pytest.mark.parametrize("number", SIGNALS)
class TestEndingInOrder:
    """The first signal asks a block to end, and the second interrupts it."""

    def test_the_block_ends_when_it_is_ready(self, number: int) -> None:
        done: list[str] = []

        def work() -> None:
            with ending_in_order() as request:
                assert not request
                os.kill(os.getpid(), number)
                assert request
                done.append("the rest")

        with pytest.raises(Interrupted) as raised:
            work()
        assert (raised.value.code, done) == (128 + number, ["the rest"])

    def test_a_second_signal_does_not_wait(self, number: int) -> None:
        done: list[str] = []

        def work() -> None:
            with ending_in_order():
                os.kill(os.getpid(), number)
                os.kill(os.getpid(), number)
                done.append("the rest")

        with pytest.raises(Interrupted):
            work()
        assert done == []

    def test_an_error_is_not_hidden(self, number: int) -> None:
        def work() -> None:
            with ending_in_order():
                os.kill(os.getpid(), number)
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            work()


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("block", [interruptible, ending_in_order])
def test_the_handler_is_put_back(number: int, block: Any) -> None:
    before = signal.getsignal(number)
    with block():
        assert signal.getsignal(number) != before
    assert signal.getsignal(number) == before
