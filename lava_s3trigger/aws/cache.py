"""A cache of values that were read from tables."""

from __future__ import annotations

import logging
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from lava_s3trigger.errors import RetryableError
from lava_s3trigger.log import log_event

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

K = TypeVar("K", bound="Hashable")
V = TypeVar("V")

_MAX_PROBATION: Final = 2000
_JITTER: Final = 0.2
"""The random part of the time to live."""
_STALE_TTLS: Final = 10
"""Times to live for which an expired value is still used if reading fails."""
_MIN_STALE_SECONDS: Final = 600.0
_RETRY_SECONDS: Final = 5.0


@dataclass(slots=True)
class _Entry(Generic[V]):
    value: V
    expires: float
    """When it must be read again."""
    servable_until: float
    """Until when it is used if that fails."""


class SegmentedLRUCache(Generic[K, V]):
    """Values by key, for a time to live, in bounded memory.

    The least recently used values are evicted first. A new value is on probation until it is
    used a second time; then it is protected from new values. So keys that are used only once,
    as most object keys are, cannot evict values that many events use.

    Args:
        ttl: Seconds for which a value is fresh; with 0, until the next `start`.
        size: Number of protected values.
        clock: Returns the time in seconds; it must not go backwards.
    """

    def __init__(self, ttl: float, size: int, clock: Callable[[], float]) -> None:
        self._ttl = ttl
        self._stale_seconds = max(_STALE_TTLS * ttl, _MIN_STALE_SECONDS) if ttl else 0.0
        self._clock = clock
        # Imported here, since the command line imports this module and caches nothing.
        from cachetools import LRUCache  # noqa: PLC0415

        self._probation: LRUCache[K, _Entry[V]] = LRUCache(min(size, _MAX_PROBATION))
        self._protected: LRUCache[K, _Entry[V]] = LRUCache(size)

    def start(self) -> None:
        """Start an invocation: with a time to live of 0, forget the values of the last one."""
        if self._ttl == 0:
            self._probation.clear()
            self._protected.clear()

    def get(self, key: K) -> V | None:
        """Return a fresh value, or None."""
        entry = self._protected.get(key) or self._find(key)
        if entry is None or (self._ttl and entry.expires <= self._clock()):
            return None
        return entry.value

    def put(self, key: K, value: V) -> V:
        """Cache a value, and return it."""
        # Jitter keeps instances that started together from refreshing together.
        expires = self._clock() + self._ttl * random.uniform(1 - _JITTER, 1)  # noqa: S311 - no secret
        segment = self._protected if key in self._protected else self._probation
        segment[key] = _Entry(value, expires, expires + self._stale_seconds)
        return value

    def fetch(self, key: K, read: Callable[[], V]) -> V:
        """Return a fresh value: the cached one, or a newly read one.

        If reading fails, the expired value is used for a while: the index of lava's own table has
        five read units a second, so reads may be throttled.

        Raises:
            RetryableError: Reading failed, and there is no recently expired value.
        """
        value = self.get(key)
        if value is not None:
            return value
        try:
            value = read()
        except RetryableError as error:
            entry = self._find(key)
            now = self._clock()
            if entry is None or entry.servable_until <= now:
                raise
            # Not again at once: each failed read takes seconds.
            entry.expires = min(now + _RETRY_SECONDS, entry.servable_until)
            log_event(
                logging.WARNING,
                "refresh_failed",
                kind=error.kind,
                reason=str(error),
                served_for_seconds=round(entry.servable_until - now),
            )
            return entry.value
        return self.put(key, value)

    def forget(self, key: K) -> None:
        """Forget a value."""
        self._probation.pop(key, None)
        self._protected.pop(key, None)

    def _find(self, key: K) -> _Entry[V] | None:
        entry = self._protected.get(key)
        if entry is None:
            entry = self._probation.pop(key, None)
            if entry is not None:
                self._protected[key] = entry
        return entry
