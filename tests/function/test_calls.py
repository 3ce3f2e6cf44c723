"""How many calls to AWS an event costs: counts are the same on every machine, times are not."""

import pytest

from lava_s3trigger.triggers import MAX_ENTRIES_IN_MEMORY
from tests.build import direct, record, sqs
from tests.function.harness import SEND, Harness


@pytest.mark.parametrize(("events", "calls"), [(1, 1), (10, 1), (11, 2), (100, 10)])
def test_ten_dispatches_cost_one_call(harness: Harness, events: int, calls: int) -> None:
    harness.trigger()
    function = harness.function()
    function(direct(record("in/first")))
    harness.endpoint.forget_calls()
    keys = [f"in/never/seen/{n}" for n in range(events)]
    assert function(sqs(*(direct(record(key)) for key in keys))) is None
    assert harness.endpoint.calls == {SEND: calls}
    assert sorted(harness.keys()) == sorted(["in/first", *keys])


def test_a_new_key_costs_one_read_in_a_bucket_with_many_entries(harness: Harness) -> None:
    harness.trigger()
    for n in range(MAX_ENTRIES_IN_MEMORY):
        harness.trigger(f"other-{n}", prefix=f"other/{n}")
    function = harness.function()
    function(direct(record("in/a/first")))
    # The bucket, the key, and two levels above it.
    assert harness.endpoint.calls == {"Query": 4, "GetItem": 1, "GetQueueUrl": 1, SEND: 1}
    for n in range(20):
        harness.endpoint.forget_calls()
        function(direct(record(f"in/a/{n}")))
        assert harness.endpoint.calls == {"Query": 1, SEND: 1}


def test_an_event_without_effect_costs_no_call(harness: Harness) -> None:
    harness.trigger(if_fnmatch="*.csv")
    function = harness.function()
    function(direct(record("in/first")))
    harness.endpoint.forget_calls()
    for n in range(10):
        assert function(direct(record(f"in/{n}"), record(f"out/{n}"))) is None
    assert not harness.endpoint.calls


def test_a_cold_instance_reads_each_entry_once(harness: Harness) -> None:
    harness.trigger(job_id=["load", "report", "load"])
    harness.function()(direct(*(record(f"in/{n}") for n in range(3))))
    assert harness.endpoint.calls == {"Query": 1, "GetItem": 2, "GetQueueUrl": 2, SEND: 2}
