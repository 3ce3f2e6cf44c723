"""What the function logs."""

import json
import logging
import math
import re
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any, Final
from unittest.mock import ANY

import pytest

from lava_s3trigger.cli.deployed.log_line import read_line
from lava_s3trigger.log import JsonLines, configure_logging
from tests.build import BUCKET, NONSENSE, direct, eventbridge, failed, message, record, sns, sqs
from tests.function.harness import Harness, fails
from tests.processes import run_python

HOSTILE: Final = [
    pytest.param('in/"}\n[ERROR] forged {"', id="quotes and line ends"),
    pytest.param("in/\r\n\t\0\x1b[31m\x7f\x85\u2028\u2029", id="control characters"),
    pytest.param("in/\U0001f980\u00e9\u202e\ufffe", id="beyond ASCII"),
    pytest.param("in/%s %d %(x)s {} \\ \\n", id="formats"),
]


EVENT: Final = {"entry": ANY, "bucket": BUCKET, "key": "in/1.csv"}
EVENTS: Final = {
    *("dispatched", "failed", "user_error", "not_understood"),
    *("parked", "skipped", "started", "summary"),
}


@pytest.mark.parametrize("key", HOSTILE)
@pytest.mark.parametrize("level", [logging.DEBUG, logging.INFO])
def test_a_key_cannot_break_a_log_line(harness: Harness, key: str, level: int) -> None:
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
    fails(function, direct(record(key), record(key), record(f"out{key}"), key, {key: key}))
    fails(harness.function(dead_letter_queue=None), direct(record(key), {"s3": {key: key}}))
    assert len(harness.logged.lines()) > 15
    for line in harness.logged.lines():
        assert line.isascii()
        assert line.isprintable()
        found = read_line(line)
        assert found
        assert found.event in EVENTS
    assert {line["key"] for line in harness.logged.fields("dispatched")} == {key}


def test_a_dispatch_is_logged_with_its_run_id(harness: Harness) -> None:
    harness.trigger(job_id=["load", "report"])
    harness.function()(direct(record()))
    (to_core,), (to_web,) = harness.core.messages, harness.web.messages
    sent = [("lava-demo-core", to_core, "load"), ("lava-demo-web", to_web, "report")]
    assert harness.logged.fields("dispatched", logging.INFO) == [
        {"queue": queue, "run_id": message.json["run_id"], "trigger_id": "t", "job_id": job_id}
        | EVENT
        for queue, message, job_id in sent
    ]


def test_a_skip_is_logged_with_its_reason(harness: Harness) -> None:
    harness.trigger("off", enabled=False)
    harness.trigger("unmet", if_fnmatch="*.zip")
    harness.trigger("idle", job_id="idle")
    harness.job("idle", "core", enabled=False)
    harness.function()(direct(record()))
    disabled = "the trigger is disabled; it hides entries at prefixes above 'in'"
    unmet = "not met: if_fnmatch '*.zip'"
    assert harness.logged.fields("skipped", logging.INFO) == [
        {"trigger_id": trigger_id, "kind": kind, "reason": reason, **more, **EVENT}
        for trigger_id, kind, reason, more in (
            ("idle", "job_disabled", "the job is disabled", {"job_id": "idle"}),
            ("off", "trigger_disabled", disabled, {}),
            ("unmet", "condition_not_met", unmet, {}),
        )
    ]


def test_an_event_without_a_trigger_is_logged_at_debug(harness: Harness) -> None:
    harness.function(log_level=logging.DEBUG)(direct(record()))
    (fields,) = harness.logged.fields("skipped", logging.DEBUG)
    assert fields["kind"] == "no_trigger"
    assert fields["prefixes"] == ["in/1.csv", "in", "*"]
    harness.function(log_level=logging.CRITICAL)(direct(record()))
    assert len(harness.logged.fields("skipped")) == 1
    assert "in/1.csv" not in harness.logged.lines()[-1]
    assert harness.logged.fields("summary")[-1]["unmatched"] == 1


@pytest.mark.parametrize("letter", ["a", "\x01"])
def test_of_many_prefixes_the_number_is_logged_and_the_first(harness: Harness, letter: str) -> None:
    harness.function(log_level=logging.DEBUG)(direct(record(f"{letter}/" * 512)))
    (fields,) = harness.logged.fields("skipped", logging.DEBUG)
    assert (fields["tried"], len(fields["prefixes"])) == (514, 10)
    assert fields["prefixes"][1] == f"{letter}/" * 511 + letter
    assert max(map(len, harness.logged.lines())) < 100_000


def test_each_invocation_is_summarised(harness: Harness) -> None:
    """So that "no entry matches" is told from "the event never came"."""
    harness.trigger("good", job_id=["load", "report"])
    harness.trigger("unmet", if_fnmatch="*.zip")
    harness.trigger("bad", job_id="none")
    elsewhere = [direct(record(f"out/{n}")) for n in range(5)]
    answer = harness.function()(sqs(direct(record(), record("in/2.csv")), *elsewhere, NONSENSE))
    assert answer == failed("m6")
    (fields,) = harness.logged.fields("summary", logging.INFO)
    assert fields.pop("lag") > 0
    deliveries = {"deliveries": 7, "failed_deliveries": 1, "failed_not_understood": 1}
    events = {"realm": "demo", "function": "local", "events": 7, "events_sqs": 7}
    outcomes = {"dispatched": 4, "skipped": 2, "parked": 2, "user_errors": 2, "unmatched": 5}
    assert fields == deliveries | events | outcomes


def test_metrics_can_be_turned_off(harness: Harness) -> None:
    harness.trigger()
    harness.function(metrics=False)(direct(record()))
    assert not any("_aws" in line for line in harness.logged.lines())
    (fields,) = harness.logged.fields("summary", logging.INFO)
    assert fields.pop("lag") > 0
    assert fields == {"events": 1, "events_s3": 1, "dispatched": 1}


def test_a_line_names_the_version_of_the_entry(harness: Harness) -> None:
    harness.trigger("t", owner="a")
    function = harness.function()
    function(direct(record()))
    function(direct(record()))
    harness.trigger("t", owner="b")
    harness.clock.now += 60
    function(direct(record()))
    first, second, third = [each["entry"] for each in harness.logged.fields("dispatched")]
    assert first == second != third
    assert re.fullmatch("[0-9a-f]{8}", first)


def test_a_slow_trigger_is_logged_with_its_time(harness: Harness) -> None:
    slow = "{% for i in range(30) %}{% for j in range(500) %}{{ i * j }}{% endfor %}{% endfor %}"
    harness.trigger("slow", parameters={"x": slow})
    harness.function()(direct(record()))
    [line] = [each for each in harness.logged.lines() if "duration_ms" in each]
    fields = json.loads(line.partition(" ")[2])
    assert fields["trigger_id"] == "slow"
    assert fields["duration_ms"] >= 1


def test_the_start_is_logged_with_the_version(harness: Harness) -> None:
    harness.function()
    assert harness.logged.fields("started", logging.INFO) == [
        {"version": version("lava-s3trigger"), "realm": "demo", "function": "local"}
    ]


REQUEST: Final = "75e6080c-ee23-4c9a-924e-65ccec04a09a"
MAX_BYTES: Final = 700
"""Of all lines about an event that is dispatched, in Lambda's JSON format, at level info."""


@pytest.mark.parametrize("route", ["s3", "sns", "eventbridge", "sqs"])
def test_a_dispatched_event_takes_few_bytes(
    harness: Harness, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, route: str
) -> None:
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "lava-myrealm-s3trigger")
    # On a busy machine, a trigger takes long enough for its time to be logged.
    monkeypatch.setattr("lava_s3trigger.deliveries._SLOW_SECONDS", math.inf)
    harness.trigger("load-orders", prefix="incoming", job_id="load_orders")
    harness.job("load_orders", "core")
    made = record("incoming/orders/2026-03-14/order+1.csv")
    made["eventTime"] = datetime.now(UTC).isoformat()
    payload = {
        "s3": direct(made),
        "sns": sns(made),
        "eventbridge": eventbridge("incoming/orders/2026-03-14/order+1.csv"),
        "sqs": direct(message(REQUEST, direct(made))),
    }[route]
    formatter = JsonLines(None, "\n")
    function = harness.function()
    caplog.clear()
    # As where Lambda's JSON format is configured; pytest's handlers see the lines.
    with monkeypatch.context() as patch:
        patch.setenv("AWS_LAMBDA_LOG_FORMAT", "JSON")
        patch.setattr(logging.root, "handlers", [logging.NullHandler()])
        configure_logging(logging.INFO)
    function(payload)
    for each in caplog.records:
        each.aws_request_id = REQUEST
    lines = [formatter.format(each) for each in caplog.records]
    assert [json.loads(line)["event"] for line in lines] == ["dispatched", "summary"]
    assert sum(map(len, lines)) <= MAX_BYTES, lines


def test_no_library_logs_before_the_function_does() -> None:
    # With the JSON format, Lambda's runtime lowers the level of all loggers to that of the
    # function's configuration before it imports the function.
    code = (
        "import logging; logging.basicConfig(level=logging.DEBUG, format='%(message)s');"
        "import lava_s3trigger.handler"
    )
    function = {"AWS_LAMBDA_FUNCTION_NAME": "lava-demo-s3trigger", "LOGLEVEL": "debug"}
    done = run_python("-c", code, AWS_LAMBDA_LOG_FORMAT="JSON", **function)
    [line] = done.stderr.splitlines()
    started = json.loads(line)
    found = (started["event"], started["realm"], started["function"])
    assert found == ("started", "demo", "lava-demo-s3trigger")
