"""Carrying out decisions: dispatches are sent, users' mistakes are parked."""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Protocol

from .aws.deadline import Reserve
from .dispatch import Dispatch, PendingMessage, timestamp
from .log import LOGGER, log_event
from .parking import Reason, parked_message
from .sent import SentRecord, ledger_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from .aws.deadline import Deadline
    from .decision import Decision, TriggerDecision
    from .dedup.protocol import Admission
    from .errors import EntryError
    from .events import Delivery, S3Event
    from .parking import RedriveTarget
    from .sent import Key


_SLOW_SECONDS: Final = 0.001
"""Triggers that take less to test and render are logged without a duration."""
_MAX_DESCRIBED_CHARACTERS: Final = 100_000
"""Dispatches that are longer are logged without what they hold: CloudWatch Logs takes 256 KiB
in a line, and one character of a message may take several in a log line."""


class Target(Protocol):
    """Where messages go; `aws.sqs.SqsQueues` is one."""

    def send(self, messages: Sequence[PendingMessage], deadline: Deadline, reserve: float) -> None:
        """Send messages, and note on each what became of it.

        Args:
            messages: What to send.
            deadline: When to stop starting calls.
            reserve: Seconds that must be left to start one, a row of `Reserve`.
        """


@dataclass(slots=True, eq=False)
class Task:
    """An S3 event of a delivery, and what becomes of it."""

    delivery: Delivery
    event: S3Event
    redrive: RedriveTarget | None = None
    admission: Admission | None = None
    decision: Decision | None = None
    is_done: bool = False
    """Whether nothing is left to do for it: it was done before, or is a duplicate."""
    before: SentRecord | None = None
    """What earlier tries carried out, less what this one came to."""
    sent: list[tuple[str, str]] = field(default_factory=list)
    """Trigger id and job id of what was dispatched for it, now or in an earlier try."""
    parked: list[str] = field(default_factory=list)
    """Ids of triggers that were parked for it, now or in an earlier try."""
    reasons: dict[str, list[Reason]] = field(default_factory=dict)
    """By trigger id: why it must be parked."""
    failures: list[str] = field(default_factory=list)
    """Why its delivery must come again."""
    failed_triggers: set[str] = field(default_factory=set)
    dispatched: int = 0
    """Number of dispatches that were sent for it now."""
    skipped: int = 0
    """Number of things that were skipped for it now: triggers, jobs, or all of it."""
    mistakes: int = 0
    """Number of triggers that were found now to have a user's mistake, parked or not."""
    is_duplicate: bool = False
    lag: float | None = None
    """Seconds from the event to its first dispatch."""
    _key: Key | None = None

    @property
    def key(self) -> Key:
        """What identifies it in the ledger."""
        if self._key is None:
            self._key = ledger_key(self.event, self.redrive)
        return self._key

    @property
    def record(self) -> SentRecord:
        """What of it need not be done again."""
        if self.is_done or not self.failures:
            return SentRecord(is_complete=True)
        record = SentRecord(jobs=Counter(self.sent), parked=set(self.parked))
        if self.before:  # what it did not come to
            record.jobs += self.before.jobs
            record.parked |= self.before.parked
        return record

    def fail(self, kind: str, reason: str, trigger_id: str | None = None, **fields: Any) -> None:
        """Note and log that some of it was not carried out this time."""
        self.failures.append(reason)
        if trigger_id is not None:
            self.failed_triggers.add(trigger_id)
        entry, duration = self._of_entry(trigger_id)
        self.delivery.fail(
            reason,
            kind=kind,
            trigger_id=trigger_id,
            **fields,
            entry=entry,
            duration_ms=duration,
            bucket=self.event.bucket,
            key=self.event.key,
            replay=self.event.replay,
        )

    def skip(self, kind: str, reason: str, level: int = logging.INFO, **fields: Any) -> None:
        """Note and log that some of it is correctly not dispatched."""
        self.skipped += 1
        self.is_duplicate |= kind == "duplicate"
        self.log(level, "skipped", kind=kind, reason=reason, **fields)

    def drop_reason(self, trigger_id: str, job_id: str) -> None:
        """Drop the mistake of a job that was sent before: it needs no parking."""
        reasons = self.reasons.get(trigger_id, [])
        for reason in reasons:
            if reason.job_id == job_id:
                reasons.remove(reason)
                break
        if not reasons:
            self.reasons.pop(trigger_id, None)

    def log(self, level: int, event: str, trigger_id: str | None = None, **fields: Any) -> None:
        """Log something about it, or about one of its triggers."""
        if not LOGGER.isEnabledFor(level):
            return
        entry, duration = self._of_entry(trigger_id)
        s3_event = self.event
        log_event(
            level,
            event,
            trigger_id=trigger_id,
            **fields,
            entry=entry,
            duration_ms=duration,
            message_id=self.delivery.message_id,
            bucket=s3_event.bucket,
            key=s3_event.key,
            replay=s3_event.replay,
        )

    def _of_entry(self, trigger_id: str | None) -> tuple[str | None, int | None]:
        """Return what tells the version of an entry, and its milliseconds if it was slow."""
        if self.decision is None or trigger_id is None:
            return None, None
        trigger = self.decision.trigger(trigger_id)
        if trigger is None or not trigger.digest:
            return None, None
        is_slow = trigger.seconds >= _SLOW_SECONDS
        return trigger.digest, round(trigger.seconds * 1000) if is_slow else None


def report(task: Task, decision: Decision) -> None:
    """Note what was decided on a task, and log what is not to be dispatched."""
    task.decision = decision
    if decision.error:
        task.fail(decision.error.kind, str(decision.error))
    elif not decision.triggers:
        # Most buckets notify about more than lava wants.
        task.log(
            logging.DEBUG,
            "skipped",
            kind="no_trigger",
            reason="no trigger matches",
            prefixes=decision.prefixes,
        )
    for trigger in decision.triggers:
        if trigger.ended:
            _report(task, trigger.ended, trigger.errors, trigger.trigger_id)
        for job in trigger.jobs:
            if job.outcome != "dispatched":
                ended = (job.outcome, job.kind or "", job.reason or "")
                _report(task, ended, job.errors, trigger.trigger_id, job.job_id)


def _report(
    task: Task,
    ended: tuple[str, str, str],
    errors: tuple[EntryError, ...],
    trigger_id: str,
    job_id: str | None = None,
) -> None:
    outcome, kind, reason = ended
    if outcome == "mistake":
        code = errors[0].code if errors else None
        task.reasons.setdefault(trigger_id, []).append(Reason(reason, kind, job_id, code))
    elif outcome == "failed":
        task.fail(kind, reason, trigger_id, job_id=job_id)
    else:
        # What was parked is owed to somebody, so that a skip is worth a warning then.
        level = logging.WARNING if task.redrive else logging.INFO
        task.skip(kind, reason, level, trigger_id=trigger_id, job_id=job_id)


class Sender:
    """Sends what was decided.

    Args:
        target: Where messages go.
        realm: Name of the realm.
        dead_letter_queue: Name of the queue to park in, if there is one.
        now: Returns the time, with a time zone.
        describes: Whether to log what each dispatch holds, and the event that it is of.
    """

    def __init__(
        self,
        target: Target,
        realm: str,
        dead_letter_queue: str | None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        *,
        describes: bool = False,
    ) -> None:
        self._target = target
        self._describes = describes
        self._realm = realm
        self._dead_letter_queue = dead_letter_queue
        self._now = now

    def dispatch(self, tasks: Iterable[Task], deadline: Deadline) -> None:
        """Send the dispatches of tasks that no earlier try sent.

        What no queue takes is a user's mistake from then on.
        """
        now = timestamp(self._now())
        pending = [
            (task, trigger_id, dispatch, self._message(dispatch, now))
            for task in tasks
            for trigger_id, dispatch in self._unsent(task)
        ]
        self._target.send([message for *_, message in pending], deadline, Reserve.SEND)
        sent_at = self._now()
        for task, trigger_id, dispatch, message in pending:
            if message.is_sent:
                task.sent.append((trigger_id, dispatch.job_id))
                task.dispatched += 1
                if task.lag is None:
                    task.lag = (sent_at - task.event.event_time).total_seconds()
                task.log(
                    logging.INFO,
                    "dispatched",
                    trigger_id=trigger_id,
                    job_id=dispatch.job_id,
                    queue=message.queue,
                    run_id=message.run_id,
                    **(_described(task, dispatch, message) if self._describes else {}),
                )
            elif message.refusal:
                reason = Reason(message.refusal, message.refusal_kind, dispatch.job_id)
                task.reasons.setdefault(trigger_id, []).append(reason)
            else:
                text = message.failure or "not sent"
                task.fail(message.failure_kind, text, trigger_id, job_id=dispatch.job_id)

    def _message(self, dispatch: Dispatch, now: str) -> PendingMessage:
        return PendingMessage(
            dispatch.queue(self._realm),
            lambda run_id: dispatch.message(self._realm, run_id, now),
            dispatch.delay,
        )

    def _unsent(self, task: Task) -> list[tuple[str, Dispatch]]:
        """Return trigger id and dispatch of what no earlier try of the delivery sent."""
        if task.decision is None:
            return []
        unsent = []
        for trigger in task.decision.triggers:
            if task.before and _was_parked(task, trigger):
                continue
            trigger_id = trigger.trigger_id
            for job in trigger.jobs:
                if job.outcome not in ("dispatched", "mistake"):
                    continue
                if task.before and task.before.use_job(trigger_id, job.job_id):
                    task.sent.append((trigger_id, job.job_id))
                    task.drop_reason(trigger_id, job.job_id)
                    task.skip(
                        "sent_before",
                        "sent before its delivery failed",
                        trigger_id=trigger_id,
                        job_id=job.job_id,
                    )
                elif job.dispatch:
                    unsent.append((trigger_id, job.dispatch))
        return unsent

    def park(self, tasks: Iterable[Task], deadline: Deadline) -> None:
        """Park users' mistakes; without a queue for them, log them as errors."""
        parking = []
        for task in tasks:
            for trigger_id, reasons in task.reasons.items():
                if self._is_to_park(task, trigger_id, reasons):
                    parking.append(
                        (task, trigger_id, self._parked_message(task, trigger_id, reasons))
                    )
        if not parking:
            return
        self._target.send([message for *_, message in parking], deadline, Reserve.PARK)
        for task, trigger_id, message in parking:
            reasons = task.reasons[trigger_id]
            if message.is_sent:
                # What was sent for it is in the message, and need not be remembered.
                task.sent = [each for each in task.sent if each[0] != trigger_id]
                task.parked.append(trigger_id)
                task.mistakes += 1
                _log_reasons(task, "parked", trigger_id, reasons)
            else:
                why = message.refusal or message.failure
                text = f"parking ({reasons[0].text}): {why}"
                task.fail("parking_failed", text, trigger_id, job_id=reasons[0].job_id)

    def _is_to_park(self, task: Task, trigger_id: str, reasons: list[Reason]) -> bool:
        if trigger_id in task.failed_triggers:
            return False  # its delivery comes again, and then all that was sent is known
        if not self._dead_letter_queue:
            task.mistakes += 1
            _log_reasons(task, "mistake", trigger_id, reasons)
            return False
        if task.redrive and self._stays(task, task.redrive):
            first = reasons[0]
            task.fail(
                "waiting",
                f"parked before, and not mended: {first.text}",
                trigger_id,
                job_id=first.job_id,
            )
            return False
        return True

    def _stays(self, task: Task, redrive: RedriveTarget) -> bool:
        """Tell whether a parked message stays as it is.

        Where nothing new was dispatched, another message would say the same, and would
        be given back as soon, for as long as the mapping is on. And one that names a
        single job cannot be written anew.
        """
        is_of_queue = task.delivery.queue == self._dead_letter_queue
        return redrive.only_job is not None or (is_of_queue and not task.sent)

    def _parked_message(self, task: Task, trigger_id: str, reasons: list[Reason]) -> PendingMessage:
        if task.before:
            # Also what the entry no longer names: it may name it again.
            task.sent += task.before.use_rest(trigger_id)
        done = [job_id for sent_id, job_id in task.sent if sent_id == trigger_id]
        if task.redrive:
            done += task.redrive.done
        now = self._now()
        return PendingMessage(
            self._dead_letter_queue or "",
            lambda _: parked_message(
                task.event.record, trigger_id, reasons, done, now, task.event.replay
            ),
        )


def _described(task: Task, dispatch: Dispatch, message: PendingMessage) -> dict[str, Any]:
    """Return what a comparison with another function's dispatches needs."""
    fields: dict[str, Any] = {
        "worker": dispatch.worker,
        "event_type": task.event.event_type,
        "size": task.event.size,
        "route": task.delivery.route,
    }
    if len(message.text) <= _MAX_DESCRIBED_CHARACTERS:
        fields["parameters"] = dispatch.parameters
        fields["globals"] = dispatch.globals
    return fields


def _was_parked(task: Task, trigger: TriggerDecision) -> bool:
    """Tell whether an earlier try parked a trigger: the parked message carries it out."""
    trigger_id = trigger.trigger_id
    if not task.before or trigger_id not in task.before.parked:
        return False
    task.parked.append(trigger_id)
    task.reasons.pop(trigger_id, None)
    task.skip("sent_before", "parked before its delivery failed", trigger_id=trigger_id)
    return True


def _log_reasons(task: Task, event: str, trigger_id: str, reasons: list[Reason]) -> None:
    for reason in reasons:
        task.log(
            logging.ERROR,
            event,
            kind=reason.kind,
            code=reason.code,
            reason=reason.text,
            trigger_id=trigger_id,
            job_id=reason.job_id,
        )
