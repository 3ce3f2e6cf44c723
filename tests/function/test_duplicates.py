"""Duplicate events."""

from tests.aws_in_memory import DENIED
from tests.build import BUCKET, NONSENSE, direct, failed, record, sqs
from tests.function.harness import PARKING, SEND, Harness, fails


def test_an_event_is_a_duplicate_within_the_ttl(harness: Harness) -> None:
    harness.trigger()
    function = harness.function(dedup_cache_size=100, dedup_ttl=30.0)
    assert function(direct(record())) is None
    harness.clock.now += 29.9
    assert function(direct(record())) is None
    assert len(harness.core.messages) == 1
    assert harness.logged.fields("skipped") == [
        {"kind": "duplicate", "reason": "duplicate", "bucket": BUCKET, "key": "in/1.csv"}
    ]
    harness.clock.now += 0.1
    assert function(direct(record())) is None
    assert len(harness.core.messages) == 2


def test_an_event_by_another_route_is_a_duplicate(harness: Harness) -> None:
    harness.trigger()
    function = harness.function(dedup_cache_size=100)
    function(direct(record()))
    function(sqs(direct(record(sequencer="another"))))
    assert len(harness.core.messages) == 1


def test_the_first_of_two_in_an_invocation_fails_for_both(harness: Harness) -> None:
    harness.trigger()
    function = harness.function(dedup_cache_size=100)
    harness.endpoint.fail({(SEND, 1): DENIED})
    assert function(sqs(direct(record()), direct(record()))) == failed("m0")
    assert function(sqs(direct(record()))) is None
    assert len(harness.core.messages) == 1


def test_a_parked_event_is_a_duplicate(harness: Harness) -> None:
    harness.trigger(job_id="none")
    function = harness.function(dedup_cache_size=100)
    for _ in range(2):
        assert function(direct(record())) is None
    assert len(harness.parking.messages) == 1


def test_a_redriven_event_is_no_duplicate(harness: Harness) -> None:
    harness.trigger(job_id=["load", "none", "none"])
    function = harness.function(dedup_cache_size=100)
    function(direct(record()))
    texts = [each.text for each in harness.parking.take()]
    harness.job("none", "web")
    assert function(sqs(*texts, queue=PARKING)) is None
    assert harness.counts() == (1, 2, 0)


def test_a_delivery_that_keeps_failing_past_the_ttl_does_not_repeat_dispatches(
    harness: Harness,
) -> None:
    harness.trigger()
    function = harness.function(dedup_cache_size=100, dedup_ttl=30.0)
    for later in (0.0, 10.0, 30.0, 10.0, 30.0):
        harness.clock.now += later
        fails(function, direct(record(), NONSENSE))
    assert harness.keys() == ["in/1.csv"]
