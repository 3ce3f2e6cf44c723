"""Which S3 events are duplicates: docs/design.md#duplicates."""

import dataclasses
import json
import logging
from collections.abc import Callable
from typing import Any, Final

import pytest

from lava_s3trigger.aws.deadline import UNLIMITED, Deadline
from lava_s3trigger.dedup.memory import RecentEvents
from lava_s3trigger.dedup.protocol import Admission, Duplicates, Verdict
from lava_s3trigger.dedup.table import ClaimTable
from lava_s3trigger.events import S3Event
from lava_s3trigger.log import LOGGER
from lava_s3trigger.sent import SentRecord
from tests.aws_in_memory import OPERATIONS, RESET, Aws, Keys, Table
from tests.clock import Clock
from tests.context import Context

from .test_memory import EVENT, TTL
from .test_table import sent

DUPLICATE: Final = Admission(is_duplicate=True)


def complete(instance: Duplicates, *admissions: Admission) -> None:
    instance.settle([(EVENT, each, None) for each in admissions], UNLIMITED)


@pytest.mark.parametrize("is_on", [False, True], ids=["off", "on"])
def test_without_a_table_the_setting_tells_whether_it_is_on(clock: Clock, *, is_on: bool) -> None:
    duplicates = Duplicates(RecentEvents(0, TTL, clock), is_on=is_on)

    assert (duplicates.is_on, duplicates.settle_seconds) == (is_on, 0.0)


class Fleet:
    """Instances of the function that share a table, and a clock.

    Each remembers nothing itself between invocations, so that it knows only what is shared.
    """

    def __init__(self, log: pytest.LogCaptureFixture) -> None:
        self.log = log
        log.set_level(logging.INFO, logger=LOGGER.name)
        self.aws = Aws()
        self.table = self.aws.tables["claims"] = Table(Keys("id"))
        self.now = 1_000_000.0
        self.waits: list[float] = []
        self.meanwhile: Callable[[], object] = int

    def instance(self, table: str = "claims", size: int = 0) -> Duplicates:
        claims = ClaimTable(self.aws.client, table, TTL, now=lambda: self.now)
        recent = RecentEvents(size, TTL, clock=lambda: self.now)
        duplicates = Duplicates(recent, claims, sleep=self._sleep)
        duplicates.start()
        return duplicates

    @property
    def calls(self) -> int:
        return self.aws.calls["UpdateItem"]

    def answer_oddly(self, number: int) -> None:
        """Have the table give the nth answer from now on as DynamoDB never does."""
        number += self.calls

        def update(aws: Aws, request: dict[str, Any]) -> Any:
            if self.calls == number:
                raise LookupError("odd")
            return OPERATIONS["UpdateItem"](aws, request)

        self.aws.operations["UpdateItem"] = update

    def _sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now += seconds
        self.meanwhile()


@pytest.fixture(name="fleet")
def _fleet(caplog: pytest.LogCaptureFixture) -> Fleet:
    return Fleet(caplog)


def admit(instance: Duplicates, owner: str, event: S3Event = EVENT) -> Admission:
    """Admit an event in an invocation of its own."""
    instance.start()
    [admission] = instance.admit([(event, owner)], UNLIMITED)
    return admission


def verdict(admission: Admission) -> Verdict:
    assert admission.claim is not None
    assert (admission.is_duplicate, admission.failure) == (False, None)
    return admission.claim.verdict


class TestTable:
    """With a table, all instances share one memory."""

    @pytest.mark.parametrize("owner", ["m-1", "m-2"], ids=["the-same", "another"])
    def test_a_delivery_of_a_busy_event_waits_and_then_fails(
        self, owner: str, fleet: Fleet
    ) -> None:
        one, two = fleet.instance(), fleet.instance()
        admit(one, "m-1")

        busy = admit(two, owner)

        assert busy.failure == ("busy", "another delivery of the same event is being carried out")
        assert (busy.is_busy, fleet.waits) == (True, [0.1, 0.3, 0.6])

    def test_busy_events_share_one_wait_and_delay_no_other(self, fleet: Fleet) -> None:
        events = [dataclasses.replace(EVENT, key=f"k-{n}") for n in range(40)]
        fleet.instance().admit([(each, "A") for each in events[:30]], UNLIMITED)

        admitted = fleet.instance().admit([(each, "B") for each in events], UNLIMITED)

        assert [each.is_busy for each in admitted] == [True] * 30 + [False] * 10
        assert [bool(each.failure) for each in admitted] == [True] * 30 + [False] * 10
        assert fleet.waits == [0.1, 0.3, 0.6]

    @pytest.mark.parametrize("sent_before", [None, sent("d1")], ids=["completed", "failed"])
    def test_a_busy_event_that_is_settled_during_the_wait_is_a_duplicate_or_taken_over(
        self, sent_before: SentRecord | None, fleet: Fleet
    ) -> None:
        one, two = fleet.instance(), fleet.instance()
        admitted = admit(one, "A")

        def settle() -> None:
            if len(fleet.waits) == 2:
                one.settle([(EVENT, admitted, sent_before)], UNLIMITED)

        fleet.meanwhile = settle
        again = admit(two, "B")

        assert fleet.waits == [0.1, 0.3]
        if sent_before is None:
            assert again == DUPLICATE
        else:
            assert verdict(again) is Verdict.WORK
            assert again.claim is not None
            assert again.claim.sent == sent_before

    def test_a_returning_delivery_is_recorded_if_time_is_left(self, fleet: Fleet) -> None:
        context, taken = Context(), [0.0]

        def take_time(_: object) -> None:
            context.left -= taken[0]

        admit(fleet.instance(), "A")
        fleet.aws.fail(take_time)
        for owner, seconds in (("B", 299.0), ("C", 0.0)):
            context.left, taken[0] = 300.0, seconds
            fleet.instance().admit([(EVENT, owner)], Deadline(lambda: context.left))

        [item] = fleet.table.items.values()
        assert item["returning"] == {"SS": ["C"]}

    @pytest.mark.parametrize(
        ("left", "lease"), [(100.0, 105.0), (None, 60.0)], ids=["lambda", "elsewhere"]
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

    def test_an_instance_that_lost_its_claim_does_not_settle_it(self, fleet: Fleet) -> None:
        one, two, three = fleet.instance(), fleet.instance(), fleet.instance()
        slow = admit(one, "m-1")
        fleet.now += 3600
        admit(two, "m-2")

        complete(one, slow)

        assert admit(three, "m-3").failure
        [line] = fleet.log.messages
        assert line.startswith('claims not settled {"count": 1, "reason": ')


class TestTableCalls:
    """The table is called only if its answer can matter."""

    @pytest.mark.parametrize("size", [0, 10], ids=["no-memory", "memory"])
    def test_a_duplicate_in_the_same_invocation_is_not_claimed(
        self, size: int, fleet: Fleet
    ) -> None:
        one = fleet.instance(size=size)

        first, second = one.admit([(EVENT, "m-1"), (EVENT, "m-2")], UNLIMITED)

        assert (verdict(first), second) == (Verdict.WORK, DUPLICATE)
        assert (fleet.calls, fleet.waits) == (1, [])

    def test_nothing_is_claimed_out_of_time(self, fleet: Fleet) -> None:
        context = Context()
        deadline = Deadline(lambda: context.left)
        context.left = 20.0

        [admission] = fleet.instance().admit([(EVENT, "m-1")], deadline)

        assert admission.failure == ("out_of_time", "too little time left to claim the event")
        assert not fleet.table.items

    def test_with_too_little_time_the_lease_is_left_to_expire(self, fleet: Fleet) -> None:
        context = Context()
        deadline = Deadline(lambda: context.left)
        one, two = fleet.instance(), fleet.instance()
        [admission] = one.admit([(EVENT, "m-1")], deadline)

        context.left = 1.0
        one.settle([(EVENT, admission, None)], deadline)

        reason = "too little time left; the lease will expire"
        assert fleet.log.messages == [f'claims not settled {{"count": 1, "reason": "{reason}"}}']
        assert admit(two, "m-2").failure


class TestTableUnreachable:
    """Events are carried out if the table does not answer, so that none is lost."""

    def test_the_table_is_called_once_in_an_invocation_and_again_in_the_next(
        self, fleet: Fleet
    ) -> None:
        one = fleet.instance(table="no-such-table")
        other = dataclasses.replace(EVENT, key="another")
        first, second = (one.admit([(event, "m-1")], UNLIMITED)[0] for event in (EVENT, other))
        complete(one, first, second)

        assert [verdict(first), verdict(second)] == [Verdict.UNKNOWN] * 2
        assert fleet.calls == 1
        assert verdict(admit(one, "m-1")) is Verdict.UNKNOWN
        assert fleet.calls == 2

    def test_events_without_the_table_are_counted_in_each_invocation(self, fleet: Fleet) -> None:
        fleet.aws.fail({("UpdateItem", None): RESET})
        one = fleet.instance()

        for count in (1, 2):  # as FIFO queues have it: one after the other
            events = [dataclasses.replace(EVENT, key=f"{count}-{n}") for n in range(count)]
            admitted = one.admit([(event, "A") for event in events], UNLIMITED)
            assert not any(each.is_duplicate or each.failure for each in admitted)

        lines = [each.removeprefix("dedup table unreachable ") for each in fleet.log.messages]
        assert sum(json.loads(each)["count"] for each in lines) == 3
        assert {record.levelno for record in fleet.log.records} == {logging.ERROR}


class TestOddAnswers:
    """An answer that DynamoDB never gives counts as none, and loses nothing."""

    def test_an_odd_answer_to_a_claim_is_an_unknown_verdict(self, fleet: Fleet) -> None:
        fleet.answer_oddly(1)

        admitted = admit(fleet.instance(), "A")

        assert verdict(admitted) is Verdict.UNKNOWN
        assert admitted.claim is not None
        assert (admitted.claim.error or "").startswith("LookupError: odd (test_protocol.py, line ")

    @pytest.mark.parametrize("is_done", [False, True], ids=["release", "confirm"])
    def test_an_odd_answer_to_a_settlement_is_logged(self, fleet: Fleet, *, is_done: bool) -> None:
        one = fleet.instance()
        admitted = admit(one, "A")
        fleet.answer_oddly(1)

        one.settle([(EVENT, admitted, None if is_done else sent())], UNLIMITED)

        assert 'claims not settled {"count": 1, "reason": "LookupError: odd' in fleet.log.text

    def test_an_odd_answer_during_a_wait_leaves_the_event_busy(self, fleet: Fleet) -> None:
        """Whoever was at work on it may still be."""
        admit(fleet.instance(), "A")
        # The first call is refused, the second notes the return, the third has no answer.
        fleet.answer_oddly(3)

        assert admit(fleet.instance(), "B").is_busy
