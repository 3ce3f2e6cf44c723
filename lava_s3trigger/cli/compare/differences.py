"""Differences between what two functions did with the same events.

What is equal on both sides agrees; the rest is listed, side by side, and nothing is paired.
"""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

_UUID: Final = re.compile(r"[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}", re.IGNORECASE)
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:?\d\d)?")
_REPEATED: Final = frozenset(["duplicate", "sent_before", "no_trigger"])
"""Kinds of events that came again, or that no entry is about."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a function did with a trigger or a job of an object; or a dispatch of any function."""

    outcome: str
    bucket: str | None = None
    """None: a message to a worker does not name its object."""
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
    """Parameters and globals of a dispatch, each if not empty; None: the log does not have them."""

    @property
    def label(self) -> str:
        """The outcome and its kind."""
        return f"{self.outcome}: {self.kind}" if self.kind else self.outcome

    @property
    def in_log(self) -> tuple[str | None, ...]:
        """What tells outcomes of logs apart, but for the payload."""
        subject = (self.bucket, self.key, self.trigger_id, self.job_id)
        return (*subject, self.label, self.queue)

    @property
    def in_queue(self) -> tuple[str | None, ...]:
        """What tells messages to workers apart, but for the payload."""
        return (self.worker, self.job_id)

    @property
    def masked(self) -> str | None:
        """The payload without times and UUIDs, which each rendering makes again."""
        if self.payload is None:
            return None
        return _TIME.sub("?", _UUID.sub("?", json.dumps(self.payload, sort_keys=True)))


@dataclass(frozen=True, slots=True)
class Difference:
    """An outcome that only one of two functions has."""

    outcome: Outcome
    is_ours: bool
    equal: int
    """1; or the number of equal dispatches, only some of which the other function sent."""
    related: Sequence[Outcome]
    """All outcomes of both functions on the object."""


def compare_logs(
    ours: Sequence[Outcome], theirs: Sequence[Outcome]
) -> tuple[int, list[Difference]]:
    """Compare two logs; return the number of equal dispatches, and the rest."""
    return _compare(ours, _settled(ours), _settled(theirs), lambda each: each.in_log, theirs)


def compare_messages(
    ours: Sequence[Outcome], messages: Sequence[Outcome]
) -> tuple[int, list[Difference]]:
    """Compare the dispatches of a log with those of another function, which name no object."""
    sent = [each for each in ours if each.outcome == "dispatched"]
    return _compare(ours, sent, messages, lambda each: each.in_queue)


def _compare(
    log: Sequence[Outcome],
    ours: Sequence[Outcome],
    theirs: Sequence[Outcome],
    about: Callable[[Outcome], tuple[str | None, ...]],
    their_log: Sequence[Outcome] = (),
) -> tuple[int, list[Difference]]:
    def identity(outcome: Outcome) -> tuple[str | None, ...]:
        return (*about(outcome), outcome.masked)

    our_rest, their_rest = _unmatched(ours, theirs, identity)
    # What a function that dispatches has in its log, or what was too long for the log, has no
    # payload: it is equal to any.
    untold, our_rest = _by_payload(our_rest)
    untold, their_rest = _unmatched(untold, their_rest, about)
    their_untold, their_rest = _by_payload(their_rest)
    our_rest, their_untold = _unmatched(our_rest, their_untold, about)

    related = defaultdict(list)
    for outcome in chain(log, their_log):
        related[outcome.bucket, outcome.key].append(outcome)
    total, left = (Counter(map(identity, each)) for each in (ours, our_rest))
    objects = defaultdict(set)
    for outcome in ours:
        objects[identity(outcome)].add((outcome.bucket, outcome.key))

    def difference(outcome: Outcome, *, is_ours: bool) -> Difference:
        name = identity(outcome)
        is_one_of_several = is_ours and left[name] < total[name] and len(objects[name]) > 1
        return Difference(
            outcome,
            is_ours,
            total[name] if is_one_of_several else 1,
            related[outcome.bucket, outcome.key] if outcome.key is not None else (),
        )

    found = [difference(each, is_ours=True) for each in (*our_rest, *untold)]
    found += [difference(each, is_ours=False) for each in (*their_rest, *their_untold)]

    def order(each: Difference) -> tuple[Any, ...]:
        names = (*about(each.outcome), each.outcome.key, each.outcome.masked)
        return (*(name or "" for name in names), each.is_ours)

    dispatches = sum(1 for each in found if each.is_ours and each.outcome.outcome == "dispatched")
    sent = sum(1 for each in ours if each.outcome == "dispatched")
    return sent - dispatches, sorted(found, key=order)


def _unmatched(
    ours: Iterable[Outcome],
    theirs: Iterable[Outcome],
    identity: Callable[[Outcome], tuple[str | None, ...]],
) -> tuple[list[Outcome], list[Outcome]]:
    """Return both sides without the pairs of equal identity."""
    waiting = defaultdict(list)
    for outcome in ours:
        waiting[identity(outcome)].append(outcome)
    left = []
    for outcome in theirs:
        if equal := waiting.get(identity(outcome)):
            equal.pop()
        else:
            left.append(outcome)
    return list(chain.from_iterable(waiting.values())), left


def _by_payload(outcomes: Iterable[Outcome]) -> tuple[list[Outcome], list[Outcome]]:
    """Return the dispatches whose payload is unknown, and the other outcomes."""
    without: list[Outcome] = []
    others: list[Outcome] = []
    for each in outcomes:
        is_untold = each.outcome == "dispatched" and each.payload is None
        (without if is_untold else others).append(each)
    return without, others


def _settled(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Return the final outcomes: without failures that came again, and each skip once."""
    ended: set[tuple[str | None, ...]] = set()
    for each in outcomes:
        if each.outcome != "failed":
            place = each.bucket, each.key
            ended |= {place, (*place, each.trigger_id), (*place, each.trigger_id, each.job_id)}
    final: list[Outcome] = []
    seen: set[tuple[str | None, ...]] = set()
    for each in outcomes:
        names = (each.bucket, each.key, each.trigger_id, each.job_id)
        subject = tuple(name for name in names if name is not None)
        came_again = each.kind in _REPEATED or (each.outcome == "failed" and subject in ended)
        if not came_again and (each.outcome == "dispatched" or each.in_log not in seen):
            seen.add(each.in_log)
            final.append(each)
    return final
