"""Makes the plan of a replay: which objects are to be sent, and what the function would do.

The plan grows in the state's file, not in memory: objects are added as their sources name
them, and then decided piece by piece.
"""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from lava_s3trigger.cli.decide.decider import decide_event
from lava_s3trigger.cli.deployed.aws import pieces, reaching_aws
from lava_s3trigger.cli.deployed.log_group import FunctionLog, pattern_of
from lava_s3trigger.cli.deployed.log_line import read_line
from lava_s3trigger.cli.errors import CommandError
from lava_s3trigger.cli.objects.uri import ObjectName, head_object
from lava_s3trigger.cli.output.progress import Progress
from lava_s3trigger.triggers import entry_digest

from .selection import UNKNOWN_SIZE
from .state import Count

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from lava_s3trigger.cli.deployed.aws import Aws
    from lava_s3trigger.cli.deployed.function import DeployedFunction
    from lava_s3trigger.cli.deployed.log_group import LogEvent
    from lava_s3trigger.cli.entries.source import RealmEntries
    from lava_s3trigger.cli.objects.uri import ObjectFacts
    from lava_s3trigger.decision import Decision

    from .selection import Selection
    from .state import PlannedObject, ReplayState

Decided = tuple[str | None, str | None, str]
"""Trigger, job and outcome."""
_CHUNK: Final = 1_000
_HEADS: Final = 16
"""HeadObject calls at a time."""
_CLOCK_SKEW_SECONDS: Final = 60.0
"""How far the clocks of S3 and of the log may differ."""


@dataclass(slots=True)
class Planner:
    """Makes the plan of a replay.

    Args:
        state: Where the plan goes; it is empty.
        selection: Which objects.
        deployment: The function.
        entries: The entries to decide with.
        aws: Where S3 and the log are.
        now: The time, with a time zone.
    """

    state: ReplayState
    selection: Selection
    deployment: DeployedFunction
    entries: RealmEntries
    aws: Aws
    now: datetime

    def plan(self) -> None:
        """Make the plan.

        Raises:
            CommandError: A source, S3 or the log cannot be read.
        """
        self._select()
        self._ask_s3()
        horizon = self._read_log() if self.selection.chosen_by == "missing" else 0.0
        numbers = self._decide(horizon)
        self.state.note(numbers=numbers, entries=digests(self.entries))

    def _select(self) -> None:
        chooses = self.selection.chooser(self.now)
        rows = (
            (found.bucket, found.key, found.size, found.time.timestamp(), found.event_type)
            for found in self.selection.objects(self.aws)
        )
        # Of objects of unknown size the time is unknown too: they are chosen later.
        chosen = (row for row in rows if row[2] == UNKNOWN_SIZE or chooses(row[2], row[3]))
        with Progress("objects found") as progress:
            for number in self.state.add(chosen):
                progress.advance(number)

    def _ask_s3(self) -> None:
        """Ask S3 for sizes and times that the sources do not tell: they are never guessed."""
        unknown = (each for each in self.state.objects() if each.size == UNKNOWN_SIZE)
        chooses = self.selection.chooser(self.now)
        client: Any = None
        gone = 0
        with Progress("objects looked up") as progress, ThreadPoolExecutor(_HEADS) as pool:
            for chunk in pieces(unknown, _CHUNK):
                client = client or self.aws.client("s3")
                with reaching_aws():
                    found = list(pool.map(partial(_facts, client), chunk))
                dropped: list[int] = []
                resized = []
                for planned, facts in zip(chunk, found, strict=True):
                    time = facts.last_modified.timestamp() if facts else 0.0
                    if facts and chooses(facts.size, time):
                        resized.append((facts.size, time, planned.event_type, planned.id))
                    else:
                        dropped.append(planned.id)
                gone += sum(1 for facts in found if facts is None)
                self.state.change(dropped=dropped, resized=resized)
                progress.advance(len(chunk))
        self.state.note(not_there=gone)

    def _read_log(self) -> float:
        """Read which objects were dispatched; return from when on the log tells, in seconds.

        Raises:
            CommandError: The log does not hold dispatches, or cannot be read.
        """
        if not self.deployment.logs_dispatches:
            raise CommandError(
                f"the log of {self.deployment.name} has no dispatches, since it logs warnings or"
                " errors alone: replay with --would-fire instead of --missing"
            )
        group = self.deployment.log_group
        horizon = self._log_begins(group)
        first = self.state.first_time()
        if first is not None:
            start = datetime.fromtimestamp(max(horizon, first - _CLOCK_SKEW_SECONDS), UTC)
            pages = FunctionLog.of(self.aws, group).pages(start, pattern_of("dispatched"))
            with Progress("lines of the log read") as progress:
                self.state.note_logged(_dispatches(pages, progress))
        return horizon

    def _log_begins(self, group: str) -> float:
        client = self.aws.client("logs")
        with reaching_aws():
            answer = client.describe_log_groups(logGroupNamePrefix=group)
        for found in answer["logGroups"]:
            if found["logGroupName"] == group:
                begins = found.get("creationTime", 0) / 1000
                if days := found.get("retentionInDays"):
                    begins = max(begins, (self.now - timedelta(days=days)).timestamp())
                return float(begins)
        raise CommandError(
            f"there is no log group {group}: without the function's log it cannot be told what"
            " is missing; replay with --would-fire instead"
        )

    def _decide(self, horizon: float) -> Counter[str]:
        """Drop what is not to be sent, count decisions; return why how many were dropped."""
        dropped_for: Counter[str] = Counter()
        region, total = self.deployment.region, sum(self.state.numbers().values())
        with Progress("objects decided", total) as progress:
            for chunk in pieces(self.state.objects(), _CHUNK):
                counts: dict[Decided, Count] = {}
                dropped = []
                for planned in chunk:
                    event = planned.as_source.event(region)
                    decision = decide_event(event, self.entries.triggers, self.entries.jobs)
                    if why := self._why_not(planned, decision, horizon):
                        dropped_for[why] += 1
                        dropped.append(planned.id)
                    else:
                        name = str(ObjectName(planned.bucket, planned.key))
                        for each in _decided(decision):
                            counts.setdefault(each, Count(*each)).add(1, [name])
                self.state.change(dropped=dropped, counted=counts.values())
                progress.advance(len(chunk))
        return dropped_for

    def _why_not(self, planned: PlannedObject, decision: Decision, horizon: float) -> str | None:
        """Return why an object is not to be sent; None if it is."""
        if self.selection.chosen_by == "all":
            return None
        wanted = {each[:2] for each in _decided(decision) if each[-1] == "dispatched"}
        if not wanted:
            return "would_not_fire"
        if self.selection.chosen_by == "would-fire":
            return None
        if planned.time < horizon:
            return "older_than_log"
        since = planned.time - _CLOCK_SKEW_SECONDS
        logged = self.state.logged(planned.bucket, planned.key, since)
        if not logged:
            return None
        return "dispatched_before" if wanted <= logged else "partly_dispatched"


def _facts(client: Any, planned: PlannedObject) -> ObjectFacts | None:
    return head_object(client, ObjectName(planned.bucket, planned.key))


def _dispatches(
    pages: Iterable[list[LogEvent]], progress: Progress
) -> Iterator[tuple[str, str, str, str, float]]:
    for page in pages:
        progress.advance(len(page))
        for event in page:
            line = read_line(event.text)
            if line and line.event == "dispatched":
                bucket, key, trigger_id, job_id = (
                    line.text(name) or "" for name in ("bucket", "key", "trigger_id", "job_id")
                )
                yield bucket, key, trigger_id, job_id, event.time.timestamp()


def _decided(decision: Decision) -> Iterator[Decided]:
    """Yield trigger, job and outcome of all that an event results in."""
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
    found = {}
    for kind, by_id in tables.items():
        for id_, entry in by_id.items():
            found[f"{kind} {id_!a}"] = entry_digest(entry.item)
    return found


def changed_entries(before: dict[str, str], entries: RealmEntries) -> list[str]:
    """Describe the entries that are not as they were when the plan was made."""
    now = digests(entries)
    told = []
    for name in sorted({*before, *now}):
        old, new = before.get(name), now.get(name)
        if old != new:
            what = "is new" if old is None else "is gone" if new is None else "has changed"
            told.append(f"{name} {what}")
    return told
