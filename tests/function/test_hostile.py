"""Payloads that try to do harm."""

import json
from typing import Any, Final

import pytest

from tests.build import direct, failed, record, sqs
from tests.function.harness import SEND, Harness


def nested(depth: int) -> str:
    """Wrap an S3 record in nested envelopes, the inner four as text."""
    value: Any = direct(record("in/nested"))
    for level in range(depth):
        name = "Message" if level % 2 else "body"
        value = {name: json.dumps(value) if level < 4 else value}
    return json.dumps(value)


def with_object(text: str) -> str:
    """Return an S3 notification as text, with this JSON text in place of the object's size."""
    return json.dumps(direct(record())).replace('"size": 1082', text)


class TestHostilePayloads:
    """No content of a message affects the other messages of its batch."""

    CASES: Final = [
        pytest.param("x" * 10_000_000, True, id="10 MB of text"),
        pytest.param("[" * 10_000_000, True, id="10 MB of brackets"),
        pytest.param('{"Records": [' + "null," * 20_000 + "null]}", True, id="records of nothing"),
        pytest.param("9" * 100_000, True, id="a number of 100,000 digits"),
        pytest.param('"\\ud800"', True, id="half a character"),
        pytest.param("\ufeff{}", True, id="a byte order mark"),
        pytest.param("NaN", True, id="no JSON value"),
        pytest.param(nested(30), True, id="wrapped very deep"),
        pytest.param(nested(6), False, id="wrapped deep"),
        pytest.param(with_object('"size": 1, "key": "in%2"'), False, id="a key half encoded"),
        pytest.param(with_object('"size": 1, "key": "%FF"'), True, id="a key of no text"),
        pytest.param(
            with_object(f'"size": {2**64}, "key": "in%2Flast"'), False, id="members that come twice"
        ),
        pytest.param(with_object('"size": 1, "more": "\\ud800\\udfff"'), False, id="surrogates"),
        pytest.param(
            json.dumps(direct(*(record(f"in/{n}") for n in range(100)))), False, id="many records"
        ),
    ]

    @pytest.mark.parametrize(("body", "is_failed"), CASES)
    def test_other_messages_of_the_batch_are_dispatched(
        self, harness: Harness, body: str, *, is_failed: bool
    ) -> None:
        harness.trigger(prefix="*", parameters={"key": "{{ key }}", "event": "{{ event|tojson }}"})
        good = [direct(record("good/1")), direct(record("good/2"))]

        answer = harness.function()(sqs(good[0], body, good[1]))

        assert answer == (failed("m1") if is_failed else None)
        assert {"good/1", "good/2"} <= set(harness.keys())
        assert (len(harness.keys()) > 2) is not is_failed

    def test_an_event_that_is_too_deep_for_templates_is_parked(self, harness: Harness) -> None:
        harness.trigger("names-event", prefix="*", parameters={"event": "{{ event|tojson }}"})
        harness.trigger("names-key", prefix="*")
        body = with_object(f'"size": 1, "more": {"[" * 400}{"]" * 400}')
        assert harness.function()(sqs(body)) is None
        assert len(harness.keys()) == 1
        (parked,) = harness.parked()
        assert parked["trigger_id"] == "names-event"
        assert "event is nested more than 50 deep" in parked["reasons"][0]["reason"]

    def test_10_000_records_are_dispatched(self, harness: Harness) -> None:
        harness.trigger(prefix="*")
        keys = [f"in/{number}" for number in range(10_000)]
        assert harness.function()(direct(*map(record, keys))) is None
        assert sorted(harness.keys()) == sorted(keys)
        assert harness.endpoint.calls[SEND] == 1000
