"""Invocations that run out of time."""

import contextlib
import logging
from collections import Counter

import pytest

from lava_s3trigger.aws.clients import MAX_CALL_SECONDS
from lava_s3trigger.aws.deadline import MARGIN_SECONDS
from lava_s3trigger.errors import DeliveriesFailedError
from tests.aws_in_memory import THROTTLED, Call, Fault
from tests.build import direct, failed, fifo, record, sqs
from tests.context import Context
from tests.function.harness import SEND, Harness


@pytest.mark.parametrize(
    ("job_id", "operation", "left"),
    [("load", "Query", 1.0), ("load", "GetItem", 10.0), ("none", "GetItem", 1.0)],
    ids=["decided", "sent", "parked"],
)
def test_nothing_is_decided_sent_or_parked_out_of_time(
    harness: Harness, job_id: str, operation: str, left: float
) -> None:
    """Ten seconds are enough to send, but not to park what is refused."""
    harness.trigger(job_id=job_id)
    function, context = harness.function(), Context()

    def hurry(call: Call) -> None:
        if call.operation == operation:
            context.left = left

    harness.endpoint.fail(hurry)
    with pytest.raises(DeliveriesFailedError, match="too little time left"):
        function(direct(record()), context)
    assert harness.nothing_went_out()
    assert harness.endpoint.calls["GetItem"] == (operation == "GetItem")
    assert "too little time left" in harness.logged.fields("failed", logging.ERROR)[0]["reason"]
    assert function(direct(record()), Context()) is None
    assert len(harness.keys()) + len(harness.parked()) == 1


def test_time_is_reserved_to_park_refused_dispatches(harness: Harness) -> None:
    harness.trigger(job_id="lost")
    context = Context()

    def hurry(call: Call) -> None:
        if call.operation == "GetItem":
            context.left = 13.5
        if call.request.get("QueueName") == "lava-demo-nowhere":
            context.left = 7.5

    harness.endpoint.fail(hurry)
    assert harness.function()(direct(record()), context) is None
    assert len(harness.parked()) == 1


@pytest.mark.parametrize("job_id", ["load", "lost"])
@pytest.mark.parametrize("left", [*range(1, 45), 300])
def test_every_call_to_sqs_ends_before_the_deadline(
    harness: Harness, job_id: str, left: float
) -> None:
    """Each call takes as long as a call can, and every other call is refused."""
    harness.trigger(job_id=job_id)
    context = Context()
    ends: list[float] = []

    def slow(call: Call) -> Fault | None:
        if call.operation == "GetItem":
            context.left = left
        if call.operation not in (SEND, "GetQueueUrl"):
            return None
        context.left -= MAX_CALL_SECONDS
        ends.append(context.left)
        return THROTTLED if call.number % 2 else None

    harness.endpoint.fail(slow)
    with contextlib.suppress(DeliveriesFailedError):
        harness.function()(direct(record()), context)
    assert all(end >= MARGIN_SECONDS for end in ends)
    assert ends or left < 3 * MAX_CALL_SECONDS
    assert left < 300 or harness.core.messages or harness.parking.messages


def test_time_is_reserved_to_record_dispatches_in_the_dedup_table(harness: Harness) -> None:
    """With the dedup table, every event that was dispatched is recorded there as done."""
    claims = harness.share_claims()
    harness.trigger(job_id="{{ key }}")
    for n in range(120):
        harness.job(f"in/{n}", "core")
    function, context = harness.function(dedup_table="claims"), Context(60.0)

    def decide_slowly(call: Call) -> None:
        if call.operation == "GetItem":  # one for each event: each has another job
            context.left -= 0.5

    harness.endpoint.fail(decide_slowly)
    bodies = (direct(record(f"in/{n}", sequencer=f"{n:04}")) for n in range(120))
    answer = function(sqs(*bodies), context)
    states = Counter(each["state"]["S"] for each in claims.items.values())
    sent = len(harness.core.messages)
    assert answer is not None
    assert 0 < sent < 120
    assert len(answer["batchItemFailures"]) == 120 - sent
    assert states == {"done": sent, "failed": 120 - sent}


def test_messages_sent_in_time_are_done(harness: Harness) -> None:
    harness.trigger()
    context = Context()

    def hurry(call: Call) -> None:
        if call.operation == SEND and call.number == 2:
            context.left = 1.0

    harness.endpoint.fail(hurry)
    payload = fifo(*(("a", direct(record(f"in/{n}"))) for n in range(4)))
    assert harness.function()(payload, context) == failed("m2", "m3")
    assert harness.keys() == ["in/0", "in/1"]
