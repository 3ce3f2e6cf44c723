"""Sample keys for an entry: below its prefix, and matching its patterns."""

from __future__ import annotations

import fnmatch
import re
from functools import lru_cache
from itertools import groupby
from typing import TYPE_CHECKING, Final

from lava_s3trigger.triggers import WHOLE_BUCKET

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_TOKEN: Final = re.compile(r"\[!?\]?[^\]]*\]|.", re.DOTALL)
_PATHS: Final = (
    "orders/2026-03-14/order-1",
    "2026-03-14/order-1",
    "2026/03/14/01/order-1",
    "year=2026/month=03/day=14/part-0",
    "emea/orders/2026/03/14/order-1",
    "emea/orders/2026/03/14/01/59/26/part/0/order-1",
    "ORD_EMEA_20260314",
    "20260314",
    "order-1",
)
"""Texts that may follow a prefix, without the end of the name: people date folders and names."""
_ENDS: Final = ("*.csv", "*.json", "*")
"""Patterns for an entry without patterns."""
_MAX_PATTERNS: Final = 20
_DATES: Final = {1: "1", 2: "03", 4: "2026", 6: "202603", 8: "20260314", 10: "2026-03-14"}
"""The likely meaning of so many single characters in a row."""
_CHARACTERS: Final = "1aA-_.x0Zz/ "


def sample_keys(prefix: str, patterns: Iterable[str]) -> Iterator[str]:
    """Yield realistic keys at or below a prefix, the likeliest first.

    Args:
        prefix: The prefix; `*` is the whole bucket.
        patterns: A key matches one of these patterns; without patterns, any key matches.
    """
    wanted = [*patterns][:_MAX_PATTERNS] or _ENDS
    for path in _PATHS:
        for pattern in wanted:
            yield from _keys(prefix, pattern, path)


def can_match(pattern: str, prefix: str) -> bool:
    """Return whether a pattern matches the prefix, or any key below it."""
    if prefix == WHOLE_BUCKET or fnmatch.fnmatchcase(prefix, pattern):
        return True
    return bool(_left(prefix, pattern))


def _keys(prefix: str, pattern: str, path: str) -> Iterator[str]:
    if prefix == WHOLE_BUCKET:
        yield _filled(_tokens(pattern), path)
        return
    for tokens in _left(prefix, pattern):
        yield f"{prefix}/{_filled(tokens, path)}"
    if fnmatch.fnmatchcase(prefix, pattern):
        yield prefix


def _tokens(pattern: str) -> tuple[str, ...]:
    return tuple(_TOKEN.findall(pattern))


@lru_cache(1024)
def _left(prefix: str, pattern: str) -> tuple[tuple[str, ...], ...]:
    """Return the rest of a pattern, for each way in which it matches a prefix and a slash."""
    tokens = _tokens(pattern)
    states = {0}
    for char in f"{prefix}/":
        states = {
            state if tokens[state] == "*" else state + 1
            for state in _skipping(states, tokens)
            if state < len(tokens) and _takes(tokens[state], char)
        }
    left = [tokens[state:] for state in sorted(_skipping(states, tokens))]
    # Two slashes in a row are least likely.
    return tuple(sorted(left, key=lambda token: token[:1] == ("/",)))


def _skipping(states: set[int], tokens: tuple[str, ...]) -> set[int]:
    reached = set(states)
    for state in states:
        at = state
        while at < len(tokens) and tokens[at] == "*":
            at += 1
            reached.add(at)
    return reached


def _takes(token: str, char: str) -> bool:
    if token in ("*", "?"):
        return True
    return fnmatch.fnmatchcase(char, token) if token.startswith("[") else token == char


def _filled(tokens: tuple[str, ...], path: str) -> str:
    """Return a text that matches the rest of a pattern.

    The first star that stands for whole names is filled with a path.
    """
    chars: list[str] = []
    for is_single, group in groupby(tokens, lambda symbol: symbol == "?" or len(symbol) > 1):
        run = [*group]
        if is_single:
            date = _DATES.get(len(run), "1" * len(run))
            chars += [_character(token, char) for token, char in zip(run, date, strict=True)]
            continue
        for char in run:
            if char != "*":
                chars.append(char)
            elif path and (not chars or chars[-1] == "/"):
                chars.append(path)
                path = ""
            else:
                chars.append("1")
    return "".join(chars)


def _character(token: str, likely: str) -> str:
    return next((char for char in f"{likely}{_CHARACTERS}" if _takes(token, char)), likely)
