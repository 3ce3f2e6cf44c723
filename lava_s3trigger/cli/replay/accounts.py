"""Explains objects that look missing: from the log, dead letters, and earlier replays.

Queues are read before the log, since an event leaves a queue before it is logged.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from lava_s3trigger.cli.deployed.aws import reaching_aws
from lava_s3trigger.cli.deployed.dead_letter_queues import DeadLetterQueue, MissingQueueError
from lava_s3trigger.cli.deployed.log_group import FunctionLog, pattern_of
from lava_s3trigger.cli.deployed.log_line import read_line
from lava_s3trigger.cli.errors import CommandError
from lava_s3trigger.cli.output.escaping import safe
from lava_s3trigger.cli.output.progress import Progress
from lava_s3trigger.cli.output.streams import message

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from lava_s3trigger.cli.deployed.aws import Aws
    from lava_s3trigger.cli.deployed.dead_letter_queues import DeadLetter
    from lava_s3trigger.cli.deployed.function import DeployedFunction
    from lava_s3trigger.cli.deployed.log_group import LogEvent

    from .state import PlannedObject, ReplayState

NOT_SEEN: Final = (
    "events in Lambda's own queue of asynchronous invocations, where they wait for up to 6 hours",
    "events in other queues that feed the function",
    "what the function handled in the last minutes, as far as the log does not have it yet",
)
"""Possible explanations that cannot be read."""
_CLOCK_SKEW_SECONDS: Final = 60.0
"""Seconds by which the clocks of S3 and of the log may differ."""
_MAX_LATE_SECONDS: Final = 3_600.0
"""Seconds by which a line of the log may arrive late; `--settle` may raise it."""


@dataclass
class Accounts:
    """Reads the explanations for the objects of a plan.

    Args:
        state: The plan; what is read is recorded in it.
        deployment: The function.
        aws: The account of the log and the queues.
        now: The time, with a time zone.
        intakes: Names of queues that feed the function, in addition to the stack's.
    """

    state: ReplayState
    deployment: DeployedFunction
    aws: Aws
    now: datetime
    intakes: Collection[str] = ()
    obstacles: list[str] = field(default_factory=list)
    """Why objects that seem missing may not be missing, and what to do."""
    redriven_at: datetime | None = None
    """The latest time at which dead letters may have been redriven."""
    _horizon: float = 0.0
    """The time from which the log has dispatches, in seconds since 1970."""

    @cached_property
    def _settle(self) -> float:
        return float(self.state.get("settle"))

    def read(self) -> None:
        """Read the queues, and the new part of the log.

        Raises:
            CommandError: One of them cannot be read, or the log has no dispatches.
        """
        self.obstacles = []
        sqs = self.aws.client("sqs")
        self._count_intake(sqs)
        self._read_dead_letters(sqs)
        self._read_log()
        if not self.obstacles:
            self._count_intake(sqs)  # new dead letters

    def why_not_missing(
        self, planned: PlannedObject, wanted: Collection[tuple[str | None, str | None]]
    ) -> str | None:
        """Return the explanation for an object; None if it is missing.

        Args:
            planned: The object.
            wanted: Trigger and job of each dispatch that it would cause.
        """
        place = planned.bucket, planned.key
        if planned.time > self.now.timestamp() - self._settle:
            return "too_young"
        if planned.time < self._horizon:
            return "older_than_log"
        since = planned.time - _CLOCK_SKEW_SECONDS
        logged = self.state.logged(*place, since)
        if logged.issuperset(wanted):
            return "dispatched_before"
        if self.state.is_waiting(*place):
            return "dead_letter"
        if logged:
            return "partly_dispatched"
        return "handed_over" if self.state.was_handed_over(*place, since) else None

    # The log.

    def _read_log(self) -> None:
        if not self.deployment.logs_dispatches:
            raise CommandError(
                f"the log of {self.deployment.name} has no dispatches, since it logs warnings or"
                " errors only: replay with --would-fire instead of --missing"
            )
        group = self.deployment.log_group
        horizon = self.state.get("horizon")
        self._horizon = self._log_begins(group) if horizon is None else horizon
        before, first = self.state.get("log_read_at"), self.state.first_time()
        if before is not None:
            first = before - max(self._settle, _MAX_LATE_SECONDS)
        if first is not None:
            start = datetime.fromtimestamp(max(self._horizon, first - _CLOCK_SKEW_SECONDS), UTC)
            pages = FunctionLog.of(self.aws, group).pages(start, pattern_of("dispatched"))
            with Progress("lines of the log read") as progress:
                self.state.note_logged(_dispatches(pages, progress))
        self.state.note(horizon=self._horizon, log_read_at=self.now.timestamp())

    def _log_begins(self, group: str) -> float:
        """Return the time from which the log has dispatches, in seconds since 1970."""
        client = self.aws.client("logs")
        with reaching_aws():
            answer = client.describe_log_groups(logGroupNamePrefix=group)
        for log_group in answer["logGroups"]:
            if log_group["logGroupName"] == group:
                begins = log_group.get("creationTime", 0) / 1000
                if days := log_group.get("retentionInDays"):
                    begins = max(begins, (self.now - timedelta(days=days)).timestamp())
                return float(begins)
        raise CommandError(
            f"there is no log group {group}: without the function's log it is unknown what"
            " is missing; replay with --would-fire instead"
        )

    # Queues.

    def _count_intake(self, sqs: Any) -> None:
        for name in dict.fromkeys([self.deployment.intake_queue, *self.intakes]):
            try:
                counts = DeadLetterQueue(sqs, name, self.deployment.region).counts()
            except MissingQueueError:
                continue  # a stack need not have an intake
            if counts.total:
                self.obstacles.append(
                    f"queue {name} has messages for the function ({counts}): wait until it has"
                    " handled them"
                )

    def _read_dead_letters(self, sqs: Any) -> None:
        """Record which objects wait in dead-letter queues, and when these were redriven."""
        own, of_intake = (
            self.deployment.dead_letter_queue,
            f"{self.deployment.intake_queue}-dlq",
        )
        times: list[datetime] = []
        objects: set[tuple[str, str]] = set()
        for name in dict.fromkeys(filter(None, [own, of_intake])):
            try:
                queue = DeadLetterQueue(sqs, name, self.deployment.region)
            except MissingQueueError:
                if name == own:
                    raise
                continue  # a stack need not have an intake
            times += self._changes_of_mapping(queue) if name == own else _moves(sqs, queue)
            objects |= self._objects_in(queue)
        self.state.note_waiting(objects)
        self._note_redriven(max(times, default=None))

    def _objects_in(self, queue: DeadLetterQueue) -> set[tuple[str, str]]:
        """Return the objects in a dead-letter queue, and record the obstacles."""
        counts = queue.counts()
        if counts.unseen:
            self.obstacles.append(
                f"queue {queue.name} has messages that cannot be read now ({counts}), so that their"
                " objects are not known: wait until they are visible, or redriven"
            )
        letters: list[DeadLetter] = []
        with ExitStack() as stack:
            stack.callback(queue.release, letters)
            letters.extend(queue.read())
        concerning = [letter for letter in letters if self._concerns(letter)]
        if concerning:
            examples = [place for letter in concerning for place in letter.places[:1]][:1]
            such = f", such as of {examples[0]}" if examples else ""
            self.obstacles.append(
                f"queue {queue.name} has {len(concerning):,} dead letters that may be of objects of"
                f" this replay{such}: `lava-s3trigger dead-letters` lists them; redrive or discard"
                " them first"
            )
        events = (named_event.event for letter in letters for named_event in letter.events)
        return {(event.bucket, event.key) for event in events}

    def _concerns(self, letter: DeadLetter) -> bool:
        """Return whether a dead letter may concern an object below the prefixes of the replay."""
        prefixes = self.state.get("prefixes")
        return not letter.events or any(
            named_event.event.key.startswith(prefixes[named_event.event.bucket])
            for named_event in letter.events
            if named_event.event.bucket in prefixes
        )

    def _note_redriven(self, at: datetime | None) -> None:
        self.redriven_at = at
        if at is None:
            return
        settled_at = at + timedelta(seconds=self._settle)
        if settled_at > self.now:
            self.obstacles.append(
                f"dead letters may have been redriven at {_shown(at)}, and the log comes late: wait"
                f" until {_shown(settled_at)}"
            )

    def _changes_of_mapping(self, queue: DeadLetterQueue) -> list[datetime]:
        """Return when the mapping of a dead-letter queue was turned on or off; now if it is on."""
        client = self.aws.client("lambda")
        with reaching_aws():
            try:
                answer = client.list_event_source_mappings(
                    FunctionName=self.deployment.arn, EventSourceArn=queue.arn
                )
            except client.exceptions.ResourceNotFoundException:
                return []
        return [
            mapping["LastModified"] if mapping.get("State") == "Disabled" else self.now
            for mapping in answer["EventSourceMappings"]
        ]


def _moves(sqs: Any, queue: DeadLetterQueue) -> list[datetime]:
    """Return when messages of a queue were moved back, as far as SQS lists it."""
    with reaching_aws():
        try:
            answer = sqs.list_message_move_tasks(SourceArn=queue.arn, MaxResults=10)
        except sqs.exceptions.ClientError as error:
            code = error.response["Error"]["Code"]
            message(f"not known when messages of {queue.name} were moved back: {safe(code)}")
            return []
    return [
        datetime.fromtimestamp(int(task["StartedTimestamp"]) / 1000, UTC)
        for task in answer.get("Results", ())
    ]


def _shown(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


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
