"""What the function logs."""

from __future__ import annotations

import json
import logging
from typing import Any, Final

import pytest

from lava_s3trigger.errors import DeliveriesFailedError
from tests.endpoint import EntryRefusal, Partial
from tests.function.harness import SEND, Harness, LogLines
from tests.function.user_errors import TOO_LONG
from tests.payloads import BUCKET, NONSENSE, direct, failed, record, sqs

HOSTILE: Final = [
    pytest.param('in/"}\n[ERROR] forged {"', id="quotes and line ends"),
    pytest.param("in/\r\n\t\0\x1b[31m\x7f\x85\u2028\u2029", id="control characters"),
    pytest.param("in/\U0001f980\u00e9\u202e\ufffe", id="beyond ASCII"),
    pytest.param("in/%s %d %(x)s {} \\ \\n", id="formats"),
]


class TestLog:
    """The log has one line of ASCII for each event, with its fields as JSON."""

    @pytest.mark.parametrize("key", HOSTILE)
    @pytest.mark.parametrize("level", [logging.DEBUG, logging.INFO])
    def test_a_key_cannot_break_a_log_line(
        self, harness: Harness, logged: LogLines, key: str, level: int
    ) -> None:
        harness.trigger("good")
        harness.trigger("unmet", if_fnmatch=[key * 9, "*.zip"])
        harness.trigger("broken", parameters={"a": "{{ key.nothing() }}"})
        harness.trigger("named by the key", job_id="{{ key }}")
        harness.trigger("forged", globals={"{{ 'lava' + key }}": 1})
        harness.trigger("lost", job_id="lost")
        harness.trigger(key, enabled=False)
        no_field: dict[str, Any] = {f"no field {key}": 1}
        harness.trigger(f"bad {key}", **no_field)
        harness.job("odd", f"worker {key}")
        harness.trigger("odd worker", job_id="odd")
        function = harness.function(log_level=level, dedup_cache_size=10)
        with pytest.raises(DeliveriesFailedError):
            function(direct(record(key), record(key), record(f"out{key}"), key, {key: key}))
        with pytest.raises(DeliveriesFailedError):
            harness.function(dead_letter_queue=None)(direct(record(key), {"s3": {key: key}}))
        assert len(logged.lines()) > 15
        for line in logged.lines():
            assert line.isascii()
            assert line.isprintable()
            what, _, fields = line.partition(" {")
            assert what in {
                "dispatched",
                "failed",
                "mistake",
                "not_understood",
                "parked",
                "skipped",
                "summary",
            }
            assert isinstance(json.loads("{" + fields), dict)
        assert all(each["key"] == key for each in logged.fields("dispatched"))

    def test_a_dispatch_is_logged_with_its_run_id(self, harness: Harness, logged: LogLines) -> None:
        harness.trigger(job_id=["load", "report"])
        harness.function()(direct(record()))
        assert logged.fields("dispatched", logging.INFO) == [
            {
                "queue": f"lava-demo-{worker}",
                "run_id": queue.messages[0].json["run_id"],
                "trigger_id": "t",
                "job_id": job_id,
                "bucket": BUCKET,
                "key": "in/1.csv",
            }
            for worker, queue, job_id in (
                ("core", harness.core, "load"),
                ("web", harness.web, "report"),
            )
        ]

    def test_a_retried_dispatch_is_logged_with_the_run_id_that_was_sent(
        self, harness: Harness, logged: LogLines
    ) -> None:
        harness.trigger()
        passing = EntryRefusal("InternalError", is_senders_fault=False)
        harness.endpoint.fail({(SEND, 1): Partial({0: passing})})
        assert harness.function()(direct(record())) is None
        (fields,) = logged.fields("dispatched", logging.INFO)
        assert fields["run_id"] == harness.core.messages[0].json["run_id"]
        assert not logged.fields("failed")

    def test_a_long_value_is_cut_in_the_log(self, harness: Harness, logged: LogLines) -> None:
        harness.trigger(job_id=TOO_LONG)
        harness.function()(direct(record()))
        assert logged.lines()
        assert max(map(len, logged.lines())) < 20_000

    def test_a_skip_is_logged_with_its_reason(self, harness: Harness, logged: LogLines) -> None:
        harness.trigger("off", enabled=False)
        harness.trigger("unmet", if_fnmatch="*.zip")
        harness.trigger("idle", job_id="idle")
        harness.job("idle", "core", enabled=False)
        harness.function()(direct(record()))
        where = {"bucket": BUCKET, "key": "in/1.csv"}
        found = sorted(logged.fields("skipped", logging.INFO), key=lambda each: each["trigger_id"])
        assert found == [
            {
                "kind": "job_disabled",
                "reason": "the job is disabled",
                "trigger_id": "idle",
                "job_id": "idle",
                **where,
            },
            {
                "kind": "trigger_disabled",
                "reason": "the trigger is disabled; it hides entries at prefixes above 'in'",
                "trigger_id": "off",
                **where,
            },
            {
                "kind": "condition_not_met",
                "reason": "not met: if_fnmatch '*.zip'",
                "trigger_id": "unmet",
                **where,
            },
        ]

    def test_an_event_without_a_trigger_is_logged_at_debug(
        self, harness: Harness, logged: LogLines
    ) -> None:
        harness.function(log_level=logging.DEBUG)(direct(record()))
        (fields,) = logged.fields("skipped", logging.DEBUG)
        assert fields["kind"] == "no_trigger"
        assert fields["prefixes"] == ["in/1.csv", "in", "*"]
        harness.function(log_level=logging.INFO)(direct(record()))
        assert len(logged.fields("skipped")) == 1

    def test_each_invocation_is_summarised(self, harness: Harness, logged: LogLines) -> None:
        """So that "no entry matches" is told from "the event never came"."""
        harness.trigger("good", job_id=["load", "report"])
        harness.trigger("unmet", if_fnmatch="*.zip")
        harness.trigger("bad", job_id="none")
        elsewhere = [direct(record(f"out/{n}")) for n in range(5)]
        answer = harness.function()(sqs(direct(record(), record("in/2.csv")), *elsewhere, NONSENSE))
        assert answer == failed("m6")
        (fields,) = logged.fields("summary", logging.INFO)
        assert fields == {
            "deliveries": 7,
            "failed_deliveries": 1,
            "events": 7,
            "dispatched": 4,
            "skipped": 2,
            "parked": 2,
            "failed": 0,
            "unmatched": 5,
            "unmatched_objects": [f"{BUCKET}/out/{n}" for n in range(3)],
        }

    @pytest.mark.parametrize(
        ("prefix", "why"),
        [
            ("in/", "it ends with a slash"),
            ("/in", "it starts with a slash"),
            ("in/*", "use if_fnmatch for patterns"),
            ("in/[0-9]", "use if_fnmatch for patterns"),
        ],
    )
    def test_an_odd_prefix_is_logged_once_for_each_reading(
        self, harness: Harness, logged: LogLines, prefix: str, why: str
    ) -> None:
        harness.trigger("odd", prefix=prefix)
        harness.trigger("off", prefix=prefix, enabled=False)
        harness.trigger("good")
        function = harness.function()
        for _ in range(3):
            function(direct(record()))
        (fields,) = logged.fields("odd_prefix", logging.WARNING)
        assert (fields["trigger_id"], fields["prefix"]) == ("odd", prefix)
        assert why in fields["reason"]
        harness.clock.now += 60
        function(direct(record()))
        assert len(logged.fields("odd_prefix")) == 2

    def test_usual_prefixes_are_not_logged(self, harness: Harness, logged: LogLines) -> None:
        for prefix in ("*", "in", "in/a b", "in/1.csv"):
            harness.trigger(f"t-{prefix}", prefix=prefix)
        harness.function()(direct(record()))
        assert not logged.fields("odd_prefix")

    def test_a_payload_that_is_not_understood_is_logged_with_its_message_id(
        self, harness: Harness, logged: LogLines
    ) -> None:
        harness.function()(sqs(direct(), NONSENSE))
        (fields,) = logged.fields("not_understood", logging.ERROR)
        assert fields["message_id"] == "m1"
        assert "not JSON" in fields["reason"]
