"""A replay sends all that it can, each object once, and knows what became of each."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import Any, Final

import pytest

from lava_s3trigger.cli.output.progress import Progress
from lava_s3trigger.cli.replay import send
from lava_s3trigger.cli.replay.send import Replayer
from lava_s3trigger.cli.replay.state import PlannedObject, ReplayState, Settled, Status
from lava_s3trigger.cli.replay.ways import HandoverError, Problem
from tests.tables import cases

OBJECTS: Final = 100
SAID: Final = "said by the test"
LEFT: Final = {"SENT": 10, "TO_SEND": OBJECTS - 10}


class ScriptedWay:
    """A way on which a test says what becomes of each call.

    Args:
        script: Is called with the keys of each call; it may raise, and return outcomes in
            place of success.
    """

    max_records = 10

    def __init__(self, script: Callable[[list[str]], list[Settled] | None]) -> None:
        self._script = script
        self._lock = threading.Lock()
        self.arrived: Counter[str] = Counter()
        self.calls: list[list[str]] = []

    def fitting(self, objects: Sequence[PlannedObject]) -> int:
        return min(len(objects), self.max_records)

    def send(self, objects: Sequence[PlannedObject]) -> list[Settled]:
        with self._lock:
            keys = [each.key for each in objects]
            self.calls.append(keys)
            told = self._script(keys)
            if told is not None:
                return told
            self.arrived.update(keys)
            return [Settled(each.id, Status.SENT) for each in objects]


@pytest.fixture
def state(tmp_path: Path) -> Iterator[ReplayState]:
    with closing(ReplayState(tmp_path / "x")) as made:
        rows = (("b", f"k{number:02}", 1, 1.0, "x") for number in range(OBJECTS))
        assert sum(made.add(rows)) == OBJECTS
        yield made


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Try again and look again at once."""
    monkeypatch.setattr(send, "_FIRST_WAIT_SECONDS", 0.0)
    monkeypatch.setattr(send, "_TICK_SECONDS", 0.001)


def run(state: ReplayState, way: ScriptedWay, **changes: Any) -> Replayer:
    pace = {"rate": None, "concurrency": 3, "is_to_end": lambda: False}
    replayer = Replayer(state, way, progress=Progress("x"), **pace | changes)
    replayer.run()
    return replayer


def numbers(state: ReplayState) -> dict[str, int]:
    return {status.name: number for status, number in state.numbers().items() if number}


def failing(problem: Problem, *keys: str, times: int | None = None) -> ScriptedWay:
    """Return a way on which calls with one of the keys fail: so many times, or always."""
    failures = count() if times is None else iter(range(times))

    def script(called: list[str]) -> None:
        if {*keys} & {*called} and next(failures, None) is not None:
            raise HandoverError(problem, SAID)

    return ScriptedWay(script)


class TestOutcomes:
    """What a call comes to decides what its objects are."""

    def test_a_refused_payload_is_halved_until_the_object_is_found(
        self, state: ReplayState
    ) -> None:
        way = failing(Problem.CONTENT, "k13", "k57")
        run(state, way)
        assert numbers(state) == {"SENT": OBJECTS - 2, "FAILED": 2}
        failed = [(each.key, each.reason) for each in state.objects(Status.FAILED)]
        assert failed == [("k13", SAID), ("k57", SAID)]
        assert {*way.arrived.values()} == {1}

    @cases(
        ("problem", "times", "stopped", "expected", "calls"),
        {
            "busy for a while": (Problem.BUSY, 3, None, {"SENT": OBJECTS}, 13),
            "busy for good": (Problem.BUSY, None, SAID, LEFT, 1 + send.MAX_TRIES),
            "not permitted": (Problem.STOP, None, SAID, LEFT, 2),
            "lost": (Problem.LOST, None, None, {"SENT": OBJECTS - 10, "UNKNOWN": 10}, 10),
        },
    )
    def test_a_problem_loses_nothing_and_nothing_is_sent_twice(  # noqa: PLR0917 - a table
        self,
        state: ReplayState,
        problem: Problem,
        times: int | None,
        stopped: str | None,
        expected: dict[str, int],
        calls: int,
    ) -> None:
        way = failing(problem, "k13", times=times)
        assert run(state, way, concurrency=1).stopped == stopped
        assert (numbers(state), len(way.calls)) == (expected, calls)
        assert {*way.arrived.values()} == {1}

        way = ScriptedWay(lambda _: None)
        assert run(state, way).stopped is None
        left = expected.get("TO_SEND", 0)
        assert len(way.arrived) == left
        assert numbers(state)["SENT"] == expected["SENT"] + left

    def test_entries_fail_by_themselves(self, state: ReplayState) -> None:
        tries: Counter[str] = Counter()

        def outcome(key: str) -> tuple[Status, str | None]:
            if key == "k13":
                return Status.FAILED, "bad"
            if key == "k15" or (key == "k14" and tries[key] < 3):
                return Status.TO_SEND, "never"
            return Status.SENT, None

        def script(keys: list[str]) -> list[Settled] | None:
            tries.update(keys)
            return [Settled(int(key[1:]) + 1, *outcome(key)) for key in keys]

        run(state, ScriptedWay(script))
        assert numbers(state) == {"SENT": OBJECTS - 2, "FAILED": 2}
        assert [each.reason for each in state.objects(Status.FAILED)] == ["bad", "never"]
        assert (tries["k14"], tries["k13"], tries["k12"]) == (3, 1, 1)

    def test_a_defect_shows_and_what_it_met_is_unknown(self, state: ReplayState) -> None:
        def script(_: list[str]) -> None:
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            run(state, ScriptedWay(script), concurrency=1)
        assert numbers(state) == {"UNKNOWN": 10, "TO_SEND": OBJECTS - 10}


class TestPace:
    """A replay keeps to its rate, and ends when it is asked to."""

    def test_a_batch_is_no_larger_than_a_second_of_the_rate(self, state: ReplayState) -> None:
        clock = [0.0]
        way = ScriptedWay(lambda _: None)

        def now() -> float:
            clock[0] += 0.01
            return clock[0]

        run(state, way, rate=4, clock=now)
        assert {*map(len, way.calls)} == {4}
        # The last batch begins when those before it have had their time.
        assert clock[0] >= (OBJECTS - 4) / 4

    def test_asked_to_end_it_does_not_wait_for_a_busy_service(
        self, state: ReplayState, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(send, "_FIRST_WAIT_SECONDS", 0.02)
        way = failing(Problem.BUSY, "k13")
        replayer = run(state, way, concurrency=1, is_to_end=lambda: len(way.calls) >= 3)
        assert replayer.stopped is None
        assert numbers(state) == LEFT
