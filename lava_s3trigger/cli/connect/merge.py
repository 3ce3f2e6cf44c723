"""Merges notifications of the function into those of a bucket, as S3 accepts them."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any, Final

from lava_s3trigger.cli.routes.route import KINDS, decoded, filter_values, notification_routes

if TYPE_CHECKING:
    from collections.abc import Callable

    Json = dict[str, Any]

MAX_NOTIFICATIONS: Final = 100
"""Per bucket: https://docs.aws.amazon.com/general/latest/gr/s3.html#limits_s3"""
TO_EVENTBRIDGE: Final = "EventBridgeConfiguration"
_KNOWN: Final = frozenset(["Key", "FilterRules"])


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why S3 would refuse a configuration."""

    reasons: tuple[str, ...]
    is_of_ours: bool
    """Whether one of the added notifications is the cause."""


def merge(
    former: Json,
    ours: Json,
    is_replaced: Callable[[str, int], bool],
    *,
    to_eventbridge: bool = False,
) -> Json | Refusal:
    """Return a bucket's notification configuration merged with that of the function, or a refusal.

    All other parts of the former configuration stay unchanged.

    Args:
        former: The configuration of the bucket.
        ours: The notifications to add, in the same form.
        is_replaced: Returns whether to drop a notification of the former configuration, by its
            kind and number.
        to_eventbridge: Whether S3 must send to EventBridge. It is never turned off.
    """
    new: Json = {}
    for kind in [*former, *(kind for kind in ours if kind not in former)]:
        if kind not in KINDS:
            new[kind] = former[kind]
            continue
        kept = [
            notification
            for number, notification in enumerate(former.get(kind, []))
            if not is_replaced(kind, number)
        ]
        if notifications := [*kept, *ours.get(kind, [])]:
            new[kind] = notifications
    if to_eventbridge:
        new.setdefault(TO_EVENTBRIDGE, {})
    return _refusal(new, ours) or (former if is_same(former, new) else new)


def _refusal(configuration: Json, ours: Json) -> Refusal | None:
    added = [notification for notifications in ours.values() for notification in notifications]
    number = sum(len(configuration.get(kind, [])) for kind in KINDS)
    if number > MAX_NOTIFICATIONS:
        told = (
            f"the bucket would have {number} notifications; S3 takes {MAX_NOTIFICATIONS},"
            f" and {len(added)} of them are for the entries"
        )
        return Refusal((told,), is_of_ours=bool(added))
    reasons, is_of_ours = [], False
    for one, two in combinations(notification_routes(configuration), 2):
        if one.overlaps(two):
            sides = [
                configuration[kind][n] for kind, n in (one.place or ("", 0), two.place or ("", 0))
            ]
            reasons.append(" overlaps ".join(described(side) for side in sides))
            is_of_ours |= any(side is notification for side in sides for notification in added)
    return Refusal(tuple(reasons), is_of_ours) if reasons else None


def described(notification: Json) -> str:
    """Describe a notification: its id, its destination, and the events that it carries."""
    arn = next(notification[name] for name in KINDS.values() if name in notification)
    filters = "".join(
        f", {name} {decoded(value)!r}" for name, value in filter_values(notification) if value
    )
    events = ", ".join(notification.get("Events", ()))
    return f"{notification.get('Id', 'a notification')!r} to {arn} ({events}{filters})"


def is_same(one: Json, two: Json) -> bool:
    """Return whether two configurations of a bucket are the same for S3.

    S3 returns names of filters with a capital letter, and adds an id where there is none.
    """
    return _canonical(one) == _canonical(two)


def _canonical(configuration: Json) -> Json:
    return {
        kind: sorted((_plain(notification) for notification in value), key=repr)
        if kind in KINDS
        else value
        for kind, value in configuration.items()
        if value or kind not in KINDS
    }


def _plain(notification: Json) -> Json:
    chosen = notification.get("Filter", {})
    key = chosen.get("Key", {})
    return {
        **{name: value for name, value in notification.items() if name != "Filter"},
        "Events": sorted(notification.get("Events", ())),
        "rules": sorted((name, value) for name, value in filter_values(notification) if value),
        # An unknown kind of filter, which S3 may get one day.
        "others": {name: value for name, value in (chosen | key).items() if name not in _KNOWN},
    }
