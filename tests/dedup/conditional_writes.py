"""A table in memory that answers UpdateItem as DynamoDB does.

It understands the expressions that `claims` uses and a few more, strictly: what it
does not know, and what DynamoDB refuses, is an error. `test_table` holds it against
the local AWS server. Items are never changed in place, so a table is copied by
copying its dict.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from collections.abc import Iterable

Value = Mapping[str, Any]
"""A value, as DynamoDB's low-level client has it: ``{"S": "text"}``, ``N`` or ``SS``."""
Item = Mapping[str, Value]
Request = Mapping[str, Any]
Answer = dict[str, Any]
Given = Mapping[str, Any]
"""What an expression's ``#names`` and ``:values`` stand for."""


class ConditionalTable:
    """A table that is written to by `update_item` alone, in the place of a client.

    Args:
        name: Name of the table.
        items: The items, by the value of their partition key ``id``.
    """

    def __init__(self, name: str, items: Mapping[str, Item] | None = None) -> None:
        self._name = name
        self.items: dict[str, Item] = dict(items or {})

    def update_item(self, **request: Any) -> Answer:
        """Do what DynamoDB does.

        Raises:
            ClientError: As botocore's client does.
        """
        if request.pop("TableName") != self._name:
            raise _refused("ResourceNotFoundException", "Requested resource not found")
        [(key, value)] = request["Key"].items()
        if key != "id" or list(value) != ["S"]:
            raise _invalid("The provided key element does not match the schema")
        after, answer = write(self.items.get(value["S"]), request)
        self.items[value["S"]] = after
        return answer


def write(item: Item | None, request: Request) -> tuple[Item, Answer]:
    """Write to an item, and give it as it is then, with the answer.

    Args:
        item: The item that there is.
        request: The parameters of ``UpdateItem``, without the table's name.

    Raises:
        ClientError: The request is refused, or its condition does not hold.
    """
    if unknown := request.keys() - _PARAMETERS:
        raise _invalid(f"parameters that are not known here: {sorted(unknown)}")
    names: Mapping[str, str] = request.get("ExpressionAttributeNames", {})
    values: Mapping[str, Value] = request.get("ExpressionAttributeValues", {})
    condition, update = request.get("ConditionExpression"), request["UpdateExpression"]
    used = set(_words(update)) | set(_words(condition or ""))
    given: Given = {**names, **values}
    if unused := sorted(given.keys() - used):
        raise _invalid(f"Value provided in ExpressionAttributes unused in expressions: {unused}")
    if missing := sorted({each for each in used if each[0] in "#:"} - given.keys()):
        raise _invalid(f"An expression attribute used in an expression is not defined: {missing}")
    _check_values(values.values())
    if condition is not None and not _condition(condition)(item or {}, given):
        held = _returned(request.get("ReturnValuesOnConditionCheckFailure"), item)
        raise _refused(
            "ConditionalCheckFailedException", "The conditional request failed", Item=held
        )
    after = dict(item or request["Key"])
    changed: set[str] = set()
    for clause in _update(update):
        name = clause(after, given)
        if name in request["Key"]:
            raise _invalid(f"Cannot update attribute {name}. This attribute is part of the key")
        if name in changed:
            raise _invalid(f"Two document paths overlap with each other: {name}")
        changed.add(name)
    before = _returned(request.get("ReturnValues"), item)
    return after, {"Attributes": before} if before else {}


_PARAMETERS: Final = frozenset(
    [
        "Key",
        "UpdateExpression",
        "ConditionExpression",
        "ExpressionAttributeNames",
        "ExpressionAttributeValues",
        "ReturnValues",
        "ReturnValuesOnConditionCheckFailure",
    ]
)


def _returned(what: str | None, item: Item | None) -> Item | None:
    if what not in (None, "NONE", "ALL_OLD"):
        raise _invalid(f"not known here: {what}")
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
                raise _invalid(f"One or more parameter values were invalid: {value}")


_NUMBER: Final = r"-?[0-9]+(\.[0-9]+)?([eE][-+]?[0-9]+)?"

Condition = Callable[[Item, Given], bool]
Clause = Callable[[dict[str, Value], Given], str]
"""Changes an item, and gives the name of the attribute."""

_WORD: Final = re.compile(r"\s*([#:]?[A-Za-z_][A-Za-z0-9_]*|<=|=|[(),])")


@cache
def _words(expression: str) -> list[str]:
    found, place = [], 0
    while place < len(expression.rstrip()):
        word = _WORD.match(expression, place)
        if word is None:
            raise _invalid(f"Syntax error, at {expression[place:]!r}")
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
                self.require("(")
                name = self.word("#")
                self.require(")")
                return lambda item, given: (given[name] in item) is is_there
        if self.takes("contains"):
            self.require("(")
            name = self.word("#")
            self.require(",")
            sought = self.word(":")
            self.require(")")
            return lambda item, given: _contains(item.get(given[name]), given[sought])
        name = self.word("#")
        compare = _equal if self.takes("=") else _at_most
        if compare is _at_most:
            self.require("<=")
        sought = self.word(":")
        return lambda item, given: compare(item.get(given[name]), given[sought])

    def clauses(self) -> list[Clause]:
        found: list[Clause] = []
        kinds = {"SET": self._set, "REMOVE": self._remove, "ADD": self._add}
        while self._words:
            kind = self._words.pop()
            if kind not in kinds:
                raise _invalid(f"Syntax error, at {kind!r}")
            read = kinds.pop(kind)
            found.append(read())
            while self.takes(","):
                found.append(read())
        return found

    def _set(self) -> Clause:
        name = self.word("#")
        self.require("=")
        value = self.word(":")

        def clause(item: dict[str, Value], given: Given) -> str:
            item[given[name]] = given[value]
            return str(given[name])

        return clause

    def _remove(self) -> Clause:
        name = self.word("#")

        def clause(item: dict[str, Value], given: Given) -> str:
            item.pop(given[name], None)
            return str(given[name])

        return clause

    def _add(self) -> Clause:
        name, value = self.word("#"), self.word(":")

        def clause(item: dict[str, Value], given: Given) -> str:
            before = item.get(given[name], {"SS": []})
            if not ("SS" in before and "SS" in given[value]):
                raise _invalid("An operand in the update expression has an incorrect data type")
            item[given[name]] = {"SS": sorted({*before["SS"], *given[value]["SS"]})}
            return str(given[name])

        return clause

    def takes(self, word: str) -> bool:
        if self._words and self._words[-1] == word:
            self._words.pop()
            return True
        return False

    def require(self, word: str) -> None:
        if not self.takes(word):
            raise _invalid(f"Syntax error, at {self._words[-1:]}: {word!r} should be there")

    def word(self, mark: str) -> str:
        if not self._words or self._words[-1][0] != mark:
            raise _invalid(f"Syntax error, at {self._words[-1:]}: a {mark}word should be there")
        return self._words.pop()

    def end(self) -> None:
        if self._words:
            raise _invalid(f"Syntax error, at {self._words[-1]!r}")


@cache
def _condition(expression: str) -> Condition:
    parser = _Parser(expression)
    condition = parser.disjunction()
    parser.end()
    return condition


@cache
def _update(expression: str) -> list[Clause]:
    return _Parser(expression).clauses()


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
        raise _invalid("Incorrect operand type for operator or function; operator: <=")
    return False


def _contains(one: Value | None, sought: Value) -> bool:
    match one, sought:
        case {"SS": texts}, {"S": text}:
            return text in texts
        case {"S": whole}, {"S": part}:
            return part in whole
    return False


def _invalid(message: str) -> ClientError:
    return _refused("ValidationException", message)


def _refused(code: str, message: str, **more: Any) -> ClientError:
    """Make the error that botocore makes of a refusal."""
    response: Any = {
        "Error": {"Code": code, "Message": message},
        "ResponseMetadata": {"HTTPStatusCode": 400},
        "message": message,
        **{name: value for name, value in more.items() if value is not None},
    }
    return ClientError(response, "UpdateItem")
