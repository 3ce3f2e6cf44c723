"""Users' mistakes, parked: docs/design.md#parking."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lava_s3trigger.decision import Mistake
from lava_s3trigger.events import RedriveTarget, S3Event, deliveries
from lava_s3trigger.parking import parked_message

unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

NOW: Final = datetime(2026, 3, 14, 1, 59, 26, 535000, tzinfo=UTC)
S3: Final = {
    "eventVersion": "2.1",
    "eventSource": "aws:s3",
    "awsRegion": "eu-west-1",
    "eventTime": "2026-03-14T01:59:00.000Z",
    "eventName": "ObjectCreated:Put",
    "s3": {
        "bucket": {"name": "my-bucket"},
        "object": {"key": "a%2Bb+c%25", "size": 10, "sequencer": "01"},
    },
}
EVENTBRIDGE: Final = {
    "detail-type": "Object Created",
    "source": "aws.s3",
    "time": "2026-03-14T01:59:00Z",
    "region": "eu-west-1",
    "detail": {
        "bucket": {"name": "my-bucket"},
        "object": {"key": "a+b c%", "size": 10, "sequencer": "01"},
        "reason": "PutObject",
    },
}
RECORDS: Final = [pytest.param(S3, id="s3"), pytest.param(EVENTBRIDGE, id="eventbridge")]

TRIGGER: Final = Mistake("bad entry: delay: 'soon' is not a duration", "t-1")
JOB: Final = Mistake("there is no job 'j'", "t-1", "j", 2)


def event_of(payload: Any) -> S3Event:
    [delivery] = deliveries(payload, "eu-west-1")
    assert delivery.errors == []
    [event] = delivery.events
    return event


def given_back(message: str) -> S3Event:
    """Give what the function reads where a parked message is given back to it."""
    return event_of(
        {
            "Records": [
                {
                    "messageId": "m-1",
                    "eventSource": "aws:sqs",
                    "eventSourceARN": "arn:aws:sqs:eu-west-1:123456789012:dlq",
                    "body": message,
                }
            ]
        }
    )


class TestMessage:
    """It holds the S3 event as it came, what it is for, and the reason."""

    @pytest.mark.parametrize("record", RECORDS)
    def test_a_parked_trigger_is_named(self, record: dict[str, Any]) -> None:
        message = parked_message(event_of(record), TRIGGER, NOW)

        assert json.loads(message) == {
            "parked": {
                "trigger_id": "t-1",
                "reason": "bad entry: delay: 'soon' is not a duration",
                "parked_at": "2026-03-14T01:59:26+00:00",
            },
            "event": record,
        }

    def test_a_parked_job_is_named_with_its_position(self) -> None:
        message = parked_message(event_of(S3), JOB, NOW)

        assert json.loads(message)["parked"] == {
            "trigger_id": "t-1",
            "job_id": "j",
            "position": 2,
            "reason": "there is no job 'j'",
            "parked_at": "2026-03-14T01:59:26+00:00",
        }

    def test_the_first_job_has_position_0(self) -> None:
        message = parked_message(event_of(S3), Mistake("bad", "t-1", "j", 0), NOW)

        assert json.loads(message)["parked"]["position"] == 0

    def test_the_time_has_an_offset(self) -> None:
        now = NOW.astimezone(timezone(timedelta(hours=11)))

        message = parked_message(event_of(S3), TRIGGER, now)

        assert json.loads(message)["parked"]["parked_at"] == "2026-03-14T12:59:26+11:00"

    def test_long_rendered_values_are_cut(self) -> None:
        mistake = Mistake("x" * 1_000_000, "t-1", "j" * 1_000_000, 0)

        parked = json.loads(parked_message(event_of(S3), mistake, NOW))["parked"]

        assert parked["reason"] == "x" * 2048
        assert parked["job_id"] == "j" * 2048

    def test_a_parked_message_is_ascii(self) -> None:
        record = {**EVENTBRIDGE, "note": "\u00e9\uffff\ud800\x00"}

        message = parked_message(event_of(record), Mistake("\ufffe", "\u00e9"), NOW)

        assert message.isascii()
        assert message.isprintable()


class TestRedriven:
    """Given back to the function, it runs that trigger, or that job, alone."""

    @pytest.mark.parametrize("record", RECORDS)
    @pytest.mark.parametrize(
        ("mistake", "only"),
        [
            pytest.param(TRIGGER, RedriveTarget("t-1"), id="trigger"),
            pytest.param(JOB, RedriveTarget("t-1", "j", 2), id="job"),
            pytest.param(
                Mistake("bad", "t-1", "j", 0), RedriveTarget("t-1", "j", 0), id="first-job"
            ),
        ],
    )
    def test_a_redriven_message_is_the_same_event_for_its_trigger(
        self, record: dict[str, Any], mistake: Mistake, only: RedriveTarget
    ) -> None:
        event = event_of(record)

        back = given_back(parked_message(event, mistake, NOW))

        assert back.only == only
        assert back.info == event.info
        assert back.record == event.record == record
        assert back.identity == event.identity

    def test_an_event_parked_again_is_unchanged(self) -> None:
        event = event_of(S3)
        back = given_back(parked_message(event, TRIGGER, NOW))

        again = given_back(parked_message(back, JOB, NOW))

        assert again.record == S3
        assert again.only == RedriveTarget("t-1", "j", 2)

    @unhurried
    @given(
        key=st.text(min_size=1), trigger_id=st.text(min_size=1), job_id=st.text(), n=st.integers()
    )
    def test_any_text_is_read_back(self, key: str, trigger_id: str, job_id: str, n: int) -> None:
        detail = {"bucket": {"name": "my-bucket"}, "object": {"key": key}}
        event = event_of({**EVENTBRIDGE, "detail": detail})

        back = given_back(parked_message(event, Mistake("bad", trigger_id, job_id, n), NOW))

        assert back.key == key
        assert back.only == RedriveTarget(trigger_id, job_id, n)
