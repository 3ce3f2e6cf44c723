"""The expressions of DynamoDB's ``UpdateItem``: conditions and updates.

They are those that the function uses and a few more, read strictly: what is not known
here, and what DynamoDB refuses, is an error.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from functools import cache
from typing import Any, Final

from .faults import RefusedError, invalid

Value = Mapping[str, Any]
"""A value, as DynamoDB's low-level client has it: ``{"S": "text"}``, ``N`` or ``SS``."""
Item = Mapping[str, Value]
Given = Mapping[str, Any]
"""What the ``#names`` and ``:values`` of an expression stand for."""
Condition = Callable[[Item, Given], bool]
Clause = tuple[str, str, str]
"""``SET``, ``REMOVE`` or ``ADD``; the ``#name`` of an attribute; and the ``:value``."""

_PARAMETERS: Final = {
    *("TableName", "Key", "UpdateExpression", "ConditionExpression", "ExpressionAttributeNames"),
    *("ExpressionAttributeValues", "ReturnValues", "ReturnValuesOnConditionCheckFailure"),
}


def update(item: Item | None, request: Mapping[str, Any]) -> tuple[Item, dict[str, Any]]:
    """Return an item as it is after an update, and the answer.

    Args:
        item: The item as it is, if there is one.
        request: The parameters of ``UpdateItem``.
    """
    if unknown := request.keys() - _PARAMETERS:
        raise invalid(f"parameters that are not known here: {sorted(unknown)}")
    values: Mapping[str, Value] = request.get("ExpressionAttributeValues", {})
    given: Given = {**request.get("ExpressionAttributeNames", {}), **values}
    condition, changes = request.get("ConditionExpression"), request["UpdateExpression"]
    used = {*re.findall(r"[#:]\w+", f"{changes} {condition or ''}")}
    if unused := sorted(given.keys() - used):
        raise invalid(f"Value provided in ExpressionAttributes unused in expressions: {unused}")
    if missing := sorted(used - given.keys()):
        raise invalid(f"An expression attribute used in an expression is not defined: {missing}")
    _check_values(values.values())
    clauses, holds = _clauses(changes), _condition(condition) if condition else None
    if holds and not holds(item or {}, given):
        held = _returned(request.get("ReturnValuesOnConditionCheckFailure"), item)
        more = {"Item": held} if held else {}
        raise RefusedError(
            "ConditionalCheckFailedException", "The conditional request failed", more
        )
    after = dict(item or request["Key"])
    changed: set[str] = set()
    for kind, word, new in clauses:
        name = given[word]
        if name in request["Key"]:
            raise invalid(f"Cannot update attribute {name}. This attribute is part of the key")
        if name in changed:
            raise invalid(f"Two document paths overlap with each other: {name}")
        changed.add(name)
        before = after.pop(name, None)
        if kind != "REMOVE":
            after[name] = _union(before, given[new]) if kind == "ADD" else given[new]
    old = _returned(request.get("ReturnValues"), item)
    return after, {"Attributes": old} if old else {}


def _returned(what: str | None, item: Item | None) -> Item | None:
    if what not in (None, "NONE", "ALL_OLD"):
        raise invalid(f"not known here: {what}")
    return item if what == "ALL_OLD" else None


def _check_values(values: Iterable[Value]) -> None:
    for value in values:
        match value:
            case {"S": str()} if len(value) == 1:
                pass
            case {"N": str(number)} if len(value) == 1 and re.fullmatch(_NUMBER, number):
                pass
            case {"SS": [_, *_] as texts} if len(value) == 1 and len(set(texts)) == len(texts):
                pass
            case _:
                raise invalid(f"One or more parameter values were invalid: {value}")


_NUMBER: Final = r"-?[0-9]+(\.[0-9]+)?([eE][-+]?[0-9]+)?"

_WORD: Final = re.compile(r"([#:]\w+)|<=|[(),]|\w+|=")
_IN_PYTHON: Final = {"OR": "or", "AND": "and", "NOT": "not", "=": "=="} | {
    word: word
    for word in ("attribute_exists", "attribute_not_exists", "contains", "<=", "(", ")", ",")
}


class _Operand:
    """An attribute or a value in a condition, which compares as DynamoDB compares."""

    __hash__ = None  # type: ignore[assignment]

    def __init__(self, value: Value | None) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Operand) and _equal(self.value, other.value or {})

    def __le__(self, other: "_Operand") -> bool:
        return _at_most(self.value, other.value or {})


_FUNCTIONS: Final[dict[str, Callable[..., bool]]] = {
    "attribute_exists": lambda one: one.value is not None,
    "attribute_not_exists": lambda one: one.value is None,
    "contains": lambda one, sought: _contains(one.value, sought.value),
}


@cache
def _condition(expression: str) -> Condition:
    """Compile a condition as Python, in which its operators bind as they do in DynamoDB.

    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.OperatorsAndFunctions.html
    """
    words = [*_WORD.finditer(expression)]
    unknown = {word[0] for word in words if not word[1]} - _IN_PYTHON.keys()
    if unknown or _WORD.sub("", expression).strip():
        raise invalid(f"Syntax error, in {expression!r}")
    python = " ".join(f"of[{word[1]!r}]" if word[1] else _IN_PYTHON[word[0]] for word in words)
    try:
        code = compile(python, "condition", "eval")
    except SyntaxError as error:
        raise invalid(f"Syntax error, in {expression!r}: {error}") from None

    def holds(item: Item, given: Given) -> bool:
        of = {
            word: _Operand(item.get(held) if word[0] == "#" else held)
            for word, held in given.items()
        }
        return bool(eval(code, {**_FUNCTIONS, "of": of}))

    return holds


_CLAUSES: Final = {
    "SET": re.compile(r"\s*(#\w+) = (:\w+)\s*"),
    "REMOVE": re.compile(r"\s*(#\w+)()\s*"),
    "ADD": re.compile(r"\s*(#\w+) (:\w+)\s*"),
}


@cache
def _clauses(expression: str) -> list[Clause]:
    first, *rest = re.split(r"\b(SET|REMOVE|ADD)\b", expression)
    kinds = rest[::2]
    if first.strip() or len(set(kinds)) < len(kinds):
        raise invalid(f"Syntax error, in {expression!r}")
    found = []
    for kind, clauses in zip(kinds, rest[1::2], strict=True):
        for clause in clauses.split(","):
            match = _CLAUSES[kind].fullmatch(clause)
            if match is None:
                raise invalid(f"Syntax error, at {clause!r}")
            found.append((kind, match[1], match[2]))
    return found


def _union(one: Value | None, other: Value) -> Value:
    one = one or {"SS": []}
    if not ("SS" in one and "SS" in other):
        raise invalid("An operand in the update expression has an incorrect data type")
    return {"SS": sorted({*one["SS"], *other["SS"]})}


def _equal(one: Value | None, other: Value) -> bool:
    """Return whether values are equal; one that is not there is equal to none."""
    match one, other:
        case {"N": number}, {"N": another}:
            return Decimal(number) == Decimal(another)
        case {"SS": texts}, {"SS": others}:
            return set(texts) == set(others)
    return one == other


def _at_most(one: Value | None, other: Value) -> bool:
    """Compare values of one type; what is of another, or not there, does not compare."""
    match one, other:
        case {"N": number}, {"N": limit}:
            return Decimal(number) <= Decimal(limit)
        case {"S": text}, {"S": last}:
            return bool(text.encode() <= last.encode())
    if "SS" in other:
        raise invalid("Incorrect operand type for operator or function; operator: <=")
    return False


def _contains(one: Value | None, sought: Value) -> bool:
    match one, sought:
        case {"SS": texts}, {"S": text}:
            return text in texts
        case {"S": whole}, {"S": part}:
            return part in whole
    return False
