"""Which dispatches an S3 event causes, and why it causes no others.

This is the only decider: it reads tables and sends nothing, and the handler sends what it
decides. A decision records its reasons, for the log and for the command line: the prefixes
tried, each condition with the value that it tested, and each job.
See docs/design.md#trace.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from .aws.deadline import UNLIMITED, Deadline, Reserve
from .dispatch import Dispatch
from .errors import RetryableError, UnexpectedError, UserError
from .jobs import MAX_JOB_ID_BYTES
from .outcomes import Outcome, OutcomeName, most_notable
from .templates.documents import CompileError, Document, RenderingError, Variables, variables
from .triggers import WHOLE_BUCKET, BrokenTrigger, Trigger
from .units import shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from .conditions import Condition
    from .errors import EntryError
    from .events import S3Event
    from .jobs import Job
    from .parking import RedriveTarget
    from .sent import SentRecord
    from .triggers import Walk


class Triggers(Protocol):
    """Where triggers are looked up."""

    def matching(self, bucket: str, key: str) -> Walk:
        """Walk up the prefixes of a key, to the longest that has any entry."""


class Jobs(Protocol):
    """Where jobs are looked up."""

    def __getitem__(self, job_id: str) -> Job:
        """Return a job."""


@dataclass(slots=True)
class TestedCondition:
    """A condition, with the value that it tested."""

    condition: Condition
    value: Any
    holds: bool


@dataclass(slots=True)
class JobDecision:
    """What was decided for one job of a trigger: a dispatch, or an outcome without one."""

    job_id: str
    position: int
    """Which of the trigger's jobs it is, from 0."""
    dispatch: Dispatch | None = None
    ended: Outcome | None = None

    @property
    def errors(self) -> tuple[EntryError, ...]:
        """Errors of the job's entry."""
        return self.ended.errors if self.ended else ()

    @property
    def outcome(self) -> OutcomeName:
        """Its outcome, if the dispatch can be sent."""
        return self.ended.outcome if self.ended else "dispatched"

    @property
    def kind(self) -> str | None:
        """The kind of skip, user error or failure."""
        return self.ended.kind if self.ended else None

    @property
    def reason(self) -> str | None:
        """Why there is no dispatch."""
        return self.ended.reason if self.ended else None


@dataclass(slots=True)
class TriggerDecision:
    """What was decided for one matching trigger."""

    trigger_id: str
    prefix: str
    conditions: list[TestedCondition] = field(default_factory=list)
    jobs: list[JobDecision] = field(default_factory=list)
    ended: Outcome | None = None
    """Its outcome, if the trigger ended before its jobs."""
    digest: str | None = None
    """Digest of the entry."""
    seconds: float = field(default=0.0, compare=False)
    """How long its conditions and templates took."""

    @property
    def outcome(self) -> OutcomeName:
        """The most notable outcome: its own, or else one of its jobs."""
        return self.ended.outcome if self.ended else most_notable(job.outcome for job in self.jobs)

    @property
    def outcomes(self) -> Iterator[Outcome]:
        """The outcomes other than dispatches: its own, or those of its jobs."""
        if self.ended:
            yield self.ended
        for job in self.jobs:
            if job.ended:
                yield job.ended

    def end(self, outcome: OutcomeName, kind: str, reason: str) -> None:
        """Record why the trigger ended before its jobs."""
        self.ended = Outcome(outcome, kind, reason, self.trigger_id)


@dataclass(slots=True)
class Decision:
    """What an S3 event causes, and how that was decided."""

    event: S3Event
    redrive: RedriveTarget | None = None
    """What a parked message asks for, if the event is in one."""
    prefixes: tuple[str, ...] = ()
    """The prefixes that were tried, in order. Only the last one can have entries."""
    entries: int = 0
    """Number of entries at the last prefix."""
    triggers: list[TriggerDecision] = field(default_factory=list)
    ended: Outcome | None = None
    """The failure to look triggers up."""

    def trigger(self, trigger_id: str | None) -> TriggerDecision | None:
        """Return what was decided for a trigger, if it matches."""
        for trigger in self.triggers:
            if trigger.trigger_id == trigger_id:
                return trigger
        return None

    @property
    def outcome(self) -> OutcomeName:
        """The most notable outcome of its triggers."""
        if self.ended:
            return self.ended.outcome
        return most_notable(trigger.outcome for trigger in self.triggers)

    @property
    def outcomes(self) -> Iterator[Outcome]:
        """The outcomes other than dispatches."""
        if self.ended:
            yield self.ended
        for trigger in self.triggers:
            yield from trigger.outcomes


def decide(  # noqa: PLR0913, PLR0917 - the last three have defaults
    event: S3Event,
    triggers: Triggers,
    jobs: Jobs,
    deadline: Deadline = UNLIMITED,
    redrive: RedriveTarget | None = None,
    before: SentRecord | None = None,
) -> Decision:
    """Decide what an S3 event causes.

    Args:
        event: The event.
        triggers: Where triggers are looked up.
        jobs: Where jobs are looked up.
        deadline: Triggers for which no time is left are failures.
        redrive: What a parked message asks for: one trigger, without its dispatched jobs.
        before: What earlier attempts carried out. It is skipped and used up.
    """
    decision = Decision(event, redrive)
    for _ in decide_each(decision, triggers, jobs, deadline, before):
        pass
    return decision


def decide_each(
    decision: Decision,
    triggers: Triggers,
    jobs: Jobs,
    deadline: Deadline,
    before: SentRecord | None = None,
) -> Iterator[TriggerDecision]:
    """Yield the decisions on the triggers of an event one by one; see `decide`.

    So dispatches can be sent, and rendered documents freed, before the next trigger renders.

    Args:
        decision: The decision on the event, to which each decision is added.
        triggers: Where triggers are looked up.
        jobs: Where jobs are looked up.
        deadline: Triggers for which no time is left are failures.
        before: What earlier attempts carried out.
    """
    event, redrive = decision.event, decision.redrive
    try:
        decision.prefixes, matching = triggers.matching(event.bucket, event.key)
    except Exception as error:  # noqa: BLE001 - a defect must not stop other events
        decision.ended = _outcome_of(error)
        return
    decision.entries = len(matching)
    if redrive:
        matching = [trigger for trigger in matching if trigger.trigger_id == redrive.trigger_id]
        if not matching:
            decided = TriggerDecision(redrive.trigger_id, "")
            decided.end("failed", "waiting", _waiting(redrive, "no longer matches the object"))
            decision.triggers.append(decided)
            yield decided
    if matching:
        decider = _Decider(event, jobs, variables(event), redrive, before)
        for trigger in matching:
            decided = TriggerDecision(trigger.trigger_id, trigger.prefix, digest=trigger.digest)
            decision.triggers.append(decided)
            try:
                deadline.require(Reserve.DECIDE, "deciding")
                decider.decide(decided, trigger)
            except Exception as error:  # noqa: BLE001 - a defect must not stop other triggers
                decided.ended = _outcome_of(error, trigger.trigger_id)
            yield decided


def _outcome_of(
    error: Exception, trigger_id: str | None = None, job_id: str | None = None
) -> Outcome:
    """Return the outcome for an error: a user error, or a failure."""
    if isinstance(error, UserError):
        return Outcome(
            "user_error", error.kind, str(error), trigger_id, job_id, errors=error.errors
        )
    if not isinstance(error, RetryableError):
        error = UnexpectedError.of(error)
    return Outcome("failed", error.kind, str(error), trigger_id, job_id)


def _waiting(redrive: RedriveTarget, why: str) -> str:
    return (
        f"trigger {shown(redrive.trigger_id)} {why}: the parked message waits for the entry,"
        " or for an operator to delete it"
    )


@dataclass(slots=True)
class _Decider:
    """Decides on the triggers of one S3 event."""

    event: S3Event
    jobs: Jobs
    variables: Variables
    """What templates know."""
    redrive: RedriveTarget | None
    before: SentRecord | None

    def decide(self, decided: TriggerDecision, trigger: Trigger | BrokenTrigger) -> None:
        if self.before and decided.trigger_id in self.before.parked:
            # The parked message carries it out.
            decided.end("skipped", "sent_before", "parked before its delivery failed")
            return
        if isinstance(trigger, BrokenTrigger):
            raise UserError(trigger.reason, "bad_entry", trigger.errors)
        if not trigger.enabled:
            if self.redrive:
                decided.end("failed", "waiting", _waiting(self.redrive, "is disabled"))
            else:
                decided.end("skipped", "trigger_disabled", _disabled(trigger))
            return
        started = time.perf_counter()
        try:
            rendered = trigger.confinement.run(
                lambda: self._test(decided, trigger), lambda: self._render(trigger)
            )
        finally:
            decided.seconds = time.perf_counter() - started
        if rendered is None:
            decided.end("skipped", "condition_not_met", _unmet(decided))
            return
        job_ids, parameters, globals_ = rendered
        wanted: Iterable[tuple[int, str]] = enumerate(job_ids)
        if self.redrive:
            wanted = self.redrive.remaining(job_ids)
        for position, job_id in wanted:
            job = JobDecision(job_id, position)
            decided.jobs.append(job)
            self._decide_job(decided.trigger_id, job, trigger.delay, parameters, globals_)

    def _test(self, decided: TriggerDecision, trigger: Trigger) -> bool:
        """Test all conditions, and record each with the value that it tested."""
        decided.conditions = []
        all_hold = True
        for condition in trigger.conditions:
            value = condition.value(self.event)
            holds = condition.holds(value)
            decided.conditions.append(TestedCondition(condition, value, holds))
            all_hold &= holds
        return all_hold

    def _render(self, trigger: Trigger) -> tuple[list[str], dict[str, Any], dict[str, Any]]:
        """Render the job ids, parameters and globals of a trigger.

        Raises:
            UserError: One cannot be rendered; the message names the field.
        """
        return (
            # A longer id names no job. It is cut, but stays long enough to name none.
            [
                self._render_field("job_id", document, trigger)[: MAX_JOB_ID_BYTES + 1]
                for document in trigger.job_ids
            ],
            self._render_field("parameters", trigger.parameters, trigger),
            self._render_field("globals", trigger.globals, trigger),
        )

    def _render_field(self, name: str, document: Document | None, trigger: Trigger) -> Any:
        try:
            return document.render(self.variables) if document else {}
        except RenderingError as error:
            errors = trigger.template_errors() if isinstance(error, CompileError) else ()
            raise UserError(f"{name}: {error}", "rendering_failed", errors) from None

    def _decide_job(
        self,
        trigger_id: str,
        decided: JobDecision,
        delay: int,
        parameters: dict[str, Any],
        globals_: dict[str, Any],
    ) -> None:
        job_id = decided.job_id
        if self.before and self.before.use_job(trigger_id, job_id):
            reason = "sent before its delivery failed"
            decided.ended = Outcome("skipped", "sent_before", reason, trigger_id, job_id)
            return
        try:
            job = self.jobs[job_id]
        except Exception as error:  # noqa: BLE001 - a defect must not stop other jobs
            decided.ended = _outcome_of(error, trigger_id, job_id)
            return
        if job.enabled:
            decided.dispatch = Dispatch(
                job_id=job_id,
                worker=job.worker,
                parameters=parameters,
                globals=globals_,
                delay=delay,
            )
        else:
            reason = "the job is disabled"
            decided.ended = Outcome("skipped", "job_disabled", reason, trigger_id, job_id)


def _disabled(trigger: Trigger) -> str:
    if trigger.prefix == WHOLE_BUCKET:
        return "the trigger is disabled"
    return f"the trigger is disabled; it hides entries at prefixes above {shown(trigger.prefix)}"


def _unmet(decided: TriggerDecision) -> str:
    unmet = [tested.condition for tested in decided.conditions if not tested.holds]
    return "not met: " + ", ".join(
        f"{condition.field} {shown(condition.argument)}" for condition in unmet
    )
