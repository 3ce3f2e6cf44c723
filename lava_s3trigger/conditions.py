"""The conditions of a trigger: a registry. See docs/design.md#conditions.

A new condition is one function here, decorated with how its argument is read. The
name gives ``if_<name>`` and ``if_not_<name>``; the docstring, its line in the docs.
"""

from __future__ import annotations

import fnmatch
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from . import units
from .units import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from .events import S3Event

    Test = Callable[[S3Event, Any], bool]


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of condition: what it tests, and how its argument is read."""

    name: str
    test: Test
    read: Callable[[Any], Any]

    @property
    def description(self) -> str:
        """What the condition tests, as a sentence."""
        return (self.test.__doc__ or "").strip()


KINDS: Final[dict[str, Kind]] = {}


def condition(name: str, read: Callable[[Any], Any]) -> Callable[[Test], Test]:
    """Register a function as a condition.

    Args:
        name: What follows ``if_`` and ``if_not_``.
        read: Makes of the entry's argument what the function takes; raises
            ValueError where it cannot.
    """

    def register(test: Test) -> Test:
        KINDS[name] = Kind(name, test, read)
        return test

    return register


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition as an entry has it."""

    field: str
    """Such as ``if_not_fnmatch``."""
    argument: Any
    """As it stands in the entry."""
    _kind: Kind
    _read: Any
    _is_inverse: bool

    @property
    def is_compiled(self) -> bool:
        """Whether testing it needs nothing to be compiled."""
        return not isinstance(self._read, Patterns) or self._read.is_compiled

    @property
    def is_brief(self) -> bool:
        """Whether it is known that testing it for a short key needs no bounds."""
        return not isinstance(self._read, Patterns) or self._read.is_brief

    def value(self, event: S3Event) -> S3Event:
        """Shim."""
        return event

    def holds(self, event: S3Event) -> bool:
        """Tell whether the condition lets the event pass."""
        return self._kind.test(event, self._read) is not self._is_inverse


def is_condition(field: str) -> bool:
    """Tell whether a field of an entry is a condition, known or not."""
    return field.startswith("if_")


def read_conditions(fields: Mapping[str, Any]) -> tuple[Condition, ...]:
    """Read the conditions among the fields of an entry.

    Raises:
        ValueError: One is not known, or its argument is not what it takes.
    """
    found = []
    for field, argument in fields.items():
        if is_condition(field):
            is_inverse = field.startswith("if_not_")
            kind = KINDS.get(field.removeprefix("if_not_" if is_inverse else "if_"))
            if kind is None:
                known = ", ".join(f"if_{name}, if_not_{name}" for name in KINDS)
                raise ValueError(f"{shown(field)} is no condition; there are {known}")
            try:
                read = kind.read(argument)
            except ValueError as error:
                raise ValueError(f"{field}: {error}") from None
            found.append(Condition(field, argument, kind, read, is_inverse))
    return tuple(found)


_BRIEF: Final = 1000  # characters of patterns
_MOST_PATTERNS: Final = 1000
_LONGEST_PATTERN: Final = 1024  # bytes in the longest S3 key


class Patterns:
    """Patterns as `fnmatch` has them, compiled when they are first asked for.

    To compile one can take a second, as each range of characters in it is gone through:
    that is for the bounds of testing to end.

    Args:
        patterns: The patterns.
    """

    __slots__ = ("_compiled", "_patterns")

    def __init__(self, patterns: Sequence[str]) -> None:
        self._patterns = patterns
        self._compiled: tuple[re.Pattern[str], ...] | None = None

    @property
    def is_compiled(self) -> bool:
        """Whether testing takes no more than matching."""
        return self._compiled is not None

    @property
    def is_brief(self) -> bool:
        """Whether they are compiled, and few."""
        return self.is_compiled and sum(map(len, self._patterns)) <= _BRIEF

    def match(self, text: str) -> bool:
        """Tell whether any of them matches."""
        if self._compiled is None:
            self._compiled = tuple(re.compile(fnmatch.translate(each)) for each in self._patterns)
        return any(pattern.match(text) for pattern in self._compiled)


def _patterns(argument: Any) -> Patterns:
    patterns = [argument] if isinstance(argument, str) else argument
    if not isinstance(patterns, list) or not all(isinstance(each, str) for each in patterns):
        raise ValueError(f"{shown(argument)} is neither a pattern nor a list of patterns")
    if len(patterns) > _MOST_PATTERNS or any(len(each) > _LONGEST_PATTERN for each in patterns):
        raise ValueError(
            f"at most {_MOST_PATTERNS} patterns of at most {_LONGEST_PATTERN} characters will do"
        )
    return Patterns(patterns)


@condition("fnmatch", read=_patterns)
def _key_matches(event: S3Event, patterns: Patterns) -> bool:
    """The key matches any of the patterns, as Python's `fnmatch` does on Linux."""
    return patterns.match(event.key)


@condition("size_gt", read=units.size)
def _is_larger(event: S3Event, size: float) -> bool:
    """The object is larger than this many bytes."""
    return event.size > size


@condition("event_type", read=_patterns)
def _type_matches(event: S3Event, patterns: Patterns) -> bool:
    """The event type matches any of the patterns, as Python's `fnmatch` does on Linux."""
    return patterns.match(event.event_type)
