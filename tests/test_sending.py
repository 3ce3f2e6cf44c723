"""Sending what was decided."""

import json
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final

import pytest

from lava_s3trigger.aws.deadline import UNLIMITED
from lava_s3trigger.decision import Decision, JobDecision, TriggerDecision
from lava_s3trigger.deliveries import DeliveredEvent
from lava_s3trigger.dispatch import Dispatch, PendingMessage, timestamp
from lava_s3trigger.outcomes import Outcome
from lava_s3trigger.sending import Outbox
from tests.build import s3_event

PARKING: Final = "lava-demo-s3trigger-dlq"
EVENT: Final = s3_event()


class Target:
    """Takes messages."""

    def __init__(self) -> None:
        self.sent: list[PendingMessage] = []

    def send(self, messages: Sequence[PendingMessage], *_: Any) -> None:
        for message in messages:
            message.accept()
            self.sent.append(message)


def delivered(*triggers: TriggerDecision) -> DeliveredEvent:
    """Return an event for which triggers were decided."""
    found = DeliveredEvent(EVENT, message_id="m-1")
    found.decision = Decision(EVENT, triggers=list(triggers))
    return found


def trigger(*job_ids: str, trigger_id: str = "t") -> TriggerDecision:
    """Return a trigger with jobs to dispatch."""
    found = TriggerDecision(trigger_id, "in")
    for position, job_id in enumerate(job_ids):
        dispatch = Dispatch(job_id=job_id, worker=f"of-{job_id}", parameters={}, globals={})
        found.jobs.append(JobDecision(job_id, position, dispatch))
    return found


def carry_out(event: DeliveredEvent, target: Target, *seconds: float) -> None:
    """Send what was decided for an event, at times so many seconds after it."""
    times = [EVENT.event_time + timedelta(seconds=each) for each in seconds]
    outbox = Outbox(target, "demo", PARKING, UNLIMITED, now=lambda: times.pop(0))
    assert event.decision
    for trigger in event.decision.triggers:
        outbox.put(event, trigger)
    outbox.close()


def test_the_time_of_a_dispatch_is_that_of_sending() -> None:
    """Others may have been rendered since it was made."""
    event, target = delivered(trigger("j"), trigger("k", trigger_id="u")), Target()
    carry_out(event, target, 1, 60, 61)
    sent = [json.loads(each.text)["ts_dispatch"] for each in target.sent]
    assert sent == [timestamp(EVENT.event_time + timedelta(seconds=60))] * 2


def test_what_was_sent_is_known_also_if_sending_ends_with_an_error() -> None:
    """Else a retry would send it again."""

    class Broken(Target):
        def send(self, messages: Sequence[PendingMessage], *_: Any) -> None:
            super().send(messages[:1])
            raise MemoryError

    event = delivered(trigger("j", "k"))
    with pytest.raises(MemoryError):
        carry_out(event, Broken(), 1, 2, 3)
    outcomes = [(each.outcome, each.job_id) for each in event.outcomes]
    assert outcomes == [("dispatched", "j"), ("failed", "k")]


def test_a_dispatch_names_its_queue_its_run_and_the_lag() -> None:
    event, target = delivered(trigger("j")), Target()
    carry_out(event, target, 2, 2, 2)
    [message] = target.sent
    assert event.outcomes == [
        Outcome("dispatched", None, None, "t", "j", message.run_id, "lava-demo-of-j", 2.0)
    ]
