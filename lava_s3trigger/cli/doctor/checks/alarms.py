"""Checks of alarms: whether somebody hears of trouble."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from lava_s3trigger.cli.doctor.aws_commands import aws
from lava_s3trigger.cli.doctor.registry import Fault, check

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lava_s3trigger.cli.deployed.realm import Deployment, Json

_READ: Final = ("cloudwatch:DescribeAlarms",)
_PERIOD: Final = 300


@dataclass(frozen=True, slots=True)
class _Alarm:
    """An alarm of the template, with its default threshold."""

    name: str
    namespace: str
    metric: str
    statistic: str
    threshold: int
    periods: int
    least: int
    """Periods of these that must be above the threshold."""


_ALARMS: Final = (
    _Alarm("dead-letters", "AWS/SQS", "ApproximateNumberOfMessagesVisible", "Maximum", 0, 1, 1),
    _Alarm(
        "intake-dead-letters", "AWS/SQS", "ApproximateNumberOfMessagesVisible", "Maximum", 0, 1, 1
    ),
    _Alarm("intake-age", "AWS/SQS", "ApproximateAgeOfOldestMessage", "Maximum", 900, 3, 3),
    _Alarm("async-age", "AWS/Lambda", "AsyncEventAge", "Maximum", 900_000, 3, 3),
    _Alarm("async-dropped", "AWS/Lambda", "AsyncEventsDropped", "Sum", 0, 1, 1),
    _Alarm("dead-letter-errors", "AWS/Lambda", "DeadLetterErrors", "Sum", 0, 1, 1),
    _Alarm("errors", "AWS/Lambda", "Errors", "Sum", 10, 3, 2),
    _Alarm("throttles", "AWS/Lambda", "Throttles", "Sum", 100, 3, 3),
    _Alarm("recursion", "AWS/Lambda", "RecursiveInvocationsDropped", "Sum", 0, 1, 1),
    _Alarm("lag", "lava", "lag", "p50", 900, 3, 3),
)


@check("warning", [*_READ, "lambda:ListEventSourceMappings"], of_function=True)
def alarm_missing(deployed: Deployment) -> Iterator[Fault]:
    """An alarm of the template does not exist.

    Nobody is notified of what it watches, such as events in a dead-letter queue.
    """
    there = _there(deployed)
    wanted = [alarm for alarm in _ALARMS if _dimensions(deployed, alarm)]
    missing = [alarm for alarm in wanted if not any(_is_on(deployed, alarm, on) for on in there)]
    if not missing:
        return
    told = "there is no alarm " + ", ".join(alarm.name for alarm in missing)
    actions = _actions(there)
    if actions:
        command = "\n".join(_putting(deployed, alarm, actions) for alarm in missing)
    else:
        command = _deploying(deployed)
    yield Fault(deployed.function_name, told, command)


@check("warning", _READ)
def alarm_silent(deployed: Deployment) -> Iterator[Fault]:
    """An alarm of the function notifies nobody.

    It has no action, or its actions are turned off.
    """
    there = _there(deployed)
    actions = _actions(there)
    for alarm in there:
        name = alarm["AlarmName"]
        if not alarm.get("ActionsEnabled", True):
            command = aws("cloudwatch enable-alarm-actions", alarm_names=name)
            yield Fault(name, "its actions are off", command)
        elif not alarm.get("AlarmActions"):
            known = [
                wanted for wanted in _ALARMS if f"{deployed.function_name}-{wanted.name}" == name
            ]
            command = _deploying(deployed)
            if known and actions:
                command = _putting(deployed, known[0], actions, alarm)
            yield Fault(name, "it has no action", command)


def _there(deployed: Deployment) -> list[Json]:
    """Return the alarms whose names begin with the function's."""
    prefix = f"{deployed.function_name}-"
    return deployed.read_all(
        "cloudwatch", "describe_alarms", "MetricAlarms", AlarmNamePrefix=prefix
    )


def _actions(alarms: list[Json]) -> list[str]:
    return sorted({action for alarm in alarms for action in alarm.get("AlarmActions", [])})


def _dimensions(deployed: Deployment, alarm: _Alarm) -> list[dict[str, str]]:
    """Return the dimensions of an alarm's metric; none if the stack makes no such alarm."""
    intake = f"lava-{deployed.realm}-s3trigger-intake"
    if alarm.name.startswith("intake-"):
        name = intake if alarm.name == "intake-age" else f"{intake}-dlq"
        values = {"QueueName": name} if intake in deployed.source_queues else {}
    elif alarm.namespace == "AWS/SQS":
        values = {"QueueName": deployed.dead_letter_queue}
    elif alarm.namespace == "lava":
        names = {"realm": deployed.realm, "function": deployed.function_name}
        values = names if deployed.makes_metrics else {}
    else:
        values = {"FunctionName": deployed.function_name}
    return [{"Name": name, "Value": value} for name, value in values.items()]


def _is_on(deployed: Deployment, wanted: _Alarm, alarm: Json) -> bool:
    """Return whether an alarm is on the metric that one of the template is on."""
    dimensions = {
        (dimension["Name"], dimension["Value"]) for dimension in alarm.get("Dimensions", [])
    }
    return (
        alarm.get("Namespace") == wanted.namespace
        and alarm.get("MetricName") == wanted.metric
        and dimensions
        == {(dimension["Name"], dimension["Value"]) for dimension in _dimensions(deployed, wanted)}
    )


def _putting(
    deployed: Deployment, alarm: _Alarm, actions: list[str], before: Json | None = None
) -> str:
    by = "extended_statistic" if alarm.statistic.startswith("p") else "statistic"
    threshold = (before or {}).get("Threshold", alarm.threshold)
    return aws(
        "cloudwatch put-metric-alarm --alarm-actions",
        *actions,
        alarm_name=f"{deployed.function_name}-{alarm.name}",
        namespace=alarm.namespace,
        metric_name=alarm.metric,
        dimensions=_dimensions(deployed, alarm),
        **{by: alarm.statistic},
        period=str(_PERIOD),
        evaluation_periods=str(alarm.periods),
        datapoints_to_alarm=str(alarm.least),
        threshold=str(threshold),
        comparison_operator="GreaterThanThreshold",
        treat_missing_data="notBreaching",
    )


def _deploying(deployed: Deployment) -> str:
    return (
        f"sam deploy --stack-name {deployed.function_name}"
        " --parameter-overrides AlarmEmail=operations@example.com"
    )
