"""Items of DynamoDB, as Python values."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from lava_s3trigger.units import shown


def value_of(attribute: dict[str, Any], name: str) -> Any:
    """Give the Python value of a DynamoDB attribute value, such as ``{"S": "text"}``.

    Numbers become int where they are integral, else float; sets become sorted
    lists. boto3's own deserializer gives Decimal and set, which JSON cannot hold.

    Args:
        attribute: The attribute value, as the service gives it.
        name: Name of the field, for the error.

    Raises:
        ValueError: It is binary, or holds some; the message names the field.
    """
    ((kind, value),) = attribute.items()
    match kind:
        case "S" | "BOOL":
            found = value
        case "N":
            found = _number(value)
        case "NULL":
            found = None
        case "M":
            found = {key: value_of(each, f"{name}.{key}") for key, each in value.items()}
        case "L":
            found = [value_of(each, f"{name}[{n}]") for n, each in enumerate(value)]
        case "SS":
            found = sorted(value)
        case "NS":
            found = sorted(map(_number, value))
        case _:
            raise ValueError(f"{shown(name)[1:-1]} is binary: no JSON message can hold it")
    return found


def _number(text: str) -> int | float:
    try:
        return int(text)
    except ValueError:
        number = Decimal(text)
        return int(number) if number == number.to_integral_value() else float(number)
