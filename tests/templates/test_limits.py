"""Bounds in time and memory."""

from __future__ import annotations

import contextlib
import re
import signal
import sys
import threading
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from lava_s3trigger.errors import UserError
from lava_s3trigger.templates.limits import (
    COMPILE_SECONDS,
    MEMORY,
    SECONDS,
    ThreadError,
    bounded,
    compiling,
    listening,
)

if sys.platform != "linux":
    pytest.skip("bounds hold on Linux, where Lambda runs", allow_module_level=True)

import resource

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SHORT: Final = 0.05
MEBIBYTE: Final = 1024 * 1024
# Where a bound does not hold, a test must fail, and not run for ever.
GIVE_UP: Final = 10.0


def run_on() -> None:
    """Run for longer than any bound."""
    end = time.monotonic() + GIVE_UP
    while time.monotonic() < end:
        pass


def hog() -> None:
    """Take more memory than any bound, bit by bit."""
    taken = []
    # In bits for which the C library asks the system, and does not use what was freed.
    for _ in range(8):
        taken.append(bytearray(40 * MEBIBYTE))  # noqa: PERF401 - as a template does


class State:
    """What of the process `bounded` changes."""

    def __init__(self) -> None:
        self.handler = signal.getsignal(signal.SIGALRM)
        self.timer = signal.getitimer(signal.ITIMER_REAL)
        self.address_space = resource.getrlimit(resource.RLIMIT_AS)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, State) and vars(self) == vars(other)

    __hash__ = None  # type: ignore[assignment]


@pytest.fixture(autouse=True)
def _handler() -> Iterator[None]:
    """Have a handler of the tests' own, and no timer."""

    def own(_signal: int, _frame: Any) -> None:
        raise AssertionError

    before = signal.signal(signal.SIGALRM, own)
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)
    yield
    signal.signal(signal.SIGALRM, before)


class TestTime:
    """What takes longer is ended."""

    def test_an_endless_loop_is_ended(self) -> None:
        with pytest.raises(TimeoutError), bounded(SHORT):
            run_on()

    def test_a_catastrophic_regular_expression_is_ended(self) -> None:
        started = time.monotonic()

        with pytest.raises(TimeoutError), bounded(SHORT):
            re.match(r"(a+)+$", "a" * 28 + "b")

        assert time.monotonic() - started < GIVE_UP

    def test_an_endless_iterator_is_ended(self) -> None:
        def endless() -> Iterator[int]:
            end = time.monotonic() + GIVE_UP
            while time.monotonic() < end:
                yield 1

        with pytest.raises(TimeoutError), bounded(SHORT):
            sum(endless())

    def test_the_message_says_how_long_it_might_take(self) -> None:
        with pytest.raises(TimeoutError) as caught, bounded(SHORT):
            run_on()

        assert str(caught.value) == "it took longer than 0.05 s"

    def test_nothing_inside_can_mistake_it_for_an_error_of_its_own(self) -> None:
        survived = False

        def swallow() -> None:
            nonlocal survived
            try:
                run_on()
            except Exception:  # noqa: BLE001 - as Jinja and rendering do
                survived = True

        with pytest.raises(TimeoutError), bounded(SHORT):
            swallow()

        assert not survived

    def test_a_finalizer_that_swallows_it_does_not_escape(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        class Sticky:
            def __del__(self) -> None:
                run_on()

        swallowed: list[object] = []
        monkeypatch.setattr(sys, "unraisablehook", swallowed.append)

        def finalize() -> None:
            Sticky()
            run_on()

        with pytest.raises(TimeoutError), bounded(SHORT):
            finalize()

        assert swallowed
        swallowed.clear()

    def test_cleaning_up_is_done_on_the_way_out(self) -> None:
        done = []

        def clean_up() -> None:
            try:
                run_on()
            finally:
                done.append("cleaned up")

        with pytest.raises(TimeoutError), bounded(SHORT):
            clean_up()

        assert done == ["cleaned up"]

    def test_what_is_quick_enough_is_not_ended(self) -> None:
        with bounded(GIVE_UP):
            total = sum(range(1000))

        assert total == 499_500

    def test_by_default_it_is_about_a_second(self) -> None:
        assert SECONDS == 1.0

        with bounded():
            left, _ = signal.getitimer(signal.ITIMER_REAL)

        assert 0 < left <= 1.0


class TestMemory:
    """What takes more is ended."""

    @pytest.mark.parametrize(
        "take",
        [
            pytest.param(lambda: "x" * 10**9, id="text"),
            pytest.param(lambda: [0] * 10**9, id="list"),
            pytest.param(lambda: bytearray(2 * MEMORY), id="bytes"),
            pytest.param(lambda: 1 << 10**10, id="number"),
            pytest.param(lambda: f"{1:1000000000d}", id="format"),
            pytest.param(hog, id="bit-by-bit"),
        ],
    )
    def test_a_memory_hog_is_ended(self, take: Callable[[], object]) -> None:
        with pytest.raises(MemoryError), bounded(GIVE_UP):
            take()

    def test_what_is_small_enough_is_not_ended(self) -> None:
        with bounded(GIVE_UP, memory=32 * MEBIBYTE):
            taken = bytearray(8 * MEBIBYTE)

        assert len(taken) == 8 * MEBIBYTE

    def test_the_bound_may_be_chosen(self) -> None:
        with pytest.raises(MemoryError), bounded(GIVE_UP, memory=8 * MEBIBYTE):
            # More than is ever free in what the process has already.
            bytearray(1024 * MEBIBYTE)

    @pytest.mark.parametrize(
        ("size", "expected"),
        [pytest.param(48, True, id="less"), pytest.param(1024, False, id="more")],
    )
    def test_by_default_it_is_64_mebibytes(self, size: int, *, expected: bool) -> None:
        fits = False
        with contextlib.suppress(MemoryError), bounded(GIVE_UP):
            fits = len(bytearray(size * MEBIBYTE)) > 0

        assert fits is expected

    def test_afterwards_there_is_as_much_as_before(self) -> None:
        with bounded(GIVE_UP):
            pass

        assert len(bytearray(2 * MEMORY)) == 2 * MEMORY

    def test_the_bound_is_what_may_be_added_to_what_is_used(self) -> None:
        used = bytearray(2 * MEMORY)

        with bounded(GIVE_UP):
            more = bytearray(MEMORY // 4)

        assert len(used) + len(more) == 2 * MEMORY + MEMORY // 4

    @pytest.mark.parametrize(
        ("above", "lowered"),
        [
            pytest.param(16 * MEBIBYTE, False, id="lower"),
            pytest.param(64 * MEMORY, True, id="higher"),
        ],
    )
    def test_of_two_limits_the_lower_holds(self, above: int, *, lowered: bool) -> None:
        before = resource.getrlimit(resource.RLIMIT_AS)
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        own = (pages * resource.getpagesize() + above, before[1])
        resource.setrlimit(resource.RLIMIT_AS, own)
        try:
            with bounded(GIVE_UP):
                inside = resource.getrlimit(resource.RLIMIT_AS)
            after = resource.getrlimit(resource.RLIMIT_AS)
        finally:
            resource.setrlimit(resource.RLIMIT_AS, before)

        assert (inside < own) is lowered
        assert after == own


def _fail(error: BaseException) -> None:
    raise error


class TestRestored:
    """Signal handler, timer and limit are afterwards as they were before."""

    @pytest.mark.parametrize(
        ("body", "seconds", "expected"),
        [
            pytest.param(run_on, SHORT, TimeoutError, id="time-is-up"),
            pytest.param(hog, GIVE_UP, MemoryError, id="memory-is-used-up"),
            pytest.param(lambda: _fail(KeyError("x")), GIVE_UP, KeyError, id="error"),
            pytest.param(
                lambda: _fail(KeyboardInterrupt()), GIVE_UP, KeyboardInterrupt, id="interrupt"
            ),
        ],
    )
    def test_after_an_end_before_time(
        self, body: Callable[[], None], seconds: float, expected: type[BaseException]
    ) -> None:
        before = State()

        with pytest.raises(expected), bounded(seconds):
            body()

        assert State() == before

    def test_after_all_went_well(self) -> None:
        before = State()

        with bounded():
            inside = State()

        assert State() == before
        assert inside.handler != before.handler
        assert inside.timer != before.timer
        assert inside.address_space != before.address_space
        assert inside.address_space[1] == before.address_space[1]

    def test_a_thousand_times(self) -> None:
        before = State()

        for _ in range(1000):
            with bounded():
                pass

        assert State() == before

    def test_no_alarm_comes_late(self) -> None:
        with bounded(SHORT):
            pass

        end = time.monotonic() + 4 * SHORT
        while time.monotonic() < end:
            pass  # an alarm would be an AssertionError of the tests' own handler


class TestListening:
    """One block may listen for the alarms of many bounds; each holds as before."""

    def test_bounds_hold_inside_of_it(self) -> None:
        with listening():
            with pytest.raises(TimeoutError), bounded(SHORT):
                run_on()
            with pytest.raises(MemoryError), bounded(GIVE_UP):
                hog()
            with pytest.raises(TimeoutError), bounded(SHORT):
                run_on()

    def test_the_handler_stays_for_all_of_it(self) -> None:
        before = State()

        with listening():
            handlers = [State().handler]
            for _ in range(3):
                with bounded():
                    handlers.append(State().handler)
                handlers.append(State().handler)
                assert State().timer == before.timer
                assert State().address_space == before.address_space

        assert len(set(handlers)) == 1
        assert handlers[0] != before.handler
        assert State() == before

    def test_after_an_error_all_is_as_before(self) -> None:
        before = State()

        with pytest.raises(KeyError), listening():
            raise KeyError

        assert State() == before

    def test_warnings_inside_of_it_leave_nothing(self) -> None:
        registry: dict[Any, Any] = {}
        with warnings.catch_warnings(record=True, action="default") as seen:
            before = warnings.filters[:]

            with listening(), bounded():
                warnings.warn_explicit("text", FutureWarning, __file__, 1, registry=registry)

            assert warnings.filters == before
        assert seen == []
        assert "text" not in str(registry)

    def test_after_it_bounds_hold_as_ever(self) -> None:
        before = State()
        with listening():
            pass

        with pytest.raises(TimeoutError), bounded(SHORT):
            run_on()

        assert State() == before

    def test_one_inside_of_another_changes_nothing(self) -> None:
        before = State()

        with listening():
            with listening():
                inside = State()
            assert State() == inside
            with pytest.raises(TimeoutError), bounded(SHORT):
                run_on()

        assert State() == before

    def test_in_another_thread_it_does_not_listen(self) -> None:
        before = State()
        inside: list[State] = []

        def run() -> None:
            with listening():
                inside.append(State())

        thread = threading.Thread(target=run)
        thread.start()
        thread.join()

        assert inside == [before]


class TestErrors:
    """What is raised inside passes through."""

    @pytest.mark.parametrize(
        "error",
        [
            ValueError("bad"),
            UserError("bad entry"),
            TimeoutError("its own"),
            MemoryError("its own"),
            SystemExit(1),
            KeyboardInterrupt(),
        ],
        ids=lambda error: type(error).__name__,
    )
    def test_it_passes_through_as_it_is(self, error: BaseException) -> None:
        with pytest.raises(type(error)) as caught, bounded():
            raise error

        assert caught.value is error


class TestNested:
    """Inside of one bound, another may be set; the time of the outer one stands still."""

    def test_the_inner_one_may_be_longer(self) -> None:
        with bounded(GIVE_UP), bounded(2 * GIVE_UP):
            left, _ = signal.getitimer(signal.ITIMER_REAL)

        assert left > GIVE_UP

    def test_afterwards_the_outer_one_goes_on(self) -> None:
        def run() -> None:
            with bounded(GIVE_UP):
                wait(2 * SHORT)
            run_on()

        with pytest.raises(TimeoutError, match=r"longer than 0\.05 s"), bounded(SHORT):
            run()

    def test_the_inner_one_ends_what_is_in_it(self) -> None:
        with bounded(GIVE_UP):
            with pytest.raises(TimeoutError), bounded(SHORT):
                run_on()
            left, _ = signal.getitimer(signal.ITIMER_REAL)
            with pytest.raises(MemoryError), bounded(GIVE_UP):
                hog()

        assert 0 < left <= GIVE_UP

    def test_compiling_shares_its_time(self) -> None:
        with bounded(GIVE_UP):
            with compiling() as first:
                wait(SHORT)
            with compiling() as second:
                left, _ = signal.getitimer(signal.ITIMER_REAL)
        with compiling() as third:
            whole, _ = signal.getitimer(signal.ITIMER_REAL)

        assert (first.is_whole, second.is_whole, third.is_whole) == (True, False, True)
        assert left <= COMPILE_SECONDS - SHORT
        assert whole > COMPILE_SECONDS - SHORT


def wait(seconds: float) -> None:
    """Let time pass, as what takes long does."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass


class TestThreads:
    """Outside of the main thread, which alone receives signals, nothing runs."""

    def test_it_is_an_error_there(self) -> None:
        before = State()
        found: list[Any] = []

        def run() -> None:
            try:
                with bounded(SHORT):
                    found.append("it ran")
            except ThreadError as error:
                found.append(str(error))

        thread = threading.Thread(target=run)
        thread.start()
        thread.join()

        assert found == ["templates and conditions run in the main thread alone"]
        assert State() == before
