"""Commands that change the notifications of a bucket, in a way that S3 accepts.

A command puts the whole configuration, as S3 has it. Filters that S3 returned go back as they
came: they are percent-encoded already.
"""

from __future__ import annotations

import json
from itertools import combinations
from typing import TYPE_CHECKING, Any

from lava_s3trigger.cli.routes.patterns import read_pattern
from lava_s3trigger.cli.routes.route import KINDS, notification_routes, our_places, wanted_events

from .aws_commands import aws

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from lava_s3trigger.cli.deployed.realm import Deployment, Json
    from lava_s3trigger.cli.routes.route import Route
    from lava_s3trigger.triggers import Trigger


def put(bucket: str, configuration: Json) -> str:
    """Return the command that replaces the notifications of a bucket."""
    return aws(
        "s3api put-bucket-notification-configuration",
        bucket=bucket,
        notification_configuration=configuration,
    )


def without(configuration: Json, places: Collection[tuple[str, int] | None]) -> Json:
    """Return a configuration without some notifications, named by kind and number."""
    kept: Json = {}
    for name, value in configuration.items():
        if name not in KINDS:
            kept[name] = value
            continue
        rest = [each for number, each in enumerate(value) if (name, number) not in places]
        if rest:
            kept[name] = rest
    return kept


def connecting(
    deployed: Deployment,
    bucket: str,
    triggers: Iterable[Trigger],
    configuration: Json | None = None,
) -> str:
    """Return the commands that connect a bucket to the function.

    They add a notification, or a rule of EventBridge where S3 would refuse the notification,
    because it overlaps another one.

    Args:
        deployed: The realm.
        bucket: The bucket.
        triggers: Its triggers.
        configuration: What of its notifications stays; all, if None.
    """
    if configuration is None:
        configuration = deployed.notifications(bucket) or {}
    kind = "LambdaFunctionConfigurations"
    added = {
        "Id": f"lava-{deployed.realm}",
        "LambdaFunctionArn": deployed.function_arn,
        "Events": sorted({event for each in triggers for event in wanted_events(each)}),
    }
    merged = {**configuration, kind: [*configuration.get(kind, []), added]}
    return put(bucket, merged) if is_accepted(merged) else by_eventbridge(deployed, bucket)


def by_eventbridge(deployed: Deployment, bucket: str) -> str:
    """Return the commands that connect a bucket by EventBridge, and by nothing else.

    EventBridge is the only destination that may overlap others.
    """
    ours = our_places(deployed, bucket)
    configuration = without(deployed.notifications(bucket) or {}, ours)
    name = f"lava.{deployed.realm}.{bucket}"
    pattern = json.dumps({"source": ["aws.s3"], "detail": {"bucket": {"name": [bucket]}}})
    target = {"Id": "s3trigger", "Arn": deployed.function_arn}
    return "\n".join(
        [
            aws("events put-rule", name=name, event_pattern=pattern),
            aws("events put-targets", rule=name, targets=[target]),
            put(bucket, {**configuration, "EventBridgeConfiguration": {}}),
        ]
    )


def widening(
    deployed: Deployment, bucket: str, found: list[Route], triggers: Iterable[Trigger]
) -> str:
    """Return the commands that let a bucket's route carry all that triggers ask for.

    The first notification to the function takes all events; others to the function go, since
    S3 refuses those that overlap. Without a notification, the first rule takes all.
    """
    placed = [route for route in found if route.place]
    if not placed:
        return _widening_rule(deployed, bucket, found[0].rule or "")
    configuration = deployed.notifications(bucket) or {}
    kind, number = placed[0].place or ("", 0)
    first = {name: value for name, value in configuration[kind][number].items() if name != "Filter"}
    events = {event for each in triggers for event in wanted_events(each)}
    first["Events"] = _shortest({*first["Events"], *events})
    configuration = {
        **configuration,
        kind: [first if n == number else each for n, each in enumerate(configuration[kind])],
    }
    merged = without(configuration, [route.place for route in placed[1:]])
    return put(bucket, merged) if is_accepted(merged) else by_eventbridge(deployed, bucket)


def _shortest(events: Iterable[str]) -> list[str]:
    """Return events without those that a wildcard among them has: S3 refuses the overlap."""
    found = sorted(events)
    return [
        each
        for each in found
        if not any(
            other != each and other.endswith("*") and each.startswith(other[:-1]) for other in found
        )
    ]


def _widening_rule(deployed: Deployment, bucket: str, name: str) -> str:
    names: list[Any] = [bucket]
    for rule in deployed.rules:
        if rule["Name"] == name:
            pattern = read_pattern(rule) or {}
            names = pattern.get("detail", {}).get("bucket", {}).get("name", names)
    pattern = {"source": ["aws.s3"], "detail": {"bucket": {"name": names}}}
    return aws("events put-rule", name=name, event_pattern=json.dumps(pattern))


def is_accepted(configuration: Json) -> bool:
    """Return whether S3 accepts a configuration: no two of its notifications overlap."""
    return not any(
        one.overlaps(two) for one, two in combinations(notification_routes(configuration), 2)
    )
