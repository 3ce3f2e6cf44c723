"""Differences between what two functions did with the same events.

Outcomes that both sides have agree; all others are listed, without pairing them.
"""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Name = Callable[["Outcome"], tuple[str | None, ...]]

_UUID: Final = re.compile(r"[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}", re.IGNORECASE)
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:?\d\d)?")
_REPEATED: Final = frozenset(["duplicate", "sent_before", "no_trigger"])
"""Kinds of events that were delivered again, or that no entry matches."""


@dataclass(frozen=True)
class Outcome:
    """The outcome of a trigger or a job for an object; or a dispatch of any function."""

    outcome: str
    bucket: str | None = None
    """None for a message to a worker, which does not name its object."""
    key: str | None = None
    trigger_id: str | None = None
    job_id: str | None = None
    kind: str | None = None
    reason: str | None = None
    entry: str | None = None
    """Digest of the trigger's entry."""
    queue: str | None = None
    worker: str | None = None
    event_type: str | None = None
    payload: dict[str, Any] | None = None
    """Parameters and globals of a dispatch, if not empty; None if the log does not have them."""
    is_observed: bool = False
    """Whether a function that only observes decided on this dispatch without sending it."""

    @property
    def word(self) -> str:
        """The outcome; ``observed`` for a dispatch that was decided but not sent."""
        return "observed" if self.is_observed else self.outcome

    @property
    def label(self) -> str:
        """The outcome and its kind."""
        return f"{self.outcome}: {self.kind}" if self.kind else self.outcome

    def in_log(self) -> tuple[str | None, ...]:
        """Return the identity of an outcome of a log, without the payload."""
        subject = (self.bucket, self.key, self.trigger_id, self.job_id)
        return (*subject, self.label, self.queue)

    def in_queue(self) -> tuple[str | None, ...]:
        """Return the identity of a message to a worker, without the payload."""
        return (self.worker, self.job_id)

    @cached_property
    def masked(self) -> str | None:
        """The payload without times and UUIDs, which differ at each rendering."""
        if self.payload is None:
            return None
        return _TIME.sub("?", _UUID.sub("?", json.dumps(self.payload, sort_keys=True)))


@dataclass(frozen=True, slots=True)
class Difference:
    """An outcome that only one of two functions has."""

    outcome: Outcome
    is_ours: bool
    equal: int
    """1, or the number of equal dispatches if the other function sent some of them."""
    related: Sequence[Outcome]
    """All outcomes of both functions for the object."""


def compare_logs(ours: list[Outcome], theirs: list[Outcome]) -> tuple[int, list[Difference]]:
    """Compare two logs; return the number of equal dispatches, and the rest."""
    return _compare(ours + theirs, _settled(ours), _settled(theirs), Outcome.in_log)


def compare_messages(ours: list[Outcome], messages: list[Outcome]) -> tuple[int, list[Difference]]:
    """Compare the dispatches of a log with messages of another function, which name no object."""
    sent = [outcome for outcome in ours if outcome.outcome == "dispatched"]
    return _compare(ours, sent, messages, Outcome.in_queue)


def _compare(
    log: list[Outcome], ours: list[Outcome], theirs: list[Outcome], about: Name
) -> tuple[int, list[Difference]]:
    def identity(outcome: Outcome) -> tuple[str | None, ...]:
        return (*about(outcome), outcome.masked)

    our_rest, their_rest = _unmatched(ours, theirs, identity)
    # A dispatching function logs no payloads, and an observing one omits long ones.
    untold, told = _by_payload(our_rest)
    untold, their_rest = _unmatched(untold, their_rest, about)
    their_untold, their_told = _by_payload(their_rest)
    told, their_untold = _unmatched(told, their_untold, about)
    our_rest, their_rest = told + untold, their_told + their_untold
    related, objects = defaultdict(list), defaultdict(set)
    for outcome in log:
        related[outcome.bucket, outcome.key].append(outcome)
    for outcome in ours:
        objects[identity(outcome)].add((outcome.bucket, outcome.key))
    total, left = Counter(map(identity, ours)), Counter(map(identity, our_rest))
    differences = []
    for outcome in our_rest:
        name = identity(outcome)
        is_one_of_several = left[name] < total[name] and len(objects[name]) > 1
        equal = total[name] if is_one_of_several else 1
        place = outcome.bucket, outcome.key
        differences.append(Difference(outcome, is_ours=True, equal=equal, related=related[place]))
    for outcome in their_rest:
        others = related.get((outcome.bucket, outcome.key), ())
        differences.append(Difference(outcome, is_ours=False, equal=1, related=others))

    def order(difference: Difference) -> tuple[Any, ...]:
        names = (*identity(difference.outcome), difference.outcome.key)
        return (*(name or "" for name in names), difference.is_ours)

    sent, unmatched = (
        sum(1 for outcome in some if outcome.outcome == "dispatched") for some in (ours, our_rest)
    )
    return sent - unmatched, sorted(differences, key=order)


def _unmatched(
    ours: list[Outcome], theirs: list[Outcome], name: Name
) -> tuple[list[Outcome], list[Outcome]]:
    """Return both sides without the pairs of equal name."""
    waiting = defaultdict(list)
    for outcome in ours:
        waiting[name(outcome)].append(outcome)
    left = []
    for outcome in theirs:
        if same := waiting[name(outcome)]:
            same.pop()
        else:
            left.append(outcome)
    return list(chain.from_iterable(waiting.values())), left


def _by_payload(outcomes: list[Outcome]) -> tuple[list[Outcome], list[Outcome]]:
    """Return the outcomes without a payload, and those with one."""
    untold = [outcome for outcome in outcomes if outcome.payload is None]
    return untold, [outcome for outcome in outcomes if outcome.payload is not None]


def _settled(outcomes: list[Outcome]) -> list[Outcome]:
    """Return the final outcomes: without failures that were retried, and each skip once."""
    ended: set[tuple[str | None, ...]] = set()
    for outcome in outcomes:
        if outcome.outcome != "failed":
            place = outcome.bucket, outcome.key
            ended |= {
                place,
                (*place, outcome.trigger_id),
                (*place, outcome.trigger_id, outcome.job_id),
            }
    final: list[Outcome] = []
    seen: set[tuple[str | None, ...]] = set()
    for outcome in outcomes:
        names = (outcome.bucket, outcome.key, outcome.trigger_id, outcome.job_id)
        subject = tuple(name for name in names if name is not None)
        came_again = outcome.kind in _REPEATED or (outcome.outcome == "failed" and subject in ended)
        if not came_again and (outcome.outcome == "dispatched" or outcome.in_log() not in seen):
            seen.add(outcome.in_log())
            final.append(outcome)
    return final
