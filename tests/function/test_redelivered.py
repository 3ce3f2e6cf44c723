"""Deliveries that come again after a failure."""

from typing import Any

import pytest

from lava_s3trigger.handler import Function
from tests.aws_in_memory import DENIED, Call, Fault
from tests.build import NONSENSE, direct, eventbridge, message, record, sns, sqs
from tests.function.harness import PARKING, Harness, deny, fails
from tests.tables import cases


@pytest.fixture
def function(harness: Harness) -> Function:
    """A function whose trigger runs load, and report, which cannot be sent."""
    harness.trigger(job_id=["load", "report"])
    harness.endpoint.fail(deny("web"))
    return harness.function()


@cases(
    "payload",
    {
        "SQS": sqs(direct(record())),
        "S3": direct(record()),
        "EventBridge": eventbridge(),
        "SNS": sns(record()),
    },
)
def test_only_the_failed_dispatch_is_sent_again(
    harness: Harness, function: Function, payload: Any
) -> None:
    for _ in range(3):
        fails(function, payload)
    harness.endpoint.fail({})
    assert function(payload) is None
    assert (harness.keys(), harness.keys(harness.web)) == (["in/1.csv"], ["in/1.csv"])
    skipped = [(each["job_id"], each["kind"]) for each in harness.logged.fields("skipped")]
    assert skipped == [("load", "sent_before")] * 3


def test_identical_events_do_not_share_what_was_sent(harness: Harness) -> None:
    """Each delivery of the same event is dispatched once, whichever comes back first."""
    harness.trigger(job_id=["load", "later"])

    def deny_later(call: Call) -> Fault | None:
        is_later = call.request.get("Key") == {"job_id": {"S": "later"}}
        return DENIED if is_later else None

    harness.endpoint.fail(deny_later)
    function = harness.function()
    same = direct(record())
    fails(function, sqs(same, same))
    assert len(harness.core.messages) == 2
    harness.endpoint.fail({})
    assert function(direct(message("m0", same))) is None
    assert function(direct(message("m1", same))) is None
    assert len(harness.core.messages) == 2
    assert [each["done"] for each in harness.parked()] == [["load"], ["load"]]


def test_each_dispatch_prevents_one_repetition(harness: Harness, function: Function) -> None:
    twice = sqs(direct(record()), direct(record()))
    fails(function, twice)
    assert len(harness.core.messages) == 2
    harness.endpoint.fail({})
    assert function(twice) is None
    assert harness.counts() == (2, 2, 0)
    assert function(sqs(direct(record()))) is None
    assert harness.counts() == (3, 3, 0)


@cases(
    ("mistake", "after"),
    {
        "a trigger": ({"unknown": 1}, {}),
        "a job": ({}, {"job_id": "none"}),
        "a queue": ({}, {"job_id": ["load", "lost"]}),
    },
)
def test_a_parked_entry_corrected_before_redelivery_runs_once(
    harness: Harness, mistake: dict[str, Any], after: dict[str, Any]
) -> None:
    harness.trigger(**after | mistake)
    harness.trigger("other", job_id="report")
    harness.endpoint.fail(deny("web"))
    function = harness.function()
    fails(function, direct(record()))
    harness.trigger(**after)
    harness.job("none", "core")
    nowhere = harness.endpoint.add_queue("lava-demo-nowhere")
    harness.clock.now += 60
    for _ in range(2):
        fails(function, direct(record()))
    harness.endpoint.fail({})
    assert function(direct(record())) is None
    (parked,) = harness.parking.take()
    assert function(sqs(parked.text, queue=PARKING)) is None
    assert len(harness.core.messages) + len(nowhere.messages) == 1 + ("lost" in str(after))
    assert len(harness.web.messages) == 1


def test_a_redriven_message_does_not_repeat_dispatches(harness: Harness) -> None:
    harness.trigger(unknown=1)
    function = harness.function()
    assert function(direct(record())) is None
    (parked,) = harness.parking.take()
    harness.trigger(job_id=["load", "report"])
    harness.clock.now += 60
    harness.endpoint.fail(deny("web"))
    for _ in range(2):
        fails(function, sqs(parked.text, queue=PARKING))
    harness.endpoint.fail({})
    assert function(sqs(parked.text, queue=PARKING)) is None
    assert harness.counts() == (1, 1, 0)


@cases(
    "other",
    {
        "no-message": {"foo": 1},
        "empty-id": message("", NONSENSE),
        "no-id": {**message("", NONSENSE), "messageId": None},
    },
)
@pytest.mark.parametrize("settings", [{}, {"dedup_cache_size": 10}], ids=["off", "dedup"])
def test_a_message_beside_a_record_that_is_no_message_is_sent_once(
    harness: Harness, other: dict[str, Any], settings: dict[str, Any]
) -> None:
    """A record that is no SQS message cannot fail alone: the whole invocation is retried."""
    harness.trigger()
    function = harness.function(**settings)
    payload = [message("m0", direct(record())), other]
    for _ in range(3):
        fails(function, payload)
    assert len(harness.core.messages) == 1
    assert function(payload[:1]) is None
    assert len(harness.core.messages) == 1
