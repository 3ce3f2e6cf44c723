"""The outcomes of a delivered event, and what a retry of its delivery skips."""

from collections import Counter
from typing import Final

from lava_s3trigger.deliveries import DeliveredEvent, Delivery
from lava_s3trigger.outcomes import Outcome
from lava_s3trigger.sent import SentRecord
from tests.build import s3_event
from tests.tables import cases

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


@cases(
    ("outcomes", "before", "expected"),
    {
        "not carried out": ([], None, record()),
        "no failure": ([dispatched("t", "j")], None, COMPLETE),
        "nothing was done": ([FAILED], None, record()),
        "as often as dispatched": (
            [dispatched("t", "j"), dispatched("t", "j"), dispatched("u", "j"), FAILED],
            *(None, record(("t", "j"), ("t", "j"), ("u", "j"))),
        ),
        "what an earlier attempt did": (
            [sent_before("t", "j"), FAILED],
            record(("u", "k"), parked=("v",)),
            record(("t", "j"), ("u", "k"), parked=("v",)),
        ),
        "parked earlier": ([sent_before("v"), FAILED], None, record(parked=("v",))),
        "the parked message lists the dispatches of its trigger": (
            [dispatched("v", "j"), Outcome("parked", "bad", "x", "v", "k"), FAILED],
            record(("v", "old")),
            record(parked=("v",)),
        ),
        "completed earlier": ([sent_before(None), FAILED], None, COMPLETE),
        "duplicate": ([Outcome("skipped", "duplicate", "duplicate"), FAILED], None, COMPLETE),
    },
)
def test_a_retry_skips_what_was_carried_out(
    outcomes: list[Outcome], before: SentRecord | None, expected: SentRecord
) -> None:
    assert delivered(*outcomes, before=before).record == expected


def test_a_failure_of_one_event_does_not_concern_others_of_its_delivery() -> None:
    delivery = Delivery()
    delivery.add_event(s3_event("in/1"))
    delivery.add_event(s3_event("in/2"))
    one, other = delivery.events
    one.fail("aws_error", "refused")
    delivery.fail("not_understood", "odd")
    assert (other.failures, other.record) == ([], record())
    assert [each.reason for each in delivery.failures] == ["odd", "refused"]
