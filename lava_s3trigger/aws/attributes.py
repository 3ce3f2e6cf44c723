"""Items of DynamoDB, as Python values."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from lava_s3trigger.errors import EntryError
from lava_s3trigger.units import shown

if TYPE_CHECKING:
    from collections.abc import Callable

    from lava_s3trigger.errors import Code


def value_of(attribute: dict[str, Any], name: str) -> Any:
    """Return the Python value of a DynamoDB attribute value, such as ``{"S": "text"}``.

    Integral numbers become int and others float; sets become sorted lists. boto3's own
    deserializer returns Decimal and set, which JSON does not have.

    Args:
        attribute: The attribute value, as the service returns it.
        name: Name of the field, for the error.

    Raises:
        ValueError: It is binary or contains a binary value; the message names the field.
    """
    ((kind, value),) = attribute.items()
    match kind:
        case "S" | "BOOL":
            plain = value
        case "N":
            plain = _number(value)
        case "NULL":
            plain = None
        case "M":
            plain = {key: value_of(member, f"{name}.{key}") for key, member in value.items()}
        case "L":
            plain = [value_of(member, f"{name}[{n}]") for n, member in enumerate(value)]
        case "SS":
            plain = sorted(value)
        case "NS":
            plain = sorted(map(_number, value))
        case _:
            raise ValueError(f"{shown(name)[1:-1]} is binary: no JSON message can hold it")
    return plain


def read_field(  # noqa: PLR0913, PLR0917 - a class for them takes longer
    item: dict[str, dict[str, Any]],
    name: str,
    read: Callable[[Any], Any],
    code: Code,
    errors: list[EntryError],
    default: Any = None,
) -> Any:
    """Read a field of an item with a function.

    Args:
        item: The item, as DynamoDB's low-level client gives it.
        name: Name of the field.
        read: Converts the Python value; raises ValueError if it cannot.
        code: Code of the error for that.
        errors: The list that errors are added to; the message names the field.
        default: Returned if the field is missing or cannot be read.
    """
    if name not in item:
        return default
    try:
        value = value_of(item[name], name)
    except ValueError as error:
        errors.append(EntryError("binary_value", name, str(error)))
        return default
    try:
        return read(value)
    except ValueError as error:
        errors.append(EntryError(code, name, f"{name}: {error}", value))
        return default


def _number(text: str) -> int | float:
    try:
        return int(text)
    except ValueError:
        number = Decimal(text)
        return int(number) if number == number.to_integral_value() else float(number)
