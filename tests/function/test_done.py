"""Deliveries that are done."""

import json
import uuid
from pathlib import Path
from typing import Any, Final

import pytest

from tests.build import direct, record
from tests.function.harness import Harness

SAMPLES: Final = Path(__file__).parents[2] / "events"
# Those of S3 Batch Operations hold no events; tests/function/test_s3_batch.py has them.
SAMPLES_OF_EVENTS: Final = sorted({*SAMPLES.glob("*.json")} - {*SAMPLES.glob("s3-batch*.json")})


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param(direct(record("out/1.csv")), id="no trigger"),
        pytest.param(direct(record("off/1.csv")), id="a disabled trigger"),
        pytest.param(direct(record("job-off/1.csv")), id="a disabled job"),
        pytest.param(direct(record("in/1.tmp")), id="a condition that is not met"),
        pytest.param({"Service": "Amazon S3", "Event": "s3:TestEvent"}, id="a test event"),
        pytest.param(direct(), id="no records"),
        pytest.param([], id="an empty array of a Pipe"),
    ],
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
    assert sent == {
        "realm": "demo",
        "worker": "core",
        "job_id": "load",
        "parameters": {"key": "in/1.csv"},
    }


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
