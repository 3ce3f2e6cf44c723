"""Regular expressions: compiled once, cached within a bound, and weighed with their text.

Python's `re` caches up to 512 patterns and 512 replacements for as long as the process lives.
Some patterns of 1 KiB take 2 MB when compiled.
"""

from __future__ import annotations

import re
import sys
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from .weighing import WeightError

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_CACHED_BYTES: Final = 2 * 1024 * 1024
"""Bytes of compiled patterns and replacements that are kept between events."""
MAX_PATTERN_CHARACTERS: Final = 1024
"""Characters of a pattern, or of a replacement that has backslashes."""
MAX_SCAN: Final = 64 * 1024
"""Greatest product of the characters of a text and the weight of the pattern.

`re` checks for signals once in 4,096 steps, and a repeat of one character scans the whole
text in one step. 4,096 scans of this product take up to a third of a second.
"""
FUNCTIONS: Final = frozenset(
    "findall finditer fullmatch match search split sub subn".split()  # noqa: SIM905
)
"""Functions of `re` that take a pattern and a text."""
METHODS: Final = FUNCTIONS | {"scanner"}
"""Methods of a pattern that take a text."""
_SUBSTITUTING: Final = frozenset(["sub", "subn"])
_BYTES_OF_A_CHARACTER: Final = 128
_CATEGORIES: Final = {"w": 12, "d": 5, "s": 3}
"""Nanoseconds that a category of characters, a function in C, takes for one character."""

_compiled: dict[tuple[Any, int], re.Pattern[Any]] = {}
_cached_bytes = 0


def compiled(pattern: Any, flags: int = 0) -> re.Pattern[Any]:
    """Compile a pattern, and cache it for later events.

    Raises:
        re.error: It is not a pattern.
    """
    regex = _compiled.get((pattern, flags))
    if regex is None:
        regex = re.compile(pattern, flags)
        charge(pattern, sys.getsizeof(regex))
        _compiled[pattern, flags] = regex
    return regex


def charge(text: Any, size: int = 0) -> None:
    """Count the memory that Python keeps for a pattern, replacement or format; clear at the bound.

    Args:
        text: The pattern, replacement or format.
        size: Bytes of its compiled form.
    """
    global _cached_bytes  # noqa: PLW0603 - as is the cache of `re`
    size += _BYTES_OF_A_CHARACTER * len(text)
    _cached_bytes += size
    if _cached_bytes > MAX_CACHED_BYTES:
        _compiled.clear()
        re.purge()
        _cached_bytes = size


def check_length(text: Any, subject: str) -> None:
    """Check the length of a pattern, a replacement or a format.

    Raises:
        WeightError: It is too long.
    """
    if len(text) > MAX_PATTERN_CHARACTERS:
        raise WeightError(
            f"has {len(text)} characters, more than {MAX_PATTERN_CHARACTERS}", f"the {subject}"
        )


def check_arguments(name: str, pattern: str | bytes, args: Any, kwargs: Any) -> None:
    """Check the text and the replacement that a pattern is called with.

    Args:
        name: One of `METHODS`.
        pattern: The text of the pattern.
        args: Positional arguments of the method.
        kwargs: Its other arguments.

    Raises:
        WeightError: They are too long.
    """
    position = 0
    if name in _SUBSTITUTING:
        position = 1
        check_replacement(args[0] if args else kwargs.get("repl"))
    text = args[position] if len(args) > position else kwargs.get("string")
    if isinstance(text, (str, bytes)) and len(text) * _weight(pattern) > MAX_SCAN:
        raise WeightError(
            f"takes texts of up to {MAX_SCAN // _weight(pattern)} characters, not {len(text)}:"
            r" it has categories such as \w, or characters above U+FFFF",
            "the pattern",
        )


def checked(method: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a method of a pattern, so that it checks its arguments."""

    def call(*args: Any, **kwargs: Any) -> Any:
        pattern = method.__self__.pattern  # type: ignore[attr-defined]
        check_arguments(method.__name__, pattern, args, kwargs)
        return method(*args, **kwargs)

    return call


def check_replacement(text: Any) -> None:
    """Check a replacement; `re` caches its parsed form.

    Raises:
        WeightError: It is too long.
    """
    if isinstance(text, str) and "\\" in text:
        check_length(text, "replacement")
        charge(text)


@lru_cache(maxsize=64)
def _weight(pattern: str | bytes) -> int:
    """Return the approximate nanoseconds that a repeat takes for one character of the text.

    A set has a bitmap for its members up to U+FFFF and a list for those above. All members of
    the pattern are counted for each set, which is never too few.
    """
    text = pattern if isinstance(pattern, str) else pattern.decode("latin-1")
    listed = len(text.encode("utf-16-le", "surrogatepass")) // 2 - len(text)
    listed += text.count(r"\U") + text.count(r"\N")
    return (
        1
        + listed
        + sum(
            nanoseconds
            for letter, nanoseconds in _CATEGORIES.items()
            if rf"\{letter}" in text or rf"\{letter.upper()}" in text
        )
    )
