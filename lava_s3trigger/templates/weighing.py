"""Bounds of values: the characters, bits, members and levels that a value may have.

Every value that an expression of a template makes is weighed when it is made. Signals are
handled only between bytecodes, so no operation in C may take long. None does if all its
arguments are small.
"""

from __future__ import annotations

import datetime as dt
import sys
import types
from collections.abc import Iterator, Mapping, ValuesView
from collections.abc import Set as AbstractSet
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from jinja2.runtime import LoopContext, Undefined

if TYPE_CHECKING:
    from collections.abc import Collection

MAX_CHARACTERS: Final = 16 * 1024
"""Characters of a text, or bytes."""
MAX_BITS: Final = 16 * 1024
"""Bits of an integer."""
MAX_MEMBERS: Final = 2000
"""Members of a container and of the containers in it, as often as a traversal visits them.

The keys and the values of a map are members. A text counts once more for each 1,024
characters.
"""
MAX_DEPTH: Final = 50
"""Levels of nested containers."""

_LIGHT: Final = frozenset(
    [type(None), bool, float, dt.date, dt.datetime, dt.time, dt.timedelta, Undefined]
)
_CHANGEABLE: Final = (list, Mapping, AbstractSet, ValuesView)
_CONTAINERS: Final = (*_CHANGEABLE, tuple, range)
_SMALL: Final = 2**63
_SHORT_LIST: Final = 64
_SHORT_TEXT: Final = 1024


class WeightError(Exception):
    """A value is too large.

    It is not a ValueError, since libraries catch that as an error of their own.

    Attributes:
        reason: In what way it is too large, such as "has more than 2000 members".
    """

    def __init__(self, reason: str, subject: str = "the value of this expression") -> None:
        super().__init__(f"{subject} {reason}")
        self.reason = reason


def weigh(value: Any) -> Any:  # noqa: C901, PLR0911 - the busiest path
    """Weigh a value.

    Returns:
        The value. For an iterator, a list of its members: weighing uses it up, and
        thousands of nested iterators crash CPython.

    Raises:
        WeightError: It is too large.
    """
    kind = type(value)
    if kind is str:
        if len(value) <= MAX_CHARACTERS:
            return value
    elif kind in _LIGHT:
        return value
    elif kind is int:
        if -_SMALL < value < _SMALL:
            return value
    elif kind is list and len(value) <= _SHORT_LIST:
        for member in value:
            if type(member) is not str or len(member) > _SHORT_TEXT:
                _weigh_container(value)
                break
        return value
    elif isinstance(value, Iterator) and kind is not LoopContext:
        return weigh([weigh(member) for member in islice(value, MAX_MEMBERS + 1)])
    elif isinstance(value, _CONTAINERS):
        _weigh_container(value)
        return value
    elif kind is types.GenericAlias:
        raise TypeError("a class has no items")  # otherwise nothing in an alias would be weighed
    _weigh_scalar(value)
    return value


def weigh_repetition(operator: str, left: Any, right: Any) -> None:
    """Weigh the result of ``*`` or ``**`` before it is made.

    Raises:
        WeightError: It would be too large.
    """
    if isinstance(right, int):
        if isinstance(left, int):
            bits = left.bit_length()
            check_bits(bits * right if operator == "**" else bits + right.bit_length())
        elif isinstance(left, (str, bytes)):
            _check_length(len(left) * right)
        elif isinstance(left, (list, tuple)):
            _check_members(len(left) * right)
    elif isinstance(left, int) and operator == "*":
        weigh_repetition(operator, right, left)


def check_bits(bits: int) -> None:
    """Check the size of an integer.

    Raises:
        WeightError: It has too many bits.
    """
    if bits > MAX_BITS:
        raise WeightError(f"has more than {MAX_BITS} bits")


def _check_length(length: int) -> None:
    if length > MAX_CHARACTERS:
        raise WeightError(f"has {length} characters, more than {MAX_CHARACTERS}")


def _check_members(members: int) -> None:
    if members > MAX_MEMBERS:
        raise WeightError(f"has more than {MAX_MEMBERS} members")


def _weigh_scalar(value: Any) -> None:
    if isinstance(value, (str, bytes)):
        _check_length(len(value))
    elif isinstance(value, int):
        check_bits(value.bit_length())


class _Scale:
    """Counts the members of one container."""

    __slots__ = ("holds_changeable", "members")

    def __init__(self) -> None:
        self.members = 0
        self.holds_changeable = False

    def add(self, container: Any, depth: int = 1) -> None:
        if depth > MAX_DEPTH:
            raise WeightError(f"is nested more than {MAX_DEPTH} deep")
        # Before a range or a similar value is traversed.
        members = _members(container)
        _check_members(self.members + len(members))
        for member in members:
            self.members += 1
            kind = type(member)
            if kind is str:
                self.members += len(member) >> 10
                if len(member) > MAX_CHARACTERS:
                    _check_length(len(member))
            elif kind in _LIGHT:
                pass
            elif isinstance(member, _CONTAINERS):
                self.holds_changeable |= isinstance(member, _CHANGEABLE)
                self.add(member, depth + 1)
            else:
                _weigh_scalar(member)
            if self.members > MAX_MEMBERS:
                _check_members(self.members)


def _members(container: Any) -> Collection[Any]:
    if isinstance(container, Mapping):
        _check_members(2 * len(container))
        return [*container, *container.values()]
    return container  # type: ignore[no-any-return]


def _weigh_container(container: Any) -> None:
    scale = _Scale()
    scale.add(container)
    if scale.holds_changeable:
        _holders[id(container)] = container
        if len(_holders) % _PRUNE_EVERY == 0:
            _prune()


# Changing a list also changes the weight of the containers that hold it:
#
#     row = []              row:   0 members
#     table = [row, row]    table: 2 members
#     row.append(7)         row:   1 member
#                           table: 4 members, since a traversal meets the 7 twice
#
# So all containers of a changeable one, such as `table`, are weighed again after each change.
# Only `_holders` refers to those that the template has dropped, as in {{ [[1]] | length }}.
_holders: dict[int, Any] = {}
"""The containers of changeable ones, by their `id`."""
_PRUNE_EVERY: Final = 256


def forget() -> None:
    """Forget the containers of the last rendering."""
    _holders.clear()


def weigh_changed(container: Any) -> None:
    """Weigh a list or map that a template changed, and those that may hold it.

    Raises:
        WeightError: One is too large.
    """
    _prune()
    for holder in _holders.values():
        _Scale().add(holder)
    if id(container) not in _holders:
        _weigh_container(container)


def _prune() -> None:
    """Drop the containers that only `_holders` refers to."""
    for key in [key for key in _holders if sys.getrefcount(_holders[key]) == _UNHELD]:
        del _holders[key]


_UNSHARED: Final[dict[int, Any]] = {0: []}
_UNHELD: Final = sys.getrefcount(_UNSHARED[0])
"""Number of references to an object that only a map refers to."""
