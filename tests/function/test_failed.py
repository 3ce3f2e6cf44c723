"""Deliveries that fail."""

import itertools
import json
import logging
import re
from typing import Any, Final
from unittest.mock import ANY

import pytest

from lava_s3trigger import handler
from lava_s3trigger.errors import DeliveriesFailedError
from lava_s3trigger.handler import Function
from tests.aws_in_memory import (
    DENIED,
    OPERATIONS,
    READS_THROTTLED,
    SERVER_ERROR,
    THROTTLED,
    Fault,
    Refusal,
)
from tests.build import BUCKET, NONSENSE, direct, eventbridge, failed, record, sqs
from tests.function.harness import PARKING, SEND, Harness, deny
from tests.tables import cases


def test_failed_messages_are_named(harness: Harness) -> None:
    harness.trigger()
    payload = sqs(
        direct(record("in/0")), NONSENSE, direct(record("in/2")), {"neither": 1}, direct()
    )
    assert harness.function()(payload) == failed("m1", "m3")
    assert harness.keys() == ["in/0", "in/2"]


@cases(
    "payload",
    {
        "S3": direct(record("in/1"), {"s3": {}}, record("in/2")),
        "a Pipe": [record("in/1"), {"what": "ever"}, eventbridge("in/2")],
    },
)
def test_other_routes_carry_out_the_rest_and_raise_once(harness: Harness, payload: Any) -> None:
    harness.trigger()
    with pytest.raises(DeliveriesFailedError) as error:
        harness.function()(payload)
    assert error.value.count == 1
    assert harness.keys() == ["in/1", "in/2"]


@pytest.mark.parametrize("fault", [DENIED, Refusal(400, "ValidationException")], ids=str)
@pytest.mark.parametrize("operation", ["Query", "GetItem"])
def test_a_failed_read_fails_its_delivery_alone(
    harness: Harness, operation: str, fault: Fault
) -> None:
    harness.trigger("one", bucket="one")
    harness.trigger("two", bucket="two", job_id="report")
    harness.endpoint.fail({(operation, 1): fault})
    payload = sqs(direct(record("in/1", bucket="one")), direct(record("in/2", bucket="two")))
    function = harness.function()
    assert function(payload) == failed("m0")
    assert (harness.keys(), harness.keys(harness.web)) == ([], ["in/2"])
    (fields,) = harness.logged.fields("failed", logging.ERROR)
    assert fields.pop("reason").startswith("reading lava.demo.")
    of_job = {"trigger_id": "one", "job_id": "load", "entry": ANY}
    event = {"kind": "aws_error", "message_id": "m0", "bucket": "one", "key": "in/1"}
    assert fields == event | (of_job if operation == "GetItem" else {})
    assert function(sqs(direct(record("in/1", bucket="one")))) is None
    assert harness.keys() == ["in/1"]


def test_a_failed_read_is_retried_first(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", harness.waits.append)
    harness.trigger()
    harness.endpoint.fail({("Query", 1): READS_THROTTLED, ("GetItem", 1): SERVER_ERROR})
    assert harness.function()(direct(record())) is None
    assert harness.keys() == ["in/1.csv"]
    assert len(harness.waits) == 2


@pytest.mark.parametrize("fault", [THROTTLED, SERVER_ERROR, DENIED], ids=lambda each: each.code)
@pytest.mark.parametrize("operation", ["GetQueueUrl", SEND])
def test_a_failed_send_fails_its_delivery_alone(
    harness: Harness, operation: str, fault: Refusal
) -> None:
    harness.trigger("one", prefix="one")
    harness.trigger("two", prefix="two", job_id="report")
    harness.endpoint.fail(deny("core", fault, operation))
    payload = sqs(direct(record("one/1")), direct(record("two/2")))
    assert harness.function()(payload) == failed("m0")
    assert (harness.keys(), harness.keys(harness.web)) == ([], ["two/2"])
    assert not harness.parking.messages
    (fields,) = harness.logged.fields("failed", logging.ERROR)
    assert fault.code in fields["reason"]
    names = ("trigger_id", "job_id", "bucket", "key")
    assert [fields[name] for name in names] == ["one", "load", BUCKET, "one/1"]
    assert [each["key"] for each in harness.logged.fields("dispatched")] == ["two/2"]


ODD: Final = {"Item": 7, "Items": 7, "Successful": 7}
"""An answer that no service gives: what reads it does not expect that."""


def answer_oddly(harness: Harness, operation: str, about: str) -> None:
    """Have the endpoint answer calls of an operation oddly if they are about something."""
    work = OPERATIONS[operation]
    harness.endpoint.operations[operation] = lambda endpoint, request: (
        ODD if about in json.dumps(request) else work(endpoint, request)
    )


def test_an_unexpected_error_in_a_decision_fails_its_event_alone(harness: Harness) -> None:
    odd = "{{ 'odd' if key == 'in/1.csv' else 'load' }}"
    harness.trigger("a-odd", job_id=odd, parameters={})
    harness.trigger()
    function = harness.function()
    answer_oddly(harness, "GetItem", "odd")
    payload = sqs(*(direct(record(f"in/{n}.csv")) for n in range(3)))
    for _ in range(2):
        assert function(payload) == failed("m1")
    failures = harness.logged.fields("failed", logging.ERROR)
    assert [each["trigger_id"] for each in failures] == ["a-odd"] * 2
    for each in failures:
        assert re.fullmatch(r"[A-Z]\w+Error: .* \(\w+\.py, line \d+\)", each["reason"])
    # Successful deliveries are not remembered: each is another event the second time.
    assert len(harness.core.messages) == 2 * 2 * 2 + 1


@pytest.mark.parametrize("payload", [sqs, lambda *each: each[0]], ids=["queue", "S3"])
def test_a_dispatch_sent_before_an_unexpected_error_is_not_repeated(
    harness: Harness, payload: Any
) -> None:
    harness.trigger("bad", job_id="none")
    harness.trigger()
    function = harness.function(dedup_cache_size=10)
    handed = payload(direct(record()), direct(record("in/2.csv")))
    answer_oddly(harness, SEND, PARKING)
    for _ in range(2):
        with pytest.raises(DeliveriesFailedError, match=r"Error: .*\.py, line"):
            function(handed)
    count = len(harness.core.messages)
    assert not harness.parking.messages
    harness.endpoint.operations[SEND] = OPERATIONS[SEND]
    assert function(handed) is None
    assert len(harness.core.messages) == count == len(set(harness.keys()))
    assert len(harness.parking.messages) == count


@pytest.mark.parametrize("step", ["_admit", "_send_part"])
def test_a_defect_fails_its_batch_and_the_next_one_goes_on(
    harness: Harness, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    harness.trigger()
    work, calls = getattr(Function, step), itertools.count()

    def defective(*arguments: Any) -> Any:
        assert next(calls), "a defect"
        return work(*arguments)

    monkeypatch.setattr(Function, step, defective)
    monkeypatch.setattr(handler, "MAX_BATCH_EVENTS", 2)
    payload = sqs(*(direct(record(f"in/{number}")) for number in range(3)))
    assert harness.function()(payload) == failed("m0", "m1")
    assert harness.keys() == ["in/2"]
    kinds = [line["kind"] for line in harness.logged.fields("failed", logging.ERROR)]
    assert kinds == ["unexpected"] * 2
