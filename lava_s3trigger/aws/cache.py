"""What was read from a table, remembered for a while."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Generic, TypeVar

from cachetools import LRUCache

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

K = TypeVar("K", bound="Hashable")
V = TypeVar("V")

_NEWCOMERS: Final = 2000


class SegmentedLRUCache(Generic[K, V]):
    """Answers by question, for a time to live, in bounded memory.

    Least recently used answers go first, but among newcomers: an answer that was
    asked for twice is kept apart. So questions that are asked once and never again,
    as for unique object keys, cannot push out what others share.

    Args:
        ttl: Seconds for which an answer holds. With 0, it holds until `start`.
        size: Number of answers, beside newcomers.
        clock: Gives the time in seconds; it must not go backwards.
    """

    def __init__(self, ttl: float, size: int, clock: Callable[[], float]) -> None:
        self._ttl = ttl
        self._clock = clock
        self._new: LRUCache[K, tuple[float, V]] = LRUCache(min(size, _NEWCOMERS))
        self._proven: LRUCache[K, tuple[float, V]] = LRUCache(size)

    def start(self) -> None:
        """Begin an invocation: with a time to live of 0, nothing outlives the last one."""
        if self._ttl == 0:
            self._new.clear()
            self._proven.clear()

    def get(self, question: K) -> V | None:
        """Give the answer, or None if there is none that still holds."""
        if (known := self._proven.get(question)) is None:
            if (known := self._new.pop(question, None)) is None:
                return None
            self._proven[question] = known
        expires, answer = known
        if self._ttl and expires <= self._clock():
            del self._proven[question]
            return None
        return answer

    def put(self, question: K, answer: V) -> V:
        """Remember an answer, and give it back."""
        self._new[question] = (self._clock() + self._ttl, answer)
        return answer

    def forget(self, question: K) -> None:
        """Forget an answer."""
        self._new.pop(question, None)
        self._proven.pop(question, None)
