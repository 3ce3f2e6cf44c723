"""Decides whether a pattern of EventBridge may match an event of S3.

https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-pattern-operators.html
"""

from __future__ import annotations

import datetime as dt
import json
import operator
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Final

from lava_s3trigger.cli.deployed.iam_statements import listed
from lava_s3trigger.cli.objects.event_types import EVENT_TYPES
from lava_s3trigger.cli.objects.payloads import ObjectEvent, eventbridge_event

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lava_s3trigger.cli.deployed.realm import Json
    from lava_s3trigger.cli.objects.event_types import EventType

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
"""Fields that are the same in each event of a type; all others differ from event to event."""
_KNOWN: Final = _CLOSED | {
    ("account",),
    ("region",),
    ("resources",),
    ("detail", "object", "key"),
    ("detail", "object", "size"),
}
"""Fields whose value is known before an event happens: not its id, nor its requester."""
_TIME: Final = dt.datetime(2026, 3, 14, tzinfo=dt.UTC)
_OPEN: Final = object()
"""The value of a field that differs between events: any test may pass."""
_ABSENT: Final = object()


def read_pattern(rule: Json) -> Json | None:
    """Return the pattern of a rule; None if it has none, or an invalid one."""
    try:
        pattern = json.loads(rule.get("EventPattern") or "null")
    except ValueError:
        return None
    return pattern if isinstance(pattern, dict) else None


def matching_types(pattern: Json, bucket: str | None = None) -> list[EventType]:
    """Return the event types of a bucket, or of any bucket, that a pattern may match."""
    return [
        event_type
        for event_type in EVENT_TYPES.values()
        if event_type.detail_type is not None and _may_match(pattern, _event(event_type, bucket))
    ]


def exclusion(pattern: Json, event: Json) -> str | None:
    """Return the part of a pattern that an event does not match; None if it matches.

    Args:
        pattern: The pattern of a rule.
        event: As EventBridge has it. Only the fields known before it happens are tested.
    """
    known = _opened(event, _KNOWN)
    for path in leaves(pattern):
        value = _at(pattern, path)
        if not _may_match(_nested(path, value), known):
            return f"{'.'.join(path)} is {json.dumps(value, ensure_ascii=False)}"
    return None


def _at(pattern: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        pattern = pattern[name]
    return pattern


def _nested(path: tuple[str, ...], value: Any) -> Json:
    """Return the pattern that tests one field."""
    for name in reversed(path):
        value = {name: value}
    pattern: Json = value
    return pattern


def key_filters(pattern: Json) -> list[tuple[str, str, bool]]:
    """Return prefix and suffix of the keys that a pattern matches, and whether it is one key."""
    try:
        tests = pattern["detail"]["object"]["key"]
    except (KeyError, TypeError):
        return [("", "", False)]
    return [_key_filter(test) for test in listed(tests)]


def _key_filter(test: Any) -> tuple[str, str, bool]:
    if isinstance(test, str):
        return test, test, True
    if isinstance(test, dict) and len(test) == 1:
        ((name, value),) = test.items()
        if isinstance(value, str):
            if name == "prefix":
                return value, "", False
            if name == "suffix":
                return "", value, False
            if name == "wildcard" and "\\" not in value:
                return value.partition("*")[0], value.rpartition("*")[2], "*" not in value
    return "", "", False  # such as anything-but, which excludes little


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
        return {field: value for field, value in pattern.items() if field != name}
    inner = without(pattern[name], tuple(rest))
    return {
        field: inner if field == name else value
        for field, value in pattern.items()
        if field != name or inner
    }


def _event(kind: EventType, bucket: str | None) -> Json:
    """Return an event of a bucket, or of any bucket, with ``_OPEN`` for fields that differ."""
    event = ObjectEvent(bucket=bucket or "", key="k", type=kind, time=_TIME)
    opened: Json = _opened(eventbridge_event(event), _CLOSED)
    if bucket is None:
        opened["detail"]["bucket"]["name"] = _OPEN
    return opened


def _opened(value: Any, closed: frozenset[tuple[str, ...]], path: tuple[str, ...] = ()) -> Any:
    """Return an event with ``_OPEN`` for each field but the closed ones."""
    if isinstance(value, dict):
        return {name: _opened(inner, closed, (*path, name)) for name, inner in value.items()}
    return value if path in closed else _OPEN


def _may_match(pattern: Json, event: Any) -> bool:
    """Return whether an event, or a part of one, may match a pattern."""
    members = event if isinstance(event, dict) else {}
    for name, wanted in pattern.items():
        if name == "$or":
            passes = any(
                isinstance(alternative, dict) and _may_match(alternative, event)
                for alternative in listed(wanted)
            )
        elif isinstance(wanted, dict):
            passes = _may_match(wanted, members.get(name))
        else:
            passes = any(_passes(test, members.get(name, _ABSENT)) for test in listed(wanted))
        if not passes:
            return False
    return True


def _passes(test: Any, value: Any) -> bool:
    """Return whether a value may pass one of the tests of a field."""
    if isinstance(test, dict) and set(test) == {"exists"}:
        return bool(test["exists"]) is (value is not _ABSENT)
    if value is _ABSENT:
        return False
    if value is _OPEN:
        return True
    if isinstance(value, list):
        return any(_passes(test, member) for member in value)
    if not isinstance(test, dict):
        return bool(test == value)
    tests = _TESTS if isinstance(value, str) else _TESTS_OF_NUMBERS
    return all(name not in tests or tests[name](wanted, value) for name, wanted in test.items())


def _differs(wanted: Any, value: str) -> bool:
    if isinstance(wanted, dict):
        return not all(
            any(_TESTS[name](operand, value) for operand in listed(inner))
            for name, inner in wanted.items()
            if name in _TESTS
        )
    return value not in listed(wanted)


def _affix(has: Callable[[str, str], bool]) -> Callable[[Any, str], bool]:
    """Return the test of a prefix or a suffix, given `str.startswith` or `str.endswith`."""

    def test(wanted: Any, value: str) -> bool:
        if isinstance(wanted, dict):
            return has(value.lower(), str(wanted.get("equals-ignore-case", "")).lower())
        return has(value, str(wanted))

    return test


def _is_in_range(wanted: Any, value: Any) -> bool:
    """Return whether a number is as a test such as ``[">", 0, "<=", 5]`` has it."""
    return all(
        _COMPARISONS[name](value, bound)
        for name, bound in zip(wanted[::2], wanted[1::2], strict=True)
    )


_COMPARISONS: Final = {
    "=": operator.eq,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_TESTS_OF_NUMBERS: Final[dict[str, Callable[[Any, Any], bool]]] = {"numeric": _is_in_range}
_TESTS: Final[dict[str, Callable[[Any, str], bool]]] = {
    "prefix": _affix(str.startswith),
    "suffix": _affix(str.endswith),
    "equals-ignore-case": lambda wanted, value: value.lower() == str(wanted).lower(),
    "wildcard": lambda wanted, value: fnmatchcase(
        value, str(wanted).replace("[", "[[]").replace("?", "[?]")
    ),
    "anything-but": _differs,
}
