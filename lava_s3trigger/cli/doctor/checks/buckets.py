"""Checks of buckets: whether their events reach the function, and how often."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, Final

from lava_s3trigger.cli.doctor.aws_commands import aws, permit
from lava_s3trigger.cli.doctor.notifications import (
    by_eventbridge,
    connecting,
    put,
    widening,
    without,
)
from lava_s3trigger.cli.doctor.registry import Fault, check
from lava_s3trigger.cli.objects.event_types import EVENT_TYPES
from lava_s3trigger.cli.routes.route import (
    KINDS,
    Route,
    asks_for,
    carriers,
    decoded,
    encoded,
    filter_values,
    is_encoded,
    notification_routes,
    our_places,
    routes,
    wanted_types,
)
from lava_s3trigger.triggers import Trigger, read_trigger

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lava_s3trigger.cli.deployed.realm import Deployment, Json

_READ: Final = (
    "dynamodb:Scan",
    "events:ListRules",
    "events:ListTargetsByRule",
    "lambda:ListEventSourceMappings",
    "s3:GetBucketNotification",
    "sns:ListSubscriptions",
)


@check("error", ["dynamodb:Scan", "s3:GetBucketNotification"])
def bucket_missing(deployed: Deployment) -> Iterator[Fault]:
    """An enabled trigger names a bucket that does not exist.

    It never fires. The name may have a typo, or be of another realm.
    """
    for bucket, triggers in _buckets(deployed).items():
        if deployed.notifications(bucket) is None:
            ids = ", ".join(trigger.trigger_id for trigger in triggers)
            command = "\n".join(_disabling(deployed, trigger) for trigger in triggers)
            yield Fault(bucket, f"there is no such bucket; triggers: {ids}", command)


@check("error", _READ, of_function=True)
def bucket_not_connected(deployed: Deployment) -> Iterator[Fault]:
    """The events of a bucket with enabled triggers reach the function by no route.

    The triggers never fire. Where S3 would refuse a notification to the function, because it
    overlaps another one, the command connects the bucket by EventBridge.
    """
    for bucket, triggers in _buckets(deployed).items():
        if deployed.notifications(bucket) is not None and not routes(deployed, bucket):
            command = connecting(deployed, bucket, triggers)
            yield Fault(bucket, "no notification leads to the function", command)


@check("error", [*_READ, "lambda:GetPolicy"], of_function=True)
def bucket_not_permitted(deployed: Deployment) -> Iterator[Fault]:
    """A bucket notifies the function, which does not permit S3 to invoke it.

    S3 drops the events of the bucket.
    """
    if deployed.permits("s3"):
        return
    for bucket in _buckets(deployed):
        configuration = deployed.notifications(bucket) or {}
        lambdas = configuration.get("LambdaFunctionConfigurations", [])
        if any(each["LambdaFunctionArn"] == deployed.function_arn for each in lambdas):
            command = permit(
                deployed,
                f"bucket-{bucket}",
                "s3",
                source_account=deployed.function_arn.split(":")[4],
                source_arn=f"{deployed.function_arn.partition(':lambda:')[0]}:s3:::{bucket}",
            )
            yield Fault(bucket, "the function does not permit s3.amazonaws.com", command)


@check("warning", _READ)
def bucket_connected_twice(deployed: Deployment) -> Iterator[Fault]:
    """The events of a bucket reach the function by two routes.

    Each job is dispatched twice.
    """
    for bucket in _buckets(deployed):
        for one, two in itertools.combinations(routes(deployed, bucket), 2):
            extra = two if two.place else one
            if not one.overlaps(two) or extra.place is None:
                continue
            configuration = without(deployed.notifications(bucket) or {}, [extra.place])
            told = f"both {one.told} and {two.told} lead to the function"
            yield Fault(bucket, told, put(bucket, configuration))
            break


@check("error", _READ)
def bucket_overlap(deployed: Deployment) -> Iterator[Fault]:
    """A notification to the function overlaps one to another destination.

    S3 refuses such a configuration whenever somebody puts it, so that no notification of the
    bucket can be changed any more. The commands connect the bucket by EventBridge instead, which
    may overlap; a topic in front of both destinations is the other way.
    """
    for bucket in _buckets(deployed):
        ours = our_places(deployed, bucket)
        found = list(notification_routes(deployed.notifications(bucket) or {}))
        for one, two in itertools.combinations(found, 2):
            if one.overlaps(two) and (one.place in ours) != (two.place in ours):
                told = f"{one.told} overlaps {two.told}"
                yield Fault(bucket, told, by_eventbridge(deployed, bucket))
                break


@check("error", _READ)
def bucket_filter_encoding(deployed: Deployment) -> Iterator[Fault]:
    """A filter of a notification to the function has characters that must be percent-encoded.

    S3 compares filters with keys in their encoded form, so that `day=1/` matches no key. `day%3D1/`
    does. A space is written as a plus.
    """
    for bucket in _buckets(deployed):
        configuration = deployed.notifications(bucket) or {}
        ours = our_places(deployed, bucket)
        wrong = [
            value
            for kind in KINDS
            for number, each in enumerate(configuration.get(kind, []))
            if (kind, number) in ours
            for _, value in filter_values(each)
            if not is_encoded(value)
        ]
        if wrong:
            told = ", ".join(f"{value!r} must be {encoded(decoded(value))!r}" for value in wrong)
            yield Fault(bucket, told, put(bucket, _encoding(configuration, ours)))


@check("error", _READ)
def bucket_filter(deployed: Deployment) -> Iterator[Fault]:
    """The routes of a bucket leave out objects or events of an enabled trigger.

    The trigger does not fire for those.
    """
    for bucket, triggers in _buckets(deployed).items():
        found = routes(deployed, bucket)
        reached = [each for each in triggers if any(route.reaches(each) for route in found)]
        left_out = [
            (trigger, kind)
            for trigger in reached
            for kind, by in carriers(found, trigger).items()
            # What no route can carry under the name that the entry has is no matter of filters.
            if not by and any(_may_name(route, kind, trigger) for route in found)
        ]
        if left_out:
            ids = sorted({trigger.trigger_id for trigger, _ in left_out})
            events = sorted({event for _, event in left_out})
            told = f"{', '.join(events)} below the prefix of {', '.join(ids)} are left out"
            yield Fault(bucket, told, widening(deployed, bucket, found, triggers))


@check("error", _READ)
def trigger_unreachable(deployed: Deployment) -> Iterator[Fault]:
    """An enabled trigger asks for events that no route of its bucket can carry.

    It never fires: the filters of all notifications and the patterns of all rules leave its prefix
    or its patterns out, or they carry other types of events than `if_event_type` names. EventBridge
    names types otherwise than S3, and has no events of replication.
    """
    for bucket, triggers in _buckets(deployed).items():
        found = routes(deployed, bucket)
        if not found:
            continue
        for trigger in triggers:
            if any(route.reaches(trigger) for route in found):
                continue
            names = _names_by(found, trigger)
            if names and any(route.reaches(_without_types(trigger)) for route in found):
                told = f"its if_event_type is none of those that arrive: {', '.join(names)}"
                yield Fault(trigger.trigger_id, told, _renaming(deployed, trigger, names))
            else:
                told = f"{' and '.join(each.told for each in found)} cannot carry its events"
                yield Fault(trigger.trigger_id, told, _reaching(deployed, bucket, found, triggers))


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


def _may_name(route: Route, kind: str, trigger: Trigger) -> bool:
    """Return whether events of a type have a name by a route that an entry asks for."""
    name = route.name_of(EVENT_TYPES[kind])
    return name is not None and asks_for(trigger, name)


def _names_by(found: list[Route], trigger: Trigger) -> list[str]:
    """Return the names, by the routes that are, of the types that an entry asks for."""
    return sorted(
        {
            name
            for kind in wanted_types(trigger)
            for route in found
            if kind.name in route.types and (name := route.name_of(kind))
        }
    )


def _without_types(trigger: Trigger) -> Trigger:
    others = tuple(each for each in trigger.conditions if "event_type" not in each.field)
    return Trigger(trigger.trigger_id, trigger.prefix, trigger.enabled, conditions=others)


def _reaching(
    deployed: Deployment, bucket: str, found: list[Route], triggers: list[Trigger]
) -> str:
    """Return the commands that let a bucket's events reach all triggers."""
    is_by_s3_only = any(
        not any(
            (name := kind.name_in_eventbridge) and asks_for(trigger, name)
            for kind in EVENT_TYPES.values()
        )
        for trigger in triggers
    )
    if is_by_s3_only and not any(route.place for route in found):
        # Both routes at once would dispatch each job twice.
        configuration = deployed.notifications(bucket) or {}
        kept = {k: v for k, v in configuration.items() if k != "EventBridgeConfiguration"}
        return connecting(deployed, bucket, triggers, kept)
    return widening(deployed, bucket, found, triggers)


def _encoding(configuration: Json, ours: set[tuple[str, int]]) -> Json:
    """Return a configuration with the filters of some notifications percent-encoded."""
    return {
        kind: [
            _encoded(each) if (kind, number) in ours else each for number, each in enumerate(value)
        ]
        if kind in KINDS
        else value
        for kind, value in configuration.items()
    }


def _encoded(notification: Json) -> Json:
    if not filter_values(notification):
        return notification
    rules = [
        {**each, "Value": each["Value"] if is_encoded(each["Value"]) else encoded(each["Value"])}
        for each in notification["Filter"]["Key"]["FilterRules"]
    ]
    return {**notification, "Filter": {"Key": {"FilterRules": rules}}}


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
