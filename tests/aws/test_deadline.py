"""How much of an invocation's time is left: docs/design.md#acknowledgement."""

from collections.abc import Callable
from types import SimpleNamespace

import pytest

from lava_s3trigger.aws.clients import MAX_CALL_SECONDS, MAX_READ_SECONDS
from lava_s3trigger.aws.deadline import MARGIN_SECONDS, UNLIMITED, Deadline, Reserve
from lava_s3trigger.errors import OutOfTimeError
from lava_s3trigger.templates.confinement import MAX_RUN_SECONDS


class Countdown:
    """A clock that counts down the seconds of an invocation."""

    def __init__(self, left: float) -> None:
        self.left = left

    def __call__(self) -> float:
        return self.left


def at(start: float, left: float, *, settle: float = 0.0) -> Deadline:
    """Return a deadline that started with some seconds, and has some left."""
    countdown = Countdown(start)
    deadline = Deadline(countdown, settle=settle)
    countdown.left = left
    return deadline


class TestAllows:
    """A step may start if enough time is left for it."""

    @pytest.mark.parametrize(
        ("left", "needed", "expected"),
        [
            pytest.param(30.0, 10.0, True, id="more-than-enough"),
            pytest.param(10.0 + MARGIN_SECONDS, 10.0, True, id="just-enough"),
            pytest.param(9.9 + MARGIN_SECONDS, 10.0, False, id="too-little"),
            pytest.param(0.0, 10.0, False, id="nothing-left"),
            pytest.param(-1.0, 10.0, False, id="over"),
            pytest.param(MARGIN_SECONDS, 0.0, True, id="nothing-needed"),
            pytest.param(0.9 * MARGIN_SECONDS, 0.0, False, id="not-even-that"),
        ],
    )
    def test_work_is_allowed_if_enough_time_is_left(
        self, left: float, needed: float, *, expected: bool
    ) -> None:
        assert at(60.0, left).allows(needed) is expected

    @pytest.mark.parametrize(
        ("left", "expected"),
        [
            pytest.param(3.0, True, id="at-the-start"),
            pytest.param(1.66, True, id="at-half-time"),
            pytest.param(1.64, False, id="later"),
        ],
    )
    def test_half_of_a_short_timeout_is_usable(self, left: float, *, expected: bool) -> None:
        assert at(3.0, left).allows(13.0) is expected


@pytest.mark.parametrize(
    ("step", "takes", "following"),
    [
        pytest.param(Reserve.PARK, MAX_CALL_SECONDS, 0.0, id="park"),
        pytest.param(Reserve.SEND, MAX_CALL_SECONDS, Reserve.PARK, id="send"),
        pytest.param(Reserve.DECIDE, MAX_RUN_SECONDS, Reserve.SEND, id="decide"),
        pytest.param(Reserve.READ, MAX_READ_SECONDS, Reserve.SEND, id="read"),
        pytest.param(Reserve.CLAIM, MAX_READ_SECONDS, Reserve.READ, id="claim"),
        pytest.param(Reserve.SETTLE, MAX_READ_SECONDS, 0.0, id="settle"),
    ],
)
def test_a_step_that_takes_its_longest_leaves_time_for_the_next(
    step: float, takes: float, following: float
) -> None:
    countdown = Countdown(300.0)
    deadline = Deadline(countdown)
    countdown.left = step + MARGIN_SECONDS

    assert deadline.allows(step)
    countdown.left -= takes
    assert deadline.allows(following)
    assert countdown.left >= following + MARGIN_SECONDS


class TestSettling:
    """Time is reserved to settle events in the table, which is the last step."""

    @pytest.mark.parametrize(("left", "expected"), [(31.0, True), (30.9, False)])
    def test_steps_leave_that_time(self, left: float, *, expected: bool) -> None:
        assert at(60.0, left, settle=20.0).allows(10.0) is expected

    @pytest.mark.parametrize("spare", [0.0, -0.1])
    def test_settling_may_use_that_time(self, spare: float) -> None:
        deadline = at(300.0, Reserve.SETTLE + MARGIN_SECONDS + spare, settle=Reserve.SETTLE)

        assert deadline.allows_settling() is (spare >= 0)
        assert not deadline.allows(Reserve.PARK)

    @pytest.mark.parametrize(
        ("left", "expected"), [(20.0, True), (10.0 + 1.0 + 4.0, True), (14.9, False)]
    )
    def test_at_most_half_of_a_short_timeout_is_reserved(
        self, left: float, *, expected: bool
    ) -> None:
        assert at(20.0, left, settle=40.0).allows(4.0) is expected

    @pytest.mark.parametrize(("left", "expected"), [(10.6, True), (10.4, False)])
    def test_half_of_a_short_timeout_is_usable_to_settle(
        self, left: float, *, expected: bool
    ) -> None:
        assert at(20.0, left, settle=Reserve.SETTLE).allows_settling() is expected

    def test_late_in_an_invocation_the_windows_stay(self) -> None:
        """They are set by the time at the start, and not by what is left."""
        assert not at(60.0, 24.0, settle=20.0).allows(10.0)

    def test_without_a_limit_there_is_time_to_settle(self) -> None:
        assert UNLIMITED.allows_settling()
        assert Deadline(settle=20.0).allows_settling()


def test_the_error_names_the_step() -> None:
    at(60.0, 60.0).require(10.0, "reading lava.demo.jobs")

    with pytest.raises(OutOfTimeError) as caught:
        at(60.0, 1.0).require(10.0, "reading lava.demo.jobs")

    assert str(caught.value) == "too little time left for reading lava.demo.jobs"


def test_without_a_limit_the_time_left_is_unknown() -> None:
    assert UNLIMITED.left() is None


class TestOf:
    """The deadline of an invocation comes from its Lambda context."""

    def test_the_context_counts_in_milliseconds(self) -> None:
        countdown = Countdown(60_000)
        deadline = Deadline.of(SimpleNamespace(get_remaining_time_in_millis=countdown))

        assert deadline.left() == 60.0
        countdown.left = 11_000
        assert deadline.allows(10.0)
        countdown.left = 10_999
        assert not deadline.allows(10.0)

    @pytest.mark.parametrize(
        "make",
        [
            pytest.param(lambda: Deadline.of(None), id="no-context"),
            pytest.param(lambda: Deadline.of(SimpleNamespace()), id="another-context"),
            pytest.param(lambda: UNLIMITED, id="unlimited"),
            pytest.param(Deadline, id="default"),
        ],
    )
    def test_without_a_context_the_deadline_is_unlimited(
        self, make: Callable[[], Deadline]
    ) -> None:
        deadline = make()

        assert deadline.allows(1e9)
        deadline.require(1e9, "everything")
