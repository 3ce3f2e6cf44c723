"""Recent events, by which duplicates are known. See docs/design.md#duplicates.

Two memories, each off unless it is asked for: this instance's own, and a table that
all instances share (`claims`).
"""

from __future__ import annotations

import enum
import logging
import time
from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING, Final

from cachetools import TTLCache

from lava_s3trigger.aws.clients import READ_RESERVE, SLOWEST_READ
from lava_s3trigger.aws.threads import map_concurrently
from lava_s3trigger.errors import UnexpectedError
from lava_s3trigger.log import log_event

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from lava_s3trigger.aws.deadline import Deadline
    from lava_s3trigger.events import S3Event

    from .table import ClaimTable

    Likeness = tuple[str, str, int, str]


class RecentEvents:
    """The events that this instance has lately done.

    Args:
        size: Number of events to remember; with 0, no event is a duplicate.
        ttl: Seconds within which the same event is a duplicate.
        clock: Gives the time in seconds; it must not go backwards.
    """

    def __init__(self, size: int, ttl: float, clock: Callable[[], float]) -> None:
        self.is_on = size > 0
        """Whether duplicates within one invocation are known."""
        self._size = size
        self._done: TTLCache[Likeness, None] = TTLCache(size, ttl, timer=clock)
        self._begun: set[Likeness] = set()

    def start(self) -> None:
        """Begin an invocation."""
        self._begun.clear()

    def begin(self, event: S3Event) -> Admission:
        """Take an event up, unless it is a duplicate.

        It is one also of an event of the same invocation, which carries the
        obligation for both. What was parked is none: the event it holds was done
        when it was parked.
        """
        if not self.is_on or event.only:
            return Admission(event)
        likeness = _likeness(event)
        if likeness in self._begun:
            return Admission(event, skip="duplicate")
        # By get, not by `in`, which would not count as a use.
        if self._done.get(likeness, self) is None:
            return Admission(event, skip="duplicate", is_done=True)
        self._begun.add(likeness)
        return Admission(event)

    def done(self, event: S3Event) -> None:
        """Remember an event, all of which is done."""
        if self._size and not event.only:
            self._done[_likeness(event)] = None


class Verdict(enum.Enum):
    """What an instance is to do about an event."""

    WORK = "it is ours to work on"
    DUPLICATE = "it was done before"
    BUSY = "another delivery of it is being worked on"
    UNKNOWN = "the table did not answer: it is worked on, lest it be lost"


@dataclass(frozen=True, slots=True)
class Claim:
    """An answer of the table to a claim."""

    likeness: str
    verdict: Verdict
    token: str
    sent: frozenset[str] = frozenset()
    """What was sent for it before, in an attempt that failed."""
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Admission:
    """Whether an event is to be worked on."""

    event: S3Event
    skip: str | None = None
    """Why there is nothing to do."""
    is_done: bool = False
    """Whether that is because it was done before this invocation."""
    failure: str | None = None
    """Why its delivery must come again."""
    claim: Claim | None = None

    @property
    def is_busy(self) -> bool:
        """Whether another delivery of it is being worked on."""
        return self.claim is not None and self.claim.verdict is Verdict.BUSY

    @property
    def is_unknown(self) -> bool:
        """Whether the table did not tell."""
        return self.claim is not None and self.claim.verdict is Verdict.UNKNOWN


_BUSY: Final = "another delivery of it is being worked on"
_PATIENCE: Final = (0, 0.1, 0.3, 0.6)
"""Seconds to wait for other instances, which mostly have done by then."""
_LEASE_MARGIN: Final = 5.0
_LEASE_OUTSIDE_LAMBDA: Final = 60.0


class Duplicates:
    """Knows duplicates, by what this instance remembers and by what all share.

    Args:
        recent: What this instance remembers.
        claims: What all share, if that is on.
        sleep: Waits for some seconds.
    """

    def __init__(
        self,
        recent: RecentEvents,
        claims: ClaimTable | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._recent = recent
        self._claims = claims
        recent.is_on |= claims is not None
        self._sleep = sleep
        self._is_table_out = False

    @property
    def reserve(self) -> float:
        """Seconds that must be left to note what became of events."""
        return 0.0 if self._claims is None else SLOWEST_READ

    def start(self) -> None:
        """Begin an invocation."""
        self._recent.start()
        self._is_table_out = False

    def begin(self, events: Sequence[tuple[S3Event, str]], deadline: Deadline) -> list[Admission]:
        """Take events up.

        Args:
            events: The events, each with the delivery that it came by.
            deadline: When to stop.
        """
        begun = [self._recent.begin(event) for event, _ in events]
        if self._claims is not None:
            self._claim_all(self._claims, begun, [owner for _, owner in events], deadline)
        return begun

    def _claim_all(
        self, claims: ClaimTable, begun: list[Admission], owners: list[str], deadline: Deadline
    ) -> None:
        """Claim events, and those that others are at work on again, after waiting once for all."""
        left = deadline.left()
        lease = _LEASE_OUTSIDE_LAMBDA if left is None else left + _LEASE_MARGIN

        working = deadline.before(self.reserve)

        def claim(place: int) -> Admission:
            return self._claim(claims, begun[place].event, owners[place], lease, working)

        places = [n for n, each in enumerate(begun) if not each.skip and not each.event.only]
        for wait in _PATIENCE:
            if wait:
                self._sleep(wait)
            for place, each in zip(places, map_concurrently(claim, places), strict=True):
                if not (begun[place].is_busy and each.is_unknown):  # who was at work may still be
                    begun[place] = each
            places = [place for place in places if begun[place].is_busy]
            if not places:
                break
        lost = [each.claim.error for each in begun if each.claim and each.claim.error]
        if lost:
            log_event(logging.ERROR, "dedup table out of reach", count=len(lost), reason=lost[0])

    def _claim(
        self, claims: ClaimTable, event: S3Event, owner: str, lease: float, deadline: Deadline
    ) -> Admission:
        if self._is_table_out:
            lost = Claim("", Verdict.UNKNOWN, "", error="it did not answer before")
            return Admission(event, claim=lost)
        if not deadline.allows(SLOWEST_READ + READ_RESERVE):
            return Admission(event, failure="too little time was left to claim it")
        try:
            claim = claims.claim(
                _digest(event), owner, lease, lambda: deadline.allows(SLOWEST_READ)
            )
        except Exception as error:  # noqa: BLE001 - not what the table answers: as if it did not
            claim = Claim("", Verdict.UNKNOWN, "", error=str(UnexpectedError.of(error)))
        if claim.verdict is Verdict.DUPLICATE:
            return Admission(event, skip="duplicate", is_done=True)
        self._is_table_out |= claim.verdict is Verdict.UNKNOWN
        is_busy = claim.verdict is Verdict.BUSY
        return Admission(event, failure=_BUSY if is_busy else None, claim=claim)

    def settle(
        self,
        outcomes: Iterable[tuple[Admission, bool, Callable[[], list[str]]]],
        deadline: Deadline,
    ) -> None:
        """Note what became of events.

        Args:
            outcomes: The events; whether all that each should cause was carried out;
                and what gives digests of what was sent for it.
            deadline: When to stop.
        """
        claimed = []
        for begun, is_done, sent in outcomes:
            if is_done:
                self._recent.done(begun.event)
            if begun.claim and begun.claim.verdict is Verdict.WORK:
                claimed.append((begun.claim, None if is_done else sent()))
        lost = filter(None, map_concurrently(lambda each: self._end(*each, deadline), claimed))
        if reasons := list(lost):
            log_event(logging.WARNING, "claims not settled", count=len(reasons), reason=reasons[0])

    def _end(self, claim: Claim, sent: list[str] | None, deadline: Deadline) -> str | None:
        if self._claims is None or not deadline.allows(SLOWEST_READ):
            return "too little time was left; the lease runs out"
        try:
            if sent is None:
                return self._claims.confirm(claim)
            return self._claims.release(claim, sent)
        except Exception as error:  # noqa: BLE001 - what was sent is still to be remembered
            return str(UnexpectedError.of(error))


def _digest(event: S3Event) -> str:
    text = repr(_likeness(event)).encode("ascii", "backslashreplace")
    return blake2b(text, digest_size=16).hexdigest()


def _likeness(event: S3Event) -> Likeness:
    return (event.bucket, event.key, event.size, event.event_type)
