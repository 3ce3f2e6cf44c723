"""The outcomes of a delivered event, and what a retry of its delivery skips."""

from __future__ import annotations

from collections import Counter
from typing import Final

import pytest

from lava_s3trigger.deliveries import DeliveredEvent, Delivery
from lava_s3trigger.outcomes import Outcome
from lava_s3trigger.sent import SentRecord
from tests.payloads import s3_event

FAILED: Final = Outcome("failed", "aws_error", "refused", "t")
COMPLETE: Final = SentRecord(is_complete=True)


def delivered(*outcomes: Outcome, before: SentRecord | None = None) -> DeliveredEvent:
    """Return an event with outcomes."""
    return DeliveredEvent(s3_event(), before=before, outcomes=list(outcomes))


def dispatched(trigger_id: str, job_id: str) -> Outcome:
    """Return the outcome of a dispatch."""
    return Outcome("dispatched", trigger_id=trigger_id, job_id=job_id)


def sent_before(trigger_id: str | None, job_id: str | None = None) -> Outcome:
    """Return the outcome of what an earlier attempt did."""
    return Outcome("skipped", "sent_before", "before", trigger_id, job_id)


def record(*jobs: tuple[str, str], parked: tuple[str, ...] = ()) -> SentRecord:
    """Return a record of dispatches and parked triggers."""
    return SentRecord(jobs=Counter(jobs), parked=set(parked))


class TestRecord:
    """A retry skips what this attempt and earlier ones carried out."""

    @pytest.mark.parametrize(
        ("outcomes", "before", "expected"),
        [
            pytest.param([], None, record(), id="not carried out"),
            pytest.param([dispatched("t", "j")], None, COMPLETE, id="no failure"),
            pytest.param([FAILED], None, record(), id="nothing was done"),
            pytest.param(
                [dispatched("t", "j"), dispatched("t", "j"), dispatched("u", "j"), FAILED],
                None,
                record(("t", "j"), ("t", "j"), ("u", "j")),
                id="as often as dispatched",
            ),
            pytest.param(
                [sent_before("t", "j"), FAILED],
                record(("u", "k"), parked=("v",)),
                record(("t", "j"), ("u", "k"), parked=("v",)),
                id="what an earlier attempt did",
            ),
            pytest.param(
                [sent_before("v"), FAILED], None, record(parked=("v",)), id="parked earlier"
            ),
            pytest.param(
                [dispatched("v", "j"), Outcome("parked", "bad", "x", "v", "k"), FAILED],
                record(("v", "old")),
                record(parked=("v",)),
                id="the parked message lists the dispatches of its trigger",
            ),
            pytest.param([sent_before(None), FAILED], None, COMPLETE, id="completed earlier"),
            pytest.param(
                [Outcome("skipped", "duplicate", "duplicate"), FAILED],
                None,
                COMPLETE,
                id="duplicate",
            ),
        ],
    )
    def test_a_record(
        self, outcomes: list[Outcome], before: SentRecord | None, expected: SentRecord
    ) -> None:
        assert delivered(*outcomes, before=before).record == expected


class TestFailures:
    """A delivery has failed if any of its events has, or itself."""

    def test_a_failure_of_one_event_does_not_concern_others_of_its_delivery(self) -> None:
        delivery = Delivery()
        delivery.add_event(s3_event("in/1"))
        delivery.add_event(s3_event("in/2"))
        one, other = delivery.events

        one.fail("aws_error", "refused")
        delivery.fail("not_understood", "odd")

        assert other.failures == []
        assert other.record == record()
        assert [each.reason for each in delivery.failures] == ["odd", "refused"]
