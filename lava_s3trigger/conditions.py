"""The conditions of a trigger: a registry.

A new condition is one function here, decorated with how its argument is read. The name
gives ``if_<name>`` and ``if_not_<name>``; the docstring is its line in the docs. Reading
may compile what testing needs: both run within bounds of time and memory.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from . import units
from .errors import EntryError
from .templates.patterns import compiled
from .units import shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from .errors import Code
    from .events import S3Event

    Test = Callable[[Any, Any], bool]


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of condition: what it tests, and how its argument is read."""

    name: str
    test: Test
    read: Callable[[Any], Any]
    of: str = "key"
    """The attribute of `S3Event` that it tests."""
    code: Code = "bad_argument"
    """Code of the error if its argument cannot be read."""

    @property
    def description(self) -> str:
        """What the condition tests, as a sentence."""
        return (self.test.__doc__ or "").strip()


KINDS: Final[dict[str, Kind]] = {}


def condition(
    name: str, of: str, read: Callable[[Any], Any], code: Code = "bad_argument"
) -> Callable[[Test], Test]:
    """Register a function of a value and an argument as a condition.

    Args:
        name: What follows ``if_`` and ``if_not_``.
        of: The attribute of `S3Event` whose value the function takes.
        read: Converts the entry's argument to that of the function; raises ValueError if it
            cannot.
        code: Code of the error for that.
    """

    def register(test: Test) -> Test:
        KINDS[name] = Kind(name, test, read, of, code)
        return test

    return register


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition as an entry has it."""

    field: str
    """The field, such as ``if_not_fnmatch``."""
    argument: Any
    """The argument as the entry has it."""
    _kind: Kind
    _read: Any
    _is_inverse: bool

    def value(self, event: S3Event) -> Any:
        """Return the value that the condition tests."""
        return getattr(event, self._kind.of)

    def holds(self, value: Any) -> bool:
        """Return whether the condition holds for a value."""
        return self._kind.test(value, self._read) is not self._is_inverse


def is_condition(field: str) -> bool:
    """Return whether a field of an entry is a condition, known or not."""
    return field.startswith("if_")


def read_conditions(fields: Mapping[str, Any]) -> Iterator[Condition | EntryError]:
    """Read the conditions of an entry, one by one.

    Args:
        fields: Their arguments, by the names of the fields.

    Yields:
        For each field the condition, or the error if the condition is unknown or its argument is
        invalid.
    """
    for field, argument in fields.items():
        is_inverse = field.startswith("if_not_")
        kind = KINDS.get(field.removeprefix("if_not_" if is_inverse else "if_"))
        if kind is None:
            known = ", ".join(f"if_{name}, if_not_{name}" for name in KINDS)
            message = f"unknown condition {shown(field)}; known conditions: {known}"
            yield EntryError("unknown_condition", field, message, argument)
            continue
        try:
            read = kind.read(argument)
        except (ValueError, re.error) as error:
            yield EntryError(kind.code, field, f"{field}: {error}", argument)
        else:
            yield Condition(field, argument, kind, read, is_inverse)


_MAX_PATTERNS: Final = 1000
_MAX_PATTERN_CHARACTERS: Final = 1024  # bytes in the longest S3 key

Matcher = Callable[[str], object]


def _matcher(pattern: str) -> Matcher:
    """Return a function that matches text as `fnmatch` does on Linux.

    Most patterns have only the wildcard ``*``. They are matched piece by piece, since compiling
    800 regular expressions takes a second in a small Lambda function.
    """
    if "?" in pattern or "[" in pattern:
        return compiled(fnmatch.translate(pattern)).match
    first, *middle = pattern.split("*")
    if not middle:
        return pattern.__eq__
    last = middle.pop()

    def match(text: str) -> bool:
        start, end = len(first), len(text) - len(last)
        if start > end or not text.startswith(first) or not text.endswith(last):
            return False
        for piece in middle:
            at = text.find(piece, start, end)
            if at < 0:
                return False
            start = at + len(piece)
        return True

    return match


def _matchers(argument: Any) -> list[Matcher]:
    patterns = [argument] if isinstance(argument, str) else argument
    if not isinstance(patterns, list) or not {*map(type, patterns)} <= {str}:
        raise ValueError(f"{shown(argument)} is neither a pattern nor a list of patterns")
    if len(patterns) > _MAX_PATTERNS:
        raise ValueError(f"{len(patterns)} patterns, more than {_MAX_PATTERNS}")
    longest = max(map(len, patterns), default=0)
    if longest > _MAX_PATTERN_CHARACTERS:
        raise ValueError(f"a pattern of {longest} characters, more than {_MAX_PATTERN_CHARACTERS}")
    return [_matcher(pattern) for pattern in patterns]


def _matches_any(text: str, matchers: list[Matcher]) -> bool:
    # A loop, since a generator takes longer than matching one pattern.
    for match in matchers:  # noqa: SIM110
        if match(text):
            return True
    return False


@condition("fnmatch", of="key", read=_matchers, code="not_a_pattern")
def _key_matches(key: str, matchers: list[Matcher]) -> bool:
    """The key matches any of the patterns, as Python's `fnmatch` does on Linux."""
    return _matches_any(key, matchers)


@condition("size_gt", of="size", read=units.size, code="not_a_size")
def _is_larger(size: int, limit: float) -> bool:
    """The object is larger than this many bytes."""
    return size > limit


@condition("event_type", of="event_type", read=_matchers, code="not_a_pattern")
def _type_matches(event_type: str, matchers: list[Matcher]) -> bool:
    """The event type matches any of the patterns, as Python's `fnmatch` does on Linux."""
    return _matches_any(event_type, matchers)
