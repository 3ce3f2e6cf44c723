"""Tasks, and what is noted of a decision before anything is sent."""

from __future__ import annotations

import json
import logging
from collections import Counter
from datetime import UTC, datetime
from typing import Any, Final

import pytest

from lava_s3trigger.decision import Decision, JobDecision, TriggerDecision
from lava_s3trigger.errors import OutOfTimeError
from lava_s3trigger.events import Delivery, S3Event
from lava_s3trigger.log import LOGGER
from lava_s3trigger.parking import Reason, RedriveTarget
from lava_s3trigger.sending import Task, report, report_trigger
from lava_s3trigger.sent import SentRecord

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
WHERE: Final = {"bucket": "my-bucket", "key": "a/b/c", "message_id": "m-1"}


def decided(*triggers: TriggerDecision) -> Decision:
    """Return a decision."""
    return Decision(EVENT, triggers=list(triggers))


def told(task: Task, decision: Decision) -> None:
    """Report a decision, as the handler does."""
    task.decision = decision
    for trigger in decision.triggers:
        report_trigger(task, trigger)
    report(task, decision)


def logged(caplog: pytest.LogCaptureFixture) -> list[tuple[int, str, dict[str, Any]]]:
    """Return level, event and fields of each line in the log."""
    lines = []
    for record in caplog.records:
        event, _, fields = record.getMessage().partition(" ")
        lines.append((record.levelno, event, json.loads(fields)))
    return lines


@pytest.fixture(name="task")
def _task(caplog: pytest.LogCaptureFixture) -> Task:
    caplog.set_level(logging.DEBUG, logger=LOGGER.name)
    return Task(Delivery(message_id="m-1"), EVENT)


class TestReport:
    """What is not to be dispatched is logged, and noted for parking or for a retry."""

    def test_skips_are_logged(self, task: Task, caplog: pytest.LogCaptureFixture) -> None:
        off = TriggerDecision("t-1", "a")
        off.end("skipped", "trigger_disabled", "the trigger is disabled")
        job = JobDecision("j", 0, "skipped", "job_disabled", "the job is disabled")

        told(task, decided(off, TriggerDecision("t-2", "a", jobs=[job])))

        trigger_fields = {
            "kind": "trigger_disabled",
            "reason": "the trigger is disabled",
            "trigger_id": "t-1",
        }
        job_fields = {
            "kind": "job_disabled",
            "reason": "the job is disabled",
            "trigger_id": "t-2",
            "job_id": "j",
        }
        assert logged(caplog) == [
            (logging.INFO, "skipped", trigger_fields | WHERE),
            (logging.INFO, "skipped", job_fields | WHERE),
        ]
        assert not task.failures
        assert not task.reasons
        assert not task.delivery.failures

    def test_a_skip_of_a_parked_message_is_a_warning(
        self, task: Task, caplog: pytest.LogCaptureFixture
    ) -> None:
        task.redrive = RedriveTarget("t-1")
        unmet = TriggerDecision("t-1", "a")
        unmet.end("skipped", "condition_not_met", "not met: if_size_gt 1")

        told(task, decided(unmet))

        assert [level for level, *_ in logged(caplog)] == [logging.WARNING]

    def test_an_event_that_no_trigger_matches_is_logged_at_debug(
        self, task: Task, caplog: pytest.LogCaptureFixture
    ) -> None:
        told(task, decided())

        fields = {"kind": "no_trigger", "reason": "no trigger matches", "tried": 0, "prefixes": []}
        assert logged(caplog) == [(logging.DEBUG, "skipped", fields | WHERE)]

    def test_mistakes_are_collected_by_trigger_and_not_logged_yet(
        self, task: Task, caplog: pytest.LogCaptureFixture
    ) -> None:
        bad = TriggerDecision("t-1", "a")
        bad.end("mistake", "bad_entry", "bad entry: delay")
        jobs = [
            JobDecision(each, place, "mistake", "no_such_job", f"no job {each}")
            for place, each in enumerate("jk")
        ]

        told(task, decided(bad, TriggerDecision("t-2", "a", jobs=jobs)))

        assert task.reasons == {
            "t-1": [Reason("bad entry: delay", "bad_entry")],
            "t-2": [
                Reason("no job j", "no_such_job", "j"),
                Reason("no job k", "no_such_job", "k"),
            ],
        }
        assert logged(caplog) == []
        assert not task.failures

    def test_failures_fail_the_delivery_and_are_noted_by_trigger(
        self, task: Task, caplog: pytest.LogCaptureFixture
    ) -> None:
        late = TriggerDecision("t-1", "a")
        late.end("failed", "out_of_time", "too late")
        job = JobDecision("j", 0, "failed", "aws_error", "refused")

        told(task, decided(late, TriggerDecision("t-2", "a", jobs=[job])))

        assert task.failures == task.delivery.failures == ["too late", "refused"]
        assert task.failed_triggers == {"t-1", "t-2"}
        trigger = {"kind": "out_of_time", "reason": "too late", "trigger_id": "t-1"}
        of_job = {"kind": "aws_error", "reason": "refused", "trigger_id": "t-2", "job_id": "j"}
        assert logged(caplog) == [
            (logging.ERROR, "failed", trigger | WHERE),
            (logging.ERROR, "failed", of_job | WHERE),
        ]

    def test_an_event_whose_triggers_cannot_be_looked_up_fails(self, task: Task) -> None:
        told(task, Decision(EVENT, error=OutOfTimeError("too late")))

        assert task.failures == ["too late"]
        assert task.failed_triggers == set()


class TestRecord:
    """A task tells the ledger what of it need not be done again."""

    def test_a_task_without_a_failure_is_completed(self, task: Task) -> None:
        task.sent = [("t", "j")]

        assert task.record == SentRecord(is_complete=True)

    def test_a_failed_task_lists_what_was_sent_and_parked(self, task: Task) -> None:
        task.sent = [("t", "j"), ("t", "j"), ("u", "j")]
        task.parked = ["v"]
        task.fail("aws_error", "refused", "t")

        assert task.record == SentRecord(jobs=Counter({("t", "j"): 2, ("u", "j"): 1}), parked={"v"})

    def test_what_an_earlier_try_carried_out_and_this_one_did_not_reach_is_kept(
        self, task: Task
    ) -> None:
        task.before = SentRecord(jobs=Counter([("t", "j"), ("u", "j")]), parked={"v"})
        assert task.before.use_job("t", "j")
        task.sent = [("t", "j")]
        task.fail("out_of_time", "too late")

        assert task.record == SentRecord(jobs=Counter([("t", "j"), ("u", "j")]), parked={"v"})

    def test_a_failure_of_one_event_does_not_concern_others_of_its_delivery(
        self, task: Task
    ) -> None:
        other = Task(task.delivery, EVENT)

        task.fail("aws_error", "refused")

        assert other.failures == []
        assert other.record == SentRecord(is_complete=True)
        assert task.delivery.failures == ["refused"]

    def test_a_duplicate_of_a_failed_delivery_is_completed(self, task: Task) -> None:
        task.is_done = True
        task.fail("unexpected", "odd")

        assert task.record == SentRecord(is_complete=True)
