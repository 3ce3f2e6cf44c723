"""What earlier tries of a delivery sent."""

from __future__ import annotations

import dataclasses
from collections import Counter
from datetime import UTC, datetime
from typing import Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lava_s3trigger.acknowledgement import Outcome, Sent, Task
from lava_s3trigger.decision import Decision
from lava_s3trigger.events import Delivery, S3Event

unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

EVENT: Final = S3Event(
    bucket="my-bucket",
    key="a/b/c",
    size=10,
    event_time=datetime(2026, 3, 14, tzinfo=UTC),
    event_type="ObjectCreated:Put",
    source_ip=None,
    aws_region="eu-west-1",
    record={"s3": {"object": {"sequencer": "01"}}},
)


IDENTITY: Final = (("my-bucket", "a", "ObjectCreated:Put", "01"), "Dispatch", "t-1", 0, "job")


def failed(*sent: tuple[object, ...]) -> Outcome:
    return Outcome(Delivery(), ["it failed"], list(sent))


class TestSent:
    """What a failed delivery did send is skipped the next time, as often as it was sent."""

    def test_an_empty_ledger_takes_nothing(self) -> None:
        assert not Sent().take(IDENTITY)

    def test_one_dispatch_prevents_one_repetition(self) -> None:
        sent = Sent()
        sent.remember(failed(IDENTITY))

        assert [sent.take(IDENTITY) for _ in range(3)] == [True, False, False]

    @pytest.mark.parametrize(
        "outcomes",
        [
            pytest.param([failed(IDENTITY, IDENTITY)], id="by-one-delivery"),
            pytest.param([failed(IDENTITY), failed(IDENTITY)], id="by-two-deliveries"),
        ],
    )
    def test_two_dispatches_prevent_two_repetitions(self, outcomes: list[Outcome]) -> None:
        sent = Sent()
        for each in outcomes:
            sent.remember(each)

        assert [sent.take(IDENTITY) for _ in range(4)] == [True, True, False, False]

    def test_a_delivery_without_dispatches_prevents_nothing(self) -> None:
        sent = Sent()
        sent.remember(failed())

        assert not sent.take(IDENTITY)

    @pytest.mark.parametrize(
        "other",
        [
            pytest.param((IDENTITY[0], "Mistake", *IDENTITY[2:]), id="parked"),
            pytest.param((*IDENTITY[:2], "t-2", *IDENTITY[3:]), id="trigger"),
            pytest.param((*IDENTITY[:3], 1, IDENTITY[4]), id="position"),
            pytest.param((*IDENTITY[:4], "another"), id="job"),
            pytest.param((*IDENTITY[:4], None), id="no-job"),
            pytest.param((("my-bucket", "a", "x", "02"), *IDENTITY[1:]), id="event"),
            pytest.param((*IDENTITY[:3], "0", IDENTITY[4]), id="type"),
        ],
    )
    def test_another_dispatch_is_not_prevented(self, other: tuple[object, ...]) -> None:
        sent = Sent()
        sent.remember(failed(IDENTITY))

        assert not sent.take(other)
        assert sent.take(IDENTITY)

    def test_a_dispatch_taken_by_a_delivery_that_fails_is_remembered_again(self) -> None:
        sent = Sent()
        sent.remember(failed(IDENTITY))
        for _ in range(3):
            assert sent.take(IDENTITY)
            sent.remember(failed(IDENTITY))

        assert [sent.take(IDENTITY) for _ in range(2)] == [True, False]

    @pytest.mark.parametrize("key", ["\ud800", "a\nb", "\U0001f600", "\x00"], ids=ascii)
    def test_any_key_is_remembered(self, key: str) -> None:
        sent = Sent()
        sent.remember(failed((("my-bucket", key), "Dispatch")))

        assert not sent.take((("my-bucket", "?"), "Dispatch"))
        assert sent.take((("my-bucket", key), "Dispatch"))

    @unhurried
    @given(st.lists(st.tuples(st.booleans(), st.integers(0, 3))))
    def test_each_dispatch_is_counted_separately(self, steps: list[tuple[bool, int]]) -> None:
        sent, expected = Sent(), Counter[int]()
        for is_sent, n in steps:
            if is_sent:
                sent.remember(failed((n,)))
                expected[n] += 1
            else:
                assert sent.take((n,)) is (expected[n] > 0)
                expected[n] = max(0, expected[n] - 1)

    def test_a_dispatch_of_another_instance_prevents_one_repetition(self) -> None:
        task = Task(failed((EVENT.identity, "t-1"), (EVENT.identity, "t-2")), Decision(EVENT))
        sent = Sent()

        sent.learn(EVENT, task.sent())

        assert [sent.take((EVENT.identity, "t-1")) for _ in range(2)] == [True, False]
        assert [sent.take((EVENT.identity, "t-2")) for _ in range(2)] == [True, False]
        assert not sent.take((EVENT.identity, "t-3"))

    def test_a_known_dispatch_is_not_learned_twice(self) -> None:
        identity = (EVENT.identity, "t-1")
        sent = Sent()
        sent.remember(failed(identity))

        sent.learn(EVENT, Task(failed(identity), Decision(EVENT)).sent())

        assert [sent.take(identity) for _ in range(2)] == [True, False]

    def test_an_event_without_dispatches_elsewhere_is_not_kept(self) -> None:
        sent = Sent()

        sent.learn(EVENT, [])

        assert not sent

    def test_the_ledger_is_empty_once_everything_was_taken(self) -> None:
        sent = Sent()
        assert not sent

        sent.remember(failed(IDENTITY, IDENTITY))
        assert sent
        sent.take(IDENTITY)
        assert sent
        sent.take(IDENTITY)
        assert not sent

    @pytest.mark.parametrize("is_back", [False, True], ids=["done", "comes again"])
    def test_the_dispatches_of_a_skipped_event_go_with_its_delivery(self, *, is_back: bool) -> None:
        other = dataclasses.replace(EVENT, key="another")
        sent = Sent()
        sent.hand_over(EVENT, Outcome(Delivery()))
        identities = [(EVENT.identity, "t-1"), (EVENT.identity, "t-1"), (EVENT.identity, "t-2")]
        sent.remember(failed(*identities, (other.identity, "t-1")))
        again = Outcome(Delivery())

        sent.hand_over(EVENT, again)
        assert not sent.take((EVENT.identity, "t-1"))
        if is_back:
            sent.remember(again)

        assert [sent.take(each) for each in identities] == [is_back] * 3
        assert not sent.take((EVENT.identity, "t-1"))
        assert sent.take((other.identity, "t-1"))

    def test_learning_removes_nothing(self) -> None:
        identity = (EVENT.identity, "t-1")
        sent = Sent()
        sent.remember(failed(identity, identity))

        sent.learn(EVENT, Task(failed(identity), Decision(EVENT)).sent())

        assert [sent.take(identity) for _ in range(3)] == [True, True, False]

    def test_memory_is_bounded_and_evicts_the_oldest(self) -> None:
        sent = Sent()
        for n in range(20_001):
            sent.remember(failed((n, "t-1"), (n, "t-2")))

        assert not sent.take((0, "t-1"))
        assert not sent.take((0, "t-2"))
        assert sent.take((1, "t-1"))
        assert sent.take((1, "t-2"))
        assert sent.take((20_000, "t-1"))
