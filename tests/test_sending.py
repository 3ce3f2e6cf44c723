"""Sending what was decided, and parking user errors."""

from __future__ import annotations

import json
import logging
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import pytest

from lava_s3trigger.aws.deadline import UNLIMITED
from lava_s3trigger.decision import Decision, JobDecision, TriggerDecision
from lava_s3trigger.deliveries import DeliveredEvent
from lava_s3trigger.dispatch import Dispatch, timestamp
from lava_s3trigger.log import LOGGER
from lava_s3trigger.outcomes import Outcome
from lava_s3trigger.parking import RedriveTarget
from lava_s3trigger.sending import Outbox
from lava_s3trigger.sent import SentRecord
from tests.build import s3_event

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lava_s3trigger.dispatch import PendingMessage

PARKING: Final = "lava-demo-s3trigger-dlq"
EVENT: Final = s3_event()


class Target:
    """Takes messages, except for queues that refuse or fail them."""

    def __init__(self, refused: Sequence[str] = (), failed: Sequence[str] = ()) -> None:
        self.sent: list[PendingMessage] = []
        self._refused = refused
        self._failed = failed

    def send(self, messages: Sequence[PendingMessage], *_: Any) -> None:
        """Take messages."""
        for message in messages:
            if message.queue in self._refused:
                message.refuse("no_queue", f"no queue {message.queue}")
            elif message.queue in self._failed:
                message.reason = "no answer"
            else:
                message.accept()
                self.sent.append(message)

    def parked(self) -> list[dict[str, Any]]:
        """Return the parts of parked messages that say what was parked."""
        return [json.loads(each.text)["parked"] for each in self.sent if each.queue == PARKING]


def delivered(*triggers: TriggerDecision, **fields: Any) -> DeliveredEvent:
    """Return an event for which triggers were decided."""
    found = DeliveredEvent(EVENT, message_id="m-1", **fields)
    found.decision = Decision(EVENT, triggers=list(triggers))
    return found


def trigger(*jobs: str | Outcome, trigger_id: str = "t") -> TriggerDecision:
    """Return a trigger with jobs: ids of those to dispatch, or outcomes of others."""
    found = TriggerDecision(trigger_id, "in")
    for position, job in enumerate(jobs):
        if isinstance(job, str):
            dispatch = Dispatch(job_id=job, worker=f"of-{job}", parameters={}, globals={})
            found.jobs.append(JobDecision(job, position, dispatch))
        else:
            found.jobs.append(JobDecision(job.job_id or "", position, ended=job))
    return found


def no_job(job_id: str) -> Outcome:
    """Return the outcome of a job that does not exist."""
    return Outcome("user_error", "no_such_job", f"no job '{job_id}'", "t", job_id)


def carry_out(
    event: DeliveredEvent, target: Target, dead_letter_queue: str | None = PARKING
) -> list[tuple[str, str | None, str | None]]:
    """Send what was decided for an event; return outcome, kind and job of each outcome."""
    now = EVENT.event_time + timedelta(seconds=2)
    outbox = Outbox(target, "demo", dead_letter_queue, UNLIMITED, now=lambda: now)
    for each in event.decision.triggers if event.decision else ():
        outbox.put(event, each)
    outbox.close()
    return [(each.outcome, each.kind, each.job_id) for each in event.outcomes]


class TestDispatch:
    """Each dispatch has an outcome of its own."""

    def test_its_time_is_that_of_sending(self) -> None:
        """Others may have been rendered since it was made."""
        times = [EVENT.event_time + timedelta(seconds=n) for n in (1, 60, 61)]
        event, target = delivered(trigger("j"), trigger("k", trigger_id="u")), Target()
        outbox = Outbox(target, "demo", PARKING, UNLIMITED, now=lambda: times.pop(0))
        assert event.decision
        for each in event.decision.triggers:
            outbox.put(event, each)

        outbox.close()

        sent = [json.loads(each.text)["ts_dispatch"] for each in target.sent]
        assert sent == [timestamp(EVENT.event_time + timedelta(seconds=60))] * 2

    def test_what_was_sent_is_known_also_if_sending_ends_with_an_error(self) -> None:
        """Else a retry would send it again."""

        class Broken(Target):
            def send(self, messages: Sequence[PendingMessage], *_: Any) -> None:
                super().send(messages[:1])
                raise MemoryError

        event = delivered(trigger("j", "k"))

        with pytest.raises(MemoryError):
            carry_out(event, Broken())

        assert [(each.outcome, each.job_id) for each in event.outcomes] == [
            ("dispatched", "j"),
            ("failed", "k"),
        ]

    def test_a_dispatch_names_its_queue_its_run_and_the_lag(self) -> None:
        event, target = delivered(trigger("j")), Target()

        carry_out(event, target)

        [message] = target.sent
        assert event.outcomes == [
            Outcome("dispatched", None, None, "t", "j", message.run_id, "lava-demo-of-j", 2.0)
        ]

    def test_a_failure_makes_the_delivery_come_again_and_neighbours_are_sent(self) -> None:
        event = delivered(trigger("j", "k"))
        found = carry_out(event, Target(failed=["lava-demo-of-j"]))
        assert found == [("failed", "aws_error", "j"), ("dispatched", None, "k")]
        assert [each.reason for each in event.failures] == ["no answer"]

    def test_a_dispatch_that_no_queue_takes_is_parked(self) -> None:
        target = Target(refused=["lava-demo-of-j"])
        found = carry_out(delivered(trigger("j", "k")), target)
        assert found == [("dispatched", None, "k"), ("parked", "no_queue", "j")]
        [parked] = target.parked()
        assert (parked["trigger_id"], parked["done"]) == ("t", ["k"])


class TestPark:
    """User errors are parked, once for each trigger."""

    def test_all_errors_of_a_trigger_are_one_message(self) -> None:
        target = Target()

        found = carry_out(delivered(trigger(no_job("x"), "j", no_job("y"))), target)

        assert found == [
            ("dispatched", None, "j"),
            ("parked", "no_such_job", "x"),
            ("parked", "no_such_job", "y"),
        ]
        [parked] = target.parked()
        assert [each["job_id"] for each in parked["reasons"]] == ["x", "y"]
        assert parked["done"] == ["j"]

    def test_without_a_queue_they_are_user_errors_and_the_event_is_done(self) -> None:
        event = delivered(trigger(no_job("x")))
        assert carry_out(event, Target(), None) == [("user_error", "no_such_job", "x")]
        assert event.record == SentRecord(is_complete=True)

    def test_a_trigger_with_a_failure_is_not_parked(self) -> None:
        """Its delivery comes again, and then all that was dispatched is known."""
        target = Target(failed=["lava-demo-of-j"])
        found = carry_out(delivered(trigger(no_job("x"), "j")), target)
        assert found == [("failed", "aws_error", "j")]
        assert target.parked() == []

    def test_a_message_that_cannot_be_parked_fails_with_both_reasons(self) -> None:
        event = delivered(trigger(no_job("x")))
        assert carry_out(event, Target(failed=[PARKING])) == [("failed", "parking_failed", "x")]
        assert event.failures[0].reason == "parking (no job 'x'): no answer"

    @pytest.mark.parametrize(
        ("jobs", "queue", "expected"),
        [
            pytest.param([no_job("x")], PARKING, ["failed"], id="nothing new, of the queue"),
            pytest.param([no_job("x")], "other", ["parked"], id="nothing new, of another queue"),
            pytest.param(["j", no_job("x")], PARKING, ["dispatched", "parked"], id="one job"),
        ],
    )
    def test_a_redriven_message_stays_where_nothing_new_was_dispatched(
        self, jobs: list[str | Outcome], queue: str, expected: list[str]
    ) -> None:
        event = delivered(trigger(*jobs), queue=queue, redrive=RedriveTarget("t", ("old",)))
        target = Target()
        assert [outcome for outcome, *_ in carry_out(event, target)] == expected
        for parked in target.parked():
            assert "old" in parked["done"]

    def test_a_parked_message_lists_what_earlier_attempts_dispatched(self) -> None:
        before = SentRecord()
        before.jobs.update([("t", "gone"), ("u", "other")])
        event, target = delivered(trigger(no_job("x")), before=before), Target()
        carry_out(event, target)
        assert target.parked()[0]["done"] == ["gone"]


def test_a_line_names_the_delivery_the_object_and_the_entry(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG, logger=LOGGER.name)
    event = delivered(TriggerDecision("t", "in", digest="d1gest", seconds=0.25))

    event.add(no_job("x"))

    [record] = caplog.records
    name, _, fields = record.getMessage().partition(" ")
    assert (record.levelno, name) == (logging.ERROR, "user_error")
    assert json.loads(fields) == {
        "kind": "no_such_job",
        "reason": "no job 'x'",
        "trigger_id": "t",
        "job_id": "x",
        "entry": "d1gest",
        "duration_ms": 250,
        "message_id": "m-1",
        "bucket": EVENT.bucket,
        "key": EVENT.key,
    }
