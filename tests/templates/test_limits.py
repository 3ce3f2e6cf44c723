"""Bounds in time and memory."""

import contextlib
import os
import re
import signal
import sys
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple, Self

import pytest

from lava_s3trigger.errors import UserError
from lava_s3trigger.templates import limits
from lava_s3trigger.templates.documents import Document, variables
from lava_s3trigger.templates.limits import MEMORY, compile_bounded, listening, run_bounded
from lava_s3trigger.templates.weighing import MAX_MEMBERS
from tests.build import s3_event
from tests.processes import run_python
from tests.tables import cases

if sys.platform != "linux":
    pytest.skip("bounds hold on Linux, where Lambda runs", allow_module_level=True)

import resource
from collections.abc import Callable, Iterator

SHORT: Final = 0.05
MEBIBYTE: Final = 1024 * 1024
# Where a bound does not hold, a test must fail, and not run for ever.
GIVE_UP: Final = 10.0


def wait(seconds: float) -> None:
    """Let time pass, as what takes long does."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass


def run_on() -> None:
    """Run for longer than any bound."""
    wait(GIVE_UP)


def timer() -> tuple[float, float]:
    """Return the seconds that are left."""
    return signal.getitimer(signal.ITIMER_REAL)


def hog() -> None:
    """Take more memory than any bound, bit by bit."""
    taken = []
    # In bits for which the C library asks the system, and does not use what was freed.
    for _ in range(8):
        taken.append(bytearray(40 * MEBIBYTE))  # noqa: PERF401 - as a template does


class State(NamedTuple):
    """What of the process `run_bounded` changes."""

    handler: Any
    timer: tuple[float, float]
    memory: tuple[int, int]

    @classmethod
    def now(cls) -> Self:
        """Return the state that the process is in."""
        limit = resource.getrlimit(resource.RLIMIT_DATA)
        return cls(signal.getsignal(signal.SIGALRM), timer(), limit)


@pytest.fixture(autouse=True)
def before() -> Iterator[State]:
    """Handler, timer and limit: they are after each test as before; the handler is our own."""

    def own(_signal: int, _frame: Any) -> None:
        raise AssertionError

    handler = signal.signal(signal.SIGALRM, own)
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)
    state = State.now()
    yield state
    assert State.now() == state
    signal.signal(signal.SIGALRM, handler)


def in_another_thread(work: Callable[[], Any]) -> Any:
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(work).result()


class TestTime:
    """What takes longer is ended."""

    @pytest.mark.parametrize(
        "work",
        [run_on, lambda: re.match(r"(a+)+$", "a" * 28 + "b")],
        ids=["loop", "catastrophic regular expression"],
    )
    def test_what_takes_too_long_is_ended(self, work: Callable[[], object]) -> None:
        with pytest.raises(TimeoutError) as caught:
            run_bounded(work, SHORT)
        assert str(caught.value) == "it took longer than 0.05 s"

    def test_nothing_inside_can_mistake_it_for_an_error_of_its_own(self) -> None:
        seen = []

        def swallow() -> None:
            try:
                run_on()
            except Exception:  # noqa: BLE001 - as Jinja and rendering do
                seen.append("survived")
            finally:
                seen.append("cleaned up")

        with pytest.raises(TimeoutError):
            run_bounded(swallow, SHORT)

        assert seen == ["cleaned up"]

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

        with pytest.raises(TimeoutError):
            run_bounded(finalize, SHORT)

        assert swallowed
        swallowed.clear()

    def test_by_default_it_is_about_a_second(self) -> None:
        assert 0 < run_bounded(timer)[0] <= limits.SECONDS == 1.0


class TestMemory:
    """What takes more is ended."""

    @cases(
        "take",
        {
            "text": lambda: "x" * 10**9,
            "list": lambda: [0] * 10**9,
            "bytes": lambda: bytearray(2 * MEMORY),
            "number": lambda: 1 << 10**10,
            "format": lambda: f"{1:1000000000d}",
            "bit-by-bit": hog,
        },
    )
    def test_a_memory_hog_is_ended(self, take: Callable[[], object]) -> None:
        with pytest.raises(MemoryError):
            run_bounded(take, GIVE_UP)

    @cases(
        ("size", "bounds", "fits"),
        {
            "less than 64 MiB": (48, {}, True),
            "more": (1024, {}, False),
            "less than a bound of its own": (8, {"memory": 32 * MEBIBYTE}, True),
            "more than that": (1024, {"memory": 8 * MEBIBYTE}, False),
        },
    )
    def test_by_default_the_bound_is_64_mebibytes(
        self, size: int, bounds: dict[str, int], *, fits: bool
    ) -> None:
        taken = 0
        with contextlib.suppress(MemoryError):
            taken = run_bounded(lambda: len(bytearray(size * MEBIBYTE)), GIVE_UP, **bounds)
        assert taken == (size * MEBIBYTE if fits else 0)

    def test_the_bound_is_what_may_be_added_to_what_is_used(self) -> None:
        run_bounded(lambda: None, GIVE_UP)
        used = bytearray(2 * MEMORY)
        more = run_bounded(lambda: bytearray(MEMORY // 4), GIVE_UP)
        assert len(used) + len(more) == 2 * MEMORY + MEMORY // 4

    @pytest.mark.parametrize(
        ("above", "lowered"), [(16 * MEBIBYTE, False), (64 * MEMORY, True)], ids=["lower", "higher"]
    )
    def test_of_two_limits_the_lower_holds(self, above: int, *, lowered: bool) -> None:
        before = resource.getrlimit(resource.RLIMIT_DATA)
        pages = int(Path("/proc/self/statm").read_text().split()[5])
        own = (pages * resource.getpagesize() + above, before[1])
        resource.setrlimit(resource.RLIMIT_DATA, own)
        try:
            inside = run_bounded(lambda: resource.getrlimit(resource.RLIMIT_DATA), GIVE_UP)
            after = resource.getrlimit(resource.RLIMIT_DATA)
        finally:
            resource.setrlimit(resource.RLIMIT_DATA, before)

        assert (inside < own) is lowered
        assert after == own


class TestRestored:
    """Signal handler, timer and limit are afterwards as they were before."""

    def test_after_all_went_well(self, before: State) -> None:
        inside = run_bounded(State.now)

        assert State.now() == before
        assert inside.memory[1] == before.memory[1]
        assert not any(one == other for one, other in zip(inside, before, strict=True))

    def test_no_alarm_comes_late(self) -> None:
        run_bounded(lambda: None, 4 * SHORT)
        wait(6 * SHORT)  # an alarm would be an AssertionError of the tests' own handler


ALARMS: Final = int(os.environ.get("S3TRIGGER_ALARMS", "5000"))
"""How many renderings end about when their time does; a million take ten minutes."""
BRIEF: Final = 0.0003
LOOP: Final = Document("{% for _ in range(key) %}{% endfor %}")
KNOWN: Final = variables(s3_event())


def render_loop(rounds: int) -> None:
    LOOP.render({**KNOWN, "key": rounds})


def render_often(rounds: int) -> None:
    """Render what compiles something in each round, within the bounds of its own."""
    for _ in range(rounds // 4):
        compile_bounded(int)


class TestAlarm:
    """The alarm ends the work, and nothing but the work, whenever it comes."""

    @pytest.mark.parametrize("work", [render_loop, render_often])
    def test_none_escapes(self, before: State, work: Callable[[int], None]) -> None:
        work(1)
        rounds, late = 100, 0

        with listening():
            listens = State.now()
            for _ in range(ALARMS):
                try:
                    run_bounded(partial(work, rounds), BRIEF)
                except TimeoutError:
                    late += 1
                    rounds -= rounds // 50 + 1
                else:
                    rounds += rounds // 50 + 1  # so half of them end just before the alarm
                rounds = min(rounds, MAX_MEMBERS)
                assert State.now() == listens

        assert State.now() == before
        assert ALARMS // 10 < late < ALARMS

    def test_in_the_middle_of_itself_it_is_not_raised(self) -> None:
        """A process that is stopped meanwhile may get two at once."""

        def run() -> None:
            signal.raise_signal(signal.SIGALRM)

        handler: Any = run_bounded(lambda: signal.getsignal(signal.SIGALRM))
        with pytest.raises(TimeoutError):
            run_bounded(run, GIVE_UP)
        run_bounded(lambda: None, GIVE_UP)

        handler(signal.SIGALRM, sys._getframe())  # noqa: SLF001 - no work is under way

    def test_one_that_comes_between_two_bounds_is_not_lost(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """That of the outer one, just as the inner one begins."""

        def interrupted() -> bool:
            monkeypatch.undo()
            handler: Any = signal.getsignal(signal.SIGALRM)
            handler(signal.SIGALRM, sys._getframe(1))  # noqa: SLF001 - as Python calls it
            return True

        def run() -> None:
            monkeypatch.setattr(limits, "_is_main_thread", interrupted)
            run_bounded(lambda: None, GIVE_UP)

        with pytest.raises(TimeoutError):
            run_bounded(run, GIVE_UP)


class TestListening:
    """One block may listen for the alarms of many bounds; each holds as before."""

    def test_the_handler_stays_for_all_of_it_and_bounds_hold_inside_and_after(
        self, before: State
    ) -> None:
        with listening():
            inside = State.now()
            assert inside.handler != before.handler
            assert (inside.timer, inside.memory) == (before.timer, before.memory)
            for work, bound in ((run_on, SHORT), (hog, GIVE_UP), (run_on, SHORT)):
                with pytest.raises(TimeoutError if work is run_on else MemoryError):
                    run_bounded(work, bound)
                assert State.now() == inside
            assert run_bounded(State.now).handler == inside.handler
            with listening():
                assert State.now() == inside
            assert State.now() == inside
        assert State.now() == before

        with pytest.raises(TimeoutError):
            run_bounded(run_on, SHORT)

    def test_after_an_error_all_is_as_before(self) -> None:
        with pytest.raises(KeyError), listening():
            raise KeyError

    def test_warnings_inside_of_it_leave_nothing(self) -> None:
        registry: dict[Any, Any] = {}
        with warnings.catch_warnings(record=True, action="default") as seen:
            before = warnings.filters[:]

            def warn() -> None:
                warnings.warn_explicit("text", FutureWarning, __file__, 1, registry=registry)

            with listening():
                run_bounded(warn)

            assert warnings.filters == before
        assert seen == []
        assert "text" not in str(registry)

    def test_in_another_thread_it_does_not_listen(self, before: State) -> None:
        def run() -> State:
            with listening():
                return State.now()

        assert in_another_thread(run) == before


@pytest.mark.parametrize(
    "error",
    [
        *(ValueError("bad"), UserError("bad entry"), TimeoutError("its own")),
        *(MemoryError("its own"), SystemExit(1), KeyboardInterrupt()),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_is_raised_inside_passes_through_as_it_is(error: BaseException) -> None:
    def fail() -> None:
        raise error

    with pytest.raises(type(error)) as caught:
        run_bounded(fail)
    assert caught.value is error


class TestNested:
    """Inside of one bound, another may be set; the time of the outer one stands still."""

    def test_the_inner_one_may_be_longer(self) -> None:
        assert run_bounded(lambda: run_bounded(timer, 2 * GIVE_UP), GIVE_UP)[0] > GIVE_UP

    def test_afterwards_the_outer_one_goes_on(self) -> None:
        def run() -> None:
            run_bounded(lambda: wait(2 * SHORT), GIVE_UP)
            run_on()

        with pytest.raises(TimeoutError, match=r"longer than 0\.05 s"):
            run_bounded(run, SHORT)

    def test_the_inner_one_ends_what_is_in_it(self) -> None:
        def run() -> float:
            with pytest.raises(TimeoutError):
                run_bounded(run_on, SHORT)
            left, _ = timer()
            with pytest.raises(MemoryError):
                run_bounded(hog, GIVE_UP)
            return left

        assert 0 < run_bounded(run, GIVE_UP) <= GIVE_UP

    def test_compiling_shares_its_time(self) -> None:
        def run() -> float:
            compile_bounded(lambda: wait(10 * SHORT))
            left, _ = compile_bounded(timer)
            return left

        left = run_bounded(run, GIVE_UP)
        whole, _ = compile_bounded(timer)

        assert left <= limits.COMPILE_SECONDS - 10 * SHORT < whole

    def test_compiling_tells_whether_it_had_all_of_its_time(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(limits, "COMPILE_SECONDS", 2 * SHORT)

        def run() -> None:
            compile_bounded(lambda: None)  # takes some of it, however little
            compile_bounded(run_on)

        with pytest.raises(limits.CompileTimeoutError):
            run_bounded(lambda: compile_bounded(run_on), GIVE_UP)
        with pytest.raises(TimeoutError) as caught:
            run_bounded(run, GIVE_UP)

        assert not isinstance(caught.value, limits.CompileTimeoutError)


def test_in_another_thread_nothing_runs() -> None:
    def run() -> str:
        with pytest.raises(limits.ThreadError) as caught:
            run_bounded(lambda: pytest.fail("it ran"), SHORT)
        return str(caught.value)

    assert in_another_thread(run) == "templates and conditions run only in the main thread"


_USE_UP: Final = """
from lava_s3trigger.templates.documents import Document
from lava_s3trigger.templates.limits import run_bounded
cells = [[None] for _ in range(1_000_000)]
def use_up(number=1000):
    blocks = []
    try:
        while True:
            blocks.append("x" * 100_000)
    except MemoryError:
        pass
    for cell in cells:
        cell[0] = number + number
document = Document("{{ use_up() }}")
try:
    run_bounded(lambda: document.render({"use_up": use_up}), 60.0, 8 << 20)
except Exception as error:
    cells.clear()
    print(error)
"""


def test_where_no_number_fits_into_memory_a_rendering_ends() -> None:
    """Jinja's own call of a function lets CPython loop forever then, without a look at signals."""
    assert run_python("-c", _USE_UP).stdout == "it takes too much memory\n"
