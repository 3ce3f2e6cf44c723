"""Compares decisions on objects before and after a change of entries, and counts them.

Memory does not grow with the objects: it keeps counts, and the first few of each kind.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from lava_s3trigger.cli.decide.decider import decide_event
from lava_s3trigger.cli.decide.fixed_values import FixedValues
from lava_s3trigger.cli.entries.memory import UNKNOWN_WORKER
from lava_s3trigger.templates.limits import listening
from lava_s3trigger.triggers import Walk, prefixes
from lava_s3trigger.units import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from datetime import datetime

    from lava_s3trigger.cli.entries.memory import MemoryTriggers
    from lava_s3trigger.cli.objects.record import S3Object
    from lava_s3trigger.decision import Decision, TriggerDecision
    from lava_s3trigger.dispatch import Dispatch
    from lava_s3trigger.triggers import BrokenTrigger, Trigger

    from .entry_sets import Side, Sides

Kind = Literal["gained", "lost", "changed", "parked", "mended"]
KINDS: Final[tuple[Kind, ...]] = ("gained", "lost", "changed", "parked", "mended")
"""Kinds of changes. For dispatches: gained, lost, changed. For events of a trigger with a user
error: newly parked, and no longer parked."""
MAX_EXAMPLES: Final = 3

_ENCODER: Final = json.JSONEncoder(sort_keys=True)
_ADDRESS: Final = re.compile(r" at 0x[0-9a-fA-F]+")


class Example(NamedTuple):
    """An object with a change, or with an unknown result."""

    number: int
    """Number of the object, from 0."""
    bucket: str
    key: str
    trigger_id: str | None = None
    job_id: str | None = None
    before: dict[str, Any] | None = None
    """The dispatch."""
    after: dict[str, Any] | None = None
    reason: str | None = None
    """Why there is no dispatch on one side, the user error, or what is unknown."""


@dataclass(slots=True)
class Counted:
    """A count, with the first few examples."""

    count: int = 0
    examples: list[Example] = field(default_factory=list)

    def add(self, other: Counted) -> None:
        """Add the count of another part of the objects."""
        self.count += other.count
        # The examples of one object come from one part, and stay in their order.
        both = [*self.examples, *other.examples]
        self.examples = sorted(both, key=lambda example: example.number)[:MAX_EXAMPLES]


@dataclass(slots=True)
class Comparison:
    """The effects of a change on objects."""

    objects: int = 0
    before: int = 0
    """Number of dispatches."""
    after: int = 0
    same: int = 0
    """Number of unchanged dispatches."""
    changes: dict[str, dict[Kind, Counted]] = field(default_factory=dict)
    """Changes by trigger id."""
    undecided: Counted = field(default_factory=Counted)
    """Decisions that could not be made."""
    reached_before: set[tuple[str, str]] = field(default_factory=set)
    """Bucket and prefix of the entries that at least one object reached."""
    reached_after: set[tuple[str, str]] = field(default_factory=set)

    def add(self, other: Comparison) -> None:
        """Add the comparison of other objects, in any order."""
        self.objects += other.objects
        self.before += other.before
        self.after += other.after
        self.same += other.same
        for trigger_id, kinds in other.changes.items():
            mine = self.changes.setdefault(trigger_id, {})
            for kind, counted in kinds.items():
                mine.setdefault(kind, Counted()).add(counted)
        self.undecided.add(other.undecided)
        self.reached_before |= other.reached_before
        self.reached_after |= other.reached_after

    def total(self, kind: Kind) -> int:
        """Return the count of a kind over all triggers."""
        return sum(kinds[kind].count for kinds in self.changes.values() if kind in kinds)


class _FixedTriggers:
    """A trigger table that resets fixed values, so that the order of triggers does not matter."""

    def __init__(self, triggers: MemoryTriggers, fixed: FixedValues, now: datetime) -> None:
        self._triggers = triggers
        self._restart = partial(fixed.restart, now)

    def matching(self, bucket: str, key: str) -> Walk:
        prefixes, triggers = self._triggers.matching(bucket, key)
        return Walk(prefixes, _Restarting(triggers, self._restart))


class _Restarting(list["Trigger | BrokenTrigger"]):
    """A list that resets fixed values before yielding each trigger."""

    def __init__(
        self, triggers: Iterable[Trigger | BrokenTrigger], restart: Callable[[], None]
    ) -> None:
        super().__init__(triggers)
        self._restart = restart

    def __iter__(self) -> Iterator[Trigger | BrokenTrigger]:
        for trigger in super().__iter__():
            self._restart()
            yield trigger


class Comparer:
    """Compares the decisions of two sets of entries on objects.

    Args:
        sides: The entries.
        region: AWS region of the objects.
        now: The current time for templates on both sides, so that a dispatch does not differ
            because of the time.
    """

    def __init__(self, sides: Sides, region: str, now: datetime) -> None:
        self._before, self._after = sides.before, sides.after
        self._region = region
        self._fixed = FixedValues()
        self._tables = {
            id(side): _FixedTriggers(side.trigger_table, self._fixed, now)
            for side in (sides.before, sides.after)
        }
        self._has_same_jobs = sides.before.has_same_jobs(sides.after)
        before, after = sides.before.texts_of_levels(), sides.after.texts_of_levels()
        self._same_levels = {level for level in before if before[level] == after.get(level)}
        self._shown: Counter[tuple[str, Kind]] = Counter()

    def compare(self, first: int, objects: Sequence[S3Object]) -> Comparison:
        """Compare the decisions on some objects.

        Args:
            first: Number of the first of them among all objects. It must not be less than in an
                earlier call: only the first objects become examples.
            objects: The objects.
        """
        result = Comparison(objects=len(objects))
        with self._fixed.in_templates(), listening():
            for number, s3_object in enumerate(objects, first):
                self._compare(number, s3_object, result)
        return result

    def _compare(self, number: int, s3_object: S3Object, result: Comparison) -> None:
        event = s3_object.event(self._region)

        def decided(side: Side) -> Decision:
            return decide_event(event, self._tables[id(side)], side.job_table)

        before = decided(self._before)
        after = before if self._is_same(before) else decided(self._after)
        for decision, reached in (before, result.reached_before), (after, result.reached_after):
            if decision.entries:
                reached.add((event.bucket, decision.prefixes[-1]))
        _Pair(self, number, before, after, result).count()

    def _is_same(self, before: Decision) -> bool:
        """Return, without deciding, whether the other side decides the same.

        A decision depends on the event, on the entries at the prefix where the walk ends, and
        on the jobs; time, UUIDs and random choices are fixed. The walk of the other side tries
        the same prefixes in the same order. If it ends at the same prefix, with entries of
        equal text, and all jobs are equal, then the decision is equal.
        """
        if not self._has_same_jobs or bool(before.ended):
            return False
        bucket = before.event.bucket
        levels = self._after.trigger_table.levels(bucket)
        *missed, last = before.prefixes
        if any(prefix in levels for prefix in missed):
            return False
        if before.entries:
            return (bucket, last) in self._same_levels
        return last not in levels

    def wants_example(self, trigger_id: str, kind: Kind) -> bool:
        """Return whether another example is needed, and count it."""
        self._shown[trigger_id, kind] += 1
        return self._shown[trigger_id, kind] <= MAX_EXAMPLES

    def missing_reason(self, trigger_id: str, decision: Decision, *, is_after: bool) -> str:
        """Return why one side's decision on an object lacks a trigger."""
        side = self._after if is_after else self._before
        entry = side.trigger_table.by_id.get(trigger_id)
        if entry is None:
            return "there is no such entry"
        event = decision.event
        if entry.text("bucket") != event.bucket:
            return f"the entry is of bucket {shown(entry.text('bucket'))}"
        if entry.text("prefix") not in set(prefixes(event.key)):
            return f"the entry's prefix {shown(entry.text('prefix'))} does not match"
        return f"hidden by entries at prefix {shown(decision.prefixes[-1])}"


@dataclass(slots=True)
class _Pair:
    """Both decisions on one object."""

    comparer: Comparer
    number: int
    before: Decision
    after: Decision
    result: Comparison

    def count(self) -> None:
        for decision in (self.before, self.after):
            if decision.ended:
                self._note_undecided(None, decision.ended.reason or "")
                return
        before, after = (
            {trigger.trigger_id: trigger for trigger in side.triggers}
            for side in (self.before, self.after)
        )
        for trigger_id in {**before, **after}:
            one, other = before.get(trigger_id), after.get(trigger_id)
            reasons = [reason for reason in map(_undecided, (one, other)) if reason is not None]
            if reasons:
                self._note_undecided(trigger_id, reasons[0])
            elif one and self.after is self.before:
                self._count_same(sum(1 for job in one.jobs if job.dispatch))
            else:
                self._count_dispatches(trigger_id, one, other)
                self._count_user_errors(trigger_id, one, other)

    def _note_undecided(self, trigger_id: str | None, reason: str) -> None:
        undecided = self.result.undecided
        undecided.count += 1
        if len(undecided.examples) < MAX_EXAMPLES:
            undecided.examples.append(self._example(trigger_id, reason=reason))

    def _example(self, trigger_id: str | None, **more: Any) -> Example:
        event = self.before.event
        return Example(self.number, event.bucket, event.key, trigger_id, **more)

    def _count_same(self, number: int) -> None:
        self.result.before += number
        self.result.after += number
        self.result.same += number

    def _count_dispatches(
        self, trigger_id: str, one: TriggerDecision | None, other: TriggerDecision | None
    ) -> None:
        before, after = _dispatches(one), _dispatches(other)
        for job_id in {**before, **after}:
            was, is_now = before.get(job_id, []), after.get(job_id, [])
            same = Counter(text for text, _ in was) & Counter(text for text, _ in is_now)
            self._count_same(same.total())
            lost, gained = _without(was, same), _without(is_now, same)
            self.result.before += len(lost)
            self.result.after += len(gained)
            for was_sent, is_sent in zip_longest(lost, gained):
                kind: Kind = "changed" if was_sent and is_sent else "lost" if was_sent else "gained"
                if self._counted(trigger_id, kind):
                    reason = None
                    if kind != "changed":
                        reason = self._reason(trigger_id, job_id, is_after=kind == "lost")
                    both = {"before": _plain(was_sent), "after": _plain(is_sent)}
                    example = self._example(trigger_id, job_id=job_id, reason=reason, **both)
                    self.result.changes[trigger_id][kind].examples.append(example)

    def _counted(self, trigger_id: str, kind: Kind) -> bool:
        """Count a change; return whether another example is needed."""
        counted = self.result.changes.setdefault(trigger_id, {}).setdefault(kind, Counted())
        counted.count += 1
        return self.comparer.wants_example(trigger_id, kind)

    def _reason(self, trigger_id: str, job_id: str, *, is_after: bool) -> str:
        decision = self.after if is_after else self.before
        for trigger in decision.triggers:
            if trigger.trigger_id == trigger_id:
                if trigger.ended:
                    return trigger.ended.reason or ""
                for job in trigger.jobs:
                    if job.job_id == job_id and job.reason:
                        return job.reason
                return "the entry names no such job"
        return self.comparer.missing_reason(trigger_id, decision, is_after=is_after)

    def _count_user_errors(
        self, trigger_id: str, one: TriggerDecision | None, other: TriggerDecision | None
    ) -> None:
        before, after = _user_error(one), _user_error(other)
        if (before is None) == (after is None):
            return
        kind: Kind = "mended" if after is None else "parked"
        if self._counted(trigger_id, kind):
            example = self._example(trigger_id, reason=before or after)
            self.result.changes[trigger_id][kind].examples.append(example)


def _undecided(trigger: TriggerDecision | None) -> str | None:
    """Return why a trigger's decision may differ at another time, or None."""
    outcomes = trigger.outcomes if trigger else ()
    return next((o.reason for o in outcomes if o.outcome == "failed" or o.kind == "aborted"), None)


def _user_error(trigger: TriggerDecision | None) -> str | None:
    """Return the user error with which the function would park a trigger, or None."""
    outcomes = trigger.outcomes if trigger else ()
    return next((o.reason for o in outcomes if o.outcome == "user_error"), None)


def _dispatches(trigger: TriggerDecision | None) -> dict[str, list[tuple[str, Dispatch]]]:
    """Return the dispatches of a trigger by job id, each with its content as text."""
    dispatches: dict[str, list[tuple[str, Dispatch]]] = {}
    for job in trigger.jobs if trigger else ():
        if job.dispatch:
            dispatches.setdefault(job.job_id, []).append((canonical(job.dispatch), job.dispatch))
    return dispatches


def _without(dispatches: list[tuple[str, Dispatch]], same: Counter[str]) -> list[Dispatch]:
    left = same.copy()
    rest = []
    for text, dispatch in dispatches:
        if left[text]:
            left[text] -= 1
        else:
            rest.append(dispatch)
    return rest


def canonical(dispatch: Dispatch) -> str:
    """Return the content of a dispatch without the job id, as text that is equal for equal work.

    The text is JSON, since true equals 1 in Python, but not for a worker.
    """
    try:
        text = _ENCODER.encode(
            [dispatch.worker, dispatch.delay, dispatch.parameters, dispatch.globals]
        )
    except RecursionError:
        return "nested too deeply"
    # A rendered function or iterator contains its address, which changes at each rendering.
    return _ADDRESS.sub("", text) if " at 0x" in text else text


def _plain(dispatch: Dispatch | None) -> dict[str, Any] | None:
    """Return the content of a dispatch without the job id, as JSON."""
    if dispatch is None:
        return None
    return {
        "worker": None if dispatch.worker == UNKNOWN_WORKER else dispatch.worker,
        "delay": dispatch.delay,
        "parameters": dict(dispatch.parameters),
        "globals": dict(dispatch.globals),
    }
