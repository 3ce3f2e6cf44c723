"""Checks of buckets: whether their events reach the function, and how often."""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote_plus

from lava_s3trigger.cli.diagnosis import Fault, check
from lava_s3trigger.triggers import WHOLE_BUCKET, Trigger, read_trigger

from .commands import aws

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lava_s3trigger.cli.deployment import Deployment, Json

_READ: Final = (
    "dynamodb:Scan",
    "events:ListRules",
    "events:ListTargetsByRule",
    "lambda:ListEventSourceMappings",
    "s3:GetBucketNotification",
    "sns:ListSubscriptions",
)
_KINDS: Final = {
    "LambdaFunctionConfigurations": "LambdaFunctionArn",
    "QueueConfigurations": "QueueArn",
    "TopicConfigurations": "TopicArn",
}
_CREATED: Final = "s3:ObjectCreated:*"
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-how-to-event-types-and-destinations.html
_EVENT_TYPES: Final = (
    "ObjectCreated:Put",
    "ObjectCreated:Post",
    "ObjectCreated:Copy",
    "ObjectCreated:CompleteMultipartUpload",
    "ObjectRemoved:Delete",
    "ObjectRemoved:DeleteMarkerCreated",
    "ObjectRestore:Post",
    "ObjectRestore:Completed",
    "ObjectRestore:Delete",
    "ReducedRedundancyLostObject",
    "Replication:OperationFailedReplication",
    "Replication:OperationMissedThreshold",
    "Replication:OperationReplicatedAfterThreshold",
    "Replication:OperationNotTracked",
    "LifecycleExpiration:Delete",
    "LifecycleExpiration:DeleteMarkerCreated",
    "LifecycleTransition",
    "IntelligentTiering",
    "ObjectTagging:Put",
    "ObjectTagging:Delete",
    "ObjectAcl:Put",
)


@dataclass(frozen=True)
class _Route:
    """A way of a bucket's events to the function."""

    told: str
    """What it is, for people."""
    prefix: str = ""
    suffix: str = ""
    events: tuple[str, ...] = ("s3:*",)
    place: tuple[str, int] | None = None
    """Kind and number of its notification; None for EventBridge."""

    def carries(self, event_type: str) -> bool:
        return any(fnmatchcase(f"s3:{event_type}", event) for event in self.events)

    def overlaps(self, other: _Route) -> bool:
        """Tell whether both carry some event of some object."""
        prefixes = sorted([self.prefix, other.prefix], key=len)
        suffixes = sorted([self.suffix, other.suffix], key=len)
        return (
            prefixes[1].startswith(prefixes[0])
            and suffixes[1].endswith(suffixes[0])
            and any(self.carries(each) and other.carries(each) for each in _EVENT_TYPES)
        )


@check("bucket-missing", "error", ["dynamodb:Scan", "s3:GetBucketNotification"])
def bucket_missing(deployed: Deployment) -> Iterator[Fault]:
    """An enabled trigger names a bucket that does not exist.

    It never fires. The name may have a typo, or be of another realm.
    """
    for bucket, triggers in _buckets(deployed).items():
        if deployed.notifications(bucket) is None:
            ids = ", ".join(trigger.trigger_id for trigger in triggers)
            command = "\n".join(_disabling(deployed, trigger) for trigger in triggers)
            yield Fault(bucket, f"there is no such bucket; triggers: {ids}", command)


@check("bucket-not-connected", "error", _READ)
def bucket_not_connected(deployed: Deployment) -> Iterator[Fault]:
    """The events of a bucket with enabled triggers reach the function by no route.

    The triggers never fire.
    """
    for bucket, triggers in _buckets(deployed).items():
        configuration = deployed.notifications(bucket)
        if configuration is None or not deployed.function or _routes(deployed, bucket):
            continue
        events = sorted({event for each in triggers for event in _wanted(each)})
        found = {"Id": f"lava-{deployed.realm}", "LambdaFunctionArn": deployed.function_arn}
        lambdas = [*configuration.get("LambdaFunctionConfigurations", []), found]
        found["Events"] = events  # type: ignore[assignment]
        command = _notifying(bucket, {**configuration, "LambdaFunctionConfigurations": lambdas})
        yield Fault(bucket, "no notification leads to the function", command)


@check("bucket-not-permitted", "error", [*_READ, "lambda:GetPolicy"])
def bucket_not_permitted(deployed: Deployment) -> Iterator[Fault]:
    """A bucket notifies the function, which does not permit S3 to invoke it.

    S3 drops the events of the bucket.
    """
    if not deployed.function or deployed.permits("s3"):
        return
    for bucket in _buckets(deployed):
        configuration = deployed.notifications(bucket) or {}
        lambdas = configuration.get("LambdaFunctionConfigurations", [])
        if any(each["LambdaFunctionArn"] == deployed.function_arn for each in lambdas):
            command = aws(
                "lambda",
                "add-permission",
                function_name=deployed.function_name,
                statement_id=f"bucket-{bucket}".replace(".", "-"),
                action="lambda:InvokeFunction",
                principal="s3.amazonaws.com",
                source_account=deployed.function_arn.split(":")[4],
                source_arn=f"{deployed.function_arn.partition(':lambda:')[0]}:s3:::{bucket}",
            )
            yield Fault(bucket, "the function does not permit s3.amazonaws.com", command)


@check("bucket-connected-twice", "warning", _READ)
def bucket_connected_twice(deployed: Deployment) -> Iterator[Fault]:
    """The events of a bucket reach the function by two routes.

    Each job is dispatched twice.
    """
    for bucket in _buckets(deployed):
        routes = _routes(deployed, bucket)
        for one, two in itertools.combinations(routes, 2):
            extra = two if two.place else one
            if not one.overlaps(two) or extra.place is None:
                continue
            configuration = _without(deployed.notifications(bucket) or {}, extra)
            told = f"both {one.told} and {two.told} lead to the function"
            yield Fault(bucket, told, _notifying(bucket, configuration))
            break


@check("bucket-filter", "error", _READ)
def bucket_filter(deployed: Deployment) -> Iterator[Fault]:
    """The notifications of a bucket leave out objects or events of an enabled trigger.

    The trigger does not fire for those.
    """
    for bucket, triggers in _buckets(deployed).items():
        routes = _routes(deployed, bucket)
        if not routes:
            continue
        left_out = [
            (trigger, event)
            for trigger in triggers
            for event in _event_types(trigger)
            if not any(_covers(route, trigger, event) for route in routes)
        ]
        if not left_out:
            continue
        command = _widening(deployed, bucket, routes, triggers)
        ids = sorted({trigger.trigger_id for trigger, _ in left_out})
        events = sorted({event for _, event in left_out})
        told = f"{', '.join(events)} below the prefix of {', '.join(ids)} are left out"
        yield Fault(bucket, told, command)


def _buckets(deployed: Deployment) -> dict[str, list[Trigger]]:
    """Return the enabled triggers by bucket."""
    found: dict[str, list[Trigger]] = {}
    for item in deployed.items("s3triggers"):
        if not (item.get("bucket", {}).get("S") and item.get("prefix", {}).get("S")):
            continue
        trigger = read_trigger(item)
        if isinstance(trigger, Trigger) and trigger.enabled:
            found.setdefault(item["bucket"]["S"], []).append(trigger)
    return dict(sorted(found.items()))


def _routes(deployed: Deployment, bucket: str) -> list[_Route]:
    configuration = deployed.notifications(bucket) or {}
    topics = {each["TopicArn"] for each in deployed.subscriptions}
    ends = {deployed.function_arn, *deployed.is_mapped, *topics}
    found = []
    for kind, name in _KINDS.items():
        for number, each in enumerate(configuration.get(kind, [])):
            if each[name] in ends:
                found.append(_route(kind, number, each, each[name]))
    if "EventBridgeConfiguration" in configuration:
        found += [
            _Route(f"the rule {rule['Name']}")
            for rule in deployed.rules
            if rule.get("State") != "DISABLED" and _is_about(rule, bucket)
        ]
    return found


def _route(kind: str, number: int, notification: Json, arn: str) -> _Route:
    rules = notification.get("Filter", {}).get("Key", {}).get("FilterRules", [])
    # S3 gives the values back percent-encoded.
    filters = {each["Name"].lower(): unquote_plus(each["Value"]) for each in rules}
    return _Route(
        f"the notification {notification.get('Id', number)} to {arn}",
        filters.get("prefix", ""),
        filters.get("suffix", ""),
        tuple(notification.get("Events", ())),
        (kind, number),
    )


def _is_about(rule: Json, bucket: str) -> bool:
    try:
        pattern = json.loads(rule.get("EventPattern") or "{}")
        names = pattern.get("detail", {}).get("bucket", {}).get("name")
    except (ValueError, AttributeError):
        return False
    # Anything but names, such as a prefix, may be about it.
    is_named = names is None or bucket in names or any(not isinstance(x, str) for x in names)
    return is_named and "aws.s3" in pattern.get("source", ["aws.s3"])


def _event_types(trigger: Trigger) -> list[str]:
    """Return the event types of S3 that a trigger asks for; without a condition, new objects."""
    wanted = [each for each in trigger.conditions if each.field == "if_event_type"]
    if not wanted:
        return [each for each in _EVENT_TYPES if each.startswith("ObjectCreated:")]
    return [each for each in _EVENT_TYPES if all(found.holds(each) for found in wanted)]


def _wanted(trigger: Trigger) -> list[str]:
    types = _event_types(trigger)
    created = [each for each in _EVENT_TYPES if each.startswith("ObjectCreated:")]
    if set(created) <= set(types):
        return [_CREATED, *(f"s3:{each}" for each in types if each not in created)]
    return [f"s3:{each}" for each in types] or [_CREATED]


def _covers(route: _Route, trigger: Trigger, event_type: str) -> bool:
    prefix = "" if trigger.prefix == WHOLE_BUCKET else trigger.prefix
    has_prefix = f"{prefix}/".startswith(route.prefix) if prefix else not route.prefix
    return has_prefix and not _leaves_out(route.suffix, trigger) and route.carries(event_type)


def _leaves_out(suffix: str, trigger: Trigger) -> bool:
    """Tell whether a filter by suffix leaves out keys that a trigger asks for."""
    if not suffix:
        return False
    for condition in trigger.conditions:
        if condition.field == "if_fnmatch":
            patterns = condition.argument
            patterns = [patterns] if isinstance(patterns, str) else patterns
            if all(str(pattern).endswith(suffix) for pattern in patterns):
                return False
    return True


def _without(configuration: Json, route: _Route) -> Json:
    kind, number = route.place or ("", 0)
    kept = [each for n, each in enumerate(configuration[kind]) if n != number]
    return {name: kept if name == kind else value for name, value in configuration.items()}


def _widening(
    deployed: Deployment, bucket: str, routes: list[_Route], triggers: list[Trigger]
) -> str:
    """Return the command that lets the first notification carry all that triggers ask for.

    The other notifications to the function go, since S3 refuses those that overlap.
    """
    configuration = deployed.notifications(bucket) or {}
    placed = [route for route in routes if route.place]
    if not placed:
        return f"lava-s3trigger doctor --realm {deployed.realm}"
    kind, number = placed[0].place or ("", 0)
    events = {event for each in triggers for event in _wanted(each)}
    first = dict(configuration[kind][number])
    first.pop("Filter", None)
    first["Events"] = sorted({*first["Events"], *events})
    widened: dict[str, Any] = {}
    others = {route.place for route in placed[1:]}
    for name, value in configuration.items():
        if name not in _KINDS:
            widened[name] = value
            continue
        kept = [
            first if (name, n) == (kind, number) else each
            for n, each in enumerate(value)
            if (name, n) not in others
        ]
        if kept:
            widened[name] = kept
    return _notifying(bucket, widened)


def _notifying(bucket: str, configuration: Json) -> str:
    return aws(
        "s3api",
        "put-bucket-notification-configuration",
        bucket=bucket,
        notification_configuration=configuration,
    )


def _disabling(deployed: Deployment, trigger: Trigger) -> str:
    return aws(
        "dynamodb",
        "update-item",
        table_name=f"lava.{deployed.realm}.s3triggers",
        key={"trigger_id": {"S": trigger.trigger_id}},
        update_expression="SET enabled = :off",
        expression_attribute_values={":off": {"BOOL": False}},
    )
