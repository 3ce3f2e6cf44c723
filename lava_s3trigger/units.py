"""Durations, sizes and booleans, as lava's users write them."""

from __future__ import annotations

import re
from typing import Any, Final

_SECONDS: Final = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_BYTES: Final = {
    "": 1,
    "B": 1,
    **{prefix: 1000**n for n, prefix in enumerate("KMGTP", 1)},
    **{f"{prefix}B": 1000**n for n, prefix in enumerate("KMGTP", 1)},
    **{f"{prefix}iB": 1024**n for n, prefix in enumerate("KMGTP", 1)},
}
_QUANTITY: Final = re.compile(
    r"\s*([+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)\s*([A-Za-z]*)\s*"
)
_FALSE: Final = frozenset(["", "0", "f", "false", "n", "no", "off"])
# More digits than any quantity has. Without the limit, 1e999999999 would be multiplied out.
_LONGEST: Final = 64


def duration(value: Any) -> float:
    """Return the seconds that a number or ``nnX`` stands for, X one of s m h d w.

    Raises:
        ValueError: It is neither; the message says what was found.
    """
    return _quantity(value, _SECONDS, "a duration such as 90, 90s or 1.5m (units: s m h d w)")


def size(value: Any) -> float:
    """Return the bytes that a number or ``nnX`` stands for.

    K, KB, M, ... count in thousands, KiB, MiB, ... in 1024; the case matters.

    Raises:
        ValueError: It is neither; the message says what was found.
    """
    return _quantity(value, _BYTES, "a size such as 10, 10KB or 1.5MiB (units: " + _UNITS + ")")


_UNITS: Final = " ".join(unit for unit in _BYTES if unit)


def boolean(value: Any) -> bool:
    """Return the truth of a boolean, an integer, null or a string.

    The integer 0, null, the empty string and, in any case, the strings ``false f no n off 0``
    are false, and all others are true, as in lava.

    Raises:
        ValueError: It is of another type; the message says what was found.
    """
    if value is None:
        return False
    if isinstance(value, int):
        return value != 0
    if isinstance(value, str):
        return value.lower() not in _FALSE
    raise ValueError(f"{shown(value)} is not a boolean")


def utf8_bytes(text: str) -> int:
    """Return the bytes of a text in UTF-8; 0 if it is empty, or has half of a surrogate pair."""
    try:
        return len(text.encode())
    except UnicodeEncodeError:
        return 0


def shown(value: Any, at_most: int = _LONGEST) -> str:
    """Return a value as error messages show it: on one line, in ASCII, shortened."""
    if isinstance(value, str):
        value = value[:at_most]  # only as much of a long text as can be shown
    try:
        text = ascii(value)
    except (RecursionError, ValueError):  # too deep, or an integer with too many digits
        return f"some {type(value).__name__}"
    return text if len(text) <= at_most else f"{text[: at_most - 3]}..."


def _quantity(value: Any, units: dict[str, int], expected: str) -> float:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and len(value) <= _LONGEST and (match := _QUANTITY.fullmatch(value)):
        number, unit = match.groups()
        if unit in units:
            return float(number) * units[unit]
    raise ValueError(f"{shown(value)} is not {expected}")
