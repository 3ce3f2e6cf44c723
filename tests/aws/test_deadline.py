"""How much of an invocation's time is left: docs/design.md#acknowledgement."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from lava_s3trigger.aws.deadline import MARGIN_SECONDS, UNLIMITED, Deadline
from lava_s3trigger.errors import OutOfTimeError

if TYPE_CHECKING:
    from collections.abc import Callable


class Countdown:
    """What is left of an invocation, in seconds."""

    def __init__(self, left: float) -> None:
        self.left = left

    def __call__(self) -> float:
        return self.left


class TestAllows:
    """Something may be started where enough time is left for it."""

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
        countdown = Countdown(60.0)
        deadline = Deadline(countdown)

        countdown.left = left

        assert deadline.allows(needed) is expected

    @pytest.mark.parametrize(
        ("left", "expected"),
        [
            pytest.param(3.0, True, id="at-the-start"),
            pytest.param(1.66, True, id="at-half-time"),
            pytest.param(1.64, False, id="later"),
        ],
    )
    def test_half_of_a_short_timeout_is_usable(self, left: float, *, expected: bool) -> None:
        countdown = Countdown(3.0)
        deadline = Deadline(countdown)

        countdown.left = left

        assert deadline.allows(13.0) is expected

    def test_each_check_reads_the_clock(self) -> None:
        countdown = Countdown(60.0)
        deadline = Deadline(countdown)

        assert deadline.allows(10.0)
        countdown.left = 5.0
        assert not deadline.allows(10.0)


class TestBefore:
    """Time is left for what comes after."""

    @pytest.mark.parametrize(("left", "expected"), [(31.0, True), (30.9, False)])
    def test_a_reserve_moves_the_deadline_forward(self, left: float, *, expected: bool) -> None:
        countdown = Countdown(60.0)
        deadline = Deadline(countdown).before(20.0)

        countdown.left = left

        assert deadline.allows(10.0) is expected

    def test_a_reserve_takes_at_most_half_of_a_short_timeout(self) -> None:
        countdown = Countdown(20.0)
        deadline = Deadline(countdown).before(40.0)

        assert deadline.left() == 10.0

    def test_a_reserve_keeps_the_start_of_the_invocation(self) -> None:
        """Late in an invocation, half of what is left is not half of a short timeout."""
        countdown = Countdown(60.0)
        deadline = Deadline(countdown)
        countdown.left = 24.0

        assert not deadline.before(20.0).allows(10.0)

    def test_an_unlimited_deadline_stays_unlimited(self) -> None:
        assert UNLIMITED.before(20.0).allows(1e9)

    def test_a_reserve_of_nothing_changes_nothing(self) -> None:
        deadline = Deadline(Countdown(60.0))

        assert deadline.before(0.0) is deadline


class TestRequire:
    """What is required and not allowed is an error that says what it was for."""

    def test_require_passes_if_time_is_left(self) -> None:
        Deadline(Countdown(60.0)).require(10.0, "reading lava.demo.jobs")

    def test_the_error_names_the_work(self) -> None:
        countdown = Countdown(60.0)
        deadline = Deadline(countdown)
        countdown.left = 1.0

        with pytest.raises(OutOfTimeError) as caught:
            deadline.require(10.0, "reading lava.demo.jobs")

        assert str(caught.value) == "too little time was left for reading lava.demo.jobs"


class TestLeft:
    """What is left is told, where anything limits it."""

    def test_the_time_left_is_that_of_the_clock(self) -> None:
        countdown = Countdown(60.0)
        deadline = Deadline(countdown)

        assert deadline.left() == 60.0
        countdown.left = 2.5
        assert deadline.left() == 2.5

    def test_the_time_left_is_in_seconds(self) -> None:
        context = SimpleNamespace(get_remaining_time_in_millis=Countdown(1500))

        assert Deadline.of(context).left() == 1.5

    def test_an_unlimited_deadline_stays_unlimited(self) -> None:
        assert UNLIMITED.left() is None


class TestOf:
    """The deadline of an invocation comes from its Lambda context."""

    def test_the_context_counts_in_milliseconds(self) -> None:
        countdown = Countdown(60_000)
        deadline = Deadline.of(SimpleNamespace(get_remaining_time_in_millis=countdown))

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
