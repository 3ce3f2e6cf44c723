"""Checks of buckets: whether their events reach the function, and how often."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, Final

from lava_s3trigger.cli.deployed.resource_policy import allows
from lava_s3trigger.cli.doctor.aws_commands import aws, permit
from lava_s3trigger.cli.doctor.connections import CONNECT_READS, NoRemedyError, connecting
from lava_s3trigger.cli.doctor.registry import Fault, check
from lava_s3trigger.cli.objects.event_types import EVENT_TYPES
from lava_s3trigger.cli.routes.patterns import matching_types, read_pattern
from lava_s3trigger.cli.routes.route import (
    KINDS,
    Route,
    asks_for,
    carriers,
    decoded,
    doubled,
    drops_all,
    encoded,
    filter_values,
    is_encoded,
    notification_routes,
    routes,
    rule_routes,
    wanted_types,
)
from lava_s3trigger.triggers import WHOLE_BUCKET, Trigger, read_trigger

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lava_s3trigger.cli.deployed.realm import Deployment

_READ: Final = (
    *CONNECT_READS,
    "dynamodb:Scan",
    "events:ListRules",
    "events:ListTargetsByRule",
    "lambda:GetPolicy",
    "lambda:ListEventSourceMappings",
    "s3:GetBucketNotification",
    "sns:ListSubscriptions",
)


@check("error", ["dynamodb:Scan", "s3:GetBucketNotification"])
def bucket_missing(deployed: Deployment) -> Iterator[Fault]:
    """An enabled trigger names a bucket that does not exist.

    The trigger never fires. The bucket's name may have a typo, or belong to another realm. The
    command disables the trigger.
    """
    for bucket, triggers in buckets(deployed).items():
        if deployed.notifications(bucket) is None:
            ids = ", ".join(trigger.trigger_id for trigger in triggers)
            command = "\n".join(_disabling(deployed, trigger) for trigger in triggers)
            yield Fault(bucket, f"there is no such bucket; triggers: {ids}", command)


@check("error", _READ, of_function=True)
def bucket_not_connected(deployed: Deployment) -> Iterator[Fault]:
    """The events of a bucket with enabled triggers reach the function by no route.

    The triggers never fire, unless another function of the realm dispatches these events. Then
    there is no command, since each job would be dispatched twice.
    """
    for bucket, triggers in buckets(deployed).items():
        if deployed.notifications(bucket) is None or routes(deployed, bucket):
            continue
        told = "no route leads to the function"
        if cause := _cause(deployed, bucket):
            check_name, reason = cause
            yield Fault(bucket, f"{told}: {reason}", cause=check_name)
        else:
            yield connecting_fault(deployed, bucket, bucket, told, triggers)


@check("error", _READ, of_function=True)
def bucket_not_permitted(deployed: Deployment) -> Iterator[Fault]:
    """A bucket notifies the function, but S3 may not invoke it.

    S3 drops the events of the bucket.
    """
    account = deployed.function_arn.split(":")[4]
    for bucket in buckets(deployed):
        arn = f"{deployed.function_arn.partition(':lambda:')[0]}:s3:::{bucket}"
        context = {"aws:sourcearn": arn, "aws:sourceaccount": account}
        is_direct = any(
            notification["LambdaFunctionArn"] == deployed.function_arn
            for notification in (deployed.notifications(bucket) or {}).get(
                "LambdaFunctionConfigurations", []
            )
        )
        if is_direct and not allows(deployed.policy, "s3", "lambda:InvokeFunction", context):
            source = {"source_account": account, "source_arn": arn}
            command = permit(deployed, f"bucket-{bucket}", "s3", **source)
            yield Fault(bucket, "the function does not permit s3.amazonaws.com", command)


@check("warning", _READ, of_function=True)
def bucket_connected_twice(deployed: Deployment) -> Iterator[Fault]:
    """The events of a bucket reach the function by two routes.

    Each job is dispatched twice.
    """
    for bucket, triggers in buckets(deployed).items():
        if pair := doubled(routes(deployed, bucket)):
            told = f"both {pair[0].told} and {pair[1].told} lead to the function"
            yield connecting_fault(deployed, bucket, bucket, told, triggers)


@check("error", _READ, of_function=True)
def bucket_overlap(deployed: Deployment) -> Iterator[Fault]:
    """A notification to the function overlaps one to another destination.

    S3 refuses such a configuration whenever somebody saves it, so no notification of the bucket can
    be changed any more. To send the same events to both, use EventBridge, or one topic with both as
    subscribers.
    """
    for bucket, triggers in buckets(deployed).items():
        ours = {route.place for route in routes(deployed, bucket) if route.place}
        all_routes = list(notification_routes(deployed.notifications(bucket) or {}))
        for one, two in itertools.combinations(all_routes, 2):
            if one.overlaps(two) and (one.place in ours) != (two.place in ours):
                told = f"{one.told} overlaps {two.told}"
                yield connecting_fault(deployed, bucket, bucket, told, triggers)
                break


@check("error", _READ, of_function=True)
def bucket_filter_encoding(deployed: Deployment) -> Iterator[Fault]:
    """A filter of a notification to the function has characters that must be percent-encoded.

    S3 compares filters with the encoded form of keys, so `day=1/` matches no key. `day%3D1/` does.
    A space is written as a plus.
    """
    for bucket, triggers in buckets(deployed).items():
        configuration = deployed.notifications(bucket) or {}
        ours = {route.place for route in routes(deployed, bucket) if route.place}
        wrong = [
            value
            for kind in KINDS
            for number, notification in enumerate(configuration.get(kind, []))
            if (kind, number) in ours
            for _, value in filter_values(notification)
            if not is_encoded(value)
        ]
        if wrong:
            told = ", ".join(f"{value!r} must be {encoded(decoded(value))!r}" for value in wrong)
            yield connecting_fault(deployed, bucket, bucket, told, triggers)


@check("error", _READ, of_function=True)
def bucket_filter(deployed: Deployment) -> Iterator[Fault]:
    """The routes of a bucket leave out objects or events of an enabled trigger.

    The trigger does not fire for these.
    """
    for bucket, triggers in buckets(deployed).items():
        ours = routes(deployed, bucket)
        reached = [trigger for trigger in triggers if any(route.reaches(trigger) for route in ours)]
        left_out = [
            (trigger, kind)
            for trigger in reached
            for kind, by in carriers(ours, trigger).items()
            # What no route can carry under the name that the entry has is no matter of filters.
            if not by and any(_may_name(route, kind, trigger) for route in ours)
        ]
        if not left_out:
            continue
        ids = sorted({trigger.trigger_id for trigger, _ in left_out})
        events = sorted({event for _, event in left_out})
        told = f"{', '.join(events)} below the prefix of {', '.join(ids)} are left out"
        told = f"{told}, {_excluding(ours, left_out)}"
        disabled = to_enable(deployed, bucket)
        if all(any(r.covers(t, EVENT_TYPES[kind]) for r in disabled) for t, kind in left_out):
            yield Fault(bucket, f"{told}; {disabled[0].told} is disabled", cause="rule-disabled")
        else:
            yield connecting_fault(deployed, bucket, bucket, told, triggers)


@check("error", _READ, of_function=True)
def trigger_unreachable(deployed: Deployment) -> Iterator[Fault]:
    """An enabled trigger asks for events that no route of its bucket can carry.

    It never fires. All notifications and rules leave out its prefix or its patterns, or carry other
    event types than `if_event_type` names. The names of types differ between EventBridge and S3,
    and EventBridge has no events of replication.
    """
    for bucket, triggers in buckets(deployed).items():
        ours = routes(deployed, bucket)
        if not ours:
            continue
        for trigger in triggers:
            if any(route.reaches(trigger) for route in ours):
                continue
            names = _names_by(ours, trigger)
            if names and any(route.reaches(_without_types(trigger)) for route in ours):
                told = f"its if_event_type is none of those that arrive: {', '.join(names)}"
                yield Fault(trigger.trigger_id, told, _renaming(deployed, trigger, names))
                continue
            told = f"no route carries its events, {_excluding(ours, [(trigger, None)])}"
            disabled = to_enable(deployed, bucket)
            if any(route.reaches(trigger) for route in disabled):
                told += f"; {disabled[0].told} is disabled"
                yield Fault(trigger.trigger_id, told, cause="rule-disabled")
            else:
                yield connecting_fault(deployed, bucket, trigger.trigger_id, told, triggers)


def to_enable(deployed: Deployment, bucket: str) -> list[Route]:
    """Return the routes of a bucket by disabled rules that would double no event if enabled."""
    if "EventBridgeConfiguration" not in (deployed.notifications(bucket) or {}):
        return []
    ours, chosen = routes(deployed, bucket), list[Route]()
    for route in rule_routes(deployed, bucket, is_disabled=True):
        others = [*ours, *(other for other in chosen if other.rule != route.rule)]
        if not any(route.overlaps(other) for other in others):
            chosen.append(route)
    return chosen


def connecting_fault(
    deployed: Deployment, bucket: str, subject: str, told: str, triggers: list[Trigger]
) -> Fault:
    """Return a fault that `connect` corrects; where it cannot, say why."""
    try:
        return Fault(subject, told, connecting(deployed, bucket, triggers))
    except NoRemedyError as error:
        return Fault(subject, f"{told}. connect cannot correct it: {error}")


def _cause(deployed: Deployment, bucket: str) -> tuple[str, str] | None:
    """Return the check that finds why a bucket is not connected, and the reason."""
    notifications = deployed.notifications(bucket) or {}
    if disabled := to_enable(deployed, bucket):
        return "rule-disabled", f"{disabled[0].told} is disabled"
    for rule in deployed.rules:
        pattern = read_pattern(rule)
        if pattern and bucket in buckets_of(pattern) and not matching_types(pattern):
            return "rule-pattern", f"the pattern of the rule {rule['Name']} matches no event of S3"
    notified = notifications.get("TopicConfigurations", [])
    topics = {notification["TopicArn"] for notification in notified}
    for subscription in deployed.subscriptions:
        arn = subscription["SubscriptionArn"]
        if subscription["TopicArn"] in topics and drops_all(deployed.filter_policy(arn)):
            return "subscription-filter", f"the filter policy of {arn} drops them"
    return None


def buckets_of(pattern: Any) -> list[Any]:
    """Return the tests of the bucket's name in the pattern of a rule."""
    for name in ("detail", "bucket", "name"):
        pattern = pattern.get(name) if isinstance(pattern, dict) else None
    return pattern if isinstance(pattern, list) else []


def _excluding(ours: list[Route], left_out: list[tuple[Trigger, Any]]) -> str:
    """Return the parts of routes that leave out what entries ask for."""
    parts: dict[str, None] = {}
    for route in ours:
        for trigger, kind in left_out:
            part = _part(route, trigger, kind)
            parts[f"by {part} of {route.told}"] = None
    return " and ".join(parts)


def _part(route: Route, trigger: Trigger, kind: str | None) -> str:
    """Return the part of a route that leaves out what an entry asks for."""
    wanted = {kind} if kind else {event_type.name for event_type in wanted_types(trigger)}
    if not wanted & route.types:
        return f"the events ({', '.join(sorted(route.types))})"
    prefix = "" if trigger.prefix == WHOLE_BUCKET else f"{trigger.prefix}/"
    if not prefix.startswith(route.prefix):
        return f"the prefix {route.prefix!r}"
    return f"the suffix {route.suffix!r}" if route.suffix else "the pattern"


def buckets(deployed: Deployment) -> dict[str, list[Trigger]]:
    """Return the enabled triggers by bucket."""
    by_bucket: dict[str, list[Trigger]] = {}
    for item in deployed.items("s3triggers"):
        if not (item.get("bucket", {}).get("S") and item.get("prefix", {}).get("S")):
            continue
        trigger = read_trigger(item)
        if isinstance(trigger, Trigger) and trigger.enabled:
            by_bucket.setdefault(item["bucket"]["S"], []).append(trigger)
    return dict(sorted(by_bucket.items()))


def _may_name(route: Route, kind: str, trigger: Trigger) -> bool:
    """Return whether events of a type have a name by a route that an entry asks for."""
    name = route.name_of(EVENT_TYPES[kind])
    return name is not None and asks_for(trigger, name)


def _names_by(ours: list[Route], trigger: Trigger) -> list[str]:
    """Return the names, by the routes that are, of the types that an entry asks for."""
    return sorted(
        {
            name
            for kind in wanted_types(trigger)
            for route in ours
            if kind.name in route.types and (name := route.name_of(kind))
        }
    )


def _without_types(trigger: Trigger) -> Trigger:
    others = tuple(
        condition for condition in trigger.conditions if "event_type" not in condition.field
    )
    return Trigger(trigger.trigger_id, trigger.prefix, trigger.enabled, conditions=others)


def _disabling(deployed: Deployment, trigger: Trigger) -> str:
    return _updating(deployed, trigger, "SET enabled = :value", {"BOOL": False})


def _renaming(deployed: Deployment, trigger: Trigger, names: list[str]) -> str:
    types = {"L": [{"S": name} for name in names]}
    return _updating(deployed, trigger, "SET if_event_type = :value", types)


def _updating(deployed: Deployment, trigger: Trigger, update: str, value: dict[str, Any]) -> str:
    return aws(
        "dynamodb update-item",
        table_name=f"lava.{deployed.realm}.s3triggers",
        key={"trigger_id": {"S": trigger.trigger_id}},
        update_expression=update,
        expression_attribute_values={":value": value},
    )
