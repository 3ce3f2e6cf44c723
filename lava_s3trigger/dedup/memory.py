"""The events that this instance has lately completed."""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING

from cachetools import TTLCache

if TYPE_CHECKING:
    from collections.abc import Callable

    from lava_s3trigger.events import S3Event


def dedup_digest(event: S3Event) -> str:
    """Return what an S3 event has in common with its duplicates, as text of one length."""
    text = repr((event.bucket, event.key, event.size, event.event_type))
    return blake2b(text.encode("ascii", "backslashreplace"), digest_size=16).hexdigest()


class RecentEvents:
    """The events that this instance has lately completed, and those under way.

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

        It is one, too, of an event of the same invocation that is still under way: that
        one carries the obligation for both.
        """
        key = dedup_digest(event)
        # By get, not by `in`, which does not count as a use.
        if key in self._admitted or self._completed.get(key):
            return False
        self._admitted.add(key)
        return True

    def complete(self, event: S3Event) -> None:
        """Remember a completed event."""
        if self._size:
            self._completed[dedup_digest(event)] = True
