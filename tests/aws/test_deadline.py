"""How much of an invocation's time is left: docs/design.md#acknowledgement."""

from collections.abc import Callable
from types import SimpleNamespace

import pytest

from lava_s3trigger.aws.clients import MAX_CALL_SECONDS, MAX_READ_SECONDS
from lava_s3trigger.aws.deadline import MARGIN_SECONDS, UNLIMITED, Deadline, Reserve
from lava_s3trigger.errors import OutOfTimeError
from lava_s3trigger.templates.confinement import MAX_RUN_SECONDS
from tests.clock import Clock
from tests.tables import cases


def at(start: float, left: float, *, settle: float = 0.0) -> Deadline:
    """Return a deadline that started with some seconds, and has some left."""
    countdown = Clock(start)
    deadline = Deadline(countdown, settle=settle)
    countdown.now = left
    return deadline


@cases(
    ("start", "settle", "left", "needed", "expected"),
    {
        "more than enough": (60.0, 0.0, 30.0, 10.0, True),
        "just enough": (60.0, 0.0, 10.0 + MARGIN_SECONDS, 10.0, True),
        "too little": (60.0, 0.0, 9.9 + MARGIN_SECONDS, 10.0, False),
        "nothing left": (60.0, 0.0, 0.0, 10.0, False),
        "over": (60.0, 0.0, -1.0, 10.0, False),
        "nothing needed": (60.0, 0.0, MARGIN_SECONDS, 0.0, True),
        "nothing needed, too little left": (60.0, 0.0, 0.9 * MARGIN_SECONDS, 0.0, False),
        "half of a short timeout is usable, at its start": (3.0, 0.0, 3.0, 13.0, True),
        "half of a short timeout is usable": (3.0, 0.0, 1.66, 13.0, True),
        "later": (3.0, 0.0, 1.64, 13.0, False),
        "time is kept to settle": (60.0, 20.0, 31.0, 10.0, True),
        "time is kept to settle, too little": (60.0, 20.0, 30.9, 10.0, False),
        "half of a short timeout is kept to settle, at most": (20.0, 40.0, 15.0, 4.0, True),
        "half of a short timeout, too little": (20.0, 40.0, 14.9, 4.0, False),
        # By the time at the start, and not by what is left.
        "late in an invocation, as much is kept": (60.0, 20.0, 24.0, 10.0, False),
    },
)
def test_a_step_may_start_if_enough_time_is_left_for_it(
    start: float, settle: float, left: float, needed: float, *, expected: bool
) -> None:
    assert at(start, left, settle=settle).allows(needed) is expected


@cases(
    ("step", "takes", "following"),
    {
        "park": (Reserve.PARK, MAX_CALL_SECONDS, 0.0),
        "send": (Reserve.SEND, MAX_CALL_SECONDS, Reserve.PARK),
        "decide": (Reserve.DECIDE, MAX_RUN_SECONDS, Reserve.SEND),
        "read": (Reserve.READ, MAX_READ_SECONDS, Reserve.SEND),
        "claim": (Reserve.CLAIM, MAX_READ_SECONDS, Reserve.READ),
        "settle": (Reserve.SETTLE, MAX_READ_SECONDS, 0.0),
    },
)
def test_a_step_that_takes_its_longest_leaves_time_for_the_next(
    step: float, takes: float, following: float
) -> None:
    left = step + MARGIN_SECONDS
    assert at(300.0, left).allows(step)
    assert at(300.0, left - takes).allows(following)
    assert left - takes >= following + MARGIN_SECONDS


@cases(
    ("start", "left", "expected"),
    {
        "in the time that is kept": (300.0, Reserve.SETTLE + MARGIN_SECONDS, True),
        "too little": (300.0, Reserve.SETTLE + MARGIN_SECONDS - 0.1, False),
        "half of a short timeout is usable": (20.0, 10.6, True),
        "half of a short timeout, too little": (20.0, 10.4, False),
    },
)
def test_settling_may_use_the_time_that_is_kept_for_it(
    start: float, left: float, *, expected: bool
) -> None:
    deadline = at(start, left, settle=Reserve.SETTLE)
    assert deadline.allows_settling() is expected
    assert not deadline.allows(Reserve.PARK)


def test_the_error_names_the_step() -> None:
    at(60.0, 60.0).require(10.0, "reading lava.demo.jobs")
    with pytest.raises(
        OutOfTimeError, match=r"^too little time left for reading lava\.demo\.jobs$"
    ):
        at(60.0, 1.0).require(10.0, "reading lava.demo.jobs")


def test_the_context_of_lambda_counts_in_milliseconds() -> None:
    countdown = Clock(60_000)
    deadline = Deadline.of(SimpleNamespace(get_remaining_time_in_millis=countdown))
    assert deadline.left() == 60.0
    for left, expected in ((11_000, True), (10_999, False)):
        countdown.now = left
        assert deadline.allows(10.0) is expected


@cases(
    "make",
    {
        "no context": lambda: Deadline.of(None),
        "another context": lambda: Deadline.of(SimpleNamespace()),
        "unlimited": lambda: UNLIMITED,
        "default": lambda: Deadline(settle=20.0),
    },
)
def test_without_a_context_the_deadline_is_unlimited(make: Callable[[], Deadline]) -> None:
    deadline = make()
    deadline.require(1e9, "everything")
    assert (deadline.allows(1e9), deadline.allows_settling(), deadline.left()) == (True, True, None)
