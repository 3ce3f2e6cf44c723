"""How many calls to AWS an event costs."""

from __future__ import annotations

import pytest

from tests.function.harness import SEND, Harness
from tests.payloads import direct, record, sqs


class TestCalls:
    """A warm instance makes no call but its share of a batch to SQS."""

    @pytest.mark.parametrize(("events", "calls"), [(1, 1), (10, 1), (11, 2), (50, 5)])
    def test_ten_dispatches_cost_one_call(self, harness: Harness, events: int, calls: int) -> None:
        harness.trigger()
        function = harness.function()
        function(direct(record("in/first")))
        harness.endpoint.forget_calls()
        keys = [f"in/never/seen/{n}" for n in range(events)]
        assert function(sqs(*(direct(record(key)) for key in keys))) is None
        assert harness.endpoint.calls == {SEND: calls}
        assert sorted(harness.keys()) == sorted(["in/first", *keys])

    def test_an_event_without_effect_costs_no_call(self, harness: Harness) -> None:
        harness.trigger(if_fnmatch="*.csv")
        function = harness.function()
        function(direct(record("in/first")))
        harness.endpoint.forget_calls()
        for n in range(10):
            assert function(direct(record(f"in/{n}"), record(f"out/{n}"))) is None
        assert not harness.endpoint.calls

    def test_each_worker_costs_a_call(self, harness: Harness) -> None:
        harness.trigger(job_id=["load", "report"])
        function = harness.function()
        function(direct(record("in/first")))
        harness.endpoint.forget_calls()
        function(direct(*(record(f"in/{n}") for n in range(10))))
        assert harness.endpoint.calls == {SEND: 2}

    def test_a_cold_instance_reads_each_entry_once(self, harness: Harness) -> None:
        harness.trigger(job_id=["load", "report", "load"])
        harness.function()(direct(*(record(f"in/{n}") for n in range(3))))
        assert harness.endpoint.calls == {"Query": 1, "GetItem": 2, "GetQueueUrl": 2, SEND: 2}

    def test_expired_entries_are_read_again(self, harness: Harness) -> None:
        harness.trigger()
        function = harness.function(cache_ttl=60.0)
        function(direct(record()))
        harness.clock.now += 60
        harness.endpoint.forget_calls()
        function(direct(record()))
        assert harness.endpoint.calls == {"Query": 1, "GetItem": 1, SEND: 1}

    def test_without_a_cache_each_invocation_reads_once(self, harness: Harness) -> None:
        harness.trigger()
        function = harness.function(cache_ttl=0.0)
        function(direct(record()))
        harness.endpoint.forget_calls()
        function(direct(*(record(f"in/{n}") for n in range(5))))
        assert harness.endpoint.calls == {"Query": 1, "GetItem": 1, SEND: 1}
