"""Differences between what two functions made of the same events."""

from __future__ import annotations

import difflib
import json
import re
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from .outcomes import Message, Outcome

_UUID: Final = re.compile(r"[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}", re.IGNORECASE)
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:?\d\d)?")
_NOTHING: Final = "nothing"
_COMMON_LEAF: Final = 100
"""A value that more messages than this share tells none of them from the others."""
_MOST_SIMILAR: Final = 200
"""Messages that are compared as texts, at most: each with each."""
_LEAST_SIMILAR: Final = 0.5

Subject = tuple[str, str, str | None, str | None]
"""Bucket, key, trigger id and job id."""
Object = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Change:
    """One value that differs between two dispatches."""

    path: str
    ours: Any
    theirs: Any


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing of which two functions made something different."""

    bucket: str | None
    """None: the message names no object that our log has."""
    key: str | None
    trigger_id: str | None
    job_id: str | None
    ours: str
    """What our function made of it, in a few words."""
    theirs: str
    changes: tuple[Change, ...] = ()
    our_outcome: Outcome | None = None
    their_outcome: Outcome | None = None
    is_ours_alone: bool = False
    """Whether our function alone dispatched."""
    is_theirs_alone: bool = False
    our_others: Sequence[Outcome] = field(default=(), repr=False)
    """All that our log has on the object."""
    their_others: Sequence[Outcome] = field(default=(), repr=False)


@dataclass(slots=True)
class Comparison:
    """What a comparison came to."""

    agreed: int = 0
    """Dispatches that both functions sent."""
    differences: list[Difference] = field(default_factory=list)


def compare_logs(ours: Iterable[Outcome], theirs: Iterable[Outcome]) -> Comparison:
    """Compare two logs, by object, trigger and job."""
    sides = left, right = _Side(ours), _Side(theirs)
    found = Comparison()
    for subject in sorted(left.subjects.keys() | right.subjects.keys(), key=_order):
        found.differences += _of_subject(subject, sides, found)
    return found


def compare_messages(ours: Iterable[Outcome], messages: Iterable[Message]) -> Comparison:
    """Compare a log with the dispatches of another function, which name no trigger.

    A dispatch of our log and a message are the same where worker, job, parameters and
    globals are. Of what is left, a message belongs to the dispatch of the same job that
    shares most with it.
    """
    side = _Side(ours)
    found = Comparison()
    alike: Counter[str] = Counter()
    waiting: dict[str, list[Outcome]] = defaultdict(list)
    for outcome in side.dispatched:
        waiting[_identity(_worker(outcome), outcome.job_id, outcome.held)].append(outcome)
    left: dict[tuple[str, str], list[Message]] = defaultdict(list)
    for message in messages:
        # A dispatch that was too long for the log is known by its job alone.
        names = [_identity(message.worker, message.job_id, held) for held in (message.held, None)]
        same = next((name for name in names if waiting.get(name)), None)
        if same:
            waiting[same].pop()
            alike[same] += 1
            found.agreed += 1
        else:
            left[message.worker, message.job_id].append(message)
    rest: dict[tuple[str, str], list[Outcome]] = defaultdict(list)
    for name, outcomes in waiting.items():
        for outcome in outcomes:
            if alike[name]:
                found.differences.append(_one_of_several(outcome, alike[name] + len(outcomes)))
            else:
                rest[_worker(outcome), outcome.job_id or ""].append(outcome)
    for job in sorted(rest.keys() | left.keys()):
        found.differences += _of_job(rest[job], left[job], side)
    found.differences.sort(key=lambda each: _order(_subject(each)))
    return found


class _Side:
    """A log, by what it is about."""

    def __init__(self, outcomes: Iterable[Outcome]) -> None:
        self.subjects: dict[Subject, list[Outcome]] = defaultdict(list)
        self.by_object: dict[Object, list[Outcome]] = defaultdict(list)
        self.by_key: dict[str, list[Outcome]] = defaultdict(list)
        self.dispatched: list[Outcome] = []
        for outcome in outcomes:
            about = (outcome.bucket, outcome.key, outcome.trigger_id, outcome.job_id)
            self.by_object[about[:2]].append(outcome)
            self.by_key[outcome.key].append(outcome)
            if outcome.kind in ("duplicate", "sent_before", "no_trigger"):
                continue  # of an event that came again, or of none that the entries are about
            self.subjects[about].append(outcome)
            if outcome.outcome == "dispatched":
                self.dispatched.append(outcome)

    def of(self, subject: Subject) -> list[Outcome]:
        return self.subjects.get(subject, [])

    def on(self, subject: Subject) -> list[Outcome]:
        return self.by_object.get(subject[:2], [])

    def nearest(self, subject: Subject) -> Outcome | None:
        """Return what the log has instead: on the job, else on the trigger, else on the object."""
        trigger = [each for each in self.on(subject) if each.trigger_id == subject[2]]
        jobless = [each for each in trigger if each.job_id is None]
        whole = [each for each in self.on(subject) if each.trigger_id is None]
        return next(iter([*self.of(subject), *jobless, *whole]), None)


Sides = tuple[_Side, _Side]
"""Our log and theirs."""


def _of_subject(subject: Subject, sides: Sides, found: Comparison) -> Iterator[Difference]:
    ours, theirs = (_settled(side.of(subject)) for side in sides)
    sent, their_sent = (
        [each for each in side if each.outcome == "dispatched"] for side in (ours, theirs)
    )
    found.agreed += min(len(sent), len(their_sent))
    if sent or their_sent:
        if len(sent) != len(their_sent):
            yield _counted(subject, sent, their_sent, sides)
        yield from _held_otherwise(subject, sent, their_sent, sides)
        return
    labels = tuple(" and ".join(sorted({each.label for each in side})) for side in (ours, theirs))
    if labels[0] == labels[1] or _is_of_dispatch(subject, sides):
        return
    yield _difference(
        subject,
        (labels[0] or _NOTHING, labels[1] or _NOTHING),
        (_first(ours) or sides[0].nearest(subject), _first(theirs) or sides[1].nearest(subject)),
        sides,
    )


def _is_of_dispatch(subject: Subject, sides: Sides) -> bool:
    """Tell whether a trigger ended on one side, and its jobs were dispatched on the other.

    The difference is that of the dispatches.
    """
    _, _, trigger_id, job_id = subject
    if job_id is not None or trigger_id is None:
        return False
    return any(
        each.trigger_id == trigger_id and each.outcome == "dispatched"
        for side in sides
        for each in side.on(subject)
    )


def _settled(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Return what outcomes came to: what failed came again."""
    return [each for each in outcomes if each.outcome != "failed"] or list(outcomes)


def _counted(
    subject: Subject, sent: Sequence[Outcome], their_sent: Sequence[Outcome], sides: Sides
) -> Difference:
    """Return the difference of a job that was not dispatched as often by both."""
    ours = _first(sent) or sides[0].nearest(subject)
    theirs = _first(their_sent) or sides[1].nearest(subject)
    return _difference(
        subject,
        (
            _times(len(sent)) if sent else _label(ours),
            _times(len(their_sent)) if their_sent else _label(theirs),
        ),
        (ours, theirs),
        sides,
        is_ours_alone=not their_sent,
        is_theirs_alone=not sent,
    )


def _held_otherwise(
    subject: Subject, sent: Sequence[Outcome], their_sent: Sequence[Outcome], sides: Sides
) -> Iterator[Difference]:
    """Yield the differences of dispatches that do not hold the same, where logs tell."""
    for ours, theirs in zip(sent, their_sent, strict=False):
        is_told = ours.held is not None and theirs.held is not None
        changes = tuple(_changes(ours.held, theirs.held)) if is_told else ()
        if ours.queue != theirs.queue:
            changes = (Change("queue", ours.queue, theirs.queue), *changes)
        if changes:
            words = ("dispatched", "dispatched")
            yield _difference(subject, words, (ours, theirs), sides, changes=changes)


def _difference(
    subject: Subject,
    words: tuple[str, str],
    outcomes: tuple[Outcome | None, Outcome | None],
    sides: Sides,
    **more: Any,
) -> Difference:
    return Difference(
        *subject,
        *words,
        our_outcome=outcomes[0],
        their_outcome=outcomes[1],
        our_others=sides[0].on(subject),
        their_others=sides[1].on(subject),
        **more,
    )


def _first(outcomes: Sequence[Outcome]) -> Outcome | None:
    return outcomes[0] if outcomes else None


def _of_job(outcomes: list[Outcome], messages: list[Message], side: _Side) -> Iterator[Difference]:
    """Yield the differences of one job, out of what no message or dispatch agrees with."""
    paired = _pairs(outcomes, messages, side)
    for outcome, message in paired:
        yield Difference(
            outcome.bucket,
            outcome.key,
            outcome.trigger_id,
            outcome.job_id,
            "dispatched",
            "dispatched",
            tuple(_changes(outcome.held, message.held)),
            our_outcome=outcome,
            our_others=side.by_object[outcome.bucket, outcome.key],
        )
    seen = {id(outcome) for outcome, _ in paired}
    for outcome in outcomes:
        if id(outcome) not in seen:
            yield Difference(
                outcome.bucket,
                outcome.key,
                outcome.trigger_id,
                outcome.job_id,
                "dispatched",
                _NOTHING,
                our_outcome=outcome,
                is_ours_alone=True,
                our_others=side.by_object[outcome.bucket, outcome.key],
            )
    seen = {id(message) for _, message in paired}
    for message in messages:
        if id(message) not in seen:
            yield _theirs_alone(message, side)


def _one_of_several(outcome: Outcome, count: int) -> Difference:
    """Return the difference of a dispatch that others are equal to: nobody can tell which it is."""
    return Difference(
        outcome.bucket,
        None,
        outcome.trigger_id,
        outcome.job_id,
        f"dispatched (one of {count} that hold the same)",
        _NOTHING,
        our_outcome=outcome,
        is_ours_alone=True,
    )


def _theirs_alone(message: Message, side: _Side) -> Difference:
    """Return the difference of a message of which our function made no dispatch."""
    others = _named_by(message, side)
    candidates = [each for each in others if each.outcome != "dispatched"]
    named = [each for each in candidates if each.job_id == message.job_id]
    near = next(iter([*named, *[each for each in candidates if each.job_id is None]]), None)
    first = near or next(iter(others), None)
    return Difference(
        first.bucket if first else None,
        first.key if first else None,
        near.trigger_id if near else None,
        message.job_id,
        _label(near),
        "dispatched",
        our_outcome=near,
        is_theirs_alone=True,
        our_others=others,
    )


def _named_by(message: Message, side: _Side) -> list[Outcome]:
    """Return our outcomes of the object whose key a message holds, the longest if several."""
    keys = side.by_key
    tails = {
        text[place:]
        for _, text in _leaves(message.held)
        if isinstance(text, str)
        # Of an S3 URI, what follows any slash may be the key.
        for place in [0, *(number + 1 for number, char in enumerate(text) if char == "/")]
    }
    key = max(tails & keys.keys(), key=len, default=None)
    return keys[key] if key is not None else []


def _pairs(
    outcomes: Sequence[Outcome], messages: Sequence[Message], side: _Side
) -> list[tuple[Outcome, Message]]:
    """Pair dispatches of a job with messages: by what they share, then by how alike they are."""
    if not (outcomes and messages):
        return []
    named = [{(each.bucket, each.key) for each in _named_by(message, side)} for message in messages]
    scores = [
        (score, number, index)
        for score, number, index in [*_shared(outcomes, messages), *_alike(outcomes, messages)]
        # A message that names an object is of no other.
        if not named[index] or (outcomes[number].bucket, outcomes[number].key) in named[index]
    ]
    pairs, taken, given = [], set[int](), set[int]()
    for _, number, index in sorted(scores, key=lambda each: (-each[0], each[1:])):
        if number not in taken and index not in given:
            taken.add(number)
            given.add(index)
            pairs.append((outcomes[number], messages[index]))
    return pairs


def _shared(
    outcomes: Sequence[Outcome], messages: Sequence[Message]
) -> Iterator[tuple[float, int, int]]:
    """Yield how many values a dispatch and a message share that few others have."""
    by_leaf: dict[tuple[str, str], list[int]] = defaultdict(list)
    for number, outcome in enumerate(outcomes):
        for leaf in _leaf_texts(outcome.held):
            by_leaf[leaf].append(number)
    for index, message in enumerate(messages):
        shared = Counter(
            number
            for leaf in _leaf_texts(message.held)
            if len(by_leaf.get(leaf, ())) <= _COMMON_LEAF
            for number in by_leaf.get(leaf, ())
        )
        yield from ((1.0 + count, number, index) for number, count in shared.items())


def _alike(
    outcomes: Sequence[Outcome], messages: Sequence[Message]
) -> Iterator[tuple[float, int, int]]:
    """Yield how alike the texts of a dispatch and a message are, from 0 to 1."""
    if max(len(outcomes), len(messages)) > _MOST_SIMILAR:
        return
    theirs = [_text_of(message.held) for message in messages]
    for number, outcome in enumerate(outcomes):
        ours = _text_of(outcome.held)
        for index, text in enumerate(theirs):
            likeness = difflib.SequenceMatcher(None, ours, text, autojunk=False).ratio()
            if likeness >= _LEAST_SIMILAR:
                yield likeness, number, index


def _changes(ours: Any, theirs: Any, path: str = "") -> Iterator[Change]:
    """Yield the values that differ."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for name in dict.fromkeys([*ours, *theirs]):
            inner = f"{path}.{name}" if path else str(name)
            yield from _changes(ours.get(name), theirs.get(name), inner)
    elif type(ours) is not type(theirs) or ours != theirs:
        yield Change(path, ours, theirs)


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _leaves(inner, f"{path}.{name}")
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _leaves(inner, f"{path}[{number}]")
    else:
        yield path, value


def _leaf_texts(held: Any) -> set[tuple[str, str]]:
    return {(path, repr(value)) for path, value in _leaves(held)}


def _text_of(held: Any) -> str:
    return without_moment(json.dumps(held, sort_keys=True))[:1000]


def without_moment(text: str) -> str:
    """Return text without times and UUIDs, which each rendering makes anew."""
    return _TIME.sub("?", _UUID.sub("?", text))


def _identity(worker: str, job_id: str | None, held: Any) -> str:
    return json.dumps([worker, job_id, held], sort_keys=True)


def _worker(outcome: Outcome) -> str:
    """Return the worker of a dispatch: its queue is ``lava-<REALM>-<WORKER>``."""
    return outcome.worker or (outcome.queue or "").partition("-")[2].partition("-")[2]


def _label(outcome: Outcome | None) -> str:
    return outcome.label if outcome else _NOTHING


def _times(count: int) -> str:
    return "dispatched" if count == 1 else f"dispatched {count} times"


def _subject(found: Difference) -> Subject:
    return (found.bucket or "", found.key or "", found.trigger_id, found.job_id)


def _order(subject: Subject) -> tuple[str, ...]:
    return tuple(part or "" for part in subject)
