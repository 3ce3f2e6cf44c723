"""The events that this instance has lately completed."""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, Final

from cachetools import TTLCache

if TYPE_CHECKING:
    from collections.abc import Callable

    from lava_s3trigger.events import S3Event

    DedupKey = tuple[str, str, int, str]


def dedup_key(event: S3Event) -> DedupKey:
    """Return what an S3 event has in common with its duplicates."""
    return (event.bucket, event.key, event.size, event.event_type)


def dedup_digest(event: S3Event) -> str:
    """Return the same, as text of one length: the shared table's partition key."""
    text = repr(dedup_key(event)).encode("ascii", "backslashreplace")
    return blake2b(text, digest_size=16).hexdigest()


_MAX_KEY_CHARACTERS: Final = 2048
"""More than bucket, key and type of a real event have together."""


def _memory_key(event: S3Event) -> DedupKey | str:
    """Return the same, to be remembered: of one length, where it is longer than it can be."""
    key = dedup_key(event)
    is_long = len(event.bucket) + len(event.key) + len(event.event_type) > _MAX_KEY_CHARACTERS
    return dedup_digest(event) if is_long else key


class RecentEvents:
    """The events that this instance has lately completed, and those under way.

    Args:
        size: Number of completed events to remember; 0 for none.
        ttl: Seconds within which the same event is a duplicate.
        clock: Returns the time in seconds; it must not go backwards.
    """

    def __init__(self, size: int, ttl: float, clock: Callable[[], float]) -> None:
        self._size = size
        self._completed: TTLCache[DedupKey | str, bool] = TTLCache(size, ttl, timer=clock)
        self._admitted: set[DedupKey | str] = set()

    def start(self) -> None:
        """Start an invocation."""
        self._admitted.clear()

    def admit(self, event: S3Event) -> bool:
        """Admit an event, unless it is a duplicate.

        It is one, too, of an event of the same invocation that is still under way: that
        one carries the obligation for both.
        """
        key = _memory_key(event)
        # By get, not by `in`, which does not count as a use.
        if key in self._admitted or self._completed.get(key):
            return False
        self._admitted.add(key)
        return True

    def complete(self, event: S3Event) -> None:
        """Remember a completed event."""
        if self._size:
            self._completed[_memory_key(event)] = True
