"""The events that this instance has recently completed."""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING

from cachetools import TTLCache

if TYPE_CHECKING:
    from collections.abc import Callable

    from lava_s3trigger.events import S3Event


def dedup_digest(event: S3Event) -> str:
    """Return the dedup key of an S3 event: its duplicates have the same. Its length is fixed."""
    text = repr((event.bucket, event.key, event.size, event.event_type))
    return blake2b(text.encode("ascii", "backslashreplace"), digest_size=16).hexdigest()


class RecentEvents:
    """The events that this instance has recently completed, and those in progress.

    Args:
        size: Number of completed events to remember; 0 for none.
        ttl: Seconds within which the same event is a duplicate.
        clock: Returns the time in seconds; it must not go backwards.
    """

    def __init__(self, size: int, ttl: float, clock: Callable[[], float]) -> None:
        self._size = size
        self._completed: TTLCache[str, bool] = TTLCache(size, ttl, timer=clock)
        self._admitted: set[str] = set()

    def start(self) -> None:
        """Start an invocation."""
        self._admitted.clear()

    def admit(self, event: S3Event) -> bool:
        """Admit an event, unless it is a duplicate.

        It is also a duplicate of an event of the same invocation that is still in progress; the
        first one is carried out for both.
        """
        key = dedup_digest(event)
        # With get, since `in` does not count as a use.
        if key in self._admitted or self._completed.get(key):
            return False
        self._admitted.add(key)
        return True

    def complete(self, event: S3Event) -> None:
        """Remember a completed event."""
        if self._size:
            self._completed[dedup_digest(event)] = True
