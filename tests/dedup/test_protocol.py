"""Recent events, by which duplicates are known: docs/design.md#duplicates."""

from __future__ import annotations

import dataclasses
import itertools
import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import pytest

from lava_s3trigger.aws.deadline import UNLIMITED, Deadline
from lava_s3trigger.dedup.protocol import Admission, Duplicates, RecentEvents, Verdict
from lava_s3trigger.dedup.table import ClaimTable
from lava_s3trigger.events import RedriveTarget, S3Event
from lava_s3trigger.log import LOGGER

if TYPE_CHECKING:
    from collections.abc import Callable

    from lava_s3trigger.cli.localaws import LocalAws
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


def nothing() -> list[str]:
    return []


class TestThisInstance:
    """Without a table, duplicates are those that this instance knows."""

    def test_the_first_event_is_handled_and_its_duplicates_are_skipped(self, clock: Clock) -> None:
        duplicates = Duplicates(RecentEvents(10, TTL, clock))
        duplicates.start()

        begun = duplicates.begin([(EVENT, "m-1"), (EVENT, "m-2")], UNLIMITED)

        assert begun == [Admission(EVENT), Admission(EVENT, skip="duplicate")]

    def test_a_done_event_is_a_duplicate_in_the_next_invocation(self, clock: Clock) -> None:
        duplicates = Duplicates(RecentEvents(10, TTL, clock))
        duplicates.start()
        [begun] = duplicates.begin([(EVENT, "m-1")], UNLIMITED)
        duplicates.settle([(begun, True, nothing)], UNLIMITED)
        duplicates.start()

        [again] = duplicates.begin([(EVENT, "m-2")], UNLIMITED)

        assert again.skip == "duplicate"

    def test_a_failed_event_is_handled_again(self, clock: Clock) -> None:
        duplicates = Duplicates(RecentEvents(10, TTL, clock))
        duplicates.start()
        [begun] = duplicates.begin([(EVENT, "m-1")], UNLIMITED)
        duplicates.settle([(begun, False, nothing)], UNLIMITED)
        duplicates.start()

        [again] = duplicates.begin([(EVENT, "m-1")], UNLIMITED)

        assert again == Admission(EVENT)

    def test_without_deduplication_every_event_is_handled(self, clock: Clock) -> None:
        duplicates = Duplicates(RecentEvents(0, TTL, clock))
        duplicates.start()

        begun = duplicates.begin([(EVENT, "m-1"), (EVENT, "m-2")], UNLIMITED)

        assert begun == [Admission(EVENT), Admission(EVENT)]


_NUMBERS: Final = itertools.count(1)


class Fleet:
    """Instances of the function that share a table, and a clock.

    Each remembers nothing of its own but for the invocation, so that they know what they
    share.
    """

    def __init__(self, aws: LocalAws) -> None:
        self.now = 1_000_000.0
        self.client = aws.client("dynamodb")
        self.table = f"dedup-{next(_NUMBERS)}"
        self.waits: list[float] = []
        self.meanwhile: Callable[[], object] = nothing
        self.calls = 0
        self.client.meta.events.register("before-call.dynamodb.UpdateItem", self._count)
        self.client.create_table(
            TableName=self.table,
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            BillingMode="PAY_PER_REQUEST",
        )

    def instance(self, table: str | None = None, size: int = 0) -> Duplicates:
        claims = ClaimTable(self.client, table or self.table, TTL, now=lambda: self.now)
        recent = RecentEvents(size, TTL, clock=lambda: self.now)
        duplicates = Duplicates(recent, claims, self._sleep)
        duplicates.start()
        return duplicates

    def _count(self, **_: Any) -> None:
        self.calls += 1

    def items(self) -> list[dict[str, Any]]:
        return list(self.client.scan(TableName=self.table)["Items"])

    def _sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now += seconds
        self.meanwhile()


@pytest.fixture(name="fleet")
def _fleet(aws: LocalAws) -> Fleet:
    return Fleet(aws)


def begin(instance: Duplicates, owner: str, event: S3Event = EVENT) -> Admission:
    instance.start()
    [begun] = instance.begin([(event, owner)], UNLIMITED)
    return begun


def verdict(begun: Admission) -> Verdict:
    assert begun.claim is not None
    assert (begun.skip, begun.failure) == (None, None)
    return begun.claim.verdict


class TestTable:
    """With a table, all instances share one memory."""

    def test_an_event_done_by_one_instance_is_a_duplicate_for_all(self, fleet: Fleet) -> None:
        one, two = fleet.instance(), fleet.instance()
        begun = begin(one, "m-1")
        assert verdict(begun) is Verdict.WORK
        one.settle([(begun, True, nothing)], UNLIMITED)

        again = begin(two, "m-2")

        assert again == Admission(EVENT, skip="duplicate", is_done=True)
        assert fleet.waits == []

    @pytest.mark.parametrize(
        "change",
        [{"bucket": "b"}, {"key": "k"}, {"size": 11}, {"event_type": "ObjectCreated:Copy"}],
        ids=lambda change: next(iter(change)),
    )
    def test_another_event_is_no_duplicate(self, change: dict[str, Any], fleet: Fleet) -> None:
        one, two = fleet.instance(), fleet.instance()
        one.settle([(begin(one, "m-1"), True, nothing)], UNLIMITED)

        other = begin(two, "m-2", dataclasses.replace(EVENT, **change))

        assert verdict(other) is Verdict.WORK

    @pytest.mark.parametrize(
        ("later", "is_duplicate"),
        [
            pytest.param(TTL - 1, True, id="within"),
            pytest.param(TTL, False, id="at-the-end"),
            pytest.param(TTL + 1, False, id="after"),
        ],
    )
    def test_an_event_is_a_duplicate_within_the_ttl(
        self, later: float, fleet: Fleet, *, is_duplicate: bool
    ) -> None:
        one, two = fleet.instance(), fleet.instance()
        one.settle([(begin(one, "m-1"), True, nothing)], UNLIMITED)

        fleet.now += later

        assert (begin(two, "m-2").skip == "duplicate") is is_duplicate

    def test_an_event_stays_done_for_the_delivery_that_did_it(self, fleet: Fleet) -> None:
        one, two = fleet.instance(), fleet.instance()
        one.settle([(begin(one, "m-1"), True, nothing)], UNLIMITED)

        fleet.now += 3600

        assert begin(two, "m-1").skip == "duplicate"

    def test_a_failed_event_is_handled_by_another_instance_with_its_dispatches_known(
        self, fleet: Fleet
    ) -> None:
        one, two, three = fleet.instance(), fleet.instance(), fleet.instance()
        one.settle([(begin(one, "m-1"), False, lambda: ["aa", "bb"])], UNLIMITED)

        again = begin(two, "m-1")
        assert verdict(again) is Verdict.WORK
        assert again.claim is not None
        assert again.claim.sent == {"aa", "bb"}
        two.settle([(again, False, lambda: ["cc"])], UNLIMITED)

        last = begin(three, "m-1")
        assert last.claim is not None
        assert last.claim.sent == {"aa", "bb", "cc"}

    def test_an_event_that_failed_before_its_first_dispatch_is_handled_again(
        self, fleet: Fleet
    ) -> None:
        one, two = fleet.instance(), fleet.instance()
        one.settle([(begin(one, "m-1"), False, nothing)], UNLIMITED)

        again = begin(two, "m-2")

        assert verdict(again) is Verdict.WORK
        assert again.claim is not None
        assert again.claim.sent == frozenset()

    def test_an_event_claimed_elsewhere_is_waited_for_and_then_fails(self, fleet: Fleet) -> None:
        one, two = fleet.instance(), fleet.instance()
        begin(one, "m-1")

        busy = begin(two, "m-2")

        assert busy.failure == "another delivery of it is being worked on"
        assert busy.is_busy
        assert fleet.waits == [0.1, 0.3, 0.6]

    def test_an_event_done_during_the_wait_is_a_duplicate(self, fleet: Fleet) -> None:
        one, two = fleet.instance(), fleet.instance()
        begun = begin(one, "m-1")
        fleet.meanwhile = lambda: one.settle([(begun, True, nothing)], UNLIMITED)

        assert begin(two, "m-2") == Admission(EVENT, skip="duplicate", is_done=True)
        assert fleet.waits == [0.1]

    @pytest.mark.parametrize(
        ("left", "lease"),
        [pytest.param(100.0, 105.0, id="lambda"), pytest.param(None, 60.0, id="elsewhere")],
    )
    def test_an_event_of_a_crashed_instance_is_taken_over_after_its_lease(
        self, left: float | None, lease: float, fleet: Fleet
    ) -> None:
        deadline = UNLIMITED if left is None else Deadline(lambda: left)
        one, two = fleet.instance(), fleet.instance()
        one.begin([(EVENT, "m-1")], deadline)

        fleet.now += lease - 1.1  # waiting takes a second
        assert begin(two, "m-2").failure
        fleet.now += 0.1

        assert verdict(begin(two, "m-2")) is Verdict.WORK

    def test_an_instance_that_lost_its_lease_does_not_settle_the_event(
        self, fleet: Fleet, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO, logger=LOGGER.name)
        one, two, three = fleet.instance(), fleet.instance(), fleet.instance()
        slow = begin(one, "m-1")
        fleet.now += 3600
        begin(two, "m-2")

        one.settle([(slow, True, nothing)], UNLIMITED)

        assert begin(three, "m-3").failure
        [line] = caplog.messages
        assert line.startswith('claims not settled {"count": 1, "reason": ')

    def test_events_are_claimed_concurrently_and_independently(self, fleet: Fleet) -> None:
        one, two = fleet.instance(), fleet.instance()
        events = [dataclasses.replace(EVENT, key=f"k-{n}") for n in range(30)]
        done = one.begin([(event, "m-1") for event in events[::2]], UNLIMITED)
        one.settle([(each, True, nothing) for each in done], UNLIMITED)

        begun = two.begin([(event, "m-2") for event in events], UNLIMITED)

        assert [each.event for each in begun] == events
        assert [each.skip for each in begun] == ["duplicate", None] * 15


class TestTableSpared:
    """The table is asked only where that can matter."""

    def test_a_parked_event_is_not_claimed(self, fleet: Fleet) -> None:
        one = fleet.instance()
        event = dataclasses.replace(EVENT, only=RedriveTarget("t-1"))

        begun = begin(one, "m-1", event)
        one.settle([(begun, True, nothing)], UNLIMITED)

        assert begun == Admission(event)
        assert fleet.items() == []

    @pytest.mark.parametrize("size", [0, 10], ids=["no-memory", "memory"])
    def test_only_the_first_of_an_invocations_duplicates_is_claimed(
        self, size: int, fleet: Fleet
    ) -> None:
        one = fleet.instance(size=size)

        first, second = one.begin([(EVENT, "m-1"), (EVENT, "m-2")], UNLIMITED)

        assert verdict(first) is Verdict.WORK
        assert second == Admission(EVENT, skip="duplicate")
        assert fleet.calls == 1
        assert fleet.waits == []

    def test_an_event_in_this_instances_memory_is_not_claimed(self, fleet: Fleet) -> None:
        one = fleet.instance(size=10)
        one.settle([(begin(one, "m-1"), True, nothing)], UNLIMITED)
        calls = fleet.calls

        assert begin(one, "m-2") == Admission(EVENT, skip="duplicate", is_done=True)
        assert fleet.calls == calls

    def test_nothing_is_claimed_out_of_time(self, fleet: Fleet) -> None:
        left = [300.0]
        deadline = Deadline(lambda: left[0])
        left[0] = 20.0

        [begun] = fleet.instance().begin([(EVENT, "m-1")], deadline)

        assert begun == Admission(EVENT, failure="too little time was left to claim it")
        assert fleet.items() == []

    def test_nothing_is_settled_out_of_time_and_the_lease_expires(
        self, fleet: Fleet, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO, logger=LOGGER.name)
        left = [300.0]
        deadline = Deadline(lambda: left[0])
        one, two = fleet.instance(), fleet.instance()
        [begun] = one.begin([(EVENT, "m-1")], deadline)

        left[0] = 1.0
        one.settle([(begun, True, nothing)], deadline)

        reason = "too little time was left; the lease runs out"
        assert caplog.messages == [f'claims not settled {{"count": 1, "reason": "{reason}"}}']
        assert begin(two, "m-2").failure

    def test_an_unclaimed_event_is_not_settled(self, fleet: Fleet) -> None:
        one = fleet.instance()

        one.settle(
            [(Admission(EVENT), True, nothing), (Admission(EVENT), False, nothing)], UNLIMITED
        )

        assert fleet.items() == []


class TestTableOut:
    """Where the table does not answer, events are worked on, lest they be lost."""

    def test_events_are_handled_without_the_table_and_one_line_is_logged(
        self, fleet: Fleet, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO, logger=LOGGER.name)
        one = fleet.instance(table="no-such-table")
        events = [(dataclasses.replace(EVENT, key=f"k-{n}"), "m-1") for n in range(20)]

        begun = one.begin(events, UNLIMITED)
        one.settle([(each, True, nothing) for each in begun], UNLIMITED)

        assert all(each.skip is each.failure is None for each in begun)
        assert [record.levelno for record in caplog.records] == [logging.ERROR]
        [line] = caplog.messages
        assert line.startswith("dedup table out of reach {")

    def test_a_table_that_failed_is_not_asked_again_in_the_invocation(self, fleet: Fleet) -> None:
        one = fleet.instance(table="no-such-table")
        other = dataclasses.replace(EVENT, key="another")
        [first] = one.begin([(EVENT, "m-1")], UNLIMITED)
        calls = fleet.calls

        [second] = one.begin([(other, "m-2")], UNLIMITED)
        one.settle([(first, True, nothing), (second, True, nothing)], UNLIMITED)

        assert [verdict(first), verdict(second)] == [Verdict.UNKNOWN] * 2
        assert fleet.calls == calls

    def test_a_table_that_failed_is_asked_again_in_the_next_invocation(self, fleet: Fleet) -> None:
        one = fleet.instance(table="no-such-table")

        assert verdict(begin(one, "m-1")) is Verdict.UNKNOWN
        calls = fleet.calls
        assert verdict(begin(one, "m-1")) is Verdict.UNKNOWN
        assert fleet.calls > calls
