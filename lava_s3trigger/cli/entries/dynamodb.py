"""Values of files as DynamoDB would store them, in the types of its client.

See https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html
"""

from __future__ import annotations

import base64
import binascii
import decimal
from decimal import Decimal
from typing import Any, Final

from lava_s3trigger.cli.errors import CommandError

from .positions import Member, Node, Problem

Attribute = dict[str, Any]

TYPES: Final = frozenset(["S", "N", "B", "BOOL", "NULL", "M", "L", "SS", "NS", "BS"])
_MAX_DIGITS: Final = 38
_MAX_EXPONENT: Final = 125
_MIN_EXPONENT: Final = -130
# A bounded Emax: without it, 1e999999999 would be multiplied out.
_EXACT: Final = decimal.Context(prec=10_000, Emax=10_000, Emin=-10_000)


def is_item(node: Node) -> bool:
    """Return whether a map is an item in DynamoDB's JSON, such as ``{"a": {"S": "text"}}``."""
    if not isinstance(node.value, dict) or not node.value:
        return False
    return all(_is_attribute(member.value) for member in node.value.values())


def _is_attribute(node: Node) -> bool:
    return isinstance(node.value, dict) and len(node.value) == 1 and not node.value.keys() - TYPES


def untyped(node: Node) -> Node:
    """Return an item in DynamoDB's JSON as plain values, each with its place.

    Sets and binary values keep their type as `Node.attribute_type`.
    """
    if not isinstance(node.value, dict):
        return node
    members = {
        name: Member(member.name, _value(member.value)) for name, member in node.value.items()
    }
    return Node(members, node.span)


def _value(node: Node) -> Node:  # noqa: PLR0911 - one for each type of DynamoDB
    if not (isinstance(node.value, dict) and _is_attribute(node)):
        return node
    ((kind, member),) = node.value.items()
    inner = member.value
    match kind, inner.value:
        case "N", str(text):
            return Node(_number(text), inner.span)
        case "NULL", _:
            return Node(None, inner.span)
        case "M", dict():
            return untyped(inner)
        case "L", list(items):
            return Node([_value(item) for item in items], inner.span)
        case "NS", list(items):
            numbers = [Node(_number(str(item.value)), item.span) for item in items]
            return Node(numbers, inner.span, kind)
        case "SS" | "BS" | "B", _:
            return Node(inner.value, inner.span, kind)
        case _:
            return inner


def _number(text: str) -> int | Decimal | str:
    try:
        number = Decimal(text)
    except ArithmeticError:
        return text
    if number.is_finite() and number.adjusted() <= _MAX_EXPONENT:
        return int(number) if number == number.to_integral_value() else number
    return number


class AttributeReader:
    """Makes the attributes of an item, and collects problems for values that DynamoDB refuses.

    Args:
        file: Name of the file, for problems.
    """

    def __init__(self, file: str) -> None:
        self._file = file
        self.problems: list[Problem] = []

    def item(self, node: Node) -> dict[str, Attribute]:
        """Return the item of a map."""
        assert isinstance(node.value, dict)  # noqa: S101 - for the type checker
        return {name: self.attribute(member.value) for name, member in node.value.items()}

    def attribute(self, node: Node) -> Attribute:
        """Return a value as DynamoDB stores it."""
        match node.value:
            case None:
                return {"NULL": True}
            case bool(value):
                return {"BOOL": value}
            case int() | Decimal():
                return {"N": self._text_of(node)}
            case dict():
                return {"M": self.item(node)}
            case list(items):
                return self._list(items, node)
            case str(text):
                return {"B": self._bytes_of(node)} if node.attribute_type == "B" else {"S": text}
        raise CommandError(f"DynamoDB has no type for {node.value!r}")

    def _list(self, items: list[Node], node: Node) -> Attribute:
        match node.attribute_type:
            case "SS":
                return {"SS": [item.value for item in items]}
            case "BS":
                return {"BS": [self._bytes_of(item) for item in items]}
            case "NS":
                return {"NS": [self._text_of(item) for item in items]}
            case _:
                return {"L": [self.attribute(item) for item in items]}

    def _bytes_of(self, node: Node) -> bytes:
        """Return a binary value, which is in base64 in DynamoDB's JSON."""
        try:
            return base64.b64decode(str(node.value), validate=True)
        except (binascii.Error, ValueError) as error:
            message = f"a binary value must be base64: {error}"
            self.problems.append(Problem.at(self._file, node.span, message, "binary"))
            return b""

    def _text_of(self, node: Node) -> str:
        number = Decimal(node.value) if isinstance(node.value, (int, Decimal)) else Decimal("NaN")
        if not number.is_finite() or (
            number
            and (
                not _MIN_EXPONENT <= number.adjusted() <= _MAX_EXPONENT
                or len(number.normalize(_EXACT).as_tuple().digits) > _MAX_DIGITS
            )
        ):
            message = (
                f"DynamoDB cannot hold this number: it has at most {_MAX_DIGITS} digits, and is"
                f" from 1E{_MIN_EXPONENT} to 9.99E+{_MAX_EXPONENT}"
            )
            self.problems.append(Problem.at(self._file, node.span, message, "number"))
            return "0"
        if number == number.to_integral_value(context=_EXACT):
            return str(int(number))
        return str(number)


def canonical(attribute: Attribute) -> Any:
    """Return a value that is equal for two attributes exactly if DynamoDB treats them as equal.

    DynamoDB normalizes numbers, and its sets have no order.
    """
    ((kind, value),) = attribute.items()
    match kind:
        case "N":
            return kind, Decimal(value)
        case "NS":
            return kind, frozenset(map(Decimal, value))
        case "SS" | "BS":
            return kind, frozenset(value)
        case "M":
            return kind, {name: canonical(member) for name, member in value.items()}
        case "L":
            return kind, [canonical(member) for member in value]
        case _:
            return kind, value


def attribute_of(value: Any) -> Attribute:
    """Return the DynamoDB attribute value for a value of JSON or YAML.

    Raises:
        CommandError: DynamoDB cannot store the value.
    """
    reader = AttributeReader("")
    attribute = reader.attribute(Node.of(value))
    if reader.problems:
        raise CommandError(f"{value!r}: {reader.problems[0].message}")
    return attribute
