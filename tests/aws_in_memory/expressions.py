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
Clause = tuple[str, Callable[[Value | None, Given], Value | None]]
"""The ``#name`` of an attribute, and what returns its value from that before."""

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
    used = {*_words(changes), *_words(condition or "")}
    if unused := sorted(given.keys() - used):
        raise invalid(f"Value provided in ExpressionAttributes unused in expressions: {unused}")
    if missing := sorted({each for each in used if each[0] in "#:"} - given.keys()):
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
    for word, change in clauses:
        name = given[word]
        if name in request["Key"]:
            raise invalid(f"Cannot update attribute {name}. This attribute is part of the key")
        if name in changed:
            raise invalid(f"Two document paths overlap with each other: {name}")
        changed.add(name)
        value = change(after.pop(name, None), given)
        if value is not None:
            after[name] = value
    before = _returned(request.get("ReturnValues"), item)
    return after, {"Attributes": before} if before else {}


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

_WORD: Final = re.compile(r"\s*([#:]?[A-Za-z_][A-Za-z0-9_]*|<=|=|[(),])")


@cache
def _words(expression: str) -> list[str]:
    found, place = [], 0
    while place < len(expression.rstrip()):
        word = _WORD.match(expression, place)
        if word is None:
            raise invalid(f"Syntax error, at {expression[place:]!r}")
        found.append(word[1])
        place = word.end()
    return found


class _Parser:
    """Reads the words of an expression one after the other.

    What binds closer stands deeper: OR, AND, NOT, then comparisons and functions.
    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.OperatorsAndFunctions.html
    """

    def __init__(self, expression: str) -> None:
        self._words = list(reversed(_words(expression)))

    def disjunction(self) -> Condition:
        parts = [self._conjunction()]
        while self.takes("OR"):
            parts.append(self._conjunction())
        return lambda item, given: any(part(item, given) for part in parts)

    def _conjunction(self) -> Condition:
        parts = [self._negation()]
        while self.takes("AND"):
            parts.append(self._negation())
        return lambda item, given: all(part(item, given) for part in parts)

    def _negation(self) -> Condition:
        if self.takes("NOT"):
            negated = self._negation()
            return lambda item, given: not negated(item, given)
        if self.takes("("):
            inner = self.disjunction()
            self.require(")")
            return inner
        return self._test()

    def _test(self) -> Condition:
        for function, is_there in (("attribute_exists", True), ("attribute_not_exists", False)):
            if self.takes(function):
                name = self.word("#", "(")
                self.require(")")
                return lambda item, given: (given[name] in item) is is_there
        compare = _contains if self.takes("contains") else _equal
        name = self.word("#", "(" if compare is _contains else "")
        if compare is _contains:
            sought = self.word(":", ",")
            self.require(")")
        elif self.takes("="):
            sought = self.word(":")
        else:
            compare, sought = _at_most, self.word(":", "<=")
        return lambda item, given: compare(item.get(given[name]), given[sought])

    def clauses(self) -> list[Clause]:
        found: list[Clause] = []
        kinds = {"SET": self._set, "REMOVE": self._remove, "ADD": self._add}
        while self._words:
            kind = self._words.pop()
            if kind not in kinds:
                raise invalid(f"Syntax error, at {kind!r}")
            read = kinds.pop(kind)
            found.append(read())
            while self.takes(","):
                found.append(read())
        return found

    def _set(self) -> Clause:
        name, value = self.word("#"), self.word(":", "=")
        return name, lambda _, given: given[value]

    def _remove(self) -> Clause:
        return self.word("#"), lambda *_: None

    def _add(self) -> Clause:
        name, value = self.word("#"), self.word(":")
        return name, lambda before, given: _union(before or {"SS": []}, given[value])

    def takes(self, word: str) -> bool:
        if self._words and self._words[-1] == word:
            self._words.pop()
            return True
        return False

    def require(self, word: str) -> None:
        if not self.takes(word):
            raise invalid(f"Syntax error, at {self._words[-1:]}: {word!r} should be there")

    def word(self, mark: str, after: str = "") -> str:
        if after:
            self.require(after)
        if not self._words or self._words[-1][0] != mark:
            raise invalid(f"Syntax error, at {self._words[-1:]}: a {mark}word should be there")
        return self._words.pop()

    def end(self) -> None:
        if self._words:
            raise invalid(f"Syntax error, at {self._words[-1]!r}")


@cache
def _condition(expression: str) -> Condition:
    parser = _Parser(expression)
    condition = parser.disjunction()
    parser.end()
    return condition


@cache
def _clauses(expression: str) -> list[Clause]:
    return _Parser(expression).clauses()


def _union(one: Value, other: Value) -> Value:
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
