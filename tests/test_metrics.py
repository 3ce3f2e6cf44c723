"""The summary of an invocation: a document in CloudWatch's embedded metric format."""

from __future__ import annotations

import json
import logging
import re
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import jsonschema
import pytest

from lava_s3trigger.events import Delivery, S3Event
from lava_s3trigger.log import LOGGER
from lava_s3trigger.metrics import FAILURES, METRICS, NAMESPACE, ROUTES, Summary
from lava_s3trigger.parking import RedriveTarget
from lava_s3trigger.sending import Task
from tools.local.server import CHECKOUT

DIMENSIONS: Final = {"realm": "demo", "function": "lava-demo-s3trigger"}

# What the specification of the format demands of a document.
# https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
NAME: Final = {"type": "string", "minLength": 1, "maxLength": 255}
SCHEMA: Final = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "required": ["_aws"],
    "properties": {
        "_aws": {
            "type": "object",
            "required": ["Timestamp", "CloudWatchMetrics"],
            "properties": {
                "Timestamp": {"type": "integer"},
                "CloudWatchMetrics": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "required": ["Namespace", "Dimensions", "Metrics"],
                        "additionalProperties": False,
                        "properties": {
                            "Namespace": NAME,
                            "Dimensions": {
                                "type": "array",
                                "minItems": 1,
                                "items": {"type": "array", "maxItems": 9, "items": NAME},
                            },
                            "Metrics": {
                                "type": "array",
                                "maxItems": 100,
                                "items": {
                                    "type": "object",
                                    "required": ["Name"],
                                    "additionalProperties": False,
                                    "properties": {"Name": NAME, "Unit": {"type": "string"}},
                                },
                            },
                        },
                    },
                },
            },
        }
    },
}


def check(document: dict[str, Any]) -> None:
    """Check a document, also what no schema can say: that what it refers to is there."""
    jsonschema.validate(document, SCHEMA)
    for directive in document["_aws"]["CloudWatchMetrics"]:
        for metric in directive["Metrics"]:
            value = document[metric["Name"]]
            assert isinstance(value, int | float)
            assert not isinstance(value, bool)
        for name in [each for dimensions in directive["Dimensions"] for each in dimensions]:
            assert isinstance(document[name], str)
            assert document[name]


def event(age: float = 0.0, replay: str | None = None) -> S3Event:
    """Return an event that happened so many seconds ago."""
    return S3Event(
        bucket="my-bucket",
        key="a/b/c",
        size=10,
        event_time=datetime.now(UTC) - timedelta(seconds=age),
        event_type="ObjectCreated:Put",
        source_ip=None,
        aws_region="eu-west-1",
        record={"s3": {}},
        replay=replay,
    )


def task(route: str = "s3", **fields: Any) -> Task:
    """Return a task that was carried out."""
    return Task(Delivery(route=route), event(), **fields)


@pytest.fixture
def documents(caplog: pytest.LogCaptureFixture) -> Any:
    """Logs summaries of tasks, and returns the documents."""

    def log(*tasks: Task, received: list[Delivery] | None = None) -> dict[str, Any]:
        caplog.clear()
        caplog.set_level(logging.INFO, logger=LOGGER.name)
        summary = Summary()
        summary.add(tasks)
        summary.log(
            received if received is not None else [each.delivery for each in tasks], DIMENSIONS
        )
        [message] = caplog.messages
        found: dict[str, Any] = json.loads(message)
        check(found)
        return found

    return log


def metrics(document: dict[str, Any]) -> dict[str, float]:
    """Return the metrics that CloudWatch makes of a document."""
    [directive] = document["_aws"]["CloudWatchMetrics"]
    return {each["Name"]: document[each["Name"]] for each in directive["Metrics"]}


class TestDocument:
    """The summary is a valid document, with few names and two dimensions."""

    def test_the_dimensions_are_the_realm_and_the_function(self, documents: Any) -> None:
        document = documents(task(dispatched=1))

        [directive] = document["_aws"]["CloudWatchMetrics"]
        assert directive["Namespace"] == NAMESPACE
        assert directive["Dimensions"] == [["realm", "function"]]
        assert (document["realm"], document["function"]) == ("demo", "lava-demo-s3trigger")

    def test_the_time_is_that_of_the_invocation_in_milliseconds(self, documents: Any) -> None:
        document = documents(task(dispatched=1))

        now = datetime.now(UTC).timestamp() * 1000
        assert abs(now - document["_aws"]["Timestamp"]) < 60_000

    def test_each_count_is_a_metric(self, documents: Any) -> None:
        document = documents(
            task(dispatched=2, skipped=1, mistakes=1, parked=["t"], lag=1.26),
            task("sqs", skipped=1, is_duplicate=True),
        )

        assert metrics(document) == {
            "events_s3": 1,
            "events_sqs": 1,
            "dispatched": 2,
            "skipped": 2,
            "duplicates": 1,
            "mistakes": 1,
            "lag": 1.3,
        }
        assert (document["events"], document["parked"]) == (2, 1)

    @pytest.mark.parametrize("route", [each for each in ROUTES if each != "redriven"])
    def test_events_are_counted_by_route(self, documents: Any, route: str) -> None:
        assert metrics(documents(task(route))) == {f"events_{route}": 1}

    def test_redriven_events_are_counted_apart(self, documents: Any) -> None:
        document = documents(task("sqs", redrive=RedriveTarget("t")), task("sqs"))

        assert metrics(document) == {"events_redriven": 1, "events_sqs": 1}

    @pytest.mark.parametrize("kind", FAILURES)
    def test_failures_are_counted_by_kind(self, documents: Any, kind: str) -> None:
        failed = task("sqs")
        failed.delivery.failure_kinds += [kind, kind]
        failed.delivery.failures += ["x", "y"]

        document = documents(failed)

        assert metrics(document) == {"events_sqs": 1, f"failed_{kind}": 2}
        assert document["failed_deliveries"] == 1

    def test_what_is_not_known_makes_no_metric(self, documents: Any) -> None:
        odd = task()
        odd.delivery.failure_kinds.append("made-up")

        assert metrics(documents(odd)) == {"events_s3": 1}

    def test_nothing_to_count_is_no_document(self, caplog: pytest.LogCaptureFixture) -> None:
        # As with s3:TestEvent.
        caplog.set_level(logging.INFO, logger=LOGGER.name)
        Summary().log([Delivery()], DIMENSIONS)

        assert caplog.messages == ["summary {}"]

    def test_without_dimensions_it_is_a_line_like_others(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO, logger=LOGGER.name)
        summary = Summary()
        summary.add([task(dispatched=1)])
        summary.log([Delivery()])

        assert caplog.messages == ['summary {"events": 1, "events_s3": 1, "dispatched": 1}']


class TestLag:
    """The lag is the longest time from an event to its dispatch, of those that came by itself."""

    def test_it_is_the_longest_of_the_invocation(self, documents: Any) -> None:
        document = documents(task(lag=3.0), task(lag=70.04), task(lag=None))

        assert metrics(document)["lag"] == 70.0

    def test_events_that_were_parked_do_not_count(self, documents: Any) -> None:
        document = documents(task(lag=90_000.0, redrive=RedriveTarget("t")))

        assert "lag" not in document

    def test_replayed_events_are_counted_and_do_not_count_here(self, documents: Any) -> None:
        replayed = Task(Delivery(route="s3"), event(replay="r-1"), lag=90_000.0)
        document = documents(replayed)

        assert metrics(document) == {"events_s3": 1, "replayed": 1}

    def test_a_dispatch_at_once_has_the_lag_zero(self, documents: Any) -> None:
        assert metrics(documents(task(lag=0.0)))["lag"] == 0


class TestNames:
    """The metrics are a closed set, which the docs name: each costs money."""

    def test_the_docs_name_each(self) -> None:
        text = (CHECKOUT / "docs" / "operations.md").read_text()
        section = text.partition("\n## Metrics\n")[2].partition("\n## ")[0]
        assert set(re.findall(r"^\| `([a-z_0-9]+)`", section, re.MULTILINE)) == METRICS

    def test_each_kind_of_failure_is_one_that_the_function_logs(self) -> None:
        source = "".join(
            path.read_text()
            for path in (CHECKOUT / "lava_s3trigger").rglob("*.py")
            if path.name != "metrics.py"
        )
        assert all(f'"{kind}"' in source for kind in FAILURES)

    def test_there_are_few(self) -> None:
        assert len(METRICS) <= 25
        assert Counter(each.partition("_")[0] for each in METRICS)["events"] == len(ROUTES)
