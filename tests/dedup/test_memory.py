"""Recent events that one instance of the function remembers."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import pytest

from lava_s3trigger.dedup.protocol import Admission, RecentEvents
from lava_s3trigger.events import RedriveTarget, S3Event

if TYPE_CHECKING:
    from tests.clock import Clock

TTL: Final = 30.0
EVENT: Final = S3Event(
    bucket="my-bucket",
    key="a/b/c",
    size=10,
    event_time=datetime(2026, 3, 14, tzinfo=UTC),
    event_type="ObjectCreated:Put",
    source_ip=None,
    aws_region="eu-west-1",
    record={"s3": {"object": {"sequencer": "1"}}},
)


@pytest.fixture(name="recent")
def _recent(clock: Clock) -> RecentEvents:
    recent = RecentEvents(10, TTL, clock)
    recent.start()
    return recent


def finish(recent: RecentEvents, event: S3Event) -> None:
    """Have an event done in an invocation of its own."""
    recent.start()
    assert not recent.begin(event).skip
    recent.done(event)
    recent.start()


class TestDedupKey:
    """Two are duplicates where bucket, key, size and event type agree."""

    def test_the_same_event_is_a_duplicate(self, recent: RecentEvents) -> None:
        finish(recent, EVENT)

        assert recent.begin(EVENT).skip

    @pytest.mark.parametrize(
        "change",
        [
            pytest.param({"bucket": "another"}, id="bucket"),
            pytest.param({"key": "a/b/d"}, id="key"),
            pytest.param({"size": 11}, id="size"),
            pytest.param({"event_type": "ObjectCreated:Copy"}, id="event-type"),
        ],
    )
    def test_another_event_is_no_duplicate(
        self, change: dict[str, Any], recent: RecentEvents
    ) -> None:
        finish(recent, EVENT)

        assert not recent.begin(dataclasses.replace(EVENT, **change)).skip

    @pytest.mark.parametrize(
        "change",
        [
            pytest.param({"event_time": datetime(2026, 3, 15, tzinfo=UTC)}, id="time"),
            pytest.param({"aws_region": "us-east-1"}, id="region"),
            pytest.param({"record": {"s3": {"object": {"sequencer": "2"}}}}, id="record"),
        ],
    )
    def test_other_fields_do_not_distinguish_events(
        self, change: dict[str, Any], recent: RecentEvents
    ) -> None:
        finish(recent, EVENT)

        assert recent.begin(dataclasses.replace(EVENT, **change)).skip


class TestTime:
    """They are duplicates within the time to live."""

    @pytest.mark.parametrize(
        ("later", "expected"),
        [
            pytest.param(0.0, False, id="at-once"),
            pytest.param(TTL - 0.1, False, id="within"),
            pytest.param(TTL, True, id="at-the-end"),
            pytest.param(TTL + 0.1, True, id="after"),
        ],
    )
    def test_an_event_is_a_duplicate_within_the_ttl(
        self, later: float, recent: RecentEvents, clock: Clock, *, expected: bool
    ) -> None:
        finish(recent, EVENT)

        clock.now += later

        assert (recent.begin(EVENT).skip is None) is expected

    def test_a_duplicate_does_not_extend_the_ttl(self, recent: RecentEvents, clock: Clock) -> None:
        finish(recent, EVENT)
        clock.now += TTL - 1
        assert recent.begin(EVENT).skip

        clock.now += 1

        assert not recent.begin(EVENT).skip


class TestInvocation:
    """Within an invocation, the first carries the obligation for its duplicates."""

    def test_a_duplicate_in_the_same_invocation_is_done_at_once(self, recent: RecentEvents) -> None:
        assert not recent.begin(EVENT).skip

        assert recent.begin(EVENT) == Admission(EVENT, skip="duplicate", is_done=False)

    def test_a_failed_event_is_not_its_own_duplicate(self, recent: RecentEvents) -> None:
        assert not recent.begin(EVENT).skip

        recent.start()

        assert not recent.begin(EVENT).skip

    def test_a_done_event_is_a_duplicate_in_the_next_invocation(self, recent: RecentEvents) -> None:
        assert not recent.begin(EVENT).skip
        recent.done(EVENT)

        recent.start()

        assert recent.begin(EVENT) == Admission(EVENT, skip="duplicate", is_done=True)


class TestSize:
    """The cache is bounded; what was used least recently goes."""

    def test_the_least_recently_used_event_is_evicted(self, clock: Clock) -> None:
        recent = RecentEvents(2, TTL, clock)
        first, second, third = (dataclasses.replace(EVENT, key=key) for key in "abc")
        finish(recent, first)
        finish(recent, second)
        assert recent.begin(first).skip  # a use

        finish(recent, third)

        assert recent.begin(first).skip
        assert not recent.begin(second).skip
        assert recent.begin(third).skip

    def test_a_size_of_one_holds_one_event(self, clock: Clock) -> None:
        recent = RecentEvents(1, TTL, clock)
        finish(recent, EVENT)

        assert recent.begin(EVENT).skip


class TestOff:
    """With a size of 0 no event is a duplicate."""

    def test_without_memory_the_same_event_is_handled_twice(self, clock: Clock) -> None:
        recent = RecentEvents(0, TTL, clock)
        recent.start()

        assert not recent.begin(EVENT).skip
        assert not recent.begin(EVENT).skip
        recent.done(EVENT)
        assert not recent.begin(EVENT).skip

    def test_a_ttl_of_0_turns_it_off_between_invocations(self, clock: Clock) -> None:
        recent = RecentEvents(10, 0, clock)
        finish(recent, EVENT)

        assert not recent.begin(EVENT).skip


class TestParked:
    """What was parked is no duplicate: its event was done when it was parked."""

    def test_a_parked_event_is_no_duplicate_of_its_origin(self, recent: RecentEvents) -> None:
        finish(recent, EVENT)

        assert not recent.begin(dataclasses.replace(EVENT, only=RedriveTarget("t-1"))).skip

    def test_an_event_is_no_duplicate_of_what_was_parked_for_it(self, recent: RecentEvents) -> None:
        finish(recent, dataclasses.replace(EVENT, only=RedriveTarget("t-1")))

        assert not recent.begin(EVENT).skip

    def test_two_parked_messages_of_one_event_are_both_handled(self, recent: RecentEvents) -> None:
        assert not recent.begin(dataclasses.replace(EVENT, only=RedriveTarget("t-1"))).skip
        assert not recent.begin(dataclasses.replace(EVENT, only=RedriveTarget("t-2"))).skip
        assert not recent.begin(dataclasses.replace(EVENT, only=RedriveTarget("t-1"))).skip
