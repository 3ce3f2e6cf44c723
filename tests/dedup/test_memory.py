"""Recent events that one instance of the function remembers."""

import dataclasses
import tracemalloc
from datetime import UTC, datetime
from typing import Any, Final

import pytest

from lava_s3trigger.dedup.memory import RecentEvents, dedup_digest
from lava_s3trigger.events import S3Event
from tests.build import s3_event
from tests.clock import Clock

TTL: Final = 30.0
EVENT: Final = s3_event("a/b/c", record={"s3": {"object": {"sequencer": "1"}}})


@pytest.fixture(name="recent")
def _recent(clock: Clock) -> RecentEvents:
    recent = RecentEvents(10, TTL, clock)
    recent.start()
    return recent


def complete(recent: RecentEvents, event: S3Event) -> None:
    """Have an event completed in an invocation of its own."""
    recent.start()
    assert recent.admit(event)
    recent.complete(event)
    recent.start()


@pytest.mark.parametrize("name", ["key", "bucket", "event_type"])
def test_long_texts_are_not_kept(name: str, clock: Clock) -> None:
    recent = RecentEvents(100, TTL, clock)
    recent.start()
    tracemalloc.start()
    try:
        for n in range(100):
            fields: dict[str, Any] = {name: "x" * 100_000 + str(n)}
            recent.complete(dataclasses.replace(EVENT, **fields))
        used, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert used < 200_000


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({}, id="nothing"),
        pytest.param({"event_time": datetime(2026, 3, 15, tzinfo=UTC)}, id="time"),
        pytest.param({"aws_region": "us-east-1"}, id="region"),
        pytest.param({"record": {"s3": {"object": {"sequencer": "2"}}}}, id="record"),
    ],
)
def test_other_differences_do_not_matter(change: dict[str, Any], recent: RecentEvents) -> None:
    complete(recent, EVENT)

    assert not recent.admit(dataclasses.replace(EVENT, **change))


def test_the_least_recently_used_event_is_evicted(clock: Clock) -> None:
    recent = RecentEvents(2, TTL, clock)
    first, second, third = (dataclasses.replace(EVENT, key=key) for key in "abc")
    complete(recent, first)
    complete(recent, second)
    assert not recent.admit(first)  # a use

    complete(recent, third)

    assert not recent.admit(first)
    assert recent.admit(second)
    assert not recent.admit(third)


@pytest.mark.parametrize(("size", "ttl"), [(0, TTL), (10, 0)], ids=["size", "ttl"])
def test_a_completed_event_is_forgotten_with_its_invocation(
    size: int, ttl: float, clock: Clock
) -> None:
    recent = RecentEvents(size, ttl, clock)
    complete(recent, EVENT)

    assert recent.admit(EVENT)


class TestDigest:
    """The shared table's partition key is the same for duplicates, and for no other event."""

    @pytest.mark.parametrize(
        "change",
        [{"bucket": "b"}, {"key": "a/b/d"}, {"size": 11}, {"event_type": "ObjectCreated:Copy"}],
        ids=lambda change: next(iter(change)),
    )
    def test_another_event_has_another_digest(self, change: dict[str, Any]) -> None:
        assert dedup_digest(dataclasses.replace(EVENT, **change)) != dedup_digest(EVENT)

    @pytest.mark.parametrize("key", ["\ud800", "k" * 5_000, "\x00\n"], ids=ascii)
    def test_a_digest_is_short_and_ascii_whatever_the_key(self, key: str) -> None:
        digest = dedup_digest(dataclasses.replace(EVENT, key=key))

        assert (len(digest), digest.isalnum(), digest.isascii()) == (32, True, True)
