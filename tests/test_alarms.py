"""The alarms of the stack: on metrics that exist, in an incident, and not on a busy day."""

import itertools
import json
import logging
import math
import re
import statistics
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, NamedTuple

import pytest

from lava_s3trigger.log import LOGGER
from lava_s3trigger.metrics import METRICS
from tests.aws_in_memory import Endpoint
from tests.build import direct, record
from tests.function.harness import Harness
from tests.test_template import EVERYTHING, Stack

FUNCTION: Final = "lava-demo-s3trigger"


def alarms_of(**parameters: str) -> dict[str, dict[str, Any]]:
    """Return the alarms of a stack by their names, without the name of the function."""
    alarms = Stack(**parameters).of_type("AWS::CloudWatch::Alarm")
    return {each["AlarmName"].removeprefix(f"{FUNCTION}-"): each for each in alarms}


ALARMS: Final = alarms_of(**EVERYTHING)

# The metrics that AWS documents, with their dimensions, of the resources of the stack.
# https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html
# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-available-cloudwatch-metrics.html
OF_AWS: Final = {
    ("AWS/Lambda", "FunctionName"): {
        *("AsyncEventAge", "AsyncEventsDropped", "AsyncEventsReceived", "DeadLetterErrors"),
        *("Duration", "Errors", "Invocations", "RecursiveInvocationsDropped", "Throttles"),
    },
    ("AWS/Lambda", "EventSourceMappingUUID"): {
        *("DeletedEventCount", "FailedInvokeEventCount", "InvokedEventCount", "PolledEventCount"),
    },
    ("AWS/SQS", "QueueName"): {
        *("ApproximateAgeOfOldestMessage", "ApproximateNumberOfMessagesNotVisible"),
        *("ApproximateNumberOfMessagesVisible", "NumberOfMessagesSent"),
    },
}


class Metric(NamedTuple):
    """A metric by all that identifies it."""

    namespace: str
    name: str
    dimensions: frozenset[tuple[str, str]]


def of_alarm(alarm: dict[str, Any]) -> Metric:
    """Return the metric of an alarm."""
    dimensions = frozenset((each["Name"], each["Value"]) for each in alarm["Dimensions"])
    return Metric(alarm["Namespace"], alarm["MetricName"], dimensions)


def of_dashboard() -> Iterator[Metric]:
    """Yield the metrics that the dashboard shows."""
    for widget in json.loads(Stack(**EVERYTHING)["Dashboard"]["DashboardBody"])["widgets"]:
        for namespace, name, *rest in widget["properties"]["metrics"]:
            names = [each for each in rest if isinstance(each, str)]
            dimensions = zip(names[::2], names[1::2], strict=True)
            yield Metric(namespace, name, frozenset(dimensions))


@pytest.fixture
def emitted(
    endpoint: Endpoint, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> set[Metric]:
    """The metrics of a summary that the function logs."""
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", FUNCTION)
    caplog.set_level(logging.INFO, logger=LOGGER.name)
    harness = Harness(endpoint)
    harness.trigger()
    harness.function()(direct(record()))
    document = json.loads(caplog.messages[-1])
    [directive] = document["_aws"]["CloudWatchMetrics"]
    dimensions = [frozenset((name, document[name]) for name in d) for d in directive["Dimensions"]]
    names = [metric["Name"] for metric in directive["Metrics"]]
    return {Metric(directive["Namespace"], *both) for both in itertools.product(names, dimensions)}


class TestMetrics:
    """Alarms and the dashboard are on metrics that something emits, by name and dimensions."""

    def test_they_are_emitted(self, emitted: set[Metric]) -> None:
        stack = Stack(**EVERYTHING)
        resources = {
            "FunctionName": {FUNCTION},
            "QueueName": {each["QueueName"] for each in stack.of_type("AWS::SQS::Queue")},
            "EventSourceMappingUUID": {"IntakeMapping", "RedriveMapping"},
        }
        of_alarms = {*map(of_alarm, ALARMS.values())}
        for metric in (*of_alarms, *of_dashboard()):
            if metric.namespace != "lava":
                [(dimension, value)] = metric.dimensions
                assert metric.name in OF_AWS[metric.namespace, dimension]
                assert value in resources[dimension]
        assert {metric for metric in of_alarms if metric.namespace == "lava"} <= emitted

    def test_the_dashboard_shows_all_metrics_of_the_function(self) -> None:
        dimensions = frozenset({("realm", "demo"), ("function", FUNCTION)})
        shown = {metric for metric in of_dashboard() if metric.namespace == "lava"}
        assert shown == {Metric("lava", name, dimensions) for name in METRICS}


def is_alarm(alarm: dict[str, Any], periods: Sequence[Sequence[float]]) -> bool:
    """Return whether an alarm goes off, as CloudWatch evaluates it.

    Args:
        alarm: Its properties.
        periods: For each period of five minutes, the values of the metric; none is no data.
    """
    fixed = [alarm[name] for name in ("Period", "ComparisonOperator", "TreatMissingData")]
    assert fixed == [300, "GreaterThanThreshold", "notBreaching"]
    of: dict[str, Callable[[Sequence[float]], float]]
    of = {"Maximum": max, "Sum": math.fsum, "p50": statistics.median}
    statistic = of[alarm.get("Statistic") or alarm["ExtendedStatistic"]]
    limit = float(alarm["Threshold"])
    breaches = [bool(values) and statistic(values) > limit for values in periods]
    window = alarm["EvaluationPeriods"]
    return any(
        sum(breaches[end - window : end]) >= alarm["DatapointsToAlarm"]
        for end in range(window, len(breaches) + 1)
    )


# A busy day: 100,000 events, each invocation retried now and then, bursts that are throttled
# for some minutes, a message that comes back once, one that lags for an hour.
BUSY_DAY: Final[dict[str, Sequence[Sequence[float]]]] = {
    "dead-letters": [[0, 0]] * 288,
    "intake-dead-letters": [[0]] * 288,
    "intake-age": [[20.0, 45.0]] * 100 + [[370.0], [730.0]] + [[60.0]] * 186,
    "async-age": [[40.0, 300.0]] * 100 + [[61_000.0, 181_000.0]] * 3 + [[200.0]] * 185,
    "async-dropped": [[]] * 288,
    "dead-letter-errors": [[]] * 288,
    "errors": [[1.0] * 3] * 100 + [[1.0] * 25] + [[1.0] * 2] * 187,
    "throttles": [[]] * 100 + [[1.0] * 900, [1.0] * 300] + [[1.0] * 20] * 186,
    "recursion": [[]] * 288,
    "lag": [[0.8, 1.2, 2.5, 3600]] * 100 + [[1900, 40, 950, 800]] * 2 + [[1.0] * 90 + [5000]] * 186,
}
# Something wrong.
INCIDENTS: Final[dict[str, Sequence[Sequence[float]]]] = {
    "dead-letters": [[1]],
    "intake-dead-letters": [[0, 1]],
    "intake-age": [[300.0 * n] for n in range(12)],
    "async-age": [[300_000.0 * n] for n in range(12)],
    "async-dropped": [[1]],
    "dead-letter-errors": [[1]],
    "errors": [[1.0] * 30, [1.0] * 30],
    "throttles": [[1.0] * 400] * 3,
    "recursion": [[1]],
    "lag": [[1000.0 + 300 * n] * 5 for n in range(3)],
}


class TestThresholds:
    """Alarms go off in an incident, and not on a busy day."""

    @pytest.mark.parametrize("name", ALARMS)
    def test_only_an_incident_is_an_alarm(self, name: str) -> None:
        alarm = ALARMS[name]
        assert is_alarm(alarm, [*[[]] * 12, *INCIDENTS[name]])  # after an hour without events
        assert not is_alarm(alarm, BUSY_DAY[name])
        assert not is_alarm(alarm, [[]] * 288)

    @pytest.mark.parametrize(
        ("parameter", "names"),
        [
            ("AlarmAgeSeconds", {"intake-age": 77, "async-age": 77_000}),
            ("AlarmErrors", {"errors": 77}),
            ("AlarmLagSeconds", {"lag": 77}),
            ("AlarmThrottles", {"throttles": 77}),
        ],
    )
    def test_thresholds_are_parameters(self, parameter: str, names: dict[str, int]) -> None:
        alarms = alarms_of(**EVERYTHING | {parameter: "77"})

        assert names == {
            name: float(alarm["Threshold"])
            for name, alarm in alarms.items()
            if alarm["Threshold"] != ALARMS[name]["Threshold"]
        }


TOPIC: Final = "arn:aws:sns:eu-west-1:123456789012:alarms"


class TestActions:
    """Alarms go to the topic that is given, or to one for the e-mail address."""

    @pytest.mark.parametrize(
        ("topic", "address", "action"),
        [
            pytest.param("", "", None, id="neither"),
            pytest.param(TOPIC, "", TOPIC, id="a topic"),
            pytest.param("", "a@b.example", "AlarmTopic", id="an address"),
            pytest.param(TOPIC, "a@b.example", TOPIC, id="both"),
        ],
    )
    def test_a_topic_is_made_and_an_address_subscribed_where_needed(
        self, topic: str, address: str, action: str | None
    ) -> None:
        stack = Stack(AlarmTopicArn=topic, AlarmEmail=address, CreateIntake="true")

        alarms = stack.of_type("AWS::CloudWatch::Alarm")
        assert len(alarms) == (len(ALARMS) if action else 0)
        assert all(each["AlarmActions"] == [action] for each in alarms)
        assert ("AlarmTopicArn" in stack.outputs) == bool(action)
        assert len(stack.of_type("AWS::SNS::Topic")) == (action == "AlarmTopic")
        assert stack.of_type("AWS::SNS::Subscription") == (
            [{"TopicArn": action, "Protocol": "email", "Endpoint": address}] if address else []
        )

    def test_alarms_are_for_what_the_stack_has(self) -> None:
        parts = alarms_of(AlarmEmail="a@b.example").keys()
        without_metrics = alarms_of(AlarmEmail="a@b.example", Metrics="false").keys()

        assert ALARMS.keys() - parts == {"intake-age", "intake-dead-letters"}
        assert parts - without_metrics == {"lag"}

    @pytest.mark.parametrize("name", ALARMS)
    def test_a_description_says_what_to_do(self, name: str) -> None:
        description = ALARMS[name]["AlarmDescription"]

        assert re.search(r"lava-s3trigger [a-z-]+ .*--realm demo", description)
        assert len(description) <= 1024  # as CloudWatch has it
        assert "${" not in description
