"""User errors, parked in the dead-letter queue."""

import json
import logging
from typing import Any
from unittest.mock import ANY

import pytest

from lava_s3trigger.errors import DeliveriesFailedError
from tests.aws_in_memory import (
    DENIED,
    SERVER_ERROR,
    THROTTLED,
    EntryRefusal,
    Fault,
    Partial,
    Refusal,
)
from tests.build import BUCKET, direct, eventbridge, record, sqs
from tests.function.harness import PARKING, SEND, Harness, deny
from tests.function.user_errors import TOO_LONG, UserErrorCase, every_user_error
from tests.tables import cases


@every_user_error
@pytest.mark.parametrize("event", [record(), eventbridge()], ids=["s3", "eventbridge"])
def test_a_user_error_is_parked_with_its_event_and_other_triggers_run(
    harness: Harness, case: UserErrorCase, event: dict[str, Any]
) -> None:
    harness.trigger("a", job_id="report")
    harness.trigger(**case.fields)
    harness.trigger("z", job_id="report")
    assert harness.function()(sqs(event)) is None
    assert harness.counts() == (0, 2, 1)
    (message,) = harness.parking.messages
    (reason,) = message.json["parked"]["reasons"]
    assert case.reason in reason["reason"]
    assert (reason["kind"], reason.get("job_id")) == (case.kind, case.job_id)
    parked = {"trigger_id": "t", "done": [], "reasons": [reason], "parked_at": ANY}
    assert message.json == {"parked": parked, "event": event}
    assert message.delay == 0
    (fields,) = harness.logged.fields("parked", logging.ERROR)
    assert fields.get("code") == case.code
    assert case.reason in fields["reason"]


def test_only_the_batch_entry_that_sqs_refuses_is_parked(harness: Harness) -> None:
    harness.trigger(job_id=["load", "load", "load"])
    refusal = EntryRefusal("InvalidMessageContents", is_senders_fault=True, message="no")
    harness.endpoint.fail({(SEND, 1): Partial({1: refusal})})
    assert harness.function()(direct(record())) is None
    assert len(harness.core.messages) == 2
    (parked,) = harness.parked()
    assert parked["reasons"] == [
        {"job_id": "load", "kind": "message_refused", "reason": "InvalidMessageContents: no"}
    ]
    assert parked["done"] == ["load", "load"]


@every_user_error
def test_without_a_dead_letter_queue_a_user_error_is_logged_and_done(
    harness: Harness, case: UserErrorCase
) -> None:
    harness.trigger(**case.fields)
    harness.trigger("good", job_id="report")
    assert harness.function(dead_letter_queue=None)(direct(record())) is None
    (fields,) = harness.logged.fields("user_error", logging.ERROR)
    assert case.reason in fields.pop("reason")
    assert fields.pop("job_id", None) == case.job_id
    assert fields.pop("code", None) == case.code
    event = {"bucket": BUCKET, "key": "in/1.csv"}
    assert fields == {"kind": case.kind, "trigger_id": "t", "entry": ANY, **event}
    assert harness.keys(harness.web) == ["in/1.csv"]
    assert not harness.parking.messages


def test_a_very_long_job_id_is_parked(harness: Harness) -> None:
    harness.trigger(job_id=["load", TOO_LONG])
    function = harness.function()
    assert function(direct(record())) is None
    (message,) = harness.parking.take()
    assert len(message.text) < 10_000
    assert message.json["parked"]["done"] == ["load"]
    harness.trigger(job_id=["load", "report"])
    harness.clock.now += 60
    assert function(sqs(message.text, queue=PARKING)) is None
    assert (harness.keys(), harness.keys(harness.web)) == (["in/1.csv"], ["in/1.csv"])


@cases(
    ("fault", "operation", "reason"),
    {
        "denied": (DENIED, SEND, "AccessDenied"),
        "throttled": (THROTTLED, SEND, "RequestThrottled"),
        "500": (SERVER_ERROR, SEND, "InternalServerError"),
        "refused": (Refusal(400, "InvalidMessageContents", "not like this"), SEND, "not like this"),
        "missing": (Refusal(400, "QueueDoesNotExist"), "GetQueueUrl", f"no queue {PARKING}"),
    },
)
def test_a_delivery_fails_if_parking_fails(
    harness: Harness, fault: Fault, operation: str, reason: str
) -> None:
    harness.trigger("good")
    harness.trigger("bad", job_id="none")
    harness.endpoint.fail(deny("parked", fault, operation))
    function = harness.function()
    with pytest.raises(DeliveriesFailedError, match=reason):
        function(direct(record()))
    assert harness.keys() == ["in/1.csv"]
    assert not harness.parking.messages
    assert not harness.logged.fields("parked")
    (fields,) = harness.logged.fields("failed", logging.ERROR)
    names = ("kind", "trigger_id", "job_id")
    assert [fields[name] for name in names] == ["parking_failed", "bad", "none"]
    harness.endpoint.fail({})
    assert function(direct(record())) is None
    assert harness.keys() == ["in/1.csv"]
    assert [each["trigger_id"] for each in harness.parked()] == ["bad"]


def test_an_event_that_is_too_deep_for_templates_is_parked(harness: Harness) -> None:
    harness.trigger("names-event", prefix="*", parameters={"event": "{{ event|tojson }}"})
    harness.trigger("names-key", prefix="*")
    deep = f'"size": 1, "more": {"[" * 400}{"]" * 400}'
    body = json.dumps(direct(record())).replace('"size": 1082', deep)
    assert harness.function()(sqs(body)) is None
    assert len(harness.keys()) == 1
    (parked,) = harness.parked()
    assert parked["trigger_id"] == "names-event"
    assert "event is nested more than 50 deep" in parked["reasons"][0]["reason"]
