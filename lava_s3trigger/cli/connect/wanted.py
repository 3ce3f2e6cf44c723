"""The events that a bucket must send for its entries: filters of S3, and rules of EventBridge."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from lava_s3trigger.cli.objects.event_types import EVENT_TYPES
from lava_s3trigger.cli.routes.route import Route, asks_for, encoded
from lava_s3trigger.triggers import WHOLE_BUCKET

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

    from lava_s3trigger.cli.objects.event_types import EventType
    from lava_s3trigger.triggers import Trigger

    Json = dict[str, Any]

CREATED: Final = tuple(
    event_type for event_type in EVENT_TYPES.values() if "ObjectCreated:" in event_type.name
)
MAX_FILTER_CHARACTERS: Final = 1024
"""https://docs.aws.amazon.com/AmazonS3/latest/API/API_FilterRule.html"""
MAX_PATTERN_CHARACTERS: Final = 2048
"""https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-quota.html"""


@dataclass(frozen=True, slots=True)
class Filter:
    """The events that one notification of S3, or one rule of EventBridge, carries."""

    types: frozenset[str]
    """S3's names of event types."""
    prefix: str = ""
    """Prefix of the keys; a rule has `pattern` instead."""
    pattern: Json | None = None
    """The pattern of a rule."""

    @property
    def events(self) -> list[str]:
        """The events of a notification; one wildcard stands for all types of new objects."""
        created = {event_type.name for event_type in CREATED}
        if not created <= self.types:
            return sorted(f"s3:{name}" for name in self.types)
        return ["s3:ObjectCreated:*", *sorted(f"s3:{name}" for name in self.types - created)]

    @property
    def notification(self) -> Json:
        """The parts of a notification that choose events."""
        rules = [{"Name": "prefix", "Value": encoded(self.prefix)}]
        chosen = {"Filter": {"Key": {"FilterRules": rules}}} if self.prefix else {}
        return {"Events": self.events, **chosen}


@dataclass(frozen=True, slots=True)
class Surplus:
    """Keys that a filter carries although no entry asks for them."""

    prefix: str
    example: str
    trigger_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Wanted:
    """The events that a route must carry for the entries of a bucket."""

    triggers: tuple[Trigger, ...]
    """The entries."""
    filters: tuple[Filter, ...]
    routes: tuple[Route, ...]
    """The filters as routes, to compare them with existing ones."""
    surplus: tuple[Surplus, ...]
    unreachable: tuple[str, ...]
    """Ids of the entries that no event of this route fires, since their types have other names."""


def wanted_by_s3(triggers: Collection[Trigger], default: Collection[EventType]) -> Wanted:
    """Return the smallest notifications that carry all that entries ask for.

    No two of them carry the same event type for the same key, which S3 would refuse.

    Args:
        triggers: The enabled entries of the bucket.
        default: The types of events of an entry that has no ``if_event_type``.
    """
    types, unreachable = _types(triggers, default, lambda kind: kind.name)
    prefixes: dict[str, set[str]] = defaultdict(set)
    for trigger, names in types:
        for name in names:
            prefixes[name].add(_prefix(trigger))
    by_prefix: dict[str, set[str]] = defaultdict(set)
    for name, of_type in prefixes.items():
        for prefix in _shortest(of_type):
            by_prefix[prefix].add(name)
    filters = tuple(Filter(frozenset(by_prefix[prefix]), prefix) for prefix in sorted(by_prefix))
    reached = [trigger for trigger, _ in types]
    routes = tuple(
        Route("", wanted_filter.types, wanted_filter.prefix) for wanted_filter in filters
    )
    surplus = tuple(_surplus(filters, reached))
    return Wanted(tuple(triggers), filters, routes, surplus, unreachable)


def wanted_by_rules(
    bucket: str, triggers: Collection[Trigger], default: Collection[EventType]
) -> Wanted:
    """Return the rules that carry all that entries ask for, and no other key.

    Args:
        bucket: Name of the bucket.
        triggers: Its enabled entries.
        default: The types of events of an entry that has no ``if_event_type``.
    """
    types, unreachable = _types(triggers, default, lambda kind: kind.name_in_eventbridge)
    tests: dict[str, list[Any]] = defaultdict(list)
    for trigger, names in types:
        for name in names:
            tests[name] += _key_tests(trigger)
    reduced = {name: _reduced(patterns) for name, patterns in tests.items()}
    filters, routes = [], []
    for group in _groups(reduced):
        for part in _parts(group.keys):
            detail: Json = {"bucket": {"name": [bucket]}, **group.detail}
            if part:
                detail["object"] = {"key": part}
            pattern = {"source": ["aws.s3"], "detail-type": group.detail_types, "detail": detail}
            filters.append(Filter(group.types, pattern=pattern))
            keys = [test for test in part if isinstance(test, str)]
            prefixes = [test["prefix"] for test in part if not isinstance(test, str)]
            routes += [Route("", group.types, key, key, is_key=True, rule="") for key in keys]
            routes += [Route("", group.types, prefix, rule="") for prefix in prefixes or [""]]
    return Wanted(tuple(triggers), tuple(filters), tuple(routes), (), unreachable)


def _types(
    triggers: Iterable[Trigger],
    default: Collection[EventType],
    name_of: Callable[[EventType], str | None],
) -> tuple[list[tuple[Trigger, set[str]]], tuple[str, ...]]:
    """Return entries with the event types that they ask for, and the ids of those without any."""
    with_types, unreachable = [], []
    for trigger in triggers:
        chooses = any(condition.field == "if_event_type" for condition in trigger.conditions)
        names = {
            kind.name
            for kind in (EVENT_TYPES.values() if chooses else default)
            if (name := name_of(kind)) and asks_for(trigger, name)
        }
        if names:
            with_types.append((trigger, names))
        else:
            unreachable.append(trigger.trigger_id)
    return with_types, tuple(sorted(unreachable))


def _takes_prefix_itself(trigger: Trigger) -> bool:
    """Return whether an entry may fire for the key that equals its prefix."""
    return all(
        condition.holds(trigger.prefix)
        for condition in trigger.conditions
        if condition.field in {"if_fnmatch", "if_not_fnmatch"}
    )


def _prefix(trigger: Trigger) -> str:
    """Return the longest filter that carries all keys of an entry."""
    if trigger.prefix == WHOLE_BUCKET:
        return ""
    prefix = trigger.prefix if _takes_prefix_itself(trigger) else f"{trigger.prefix}/"
    while len(encoded(prefix)) > MAX_FILTER_CHARACTERS:
        prefix = prefix[:-1]
    return prefix


def _shortest(prefixes: Iterable[str]) -> Iterator[str]:
    """Yield prefixes, without those that another one covers."""
    last = None
    for prefix in sorted(prefixes):  # texts that begin with a prefix follow it
        if last is None or not prefix.startswith(last):
            last = prefix
            yield prefix


def _surplus(filters: Iterable[Filter], triggers: Collection[Trigger]) -> Iterator[Surplus]:
    prefixes = {trigger.prefix for trigger in triggers}
    if WHOLE_BUCKET in prefixes:
        return
    for wanted_filter in filters:
        causes = [t.trigger_id for t in triggers if _prefix(t) == wanted_filter.prefix]
        folder = wanted_filter.prefix.removesuffix("/")
        if wanted_filter.prefix.endswith("/") and folder in prefixes:
            continue  # a folder: an entry asks for all keys in it
        examples = (f"{wanted_filter.prefix}{letter}" for letter in "x-0")
        example = next((key for key in examples if key not in prefixes), None)
        if example:
            yield Surplus(wanted_filter.prefix, example, tuple(sorted(causes)))


def _key_tests(trigger: Trigger) -> list[Any]:
    """Return the tests of a rule for the keys of an entry."""
    if trigger.prefix == WHOLE_BUCKET:
        return [{"prefix": ""}]
    folder = [{"prefix": f"{trigger.prefix}/"}]
    return [trigger.prefix, *folder] if _takes_prefix_itself(trigger) else folder


def _reduced(tests: Iterable[Any]) -> tuple[str, ...]:
    """Return tests as JSON, without those that another one covers."""
    every = list(tests)
    prefixes = list(_shortest({test["prefix"] for test in every if isinstance(test, dict)}))
    keys = sorted(
        {test for test in every if isinstance(test, str) and not test.startswith(tuple(prefixes))}
    )
    if prefixes == [""]:
        return ()
    reduced = [*keys, *({"prefix": prefix} for prefix in prefixes)]
    return tuple(json.dumps(test, ensure_ascii=False) for test in reduced)


@dataclass(frozen=True, slots=True)
class _Group:
    """Event types whose keys have the same tests: one rule."""

    keys: tuple[str, ...]
    types: frozenset[str]
    detail_types: list[str]
    detail: Json = field(default_factory=dict)


def _groups(tests: Mapping[str, tuple[str, ...]]) -> Iterator[_Group]:
    """Yield the events of each rule, from the tests of keys by type.

    A rule names a whole detail type if the keys of all its event types have the same tests.
    """
    by_detail: dict[str, dict[tuple[str, ...] | None, list[EventType]]] = {}
    for kind in EVENT_TYPES.values():
        if kind.detail_type:
            by_keys = by_detail.setdefault(kind.detail_type, {})
            by_keys.setdefault(tests.get(kind.name), []).append(kind)
    whole: dict[tuple[str, ...], list[EventType]] = {}
    for by_keys in by_detail.values():
        for keys, kinds in by_keys.items():
            if keys is not None and len(by_keys) == 1:
                whole.setdefault(keys, []).extend(kinds)
            elif keys is not None:
                yield from _parts_of_detail(keys, kinds)
    for keys, kinds in sorted(whole.items()):
        details = sorted({str(kind.detail_type) for kind in kinds})
        yield _Group(keys, frozenset(kind.name for kind in kinds), details)


def _parts_of_detail(keys: tuple[str, ...], kinds: list[EventType]) -> Iterator[_Group]:
    """Yield the rules for some of the event types of a detail type."""
    names = {kind.name for kind in kinds}
    reasons = {kind.reason for kind in kinds}
    alike = [
        event_type
        for event_type in EVENT_TYPES.values()
        if event_type.detail_type == kinds[0].detail_type and event_type.reason in reasons
    ]
    by_deletion: dict[str | None, list[EventType]] = {None: kinds}
    if names != {event_type.name for event_type in alike}:
        by_deletion = {}
        for kind in kinds:
            by_deletion.setdefault(kind.detail.get("deletion-type"), []).append(kind)
    for deletion, members in by_deletion.items():
        detail: Json = {"reason": sorted({str(member.reason) for member in members})}
        if deletion:
            detail["deletion-type"] = [deletion]
        types = frozenset(member.name for member in members)
        yield _Group(keys, types, [str(members[0].detail_type)], detail)


def _parts(keys: tuple[str, ...]) -> Iterator[list[Any]]:
    """Yield tests of keys, as many at a time as fit into a pattern."""
    room = MAX_PATTERN_CHARACTERS // 2
    part: list[str] = []
    for key in keys:
        if part and sum(map(len, part)) + len(key) > room:
            yield [json.loads(test) for test in part]
            part = []
        part.append(key)
    yield [json.loads(test) for test in part]
