"""Recent events, by which duplicates are known. DESIGN section 8, Duplicates."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cachetools import TTLCache

if TYPE_CHECKING:
    from collections.abc import Callable

    from .events import S3Event

    Likeness = tuple[str, str, int, str]


class RecentEvents:
    """The events that this instance has lately done.

    Args:
        size: Number of events to remember; with 0, no event is a duplicate.
        ttl: Seconds within which the same event is a duplicate.
        clock: Gives the time in seconds; it must not go backwards.
    """

    def __init__(self, size: int, ttl: float, clock: Callable[[], float]) -> None:
        self._is_on = size > 0
        self._done: TTLCache[Likeness, None] = TTLCache(size, ttl, timer=clock)
        self._begun: set[Likeness] = set()

    def start(self) -> None:
        """Begin an invocation."""
        self._begun.clear()

    def begin(self, event: S3Event) -> bool:
        """Take an event up, unless it is a duplicate.

        It is one also of an event of the same invocation, which carries the
        obligation for both. What was parked is none: the event it holds was done
        when it was parked.

        Returns:
            Whether the event is to be worked on.
        """
        if not self._is_on or event.only:
            return True
        likeness = _likeness(event)
        # By get, not by `in`, which would not count as a use.
        if likeness in self._begun or self._done.get(likeness, self) is None:
            return False
        self._begun.add(likeness)
        return True

    def done(self, event: S3Event) -> None:
        """Remember an event, all of which is done."""
        if self._is_on and not event.only:
            self._done[_likeness(event)] = None


def _likeness(event: S3Event) -> Likeness:
    return (event.bucket, event.key, event.size, event.event_type)
