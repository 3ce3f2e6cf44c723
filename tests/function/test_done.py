"""Deliveries that are done."""

import json
import uuid
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote_plus

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.build import direct, eventbridge_event, record, s3_record
from tests.function.harness import Harness
from tests.routes import ROUTES, Route, of_eventbridge, of_s3
from tests.tables import cases

SAMPLES: Final = Path(__file__).parents[2] / "events"
# Those of S3 Batch Operations hold no events; tests/function/test_s3_batch.py has them.
SAMPLES_OF_EVENTS: Final = sorted({*SAMPLES.glob("*.json")} - {*SAMPLES.glob("s3-batch*.json")})


@cases(
    "payload",
    {
        "no trigger": direct(record("out/1.csv")),
        "a disabled trigger": direct(record("off/1.csv")),
        "a disabled job": direct(record("job-off/1.csv")),
        "a condition that is not met": direct(record("in/1.tmp")),
        "a test event": {"Service": "Amazon S3", "Event": "s3:TestEvent"},
        "no records": direct(),
        "an empty array of a Pipe": [],
    },
)
def test_an_event_without_effect_is_done(harness: Harness, payload: Any) -> None:
    harness.trigger(if_not_fnmatch="*.tmp")
    harness.trigger("whole", prefix="off", enabled=False)
    harness.trigger("idle", prefix="job-off", job_id="idle")
    harness.job("idle", "core", enabled=False)
    assert harness.function()(payload) is None
    assert harness.nothing_went_out()


def test_a_sent_dispatch_is_done(harness: Harness) -> None:
    harness.trigger()
    assert harness.function()(direct(record())) is None
    (sent,) = (each.json for each in harness.core.messages)
    assert uuid.UUID(sent.pop("run_id")).version == 4
    assert sent.pop("ts_dispatch").endswith("+00:00")
    fields = {"realm": "demo", "worker": "core", "job_id": "load"}
    assert sent == {**fields, "parameters": {"key": "in/1.csv"}}


def test_a_message_has_its_triggers_delay(harness: Harness) -> None:
    harness.trigger("soon", job_id="load")
    harness.trigger("late", job_id="report", delay="15m")
    harness.function()(direct(record()))
    delays = [[each.delay for each in queue.messages] for queue in (harness.core, harness.web)]
    assert delays == [[0], [900]]


def test_an_event_without_a_region_gets_the_functions_region(harness: Harness) -> None:
    harness.trigger(parameters={"region": "{{ info.aws_region }}"})
    harness.function()(direct({**record(), "awsRegion": None}))
    assert harness.core.messages[0].json["parameters"] == {"region": "ap-southeast-2"}


@pytest.mark.parametrize("path", SAMPLES_OF_EVENTS, ids=lambda path: path.stem)
def test_every_sample_payload_is_dispatched(harness: Harness, path: Path) -> None:
    text = path.read_text()
    for bucket in ("my-bucket", "minio-bucket"):
        harness.trigger(bucket, prefix="*", bucket=bucket)
    assert harness.function()(json.loads(text)) is None
    assert harness.counts() == ("s3:TestEvent" not in text, 0, 0)


# What a DynamoDB key can hold: the rendered job id is one.
KEYS: Final = st.text(min_size=1).filter(lambda key: len(key.encode()) <= 1024)


@pytest.mark.parametrize("route", ROUTES.values(), ids=ROUTES)
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(key=KEYS, is_s3=st.booleans())
def test_any_key_arrives_unchanged_by_every_route(
    harness: Harness, route: Route, *, key: str, is_s3: bool
) -> None:
    """In globals, parameters and the job id; as a value, in one, and as a name."""
    parameters = {"{{ key }}": ["{{ info.key }}", {"deep": "<{{ key }}>"}]}
    globals_ = {"_{{ key }}": "{{ key }}"}
    harness.trigger("t-1", "*", job_id="{{ key }}", globals=globals_, parameters=parameters)
    harness.job(key, "core")
    by_s3, by_eventbridge = s3_record(quote_plus(key)), eventbridge_event(key)
    payload = route.payload(of_s3(by_s3) if is_s3 else of_eventbridge(by_eventbridge))

    assert harness.make_function(log_level=60)(payload) is None

    (message,) = (each.json for each in harness.core.take())
    assert message["job_id"] == key
    assert message["globals"] == {f"_{key}": key}
    assert message["parameters"] == {key: [key, {"deep": f"<{key}>"}]}
