"""What a change of entries does to objects: each decided before and after, and counted.

What is kept does not grow with the objects: counts, and the first few of each kind.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass, field
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
"""Of dispatches: gained, lost, changed. Of events of a trigger with a user error:
newly parked, and no longer parked."""
MAX_EXAMPLES: Final = 3

_ENCODER: Final = json.JSONEncoder(sort_keys=True)
_ADDRESS: Final = re.compile(r" at 0x[0-9a-fA-F]+")


class Example(NamedTuple):
    """An object with which something changes."""

    number: int
    """Which of the objects it is, from 0."""
    bucket: str
    key: str
    job_id: str | None = None
    before: dict[str, Any] | None = None
    """The dispatch."""
    after: dict[str, Any] | None = None
    reason: str | None = None
    """Why there is no dispatch on one side, or what the user error is."""


@dataclass(slots=True)
class Counted:
    """A count, and the first few."""

    count: int = 0
    examples: list[Example] = field(default_factory=list)

    def add(self, other: Counted) -> None:
        """Add what another part of the objects came to."""
        self.count += other.count
        # Those of one object come from one part, and stay in their order.
        both = [*self.examples, *other.examples]
        self.examples = sorted(both, key=lambda example: example.number)[:MAX_EXAMPLES]


class Undecided(NamedTuple):
    """A trigger of which it is not known what it would do with an object."""

    number: int
    bucket: str
    key: str
    trigger_id: str | None
    reason: str


@dataclass(slots=True)
class Comparison:
    """What a change does to objects."""

    objects: int = 0
    before: int = 0
    """Number of dispatches."""
    after: int = 0
    same: int = 0
    """Number of dispatches that stay as they are."""
    changes: dict[str, dict[Kind, Counted]] = field(default_factory=dict)
    """By trigger id."""
    undecided_count: int = 0
    undecided: list[Undecided] = field(default_factory=list)
    """The first of them."""
    reached_before: set[tuple[str, str]] = field(default_factory=set)
    """Bucket and prefix of the entries that any object reached."""
    reached_after: set[tuple[str, str]] = field(default_factory=set)

    def add(self, other: Comparison) -> None:
        """Add what other objects came to, in any order."""
        self.objects += other.objects
        self.before += other.before
        self.after += other.after
        self.same += other.same
        for trigger_id, kinds in other.changes.items():
            mine = self.changes.setdefault(trigger_id, {})
            for kind, counted in kinds.items():
                mine.setdefault(kind, Counted()).add(counted)
        self.undecided_count += other.undecided_count
        both = [*self.undecided, *other.undecided]
        self.undecided = sorted(both, key=lambda example: example.number)[:MAX_EXAMPLES]
        self.reached_before |= other.reached_before
        self.reached_after |= other.reached_after

    def total(self, kind: Kind) -> int:
        """Return the count of a kind over all triggers."""
        return sum(kinds[kind].count for kinds in self.changes.values() if kind in kinds)


class _FixedTriggers:
    """Triggers, each of which is decided with the same fixed values, whatever came before it."""

    def __init__(self, triggers: MemoryTriggers, fixed: FixedValues, now: datetime) -> None:
        self._triggers = triggers
        self._fixed = fixed
        self._now = now

    def matching(self, bucket: str, key: str) -> Walk:
        prefixes, triggers = self._triggers.matching(bucket, key)
        return Walk(prefixes, _Restarting(triggers, lambda: self._fixed.restart(self._now)))


class _Restarting(list["Trigger | BrokenTrigger"]):
    """Triggers, before each of which something is done."""

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
    """Compares what two sets of entries do with objects.

    Args:
        sides: The entries.
        region: AWS region of the objects.
        now: The time that templates read, on both sides: a dispatch that differs by what
            changes at each rendering is the same.
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
        """Compare what the entries do with some objects.

        Args:
            first: Which of all objects the first of them is. It must not be less than in an
                earlier call: examples are made of the first objects alone.
            objects: The objects.
        """
        result = Comparison(objects=len(objects))
        with self._fixed.in_templates(), listening():
            for number, each in enumerate(objects, first):
                self._compare(number, each, result)
        return result

    def _compare(self, number: int, s3_object: S3Object, result: Comparison) -> None:
        event = s3_object.event(self._region)

        def decided(side: Side) -> Decision:
            return decide_event(event, self._tables[id(side)], side.job_table)

        before = decided(self._before)
        after = before if self._is_same(before) else decided(self._after)
        _note_level(before, result.reached_before)
        _note_level(after, result.reached_after)
        pair = _Pair(self, number, before, after, result)
        for decision in (before, after):
            if decision.ended:
                pair.note_undecided(None, decision.ended.reason or "")
                return
        pair.count()

    def _is_same(self, before: Decision) -> bool:
        """Tell without deciding whether the other side decides the same.

        A decision depends on the event, on the entries at the prefix where the walk ends, and
        on the jobs; time, UUIDs and random choices are fixed. The other side's walk tries the
        same prefixes in the same order. Where it ends at the same prefix, with entries of
        equal text, and all jobs are equal, all that the decision depends on is equal.
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
        """Tell whether there are not yet enough examples, and count one."""
        self._shown[trigger_id, kind] += 1
        return self._shown[trigger_id, kind] <= MAX_EXAMPLES

    def missing_reason(self, trigger_id: str, decision: Decision, *, is_after: bool) -> str:
        """Return why one side's decision on an object does not have a trigger."""
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
        before = {each.trigger_id: each for each in self.before.triggers}
        if self.after is self.before:
            for trigger_id, trigger in before.items():
                if not self._is_undecided(trigger_id, trigger):
                    dispatches = sum(1 for job in trigger.jobs if job.dispatch)
                    self.result.before += dispatches
                    self.result.after += dispatches
                    self.result.same += dispatches
            return
        after = {each.trigger_id: each for each in self.after.triggers}
        for trigger_id in {**before, **after}:
            one, other = before.get(trigger_id), after.get(trigger_id)
            if not self._is_undecided(trigger_id, one, other):
                self._count_dispatches(trigger_id, one, other)
                self._count_user_errors(trigger_id, one, other)

    def _is_undecided(self, trigger_id: str, *sides: TriggerDecision | None) -> bool:
        """Note a trigger that was aborted, or failed: it may be so or not at another time."""
        for side in sides:
            reason = _undecided(side) if side else None
            if reason is not None:
                self.note_undecided(trigger_id, reason)
                return True
        return False

    def note_undecided(self, trigger_id: str | None, reason: str) -> None:
        self.result.undecided_count += 1
        if len(self.result.undecided) < MAX_EXAMPLES:
            event = self.before.event
            self.result.undecided.append(
                Undecided(self.number, event.bucket, event.key, trigger_id, reason)
            )

    def _count_dispatches(
        self, trigger_id: str, one: TriggerDecision | None, other: TriggerDecision | None
    ) -> None:
        before, after = _dispatches(one), _dispatches(other)
        for job_id in {**before, **after}:
            was, is_now = before.get(job_id, []), after.get(job_id, [])
            self.result.before += len(was)
            self.result.after += len(is_now)
            same = Counter(text for text, _ in was) & Counter(text for text, _ in is_now)
            self.result.same += same.total()
            lost, gained = _without(was, same), _without(is_now, same)
            while lost and gained:
                self._note(trigger_id, "changed", job_id, lost.pop(0), gained.pop(0))
            for dispatch in lost:
                self._note(trigger_id, "lost", job_id, dispatch, None)
            for dispatch in gained:
                self._note(trigger_id, "gained", job_id, None, dispatch)

    def _note(
        self,
        trigger_id: str,
        kind: Kind,
        job_id: str,
        before: Dispatch | None,
        after: Dispatch | None,
    ) -> None:
        if self._counted(trigger_id, kind):
            reason = None
            if before is None:
                reason = self._reason(trigger_id, job_id, is_after=False)
            elif after is None:
                reason = self._reason(trigger_id, job_id, is_after=True)
            event = self.before.event
            self.result.changes[trigger_id][kind].examples.append(
                Example(
                    self.number,
                    event.bucket,
                    event.key,
                    job_id,
                    _plain(before),
                    _plain(after),
                    reason,
                )
            )

    def _counted(self, trigger_id: str, kind: Kind) -> bool:
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
            event = self.before.event
            self.result.changes[trigger_id][kind].examples.append(
                Example(self.number, event.bucket, event.key, reason=before or after)
            )


def _note_level(decision: Decision, reached: set[tuple[str, str]]) -> None:
    if decision.entries:
        reached.add((decision.event.bucket, decision.prefixes[-1]))


def _undecided(trigger: TriggerDecision) -> str | None:
    """Return why it is not known what a trigger would do, if it is not."""
    return next(
        (o.reason for o in trigger.outcomes if o.outcome == "failed" or o.kind == "aborted"), None
    )


def _user_error(trigger: TriggerDecision | None) -> str | None:
    """Return the user error for which the function would park a trigger, if there is one."""
    outcomes = trigger.outcomes if trigger else ()
    return next((o.reason for o in outcomes if o.outcome == "user_error"), None)


def _dispatches(trigger: TriggerDecision | None) -> dict[str, list[tuple[str, Dispatch]]]:
    """Return the dispatches of a trigger, each with all that it holds as text, by job id."""
    found: dict[str, list[tuple[str, Dispatch]]] = {}
    for job in trigger.jobs if trigger else ():
        if job.dispatch:
            found.setdefault(job.job_id, []).append((canonical(job.dispatch), job.dispatch))
    return found


def _without(found: list[tuple[str, Dispatch]], same: Counter[str]) -> list[Dispatch]:
    left = same.copy()
    rest = []
    for text, dispatch in found:
        if left[text]:
            left[text] -= 1
        else:
            rest.append(dispatch)
    return rest


def canonical(dispatch: Dispatch) -> str:
    """Return what a dispatch holds but for its job id, as text that is equal for equal work.

    As JSON: Python takes true for equal to 1, a worker does not.
    """
    try:
        text = _ENCODER.encode(
            [dispatch.worker, dispatch.delay, dispatch.parameters, dispatch.globals]
        )
    except RecursionError:
        return "nested too deeply"
    # A rendered function or iterator shows its address, which changes at each rendering.
    return _ADDRESS.sub("", text) if " at 0x" in text else text


def _plain(dispatch: Dispatch | None) -> dict[str, Any] | None:
    """Return what a dispatch holds but for its job id, as JSON."""
    if dispatch is None:
        return None
    return {
        "worker": None if dispatch.worker == UNKNOWN_WORKER else dispatch.worker,
        "delay": dispatch.delay,
        "parameters": dict(dispatch.parameters),
        "globals": dict(dispatch.globals),
    }
