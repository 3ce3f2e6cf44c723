"""The summary of an invocation: a document in CloudWatch's embedded metric format."""

import json
import logging
import re
from collections import Counter
from datetime import UTC, datetime
from typing import Any, Final
from unittest.mock import ANY

import pytest

from lava_s3trigger.deliveries import Delivery
from lava_s3trigger.log import LOGGER
from lava_s3trigger.metrics import FAILURES, METRICS, NAMESPACE, ROUTES, Summary
from lava_s3trigger.outcomes import Outcome
from lava_s3trigger.parking import RedriveTarget
from tests.build import s3_event
from tools.local.server import CHECKOUT

DIMENSIONS: Final = {"realm": "demo", "function": "lava-demo-s3trigger"}


def delivered(*outcomes: Outcome, route: str = "s3", **fields: Any) -> Delivery:
    """Return a delivery of an event that was carried out, with its outcomes."""
    delivery = Delivery(route=route)
    delivery.add_event(s3_event(replay=fields.pop("replay", None)), **fields)
    delivery.events[0].outcomes += outcomes
    return delivery


def dispatched(lag: float | None = None) -> Outcome:
    """Return the outcome of a dispatch so many seconds after the event."""
    return Outcome("dispatched", trigger_id="t", job_id="j", lag=lag)


SKIPPED: Final = Outcome("skipped", "job_disabled", "the job is disabled", "t", "j")
DUPLICATE: Final = Outcome("skipped", "duplicate", "duplicate")
PARKED: Final = Outcome("parked", "no_such_job", "no job 'k'", "t", "k")


@pytest.fixture
def documents(caplog: pytest.LogCaptureFixture) -> Any:
    """Logs summaries of events, and returns the documents."""

    def log(*deliveries: Delivery) -> Any:
        caplog.clear()
        caplog.set_level(logging.INFO, logger=LOGGER.name)
        summary = Summary()
        summary.add([event for delivery in deliveries for event in delivery.events])
        summary.log(deliveries, DIMENSIONS)
        [message] = caplog.messages
        return json.loads(message)

    return log


def metrics(document: dict[str, Any]) -> dict[str, float]:
    """Return the metrics that CloudWatch makes of a document, which has the form of the format.

    https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
    """
    [directive] = document["_aws"]["CloudWatchMetrics"]
    names = [each["Name"] for each in directive["Metrics"]]
    assert document["_aws"] == {"Timestamp": ANY, "CloudWatchMetrics": [directive]}
    assert type(document["_aws"]["Timestamp"]) is int
    assert directive == {
        "Namespace": NAMESPACE,
        "Dimensions": [["realm", "function"]],
        "Metrics": [{"Name": name} for name in names],
    }
    assert {name: document[name] for name in DIMENSIONS} == DIMENSIONS
    found = {name: document[name] for name in names}
    assert all(type(value) in (int, float) for value in found.values())
    return found


def test_a_document_has_the_time(documents: Any) -> None:
    document = documents(delivered(dispatched()))
    now = datetime.now(UTC).timestamp() * 1000
    assert abs(now - document["_aws"]["Timestamp"]) < 60_000


def test_each_count_is_a_metric(documents: Any) -> None:
    document = documents(
        delivered(dispatched(1.26), dispatched(), SKIPPED, PARKED, PARKED),
        delivered(DUPLICATE, route="sqs"),
        delivered(Outcome("skipped", "no_trigger", "no trigger matches")),
        delivered(PARKED._replace(outcome="user_error")),
    )

    events = {"events_s3": 3, "events_sqs": 1, "lag": 1.3}
    outcomes = {"dispatched": 2, "skipped": 2, "duplicates": 1, "user_errors": 2}
    assert metrics(document) == events | outcomes
    assert (document["events"], document["parked"], document["unmatched"]) == (4, 1, 1)


def test_events_are_counted_by_route_and_redriven_ones_apart(documents: Any) -> None:
    routes = [route for route in ROUTES if route != "redriven"]
    redriven = delivered(route="sqs", redrive=RedriveTarget("t"))
    document = documents(redriven, *(delivered(route=route) for route in routes))
    assert metrics(document) == {f"events_{route}": 1 for route in ROUTES}


def test_failures_are_counted_by_kind_if_it_is_known(documents: Any) -> None:
    for kind in FAILURES:
        failed = delivered(Outcome("failed", kind, "x", "t"), route="sqs")
        failed.fail(kind, "y")
        document = documents(failed)
        assert metrics(document) == {"events_sqs": 1, f"failed_{kind}": 2}
        assert document["failed_deliveries"] == 1
    odd = delivered(Outcome("failed", "made-up", "x"))
    assert metrics(documents(odd)) == {"events_s3": 1}


def test_nothing_to_count_is_no_document(caplog: pytest.LogCaptureFixture) -> None:
    # As with s3:TestEvent.
    caplog.set_level(logging.INFO, logger=LOGGER.name)
    Summary().log([Delivery()], DIMENSIONS)
    assert caplog.messages == ["summary {}"]


def test_the_lag_is_the_longest_of_the_invocation(documents: Any) -> None:
    document = documents(
        delivered(dispatched(3.0)), delivered(dispatched(), dispatched(70.04)), delivered()
    )
    assert metrics(document)["lag"] == 70.0


@pytest.mark.parametrize(
    ("lag", "fields", "expected"),
    [
        (0.0, {}, {"events_s3": 1, "lag": 0}),
        (90_000.0, {"redrive": RedriveTarget("t")}, {"events_redriven": 1}),
        (90_000.0, {"replay": "r-1"}, {"events_s3": 1, "replayed": 1}),
    ],
    ids=["at once", "parked", "replayed"],
)
def test_events_that_were_parked_or_replayed_have_no_lag(
    documents: Any, lag: float, fields: dict[str, Any], expected: dict[str, int]
) -> None:
    document = documents(delivered(dispatched(lag), **fields))
    assert metrics(document) == {**expected, "dispatched": 1}


def test_the_docs_name_each_metric() -> None:
    text = (CHECKOUT / "docs" / "operating.md").read_text()
    section = text.partition("\n## Metrics\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\|([^|]+)\|", section, re.MULTILINE)
    assert {name for cell in rows for name in re.findall(r"`(\w+)`", cell)} == METRICS


def test_each_kind_of_failure_is_one_that_the_function_logs() -> None:
    source = "".join(
        path.read_text()
        for path in (CHECKOUT / "lava_s3trigger").rglob("*.py")
        if path.name != "metrics.py"
    )
    assert all(f'"{kind}"' in source for kind in FAILURES)


def test_there_are_few_metrics() -> None:
    assert len(METRICS) <= 25
    assert Counter(each.partition("_")[0] for each in METRICS)["events"] == len(ROUTES)
