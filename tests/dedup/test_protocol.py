"""Which S3 events are duplicates: docs/design.md#duplicates."""

from __future__ import annotations

import dataclasses
import itertools
import logging
from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import pytest

from lava_s3trigger.aws.deadline import UNLIMITED, Deadline
from lava_s3trigger.dedup.memory import RecentEvents
from lava_s3trigger.dedup.protocol import Admission, Duplicates, Verdict
from lava_s3trigger.dedup.table import ClaimTable
from lava_s3trigger.events import S3Event
from lava_s3trigger.log import LOGGER
from lava_s3trigger.sent import SentRecord

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.clock import Clock
    from tools.local.server import LocalAws

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


DUPLICATE: Final = Admission(is_duplicate=True)


def nothing() -> None:
    """Do nothing."""


def sent(*job_ids: str) -> SentRecord:
    """Return a record of jobs that trigger t dispatched."""
    return SentRecord(jobs=Counter(("t", job_id) for job_id in job_ids))


FAILED: Final = sent()
"""What was carried out for an event that failed at once."""


def complete(instance: Duplicates, *admissions: Admission) -> None:
    """Settle events that were completed."""
    instance.settle([(EVENT, each, None) for each in admissions], UNLIMITED)


class TestThisInstance:
    """Without a table, an instance knows the duplicates of its own memory."""

    def test_the_first_event_is_admitted_and_the_second_is_a_duplicate(self, clock: Clock) -> None:
        duplicates = Duplicates(RecentEvents(10, TTL, clock))
        duplicates.start()

        admission = duplicates.admit([(EVENT, "m-1"), (EVENT, "m-2")], UNLIMITED)

        assert admission == [Admission(), DUPLICATE]

    def test_a_completed_event_is_a_duplicate_in_the_next_invocation(self, clock: Clock) -> None:
        duplicates = Duplicates(RecentEvents(10, TTL, clock))
        duplicates.start()
        [admission] = duplicates.admit([(EVENT, "m-1")], UNLIMITED)
        complete(duplicates, admission)
        duplicates.start()

        [again] = duplicates.admit([(EVENT, "m-2")], UNLIMITED)

        assert again.is_duplicate

    def test_a_failed_event_is_admitted_again(self, clock: Clock) -> None:
        duplicates = Duplicates(RecentEvents(10, TTL, clock))
        duplicates.start()
        [admission] = duplicates.admit([(EVENT, "m-1")], UNLIMITED)
        duplicates.settle([(EVENT, admission, FAILED)], UNLIMITED)
        duplicates.start()

        [again] = duplicates.admit([(EVENT, "m-1")], UNLIMITED)

        assert again == Admission()

    @pytest.mark.parametrize(
        ("is_on", "expected"), [(False, False), (True, True)], ids=["off", "on"]
    )
    def test_without_a_table_the_setting_tells_whether_it_is_on(
        self, clock: Clock, *, is_on: bool, expected: bool
    ) -> None:
        duplicates = Duplicates(RecentEvents(0, TTL, clock), is_on=is_on)

        assert duplicates.is_on is expected
        assert duplicates.settle_seconds == 0.0


_NUMBERS: Final = itertools.count(1)


class Fleet:
    """Instances of the function that share a table, and a clock.

    Each remembers nothing itself between invocations, so that it knows only what is shared.
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
        duplicates = Duplicates(recent, claims, sleep=self._sleep)
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


def admit(instance: Duplicates, owner: str, event: S3Event = EVENT) -> Admission:
    """Admit an event in an invocation of its own."""
    instance.start()
    [admission] = instance.admit([(event, owner)], UNLIMITED)
    return admission


def verdict(admission: Admission) -> Verdict:
    """Return the table's verdict on an event that is to be carried out."""
    assert admission.claim is not None
    assert (admission.is_duplicate, admission.failure) == (False, None)
    return admission.claim.verdict


class TestTable:
    """With a table, all instances share one memory."""

    def test_an_event_that_one_instance_completed_is_a_duplicate_for_all(
        self, fleet: Fleet
    ) -> None:
        one, two = fleet.instance(), fleet.instance()
        admission = admit(one, "m-1")
        assert verdict(admission) is Verdict.WORK
        complete(one, admission)

        again = admit(two, "m-2")

        assert again == DUPLICATE
        assert fleet.waits == []

    @pytest.mark.parametrize(
        "change",
        [{"bucket": "b"}, {"key": "k"}, {"size": 11}, {"event_type": "ObjectCreated:Copy"}],
        ids=lambda change: next(iter(change)),
    )
    def test_another_event_is_no_duplicate(self, change: dict[str, Any], fleet: Fleet) -> None:
        one, two = fleet.instance(), fleet.instance()
        complete(one, admit(one, "m-1"))

        other = admit(two, "m-2", dataclasses.replace(EVENT, **change))

        assert verdict(other) is Verdict.WORK

    @pytest.mark.parametrize(
        ("later", "is_duplicate"),
        [
            pytest.param(TTL - 1, True, id="within"),
            pytest.param(TTL, False, id="at-the-end"),
            pytest.param(TTL + 1, False, id="after"),
        ],
    )
    def test_an_event_is_a_duplicate_until_the_ttl_expires(
        self, later: float, fleet: Fleet, *, is_duplicate: bool
    ) -> None:
        one, two = fleet.instance(), fleet.instance()
        complete(one, admit(one, "m-1"))

        fleet.now += later

        assert admit(two, "m-2").is_duplicate is is_duplicate

    def test_an_event_that_its_own_delivery_completed_stays_completed(self, fleet: Fleet) -> None:
        one, two = fleet.instance(), fleet.instance()
        complete(one, admit(one, "m-1"))

        fleet.now += 3600

        assert admit(two, "m-1").is_duplicate

    def test_a_failed_event_is_taken_over_with_what_was_sent(self, fleet: Fleet) -> None:
        one, two, three = fleet.instance(), fleet.instance(), fleet.instance()
        one.settle([(EVENT, admit(one, "m-1"), sent("aa", "bb"))], UNLIMITED)

        again = admit(two, "m-1")
        assert verdict(again) is Verdict.WORK
        assert again.claim is not None
        assert again.claim.sent == sent("aa", "bb")
        two.settle([(EVENT, again, sent("cc"))], UNLIMITED)

        last = admit(three, "m-1")
        assert last.claim is not None
        assert last.claim.sent == sent("aa", "bb", "cc")

    def test_a_failed_event_of_which_nothing_was_sent_is_taken_over(self, fleet: Fleet) -> None:
        one, two = fleet.instance(), fleet.instance()
        one.settle([(EVENT, admit(one, "m-1"), FAILED)], UNLIMITED)

        again = admit(two, "m-2")

        assert verdict(again) is Verdict.WORK
        assert again.claim is not None
        assert again.claim.sent == SentRecord()

    def test_a_busy_event_is_waited_for_and_then_fails(self, fleet: Fleet) -> None:
        one, two = fleet.instance(), fleet.instance()
        admit(one, "m-1")

        busy = admit(two, "m-2")

        assert busy.failure == ("busy", "another delivery of the same event is being carried out")
        assert busy.is_busy
        assert fleet.waits == [0.1, 0.3, 0.6]

    def test_a_busy_event_that_is_completed_meanwhile_is_a_duplicate(self, fleet: Fleet) -> None:
        one, two = fleet.instance(), fleet.instance()
        admission = admit(one, "m-1")
        fleet.meanwhile = lambda: complete(one, admission)

        assert admit(two, "m-2") == DUPLICATE
        assert fleet.waits == [0.1]

    @pytest.mark.parametrize(
        ("left", "lease"),
        [pytest.param(100.0, 105.0, id="lambda"), pytest.param(None, 60.0, id="elsewhere")],
    )
    def test_an_event_of_a_crashed_instance_is_taken_over_when_its_lease_expires(
        self, left: float | None, lease: float, fleet: Fleet
    ) -> None:
        deadline = UNLIMITED if left is None else Deadline(lambda: left)
        one, two = fleet.instance(), fleet.instance()
        one.admit([(EVENT, "m-1")], deadline)

        fleet.now += lease - 1.1  # waiting takes a second
        assert admit(two, "m-2").failure
        fleet.now += 0.1

        assert verdict(admit(two, "m-2")) is Verdict.WORK

    def test_an_instance_that_lost_its_claim_does_not_settle_it(
        self, fleet: Fleet, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO, logger=LOGGER.name)
        one, two, three = fleet.instance(), fleet.instance(), fleet.instance()
        slow = admit(one, "m-1")
        fleet.now += 3600
        admit(two, "m-2")

        complete(one, slow)

        assert admit(three, "m-3").failure
        [line] = caplog.messages
        assert line.startswith('claims not settled {"count": 1, "reason": ')

    def test_many_events_are_claimed_concurrently_each_by_itself(self, fleet: Fleet) -> None:
        one, two = fleet.instance(), fleet.instance()
        events = [dataclasses.replace(EVENT, key=f"k-{n}") for n in range(30)]
        done = one.admit([(event, "m-1") for event in events[::2]], UNLIMITED)
        complete(one, *done)

        admission = two.admit([(event, "m-2") for event in events], UNLIMITED)

        assert [each.is_duplicate for each in admission] == [True, False] * 15


class TestTableCalls:
    """The table is called only if its answer can matter."""

    @pytest.mark.parametrize("size", [0, 10], ids=["no-memory", "memory"])
    def test_a_duplicate_in_the_same_invocation_is_not_claimed(
        self, size: int, fleet: Fleet
    ) -> None:
        one = fleet.instance(size=size)

        first, second = one.admit([(EVENT, "m-1"), (EVENT, "m-2")], UNLIMITED)

        assert verdict(first) is Verdict.WORK
        assert second == DUPLICATE
        assert fleet.calls == 1
        assert fleet.waits == []

    def test_a_duplicate_that_this_instance_remembers_is_not_claimed(self, fleet: Fleet) -> None:
        one = fleet.instance(size=10)
        complete(one, admit(one, "m-1"))
        calls = fleet.calls

        assert admit(one, "m-2") == DUPLICATE
        assert fleet.calls == calls

    def test_nothing_is_claimed_out_of_time(self, fleet: Fleet) -> None:
        left = [300.0]
        deadline = Deadline(lambda: left[0])
        left[0] = 20.0

        [admission] = fleet.instance().admit([(EVENT, "m-1")], deadline)

        assert admission == Admission(
            failure=("out_of_time", "too little time left to claim the event")
        )
        assert fleet.items() == []

    def test_with_too_little_time_the_lease_is_left_to_expire(
        self, fleet: Fleet, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO, logger=LOGGER.name)
        left = [300.0]
        deadline = Deadline(lambda: left[0])
        one, two = fleet.instance(), fleet.instance()
        [admission] = one.admit([(EVENT, "m-1")], deadline)

        left[0] = 1.0
        one.settle([(EVENT, admission, None)], deadline)

        reason = "too little time left; the lease expires by itself"
        assert caplog.messages == [f'claims not settled {{"count": 1, "reason": "{reason}"}}']
        assert admit(two, "m-2").failure

    def test_an_event_without_a_claim_is_not_settled(self, fleet: Fleet) -> None:
        one = fleet.instance()

        one.settle([(EVENT, Admission(), None), (EVENT, Admission(), FAILED)], UNLIMITED)

        assert fleet.items() == []


class TestTableUnreachable:
    """Events are carried out if the table does not answer, so that none is lost."""

    def test_events_are_carried_out_and_that_is_logged_once(
        self, fleet: Fleet, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO, logger=LOGGER.name)
        one = fleet.instance(table="no-such-table")
        events = [(dataclasses.replace(EVENT, key=f"k-{n}"), "m-1") for n in range(20)]

        admission = one.admit(events, UNLIMITED)
        complete(one, *admission)

        assert all(verdict(each) is Verdict.UNKNOWN for each in admission)
        assert [record.levelno for record in caplog.records] == [logging.ERROR]
        [line] = caplog.messages
        assert line.startswith("dedup table unreachable {")

    def test_the_table_is_not_called_again_in_the_same_invocation(self, fleet: Fleet) -> None:
        one = fleet.instance(table="no-such-table")
        other = dataclasses.replace(EVENT, key="another")
        [first] = one.admit([(EVENT, "m-1")], UNLIMITED)
        calls = fleet.calls

        [second] = one.admit([(other, "m-2")], UNLIMITED)
        complete(one, first, second)

        assert [verdict(first), verdict(second)] == [Verdict.UNKNOWN] * 2
        assert fleet.calls == calls

    def test_the_table_is_called_again_in_the_next_invocation(self, fleet: Fleet) -> None:
        one = fleet.instance(table="no-such-table")

        assert verdict(admit(one, "m-1")) is Verdict.UNKNOWN
        calls = fleet.calls
        assert verdict(admit(one, "m-1")) is Verdict.UNKNOWN
        assert fleet.calls > calls

    def test_a_defect_while_settling_is_logged_and_stops_nothing(
        self, fleet: Fleet, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO, logger=LOGGER.name)
        one = fleet.instance()
        admission = admit(one, "m-1")

        def defect(**_: Any) -> None:
            raise ValueError("a defect")

        fleet.client.meta.events.register("before-call.dynamodb", defect)
        try:
            complete(one, admission)
        finally:
            fleet.client.meta.events.unregister("before-call.dynamodb", defect)

        [line] = caplog.messages
        assert line.startswith('claims not settled {"count": 1, "reason": "ValueError: a defect (')
