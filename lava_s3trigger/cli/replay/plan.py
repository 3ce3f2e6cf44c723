"""Makes the plan of a replay: which objects are to be sent, and what the function would do.

The plan grows in the state's file, not in memory: objects are added as their sources name
them, and then decided piece by piece.
"""

from __future__ import annotations

import hashlib
import json
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

from .selection import UNKNOWN_SIZE
from .state import MAX_EXAMPLES, Count

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from lava_s3trigger.cli.deployed.aws import Aws
    from lava_s3trigger.cli.deployed.function import DeployedFunction
    from lava_s3trigger.cli.deployed.log_group import LogEvent
    from lava_s3trigger.cli.entries.source import RealmEntries
    from lava_s3trigger.cli.objects.uri import ObjectFacts
    from lava_s3trigger.decision import Decision

    from .selection import Selection
    from .state import PlannedObject, ReplayState

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
        numbers: Counter[str] = Counter()
        horizon = None
        if self.selection.chosen_by == "missing":
            horizon = self._read_log()
        self._decide(numbers, horizon)
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
        self._require_dispatches_in_log()
        client, group = self.aws.client("logs"), self.deployment.log_group
        horizon = self._log_begins(client, group)
        first = self.state.first_time()
        if first is None:
            return horizon
        start = max(horizon, first - _CLOCK_SKEW_SECONDS)
        log = FunctionLog.of(self.aws, group)
        pages = log.pages(datetime.fromtimestamp(start, UTC), pattern_of("dispatched"))
        with Progress("lines of the log read") as progress:
            self.state.note_logged(_dispatches(pages, progress))
        return horizon

    def _require_dispatches_in_log(self) -> None:
        if not self.deployment.logs_dispatches:
            raise CommandError(
                f"the log of {self.deployment.name} has no dispatches, since it logs warnings or"
                " errors alone: replay with --would-fire instead of --missing"
            )

    def _log_begins(self, client: Any, group: str) -> float:
        with reaching_aws():
            answer = client.describe_log_groups(logGroupNamePrefix=group)
        for found in answer["logGroups"]:
            if found["logGroupName"] == group:
                begins = found.get("creationTime", 0) / 1000
                days = found.get("retentionInDays")
                if days:
                    kept = (self.now - timedelta(days=days)).timestamp()
                    begins = max(begins, kept)
                return float(begins)
        raise CommandError(
            f"there is no log group {group}: without the function's log it cannot be told what"
            " is missing; replay with --would-fire instead"
        )

    def _decide(self, numbers: Counter[str], horizon: float | None) -> None:
        keeps = self._keeps(horizon)
        total = sum(self.state.numbers().values())
        with Progress("objects decided", total) as progress:
            for chunk in pieces(self.state.objects(), _CHUNK):
                tally = _Tally()
                dropped = []
                for planned in chunk:
                    decision = self._decision(planned)
                    why_not = keeps(planned, decision)
                    if why_not:
                        numbers[why_not] += 1
                        dropped.append(planned.id)
                    else:
                        tally.add(decision)
                self.state.change(dropped=dropped, counted=tally.counts())
                progress.advance(len(chunk))

    def _decision(self, planned: PlannedObject) -> Decision:
        event = planned.as_source.event(self.deployment.region)
        return decide_event(event, self.entries.triggers, self.entries.jobs)

    def _keeps(self, horizon: float | None) -> Callable[[PlannedObject, Decision], str | None]:
        """Return what tells why an object is not to be sent, or None if it is."""

        def would_fire(_: PlannedObject, decision: Decision) -> str | None:
            return None if fired(decision) else "would_not_fire"

        def missing(planned: PlannedObject, decision: Decision) -> str | None:
            wanted = fired(decision)
            if not wanted:
                return "would_not_fire"
            if planned.time < (horizon or 0.0):
                return "older_than_log"
            since = planned.time - _CLOCK_SKEW_SECONDS
            logged = self.state.logged(planned.bucket, planned.key, since)
            if not logged:
                return None
            return "dispatched_before" if wanted <= logged else "partly_dispatched"

        choices = {"would-fire": would_fire, "missing": missing}
        return choices.get(self.selection.chosen_by, lambda *_: None)


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
                names = [
                    line.text(name) or "" for name in ("bucket", "key", "trigger_id", "job_id")
                ]
                bucket, key, trigger_id, job_id = names
                yield bucket, key, trigger_id, job_id, event.time.timestamp()


def fired(decision: Decision) -> set[tuple[str, str]]:
    """Return the triggers and jobs that a decision dispatches."""
    return {
        (trigger.trigger_id, job.job_id)
        for trigger in decision.triggers
        for job in trigger.jobs
        if job.outcome == "dispatched"
    }


class _Tally:
    """Counts decisions by trigger and job."""

    def __init__(self) -> None:
        self._found: dict[tuple[str | None, str | None, str], tuple[int, list[str]]] = {}

    def add(self, decision: Decision) -> None:
        if not decision.triggers:
            self._add(decision, None, None, decision.outcome)
        for trigger in decision.triggers:
            if trigger.ended:
                self._add(decision, trigger.trigger_id, None, trigger.ended[0])
            for job in trigger.jobs:
                self._add(decision, trigger.trigger_id, job.job_id, job.outcome)

    def _add(
        self, decision: Decision, trigger_id: str | None, job_id: str | None, outcome: str
    ) -> None:
        number, examples = self._found.setdefault((trigger_id, job_id, outcome), (0, []))
        if len(examples) < MAX_EXAMPLES:
            examples.append(str(ObjectName(decision.event.bucket, decision.event.key)))
        self._found[trigger_id, job_id, outcome] = (number + 1, examples)

    def counts(self) -> Iterator[Count]:
        """Yield the counts."""
        for (trigger_id, job_id, outcome), (number, examples) in self._found.items():
            yield Count(trigger_id, job_id, outcome, number, examples)


def digests(entries: RealmEntries) -> dict[str, str]:
    """Return a digest of each entry, by its kind and id."""
    tables = {"trigger": entries.triggers.by_id, "job": getattr(entries.jobs, "by_id", {})}
    found = {}
    for kind, by_id in tables.items():
        for id_, entry in by_id.items():
            text = json.dumps(entry.item, sort_keys=True, default=str)
            digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
            found[f"{kind} {id_!a}"] = digest
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
