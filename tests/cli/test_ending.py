"""A signal ends a command through its ``with`` blocks."""

from __future__ import annotations

import contextlib
import os
import signal
from typing import TYPE_CHECKING

import pytest

from lava_s3trigger.cli.ending import Interrupted, interruptible, uninterrupted

if TYPE_CHECKING:
    from collections.abc import Iterator

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

    def test_its_handler_is_put_back(self, number: int) -> None:
        before = signal.getsignal(number)
        with interruptible():
            assert signal.getsignal(number) != before
        assert signal.getsignal(number) == before
