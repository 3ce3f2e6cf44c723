"""Suggestions of a known name for an unknown one, if the latter is probably a typo."""

from __future__ import annotations

from difflib import SequenceMatcher, get_close_matches
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

LIKE: Final = 0.75
"""Similarity, from 0 to 1, from which a name is probably a typo; `stage` and `range` have less."""
_REMOTE: Final = 0.65


def near(name: str, known: Iterable[str], most: int = 1) -> list[str]:
    """Return the known names that are near, the nearest first.

    A name with the same letters in another order is near, too: `kye` and `key`.
    """
    letters = sorted(name)
    return [
        match
        for match in get_close_matches(name, sorted(known), n=most, cutoff=_REMOTE)
        if SequenceMatcher(None, match, name).ratio() >= LIKE or sorted(match) == letters
    ]
