"""The changes after which a bucket is connected by a route, or no longer connected."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lava_s3trigger.cli.deployed.iam_statements import listed
from lava_s3trigger.cli.routes.patterns import read_pattern
from lava_s3trigger.cli.routes.route import KINDS, carriers

from .bucket import EVENTBRIDGE, KIND, SNS
from .changes import NOTIFICATIONS, RULE, Change
from .merge import TO_EVENTBRIDGE, Refusal, merge
from .needs import Needs, RefusedError
from .rivals import rival_routes

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lava_s3trigger.cli.routes.route import Route

    from .bucket import Bucket
    from .wanted import Wanted

    Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Plan:
    """Changes in the order in which to make them."""

    first: tuple[Change, ...]
    then: tuple[Change, ...] = ()
    """Removals, after the first changes have taken effect."""

    @property
    def changes(self) -> tuple[Change, ...]:
        """All changes."""
        return self.first + self.then

    @property
    def undone(self) -> Plan:
        """The plan that undoes this one."""
        first, then = (
            tuple(change.undone for change in reversed(stage)) for stage in (self.first, self.then)
        )
        return Plan(then, first) if then else Plan(first)


def disconnection(bucket: Bucket) -> Plan:
    """Return the changes that remove all that `connect` made for a bucket, and nothing else.

    Raises:
        RefusedError: S3 would refuse the remaining configuration.
    """
    new = _accepted(merge(bucket.configuration, {}, bucket.is_own))
    if bucket.rules and TO_EVENTBRIDGE in new:
        bucket.notes.append("S3 continues to send the bucket's events to EventBridge")
    change = Change(NOTIFICATIONS, bucket.name, None, bucket.configuration, new)
    return Plan(_needed([change, *bucket.owned()]))


def connection(
    bucket: Bucket, by: str, topic: str | None, wanted: Wanted, *, is_move: bool
) -> Plan:
    """Return the changes that connect a bucket by a route.

    Args:
        bucket: The bucket.
        by: ``s3``, ``queue``, ``sns`` or ``eventbridge``.
        topic: Name or ARN of the topic, for ``sns``.
        wanted: The events to carry.
        is_move: Whether to replace other routes.

    Raises:
        RefusedError: Another route exists already, also to another function of the realm, or S3
            would refuse it.
    """
    if not wanted.filters:
        raise RefusedError(f"no entry of {bucket.name} can fire by {by}")
    _require_no_rival(bucket, by, wanted)
    others = _others(bucket, by, wanted)
    if others and not is_move:
        told = (f"{bucket.name} is connected already by {route.told}" for route in others)
        raise RefusedError(*told, _carried(bucket, wanted))
    for route in others:
        _require_removable(bucket, route)
    needs = Needs(bucket, by, topic)
    needed = list(needs.changes(wanted.filters))
    first, then = _notifications(needs, wanted, {route.place for route in others if route.place})
    gone = [_without_target(bucket, rule) for rule in sorted({r.rule for r in others if r.rule})]
    kept = {change.place for change in (*needed, *gone)}
    gone += [change for change in bucket.owned() if change.place not in kept]
    return Plan(_needed([*needed, first]), _needed([then, *gone]))


def _require_no_rival(bucket: Bucket, by: str, wanted: Wanted) -> None:
    """Require that no other function dispatches the same events for the realm.

    Raises:
        RefusedError: One does.
    """
    for name, route in rival_routes(bucket, to_eventbridge=by == EVENTBRIDGE):
        if any(route.overlaps(new) for new in wanted.routes):
            raise RefusedError(
                f"{route.told} leads to {name}, which dispatches for the realm too: each job would"
                " be dispatched twice (docs/migrating.md, Move a bucket)"
            )


def _carried(bucket: Bucket, wanted: Wanted) -> str:
    """Return what the existing routes carry for the entries, and what to do."""
    by_type = {
        (trigger.trigger_id, name): routes
        for trigger in wanted.triggers
        for name, routes in carriers(bucket.routes, trigger).items()
    }
    missing = [
        f"{name} of {trigger_id}" for (trigger_id, name), routes in by_type.items() if not routes
    ]
    if missing:
        return f"these routes leave out {', '.join(missing)}: --move replaces them"
    if any(len(routes) > 1 for routes in by_type.values()):
        return "events come twice: --move replaces these routes"
    return "these routes carry all that the entries ask for: --move replaces them"


def _others(bucket: Bucket, by: str, wanted: Wanted) -> list[Route]:
    """Return the other routes that carry some event that the new one would carry as well.

    A route that `connect` made is always one of them.
    """
    return [
        other
        for other in bucket.routes_by(by)
        if (own := bucket.own_by(other)) != by
        and (own or any(other.overlaps(route) for route in wanted.routes))
    ]


def _require_removable(bucket: Bucket, route: Route) -> None:
    """Require that no other subscriber or target loses events when a route is removed.

    Raises:
        RefusedError: They would.
    """
    deployed = bucket.deployed
    if route.place and route.place[0] == KIND[SNS]:
        topic = bucket.configuration[route.place[0]][route.place[1]]["TopicArn"]
        ours = {subscription["SubscriptionArn"] for subscription in deployed.subscriptions}
        every = deployed.read_all(
            "sns", "list_subscriptions_by_topic", "Subscriptions", TopicArn=topic
        )
        others = [
            subscription["Endpoint"]
            for subscription in every
            if subscription["SubscriptionArn"] not in ours
        ]
        if others:
            raise RefusedError(
                f"{route.told} cannot go, since {', '.join(others)} would lose its events:"
                " unsubscribe the function from the topic instead"
            )
    if route.rule and route.rule not in bucket.rules:
        [rule] = [rule for rule in deployed.rules if rule["Name"] == route.rule]
        names = _buckets_of(read_pattern(rule))
        if bucket.name not in names:
            raise RefusedError(
                f"{route.told} cannot go, since it may carry events of other buckets: take"
                f" {bucket.name} out of its pattern"
            )
        targets = (bucket.parts.read(RULE, route.rule) or rule)["Targets"]
        others = [target["Arn"] for target in targets if target not in rule["Targets"]]
        if others and len(names) > 1:
            raise RefusedError(
                f"{route.told} cannot go, since {', '.join(others)} would lose events of"
                f" {bucket.name}: first make a rule of its own for the function"
            )


def _buckets_of(pattern: Json | None) -> list[str]:
    """Return the names of the buckets that a pattern names, where it tests nothing else of them."""
    detail = (pattern or {}).get("detail")
    buckets: Json = (detail.get("bucket") if isinstance(detail, dict) else None) or {}
    names: list[str] = listed(buckets["name"]) if set(buckets) == {"name"} else []
    return names if all(isinstance(name, str) for name in names) else []


def _without_target(bucket: Bucket, name: str) -> Change:
    """Return the change after which a rule sends no event of the bucket to the function."""
    before = bucket.parts.read(RULE, name)
    if name in bucket.rules or before is None:
        return Change(RULE, name, None, before, None)
    names = _buckets_of(before["EventPattern"])
    if others := [other for other in names if other != bucket.name]:
        detail = {**before["EventPattern"]["detail"], "bucket": {"name": others}}
        pattern = {**before["EventPattern"], "detail": detail}
        return Change(RULE, name, None, before, {**before, "EventPattern": pattern})
    [rule] = [rule for rule in bucket.deployed.rules if rule["Name"] == name]
    kept = [target for target in before["Targets"] if target not in rule["Targets"]]
    return Change(RULE, name, None, before, {**before, "Targets": kept})


def _notifications(
    needs: Needs, wanted: Wanted, places: set[tuple[str, int]]
) -> tuple[Change, Change]:
    """Return the first and the last change of the bucket's notifications.

    Between S3's own routes it is one change, since S3 refuses routes that overlap. EventBridge
    may overlap, so it begins before the former route ends.
    """
    bucket = needs.bucket
    former = bucket.configuration

    def is_replaced(kind: str, number: int) -> bool:
        return bucket.is_own(kind, number) or (kind, number) in places

    if needs.by == EVENTBRIDGE:
        new = _accepted(merge(former, {}, is_replaced, to_eventbridge=True))
        merged = merge(former, {}, lambda *_: False, to_eventbridge=True)
        # Where the former ones overlap, S3 would refuse to take them again, even for a while.
        between = new if isinstance(merged, Refusal) else merged
    else:
        kind, arn = KIND[needs.by], needs.destination
        added = [
            {
                "Id": bucket.names.notification(number),
                KINDS[kind]: arn,
                **wanted_filter.notification,
            }
            for number, wanted_filter in enumerate(wanted.filters, start=1)
        ]
        between = new = _accepted(merge(former, {kind: added}, is_replaced))
    return (
        Change(NOTIFICATIONS, bucket.name, None, former, between),
        Change(NOTIFICATIONS, bucket.name, None, between, new),
    )


def _accepted(new: Json | Refusal) -> Json:
    """Return a merged configuration.

    Raises:
        RefusedError: S3 would refuse it.
    """
    if not isinstance(new, Refusal):
        return new
    advice = "; --by eventbridge may overlap others" if new.is_of_ours else ""
    raise RefusedError(*(f"S3 would refuse it: {reason}{advice}" for reason in new.reasons))


def _needed(changes: Iterable[Change]) -> tuple[Change, ...]:
    return tuple(change for change in changes if change.is_needed)
