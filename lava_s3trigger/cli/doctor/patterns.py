"""Patterns of EventBridge: whether one may match an event of S3.

https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-pattern-operators.html
"""

from __future__ import annotations

import datetime as dt
import json
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Final

from lava_s3trigger.cli.objects.event_types import EVENT_TYPES
from lava_s3trigger.cli.objects.payloads import ObjectEvent, eventbridge_event

from .realm import listed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lava_s3trigger.cli.objects.event_types import EventType

    from .realm import Json

_CLOSED: Final = frozenset(
    [
        ("source",),
        ("detail-type",),
        ("detail", "version"),
        ("detail", "bucket", "name"),
        ("detail", "reason"),
        ("detail", "deletion-type"),
    ]
)
"""What is the same in each event of a type; all else differs from event to event."""
_TIME: Final = dt.datetime(2026, 3, 14, tzinfo=dt.UTC)
_OPEN: Final = object()


def read_pattern(rule: Json) -> Json | None:
    """Return the pattern of a rule; None if it has none, or none that can be read."""
    try:
        pattern = json.loads(rule.get("EventPattern") or "null")
    except ValueError:
        return None
    return pattern if isinstance(pattern, dict) else None


def matching_types(pattern: Json, bucket: str | None = None) -> list[EventType]:
    """Return the types of events of a bucket, or of any, that a pattern may match."""
    return [
        each
        for each in EVENT_TYPES.values()
        if each.detail_type is not None
        and _may_match(pattern, _event(each, bucket or ""), (), is_any_bucket=bucket is None)
    ]


def key_filters(pattern: Json) -> list[tuple[str, str]]:
    """Return the prefixes and suffixes of the keys that a pattern matches, each with the other."""
    try:
        tests = pattern["detail"]["object"]["key"]
    except (KeyError, TypeError):
        return [("", "")]
    return [_key_filter(each) for each in listed(tests)]


def _key_filter(test: Any) -> tuple[str, str]:
    if isinstance(test, str):
        return test, test
    if isinstance(test, dict) and len(test) == 1:
        ((name, value),) = test.items()
        if isinstance(value, str):
            if name == "prefix":
                return value, ""
            if name == "suffix":
                return "", value
            if name == "wildcard" and "\\" not in value:
                return value.partition("*")[0], value.rpartition("*")[2] if "*" in value else value
    return "", ""  # such as anything-but: it leaves out little


def leaves(pattern: Json, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the paths of the fields that a pattern tests."""
    for name, inner in pattern.items():
        if isinstance(inner, dict) and inner:
            yield from leaves(inner, (*path, name))
        else:
            yield (*path, name)


def without(pattern: Json, path: tuple[str, ...]) -> Json:
    """Return a pattern without the test of a field."""
    name, *rest = path
    if not rest:
        return {each: value for each, value in pattern.items() if each != name}
    inner = without(pattern[name], tuple(rest))
    return {
        each: inner if each == name else value
        for each, value in pattern.items()
        if each != name or inner
    }


def _event(kind: EventType, bucket: str) -> Json:
    return eventbridge_event(ObjectEvent(bucket=bucket, key="k", type=kind, time=_TIME))


def _may_match(
    pattern: Json, event: Any, path: tuple[str, ...], *, is_any_bucket: bool = False
) -> bool:
    for name, wanted in pattern.items():
        if name == "$or":
            if not any(
                isinstance(each, dict)
                and _may_match(each, event, path, is_any_bucket=is_any_bucket)
                for each in listed(wanted)
            ):
                return False
            continue
        place = (*path, name)
        value = event.get(name, None) if isinstance(event, dict) else None
        is_there = isinstance(event, dict) and name in event
        if isinstance(wanted, dict):
            if not _may_match(wanted, value or {}, place, is_any_bucket=is_any_bucket):
                return False
            continue
        is_open = place not in _CLOSED or (is_any_bucket and place[-1] == "name")
        if is_there and is_open:
            value = _OPEN
        if not any(_passes(test, value, is_there=is_there) for test in listed(wanted)):
            return False
    return True


def _passes(test: Any, value: Any, *, is_there: bool) -> bool:
    """Tell whether a value may pass one of the tests of a field."""
    if isinstance(test, dict) and set(test) == {"exists"}:
        return bool(test["exists"]) is is_there
    if not is_there:
        return False
    if value is _OPEN:
        return True
    if not isinstance(test, dict):
        return bool(test == value)
    return all(
        name not in _TESTS or not isinstance(value, str) or _TESTS[name](wanted, value)
        for name, wanted in test.items()
    )


def _differs(wanted: Any, value: str) -> bool:
    if isinstance(wanted, dict):
        return not all(
            any(_TESTS[name](each, value) for each in listed(inner))
            for name, inner in wanted.items()
            if name in _TESTS
        )
    return value not in listed(wanted)


def _starts(wanted: Any, value: str) -> bool:
    if isinstance(wanted, dict):
        return value.lower().startswith(str(wanted.get("equals-ignore-case", "")).lower())
    return value.startswith(str(wanted))


def _ends(wanted: Any, value: str) -> bool:
    if isinstance(wanted, dict):
        return value.lower().endswith(str(wanted.get("equals-ignore-case", "")).lower())
    return value.endswith(str(wanted))


_TESTS: Final[dict[str, Callable[[Any, str], bool]]] = {
    "prefix": _starts,
    "suffix": _ends,
    "equals-ignore-case": lambda wanted, value: value.lower() == str(wanted).lower(),
    "wildcard": lambda wanted, value: fnmatchcase(
        value, str(wanted).replace("[", "[[]").replace("?", "[?]")
    ),
    "anything-but": _differs,
}
