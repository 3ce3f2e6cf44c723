"""Routes of a bucket's events to the function, and which events of an entry each carries."""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final
from urllib.parse import quote_plus, unquote_plus

from lava_s3trigger.cli.deployed.iam_statements import listed
from lava_s3trigger.cli.objects.event_types import EVENT_TYPES
from lava_s3trigger.triggers import WHOLE_BUCKET
from lava_s3trigger.units import shown

from .patterns import key_filters, matching_types, read_pattern

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from lava_s3trigger.cli.deployed.realm import Deployment, Json
    from lava_s3trigger.cli.objects.event_types import EventType
    from lava_s3trigger.triggers import Trigger

KINDS: Final = {
    "LambdaFunctionConfigurations": "LambdaFunctionArn",
    "QueueConfigurations": "QueueArn",
    "TopicConfigurations": "TopicArn",
}
"""The kinds of notifications of a bucket, each with the name of its destination."""
_SAFE: Final = "/!-_.*'()"
"""Characters that S3 does not decode in a filter, in addition to letters and digits.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-how-to-filtering.html
https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html
"""


@dataclass(frozen=True)
class Route:
    """A way of a bucket's events to a destination."""

    told: str
    """A description, for people."""
    types: frozenset[str]
    """S3's names of the event types that it carries."""
    prefix: str = ""
    suffix: str = ""
    is_key: bool = False
    """Whether it carries one key only, which is its prefix and its suffix."""
    place: tuple[str, int] | None = None
    """Kind and position of its notification; None for EventBridge."""
    rule: str | None = None
    """Name of its rule, for EventBridge."""
    is_ours: bool = True
    """Whether it leads to the function."""

    @property
    def name(self) -> str:
        """What it is, for a list."""
        return f"EventBridge rule {self.rule}" if self.rule else self.told.removeprefix("the ")

    def exclusion(self, key: str, kind: EventType) -> str | None:
        """Return which of its filters excludes an event; None if it carries the event."""
        if kind.name not in self.types:
            return f"its events do not include {kind.name}"
        if not key.startswith(self.prefix):
            return f"its filter for the prefix {shown(self.prefix)} excludes the key"
        if not key.endswith(self.suffix):
            return f"its filter for the suffix {shown(self.suffix)} excludes the key"
        return None

    def overlaps(self, other: Route) -> bool:
        """Return whether there is an event that both carry."""
        if not self.types & other.types:
            return False
        if self.is_key:
            is_same = not other.is_key or self.prefix == other.prefix
            return (
                is_same
                and self.prefix.startswith(other.prefix)
                and self.prefix.endswith(other.suffix)
            )
        if other.is_key:
            return other.overlaps(self)
        prefixes = sorted([self.prefix, other.prefix], key=len)
        suffixes = sorted([self.suffix, other.suffix], key=len)
        return prefixes[1].startswith(prefixes[0]) and suffixes[1].endswith(suffixes[0])

    def name_of(self, kind: EventType) -> str | None:
        """Return the event type that the function sees through this route."""
        return kind.name if self.rule is None else kind.name_in_eventbridge

    def covers(self, trigger: Trigger, kind: EventType) -> bool:
        """Return whether it carries all events of a type that an entry wants."""
        prefix = "" if trigger.prefix == WHOLE_BUCKET else trigger.prefix
        has_prefix = f"{prefix}/".startswith(self.prefix) if prefix else not self.prefix
        has_suffix = not self.suffix or any(
            all(pattern.endswith(self.suffix) for pattern in patterns)
            for patterns in _patterns(trigger)
        )
        return has_prefix and has_suffix and self._carries(trigger, kind)

    def reaches(self, trigger: Trigger, *kinds: EventType) -> bool:
        """Return whether it may carry any event that an entry asks for, or any of some types."""
        prefix = "" if trigger.prefix == WHOLE_BUCKET else f"{trigger.prefix}/"
        return (
            (prefix.startswith(self.prefix) or self.prefix.startswith(prefix))
            and all(
                any(_may_pass(pattern, self.prefix, self.suffix) for pattern in patterns)
                for patterns in _patterns(trigger)
            )
            and any(self._carries(trigger, kind) for kind in kinds or EVENT_TYPES.values())
        )

    def _carries(self, trigger: Trigger, kind: EventType) -> bool:
        name = self.name_of(kind)
        return name is not None and kind.name in self.types and asks_for(trigger, name)


def asks_for(trigger: Trigger, name: str) -> bool:
    """Return whether an entry's conditions accept events of a type."""
    return all(
        condition.holds(name)
        for condition in trigger.conditions
        if condition.field in {"if_event_type", "if_not_event_type"}
    )


def wanted_types(trigger: Trigger) -> list[EventType]:
    """Return the event types that an entry wants; without a condition, those of new objects."""
    if not any(condition.field == "if_event_type" for condition in trigger.conditions):
        return [
            event_type
            for event_type in EVENT_TYPES.values()
            if event_type.name.startswith("ObjectCreated:") and asks_for(trigger, event_type.name)
        ]
    return [
        event_type
        for event_type in EVENT_TYPES.values()
        if any(
            name and asks_for(trigger, name)
            for name in (event_type.name, event_type.name_in_eventbridge)
        )
    ]


def carriers(candidates: list[Route], trigger: Trigger) -> dict[str, list[Route]]:
    """Return the routes that carry all events that an entry wants, by event type.

    Without a route, events of a type do not reach the function, or not for all keys; with two
    routes, each event comes twice.

    Args:
        candidates: The routes of the bucket to the function.
        trigger: The entry.
    """
    return {
        kind.name: [route for route in candidates if route.covers(trigger, kind)]
        for kind in wanted_types(trigger)
    }


def event_patterns(types: Iterable[EventType]) -> list[str]:
    """Return patterns that choose types of events and no others, such as ``ObjectCreated:*``."""
    names = {kind.name for kind in types}
    patterns: dict[str, None] = {}
    for name in sorted(names):
        family = f"{name.partition(':')[0]}:"
        is_whole = {type_name for type_name in EVENT_TYPES if type_name.startswith(family)} <= names
        patterns[f"{family}*" if ":" in name and is_whole else name] = None
    return list(patterns)


def notification_routes(configuration: Json, ours: frozenset[str] = frozenset()) -> Iterator[Route]:
    """Yield the routes of all notifications of a bucket, without those by EventBridge.

    Args:
        configuration: The notifications of the bucket.
        ours: ARNs of destinations that lead to the function.
    """
    for kind, name in KINDS.items():
        for number, notification in enumerate(configuration.get(kind, [])):
            filters = dict(filter_values(notification))
            yield Route(
                f"the notification {notification.get('Id', number)} to {notification[name]}",
                event_types(notification.get("Events", ())),
                decoded(filters.get("prefix", "")),
                decoded(filters.get("suffix", "")),
                place=(kind, number),
                is_ours=notification[name] in ours,
            )


def routes(deployed: Deployment, bucket: str, configuration: Json | None = None) -> list[Route]:
    """Return the routes of a bucket's events to the function.

    Args:
        deployed: The realm.
        bucket: Name of the bucket.
        configuration: Its notifications, if they were read already.
    """
    if configuration is None:
        configuration = deployed.notifications(bucket) or {}
    topics = {
        subscription["TopicArn"]
        for subscription in deployed.subscriptions
        if not drops_all(deployed.filter_policy(subscription["SubscriptionArn"]))
    }
    ours = frozenset({deployed.function_arn, *deployed.is_mapped, *topics})
    own_routes = [route for route in notification_routes(configuration, ours) if route.is_ours]
    if "EventBridgeConfiguration" in configuration:
        own_routes += rule_routes(deployed, bucket)
    return own_routes


def doubled(candidates: Iterable[Route]) -> tuple[Route, Route] | None:
    """Return two routes that carry the same event; None if each event comes once."""
    for one, two in itertools.combinations(candidates, 2):
        is_one_rule = one.rule is not None and one.rule == two.rule
        if not is_one_rule and one.overlaps(two):
            return one, two
    return None


def rule_routes(deployed: Deployment, bucket: str, *, is_disabled: bool = False) -> list[Route]:
    """Return the routes of a bucket's events by rules that are enabled, or by disabled ones."""
    by_rules = []
    for rule in deployed.rules:
        pattern = read_pattern(rule)
        if pattern is None or (rule.get("State") == "DISABLED") is not is_disabled:
            continue
        types = frozenset(event_type.name for event_type in matching_types(pattern, bucket))
        if types:
            by_rules += [
                Route(f"the rule {rule['Name']}", types, *key_filter, rule=rule["Name"])
                for key_filter in key_filters(pattern)
            ]
    return by_rules


def drops_all(policy: Json) -> bool:
    """Return whether a subscription's filter policy lets no notification of S3 pass.

    S3's notifications have no message attributes: only a test that one is missing passes.
    """
    return any(
        not any(test == {"exists": False} for test in listed(tests)) for tests in policy.values()
    )


def event_types(events: tuple[str, ...] | list[str]) -> frozenset[str]:
    """Return the event types that a notification names, directly or by a wildcard."""
    return frozenset(
        name
        for name in EVENT_TYPES
        if any(fnmatchcase(f"s3:{name}", pattern) for pattern in events)
    )


def filter_values(notification: Json) -> list[tuple[str, str]]:
    """Return the filters of a notification: ``prefix`` or ``suffix``, and its value."""
    rules = notification.get("Filter", {}).get("Key", {}).get("FilterRules", [])
    return [(rule["Name"].lower(), rule["Value"]) for rule in rules]


def decoded(value: str) -> str:
    """Return the text of keys that a filter's value matches."""
    return unquote_plus(value)


def encoded(value: str) -> str:
    """Return the value of a filter for a text of keys: percent-encoded, with a plus for a space."""
    return quote_plus(value, safe=_SAFE).replace("~", "%7E")  # Python does not encode it


def is_encoded(value: str) -> bool:
    """Return whether S3 reads each character of a filter's value as intended."""
    return (
        re.fullmatch(rf"(?:[A-Za-z0-9+{re.escape(_SAFE)}]|%[0-9A-Fa-f]{{2}})*", value) is not None
    )


def _patterns(trigger: Trigger) -> Iterator[list[str]]:
    """Yield the patterns of each condition on keys; one of each must match."""
    for condition in trigger.conditions:
        if condition.field == "if_fnmatch":
            patterns = (
                [condition.argument] if isinstance(condition.argument, str) else condition.argument
            )
            yield [str(pattern) for pattern in patterns]


def _may_pass(pattern: str, prefix: str, suffix: str) -> bool:
    """Return whether some key may match a pattern and have a prefix and a suffix."""
    head, *rest = re.split(r"[*?\[]", pattern, maxsplit=1)
    tail = re.split(r"[*?\[\]]", pattern)[-1]
    if not rest:
        return head.startswith(prefix) and head.endswith(suffix)
    return (head.startswith(prefix) or prefix.startswith(head)) and (
        tail.endswith(suffix) or suffix.endswith(tail)
    )
