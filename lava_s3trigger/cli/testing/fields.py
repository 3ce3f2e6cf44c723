"""Reads the fields of a case, each from its node in the file."""

from __future__ import annotations

import datetime as dt
import ipaddress
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from dateutil.parser import isoparse

from lava_s3trigger import units
from lava_s3trigger.aws.attributes import value_of
from lava_s3trigger.cli.entries.dynamodb import AttributeReader
from lava_s3trigger.cli.entries.load import STANDARD_INPUT
from lava_s3trigger.cli.entries.positions import Member, Node
from lava_s3trigger.cli.output.suggestions import near
from lava_s3trigger.units import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Collection


class CaseError(ValueError):
    """A case cannot be used; `node` is the wrong part."""

    def __init__(self, message: str, node: Node) -> None:
        super().__init__(message)
        self.node = node


def members_of(node: Node, what: str, known: Collection[str]) -> dict[str, Member]:
    """Return the members of a map.

    Args:
        node: The map.
        what: A description of the map, for errors.
        known: The allowed names.

    Raises:
        CaseError: It is not a map, or has another name.
    """
    if not isinstance(node.value, dict):
        raise CaseError(f"{what} is a map, not {shown(node.plain())}", node)
    for name, member in node.value.items():
        if name not in known:
            close = near(name, known)
            hint = f": did you mean {shown(close[0])}?" if close else ""
            message = f"unknown field {shown(name)} of {what.rpartition('; ')[2]}"
            message += hint or f"; it may have {', '.join(known)}"
            raise CaseError(message, Node(None, member.name))
    return node.value


def payload_of(node: Node, file: str) -> Any:
    """Return the payload of a file that a node names.

    Args:
        node: The path of the file, relative to the folder of the case's.
        file: The file of the case.

    Raises:
        CaseError: It cannot be read.
    """
    name = text_of(node)
    folder = Path(file).parent if file and file != STANDARD_INPUT else Path()
    if (folder / name).exists() and not (folder / name).is_file():  # a device may have no end
        raise CaseError(f"{shown(str(folder / name))} is not a regular file", node)
    try:
        return json.loads((folder / name).read_text("utf-8"))
    except OSError as error:
        raise CaseError(f"{shown(str(folder / name))}: {error.strerror}", node) from None
    except (ValueError, RecursionError) as error:
        raise CaseError(f"{shown(str(folder / name))} is not JSON: {error}", node) from None


# Each of these reads a field from its node.


def text_of(node: Node) -> str:
    """Return a text that is not empty.

    Raises:
        CaseError: It is empty, or not a text.
    """
    if not isinstance(node.value, str) or not node.value:
        hint = "" if node.value in (None, "") else ": put it in quotes"
        raise CaseError(f"{shown(node.plain())} is not a text{hint}", node)
    return node.value


def _key(node: Node) -> str:
    text = text_of(node)
    try:
        text.encode()
    except UnicodeEncodeError:
        raise CaseError(f"{shown(text)} is not UTF-8, as keys are in S3", node) from None
    return text


def _boolean(node: Node) -> bool:
    if not isinstance(node.value, bool):
        raise CaseError(f"{shown(node.plain())} is neither true nor false", node)
    return node.value


def _size(node: Node) -> int:
    size = _by(units.size, node)
    if size < 0 or size != int(size):
        raise CaseError(f"{shown(node.plain())} is not a number of bytes", node)
    return int(size)


def _time(node: Node) -> dt.datetime:
    text = text_of(node)
    try:
        time = isoparse(text)
    except (ValueError, OverflowError):
        message = f"{shown(text)} is not a time such as 2026-03-14T01:59:26Z"
        raise CaseError(message, node) from None
    return time if time.tzinfo else time.replace(tzinfo=dt.UTC)


def _address(node: Node) -> str:
    text = text_of(node)
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise CaseError(f"{shown(text)} is not an IP address", node) from None


def _delay(node: Node) -> int:
    return round(_by(units.duration, node))


def _by(read: Callable[[Any], float], node: Node) -> float:
    try:
        number = read(_value(node))
    except ValueError as error:
        raise CaseError(str(error), node) from None
    if not math.isfinite(number):
        raise CaseError(f"{shown(node.plain())} is too large", node)
    return number


def _map(node: Node) -> dict[str, Any]:
    if not isinstance(node.value, dict):
        raise CaseError(f"{shown(node.plain())} is not a map", node)
    value: dict[str, Any] = _value(node)
    return value


def _value(node: Node) -> Any:
    """Return a value as it would be after a round trip through the table."""
    reader = AttributeReader("")
    attribute = reader.attribute(node)
    for problem in reader.problems:
        raise CaseError(problem.message, node)
    try:
        return value_of(attribute, "value")
    except ValueError as error:
        raise CaseError(str(error), node) from None


OF_OBJECT: Final[dict[str, Callable[[Node], Any]]] = {
    "size": _size,
    "event_type": text_of,
    "time": _time,
    "source_ip": _address,
}
"""Fields of a case that describe its object, except the key."""
FIELDS: Final[dict[str, Callable[[Node], Any]]] = {
    "trigger_id": text_of,
    "name": text_of,
    "key": _key,
    **OF_OBJECT,
    "event": text_of,
    "now": _time,
    "alone": _boolean,
    "as_is": _boolean,
    "expect": _value,
    "exactly": _value,
    "because": text_of,
}
"""Fields of a case, with the reader of each."""
OF_DISPATCH: Final[dict[str, Callable[[Node], Any]]] = {
    "job_id": text_of,
    "worker": text_of,
    "delay": _delay,
    "parameters": _map,
    "globals": _map,
}
"""Fields of an expected dispatch."""
