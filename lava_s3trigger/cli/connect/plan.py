"""What must change so that a bucket is connected by a route, or is not connected any more."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lava_s3trigger.cli.deployed.realm import listed
from lava_s3trigger.cli.routes.patterns import read_pattern
from lava_s3trigger.cli.routes.route import KINDS, carriers

from .bucket import EVENTBRIDGE, KIND, SNS
from .changes import NOTIFICATIONS, RULE, Change
from .merge import TO_EVENTBRIDGE, Refusal, merge
from .needs import Needs, RefusedError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lava_s3trigger.cli.routes.route import Route

    from .bucket import Bucket
    from .wanted import Wanted

    Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Plan:
    """Changes in the order in which they are made."""

    first: tuple[Change, ...]
    then: tuple[Change, ...] = ()
    """What goes once the first changes have taken effect."""

    @property
    def changes(self) -> tuple[Change, ...]:
        """All changes."""
        return self.first + self.then

    @property
    def undone(self) -> Plan:
        """The plan that takes this one back."""
        first, then = (
            tuple(each.undone for each in reversed(stage)) for stage in (self.first, self.then)
        )
        return Plan(then, first) if then else Plan(first)


def disconnection(bucket: Bucket) -> Plan:
    """Return what takes away all that `connect` made for a bucket, and nothing else.

    Raises:
        RefusedError: S3 would refuse what is left.
    """
    new = _accepted(merge(bucket.configuration, {}, bucket.is_own))
    if bucket.rules and TO_EVENTBRIDGE in new:
        bucket.notes.append("S3 goes on sending the bucket's events to EventBridge")
    change = Change(NOTIFICATIONS, bucket.name, None, bucket.configuration, new)
    return Plan(_needed([change, *bucket.owned()]))


def connection(
    bucket: Bucket, by: str, topic: str | None, wanted: Wanted, *, is_move: bool
) -> Plan:
    """Return what connects a bucket by a route.

    Args:
        bucket: The bucket.
        by: ``s3``, ``queue``, ``sns`` or ``eventbridge``.
        topic: Name or ARN of the topic, for ``sns``.
        wanted: What must be carried.
        is_move: Whether other routes are replaced.

    Raises:
        RefusedError: Another route is there already, or S3 would refuse it.
    """
    if not wanted.filters:
        raise RefusedError(f"no entry of {bucket.name} can fire by {by}")
    others = _others(bucket, by, wanted)
    if others and not is_move:
        told = (f"{bucket.name} is connected already by {each.told}" for each in others)
        raise RefusedError(*told, _carried(bucket, wanted))
    for each in others:
        _require_removable(bucket, each)
    needs = Needs(bucket, by, topic)
    made = list(needs.changes(wanted.filters))
    first, then = _notifications(needs, wanted, {each.place for each in others if each.place})
    gone = [_without_target(bucket, each) for each in sorted({r.rule for r in others if r.rule})]
    kept = {each.place for each in (*made, *gone)}
    gone += [each for each in bucket.owned() if each.place not in kept]
    return Plan(_needed([*made, first]), _needed([then, *gone]))


def _carried(bucket: Bucket, wanted: Wanted) -> str:
    """Return what of the entries the routes that are there carry, and what to do."""
    by_type = {
        (trigger.trigger_id, name): found
        for trigger in wanted.triggers
        for name, found in carriers(bucket.routes, trigger).items()
    }
    missing = [
        f"{name} of {trigger_id}" for (trigger_id, name), found in by_type.items() if not found
    ]
    if missing:
        return f"these routes leave out {', '.join(missing)}: --move replaces them"
    if any(len(found) > 1 for found in by_type.values()):
        return "events come twice: --move replaces these routes"
    return "all that the entries ask for comes by these routes: --move replaces them"


def _others(bucket: Bucket, by: str, wanted: Wanted) -> list[Route]:
    """Return the other routes that carry some event that the new one would carry as well.

    One that `connect` made counts whatever it carries.
    """
    return [
        each
        for each in bucket.routes_by(by)
        if (own := bucket.own_by(each)) != by
        and (own or any(each.overlaps(route) for route in wanted.routes))
    ]


def _require_removable(bucket: Bucket, route: Route) -> None:
    """Require that others lose nothing when a route goes.

    Raises:
        RefusedError: They would.
    """
    deployed = bucket.deployed
    if route.place and route.place[0] == KIND[SNS]:
        topic = bucket.configuration[route.place[0]][route.place[1]]["TopicArn"]
        ours = {each["SubscriptionArn"] for each in deployed.subscriptions}
        every = deployed.read_all(
            "sns", "list_subscriptions_by_topic", "Subscriptions", TopicArn=topic
        )
        others = [each["Endpoint"] for each in every if each["SubscriptionArn"] not in ours]
        if others:
            raise RefusedError(
                f"{route.told} cannot go, since {', '.join(others)} would lose its events:"
                " unsubscribe the function from the topic instead"
            )
    if route.rule and route.rule not in bucket.rules:
        [rule] = [each for each in deployed.rules if each["Name"] == route.rule]
        if bucket.name not in _buckets_of(read_pattern(rule)):
            raise RefusedError(
                f"{route.told} cannot go, since it may carry events of other buckets: take"
                f" {bucket.name} out of its pattern"
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
    if others := [each for each in names if each != bucket.name]:
        detail = {**before["EventPattern"]["detail"], "bucket": {"name": others}}
        pattern = {**before["EventPattern"], "detail": detail}
        return Change(RULE, name, None, before, {**before, "EventPattern": pattern})
    [rule] = [each for each in bucket.deployed.rules if each["Name"] == name]
    kept = [each for each in before["Targets"] if each not in rule["Targets"]]
    return Change(RULE, name, None, before, {**before, "Targets": kept})


def _notifications(
    needs: Needs, wanted: Wanted, places: set[tuple[str, int]]
) -> tuple[Change, Change]:
    """Return the changes of the bucket's notifications: at first, and at the end.

    Between S3's own routes, one change does all: S3 refuses two that overlap. EventBridge may
    overlap, so that it begins before the former route ends.
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
            {"Id": bucket.names.notification(number), KINDS[kind]: arn, **each.notification}
            for number, each in enumerate(wanted.filters, start=1)
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
    raise RefusedError(*(f"S3 would refuse it: {each}{advice}" for each in new.reasons))


def _needed(changes: Iterable[Change]) -> tuple[Change, ...]:
    return tuple(each for each in changes if each.is_needed)
