"""What became of deliveries, and what AWS is told of it. See docs/design.md#acknowledgement."""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final

from cachetools import LRUCache

from .errors import DeliveriesFailedError
from .log import log_event

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from .decision import Decision
    from .dedup.protocol import Admission
    from .events import Delivery, S3Event

    Identity = tuple[object, ...]


@dataclass(slots=True)
class Outcome:
    """What became of a delivery."""

    delivery: Delivery
    failures: list[str] = field(default_factory=list)
    sent: list[Identity] = field(default_factory=list)
    """What was sent or parked for it, now or before."""
    carried: list[tuple[str, Counter[str]]] = field(default_factory=list)
    """What is remembered of events that it brought again, and that were done before."""
    invocation: str = ""
    """Id of the request to Lambda; a retry has the same."""

    def fail(self, what: str, reason: str, event: S3Event | None = None) -> None:
        """Note and log that some of the delivery was not carried out."""
        self.failures.append(reason)
        where = {"bucket": event.bucket, "key": event.key} if event else {}
        log_event(logging.ERROR, what, reason=reason, message_id=self.delivery.message_id, **where)

    @property
    def owner(self) -> str:
        """What names the delivery, also when it comes again."""
        return self.delivery.message_id or self.invocation


@dataclass(slots=True)
class Task:
    """An S3 event of a delivery, that is worked on."""

    outcome: Outcome
    decision: Decision
    begun: Admission | None = None
    failures: list[str] = field(default_factory=list)

    def sent(self) -> list[str]:
        """Give digests of what was sent for the event, now or before."""
        identity = self.decision.event.identity
        return [_digest(each) for each in self.outcome.sent if each[0] == identity]

    def report(self) -> None:
        """Log why the event causes nothing more, and note what could not be decided."""
        where = {"bucket": self.decision.event.bucket, "key": self.decision.event.key}
        for skip in self.decision.skips:
            # Most buckets notify about more than lava wants.
            level = logging.INFO if skip.trigger_id else logging.DEBUG
            if self.decision.event.only:  # but what was parked is owed to someone
                level = logging.WARNING
            what = {"trigger_id": skip.trigger_id, "job_id": skip.job_id}
            log_event(level, "skipped", reason=skip.reason, **what, **where)
        for failure in self.decision.failures:
            self.fail(str(failure.error))
            what = {"trigger_id": failure.trigger_id, "job_id": failure.job_id}
            log_event(logging.ERROR, "failed", reason=str(failure.error), **what, **where)

    def fail(self, reason: str) -> None:
        """Note that some of what the event should cause was not carried out."""
        self.failures.append(reason)
        self.outcome.failures.append(reason)


def acknowledge(outcomes: Sequence[Outcome]) -> dict[str, Any] | None:
    """Give the answer to AWS: which SQS messages are to be delivered again, if any.

    Raises:
        DeliveriesFailedError: The whole invocation is, because every SQS message
            failed, or what failed is none. Lambda gives back all of them then, also
            where partial responses are not turned on.
    """
    back = given_back(outcomes)
    if not back:
        return None
    if len(back) == len(outcomes):
        failures = [failure for outcome in outcomes for failure in outcome.failures]
        raise DeliveriesFailedError(len(failures), failures[0])
    messages = [outcome.delivery.message_id for outcome in back]
    return {"batchItemFailures": [{"itemIdentifier": each} for each in messages]}


def given_back(outcomes: Sequence[Outcome]) -> Sequence[Outcome]:
    """Give the deliveries that come again: those that failed.

    But all, where one that failed is no SQS message and cannot be given back by itself.
    """
    failed = [outcome for outcome in outcomes if outcome.failures]
    is_whole = any(outcome.delivery.message_id is None for outcome in failed)
    return outcomes if is_whole else failed


def in_order(outcomes: Sequence[Outcome]) -> Iterable[list[Outcome]]:
    """Yield the deliveries that may be worked on side by side.

    All at once, but for the messages of a FIFO queue's group, which follow one
    another; what follows a failed one has failed too.
    """
    waiting = list(outcomes)
    broken: set[object] = set()
    while waiting:
        wave: list[Outcome] = []
        later: list[Outcome] = []
        taken: set[object] = set()
        for outcome in waiting:
            group = outcome.delivery.group
            if group is not None and group in taken:
                later.append(outcome)
            elif group in broken:
                outcome.fail("failed", "a message before it in its group has failed")
            else:
                taken.add(group)
                wave.append(outcome)
        yield wave
        broken |= {each.delivery.group for each in wave if each.failures and each.delivery.group}
        waiting = later


_MOST_REMEMBERED: Final = 20_000


class Sent:
    """What failed deliveries did send, so that it is not sent again when they return.

    A delivery that succeeded is not remembered: the same event twice is two
    dispatches, unless deduplication is on.
    """

    def __init__(self) -> None:
        # By S3 event: what was sent or parked for it, and how often.
        self._events: LRUCache[str, Counter[str]] = LRUCache(_MOST_REMEMBERED)

    def __bool__(self) -> bool:
        return bool(self._events)

    def take(self, identity: Identity) -> bool:
        """Tell whether something was sent before; each sending excuses one repetition."""
        if not self._events:
            return False
        event, thing = _digest(identity[:1]), _digest(identity)
        counts = self._events.get(event)
        if counts is None or thing not in counts:
            return False
        counts -= Counter([thing])  # leaves out what comes to nothing
        if not counts:
            del self._events[event]
        return True

    def hand_over(self, event: S3Event, outcome: Outcome) -> None:
        """Give what is known of an event that was done before to a delivery that skips it.

        If the delivery succeeds, that is forgotten: the next such event is a new one.
        """
        if self._events:
            digest = _digest((event.identity,))
            if counts := self._events.pop(digest, None):
                outcome.carried.append((digest, counts))

    def learn(self, event: S3Event, digests: Iterable[str]) -> None:
        """Note what the shared memory has of an event that failed in another instance."""
        for digest in digests:
            counts = self._of(_digest((event.identity,)))
            counts[digest] = max(1, counts[digest])

    def remember(self, outcome: Outcome) -> None:
        """Remember what was sent for a delivery that comes again."""
        for identity in outcome.sent:
            self._of(_digest(identity[:1]))[_digest(identity)] += 1
        for event, counts in outcome.carried:
            self._of(event).update(counts)

    def _of(self, event: str) -> Counter[str]:
        counts = self._events.get(event)
        if counts is None:
            counts = self._events[event] = Counter()
        return counts


def _digest(identity: Identity) -> str:
    text = repr(identity).encode("ascii", "backslashreplace")
    return blake2b(text, digest_size=16).hexdigest()
