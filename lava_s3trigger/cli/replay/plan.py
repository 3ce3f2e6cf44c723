"""Makes the plan of a replay: the objects to send, and what the function would do.

The plan is in the state's file, not in memory: objects are added in the order of their
sources, and then decided piece by piece.
"""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Final

from lava_s3trigger.cli.decide.decider import decide_event
from lava_s3trigger.cli.deployed.aws import pieces, reaching_aws
from lava_s3trigger.cli.objects.uri import ObjectName, head_object
from lava_s3trigger.cli.output.progress import Progress
from lava_s3trigger.triggers import entry_digest

from .accounts import Accounts
from .selection import UNKNOWN_SIZE
from .state import Count, Status

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from datetime import datetime

    from lava_s3trigger.cli.deployed.aws import Aws
    from lava_s3trigger.cli.deployed.function import DeployedFunction
    from lava_s3trigger.cli.entries.source import RealmEntries
    from lava_s3trigger.cli.objects.uri import ObjectFacts
    from lava_s3trigger.decision import Decision

    from .selection import Selection
    from .state import PlannedObject, ReplayState

Decided = tuple[str | None, str | None, str]
"""Trigger, job and outcome."""
_CHUNK: Final = 1_000
_HEADS: Final = 16
"""Concurrent calls of HeadObject."""


@dataclass
class Planner:
    """Makes the plan of a replay.

    Args:
        state: The state with the plan, or an empty one to make a plan in.
        selection: The objects to replay; not used if the plan exists.
        deployment: The function.
        entries: The entries to decide with.
        aws: The account of the objects and the log.
        now: The time, with a time zone.
        intakes: Names of queues that feed the function, in addition to the stack's.
    """

    state: ReplayState
    selection: Selection
    deployment: DeployedFunction
    entries: RealmEntries
    aws: Aws
    now: datetime
    intakes: Collection[str] = ()

    @cached_property
    def accounts(self) -> Accounts:
        """The explanations for objects that are not missing."""
        return Accounts(self.state, self.deployment, self.aws, self.now, self.intakes)

    @cached_property
    def chosen_by(self) -> str:
        """How the objects of the plan are chosen; see `Selection`."""
        return str(self.state.get("chosen_by"))

    def plan(self, *, is_sent_next: bool) -> None:
        """Make the plan.

        Args:
            is_sent_next: Whether `decide_again` follows, which decides which objects are missing.

        Raises:
            CommandError: A source, S3 or the log cannot be read.
        """
        settle = self.selection.settle_seconds
        self.state.note(chosen_by=self.selection.chosen_by, settle=settle)
        self._select()
        self._ask_s3()
        self.state.note(numbers={}, entries=digests(self.entries))
        if self.selection.chosen_by == "missing":
            self.state.note(prefixes=self.state.prefixes())
            if is_sent_next:
                return
            self.accounts.read()
        self.state.note(numbers=self._decide([Status.TO_SEND]))

    def decide_again(self, statuses: Collection[Status]) -> Counter[str]:
        """Leave out objects that are explained by now, before a plan of missing objects is sent.

        Args:
            statuses: Statuses of the objects that are about to be sent.

        Returns:
            The number of left out objects by reason.

        Raises:
            CommandError: The log or a queue cannot be read.
        """
        self.accounts.read()
        self.state.forget_counts()
        left_out = self._decide(statuses)
        self.state.note(numbers=Counter(self.state.get("numbers")) + left_out)
        return left_out

    def _select(self) -> None:
        chooses = self.selection.chooser(self.now)
        rows = (
            (
                s3_object.bucket,
                s3_object.key,
                s3_object.size,
                s3_object.time.timestamp(),
                s3_object.event_type,
            )
            for s3_object in self.selection.objects(self.aws)
        )
        # Objects of unknown size have an unknown time too: they are chosen later.
        chosen = (row for row in rows if row[2] == UNKNOWN_SIZE or chooses(row[2], row[3]))
        with Progress("objects found") as progress:
            for number in self.state.add(chosen):
                progress.advance(number)

    def _ask_s3(self) -> None:
        """Ask S3 for sizes and times that the sources do not have: they are never guessed."""
        unknown = (planned for planned in self.state.objects() if planned.size == UNKNOWN_SIZE)
        chooses = self.selection.chooser(self.now)
        client: Any = None
        gone = 0
        with Progress("objects looked up") as progress, ThreadPoolExecutor(_HEADS) as pool:
            for chunk in pieces(unknown, _CHUNK):
                client = client or self.aws.client("s3")
                with reaching_aws():
                    answers = list(pool.map(partial(_facts, client), chunk))
                dropped: list[int] = []
                resized = []
                for planned, facts in zip(chunk, answers, strict=True):
                    time = facts.last_modified.timestamp() if facts else 0.0
                    if facts and chooses(facts.size, time):
                        resized.append((facts.size, time, planned.event_type, planned.id))
                    else:
                        dropped.append(planned.id)
                gone += sum(1 for facts in answers if facts is None)
                self.state.change(dropped=dropped, resized=resized)
                progress.advance(len(chunk))
        self.state.note(not_there=gone)

    def _decide(self, statuses: Collection[Status]) -> Counter[str]:
        """Count decisions, and drop objects that must not be sent.

        Args:
            statuses: Statuses of the objects that may be dropped.

        Returns:
            The number of dropped objects by reason.
        """
        dropped_for: Counter[str] = Counter()
        with Progress("objects decided", sum(self.state.numbers().values())) as progress:
            for status in Status:
                for chunk in pieces(self.state.objects(status), _CHUNK):
                    dropped_for.update(self._decide_some(chunk, may_drop=status in statuses))
                    progress.advance(len(chunk))
        return dropped_for

    def _decide_some(self, chunk: Sequence[PlannedObject], *, may_drop: bool) -> list[str]:
        """Decide some objects; return the reason for each dropped one."""
        counts: dict[Decided, Count] = {}
        dropped: dict[int, str] = {}
        for planned in chunk:
            event = planned.as_source.event(self.deployment.region)
            decision = decide_event(event, self.entries.triggers, self.entries.jobs)
            if may_drop and (why := self._why_not(planned, decision)):
                dropped[planned.id] = why
                continue
            name = str(ObjectName(planned.bucket, planned.key))
            for decided in _decided(decision):
                counts.setdefault(decided, Count(*decided)).add(1, [name])
        self.state.change(dropped=[*dropped], counted=counts.values())
        return [*dropped.values()]

    def _why_not(self, planned: PlannedObject, decision: Decision) -> str | None:
        """Return why an object must not be sent; None if it must."""
        if self.chosen_by == "all":
            return None
        wanted = {decided[:2] for decided in _decided(decision) if decided[-1] == "dispatched"}
        if not wanted:
            return "would_not_fire"
        if self.chosen_by == "would-fire":
            return None
        return self.accounts.why_not_missing(planned, wanted)


def _facts(client: Any, planned: PlannedObject) -> ObjectFacts | None:
    return head_object(client, ObjectName(planned.bucket, planned.key))


def _decided(decision: Decision) -> Iterator[Decided]:
    """Yield trigger, job and outcome for each result of an event."""
    if not decision.triggers:
        yield None, None, decision.outcome
    for trigger in decision.triggers:
        if trigger.ended:
            yield trigger.trigger_id, None, trigger.ended.outcome
        for job in trigger.jobs:
            yield trigger.trigger_id, job.job_id, job.outcome


def digests(entries: RealmEntries) -> dict[str, str]:
    """Return a digest of each entry, by its kind and id."""
    tables = {"trigger": entries.triggers.by_id, "job": getattr(entries.jobs, "by_id", {})}
    result = {}
    for kind, by_id in tables.items():
        for id_, entry in by_id.items():
            result[f"{kind} {id_!a}"] = entry_digest(entry.item)
    return result


def changed_entries(before: dict[str, str], entries: RealmEntries) -> list[str]:
    """Describe the entries that have changed since the plan was made."""
    now = digests(entries)
    told = []
    for name in sorted({*before, *now}):
        old, new = before.get(name), now.get(name)
        if old != new:
            what = "is new" if old is None else "no longer exists" if new is None else "has changed"
            told.append(f"{name} {what}")
    return told
