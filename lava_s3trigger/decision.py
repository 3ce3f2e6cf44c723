"""Which dispatches an S3 event causes, and why it causes no others.

This is the one decider: the handler sends what it decides. It looks things up and sends
nothing. A decision records how it came about, for the log and for the command line: the
prefixes tried, each condition with the value that it saw, and each job.
See docs/design.md#trace.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol

from .aws.deadline import UNLIMITED, Deadline, Reserve
from .dispatch import Dispatch
from .errors import RetryableError, UnexpectedError, UserError
from .templates.documents import CompileError, Document, RenderingError, Variables, variables
from .triggers import WHOLE_BUCKET, BrokenTrigger, Trigger
from .units import shown

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .conditions import Condition
    from .errors import EntryError
    from .events import S3Event
    from .jobs import Job
    from .parking import RedriveTarget
    from .triggers import Walk

Outcome = Literal["dispatched", "skipped", "mistake", "failed"]
OUTCOMES: Final[tuple[Outcome, ...]] = ("dispatched", "mistake", "failed", "skipped")
"""Of several outcomes, the first of these stands for all."""


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
    """A condition, with the value that it saw."""

    condition: Condition
    value: Any
    holds: bool


@dataclass(slots=True)
class JobDecision:
    """What is to become of one job of a trigger."""

    job_id: str
    position: int
    """Which of the trigger's jobs it is, from 0."""
    outcome: Outcome
    kind: str | None = None
    """What sort of skip, mistake or failure it is: one of a small set, for the log."""
    reason: str | None = None
    dispatch: Dispatch | None = None
    errors: tuple[EntryError, ...] = ()
    """Those of the job's entry."""


@dataclass(slots=True)
class TriggerDecision:
    """What is to become of one matching trigger."""

    trigger_id: str
    prefix: str
    conditions: list[TestedCondition] = field(default_factory=list)
    jobs: list[JobDecision] = field(default_factory=list)
    ended: tuple[Outcome, str, str] | None = None
    """Outcome, kind and reason, where it ended before its jobs."""
    errors: tuple[EntryError, ...] = ()
    """Those of the entry, where it ended because of them."""
    digest: str | None = None
    """That of the entry."""
    seconds: float = field(default=0.0, compare=False)
    """How long its conditions and templates took."""

    @property
    def outcome(self) -> Outcome:
        """The most notable outcome: its own, or else one of its jobs."""
        if self.ended:
            return self.ended[0]
        return min((job.outcome for job in self.jobs), key=OUTCOMES.index, default="skipped")

    def end(self, outcome: Outcome, kind: str, reason: str) -> None:
        """Note why it does not come to its jobs."""
        self.ended = (outcome, kind, reason)


@dataclass(slots=True)
class Decision:
    """What an S3 event causes, and how that was decided."""

    event: S3Event
    redrive: RedriveTarget | None = None
    """What a parked message asks for, where the event comes from one."""
    prefixes: tuple[str, ...] = ()
    """The prefixes that were tried, in order. Only the last may have entries."""
    entries: int = 0
    """Number of entries at the last of them."""
    triggers: list[TriggerDecision] = field(default_factory=list)
    error: RetryableError | None = None
    """Why triggers could not be looked up."""

    def trigger(self, trigger_id: str | None) -> TriggerDecision | None:
        """Return what is to become of a trigger, if it matches."""
        for trigger in self.triggers:
            if trigger.trigger_id == trigger_id:
                return trigger
        return None

    @property
    def outcome(self) -> Outcome:
        """The most notable outcome of its triggers."""
        if self.error:
            return "failed"
        return min((each.outcome for each in self.triggers), key=OUTCOMES.index, default="skipped")


def decide(
    event: S3Event,
    triggers: Triggers,
    jobs: Jobs,
    deadline: Deadline = UNLIMITED,
    redrive: RedriveTarget | None = None,
) -> Decision:
    """Decide what an S3 event causes.

    Args:
        event: The event.
        triggers: Where triggers are looked up.
        jobs: Where jobs are looked up.
        deadline: Triggers for which no time is left are failures.
        redrive: What a parked message asks for: one trigger, without what is done.
    """
    decision = Decision(event, redrive)
    try:
        decision.prefixes, matching = triggers.matching(event.bucket, event.key)
    except RetryableError as error:
        decision.error = error
        return decision
    except Exception as error:  # noqa: BLE001 - a defect must not stop other events
        decision.error = UnexpectedError.of(error)
        return decision
    decision.entries = len(matching)
    if redrive:
        matching = [trigger for trigger in matching if trigger.trigger_id == redrive.trigger_id]
        if not matching:
            found = TriggerDecision(redrive.trigger_id, "")
            found.end("failed", "waiting", _waiting(redrive, "no longer matches the object"))
            decision.triggers.append(found)
    if matching:
        decider = _Decider(event, jobs, variables(event), redrive)
        for trigger in matching:
            found = TriggerDecision(trigger.trigger_id, trigger.prefix, digest=trigger.digest)
            decision.triggers.append(found)
            try:
                deadline.require(Reserve.DECIDE, "deciding")
                decider.decide(found, trigger)
            except UserError as error:
                found.end("mistake", error.kind, str(error))
                found.errors = error.errors
            except RetryableError as error:
                found.end("failed", error.kind, str(error))
            except Exception as error:  # noqa: BLE001 - a defect must not stop other triggers
                found.end("failed", UnexpectedError.kind, str(UnexpectedError.of(error)))
    return decision


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

    def decide(self, found: TriggerDecision, trigger: Trigger | BrokenTrigger) -> None:
        if isinstance(trigger, BrokenTrigger):
            raise UserError(trigger.reason, "bad_entry", trigger.errors)
        if not trigger.enabled:
            if self.redrive:
                found.end("failed", "waiting", _waiting(self.redrive, "is disabled"))
            else:
                found.end("skipped", "trigger_disabled", _disabled(trigger))
            return
        started = time.perf_counter()
        try:
            rendered = trigger.confinement.run(
                lambda: self._test(found, trigger), lambda: self._render(trigger)
            )
        finally:
            found.seconds = time.perf_counter() - started
        if rendered is None:
            found.end("skipped", "condition_not_met", _unmet(found))
            return
        job_ids, parameters, globals_ = rendered
        wanted: Iterable[tuple[int, str]] = enumerate(job_ids)
        if self.redrive:
            wanted = self.redrive.remaining(job_ids)
        for position, job_id in wanted:
            job = JobDecision(job_id, position, "dispatched")
            found.jobs.append(job)
            self._decide_job(job, trigger.delay, parameters, globals_)
        if self.redrive and self.redrive.only_job is not None and not found.jobs:
            why = f"does not name job {shown(self.redrive.only_job)}"
            found.end("failed", "waiting", _waiting(self.redrive, why))

    def _test(self, found: TriggerDecision, trigger: Trigger) -> bool:
        """Test all conditions, and record each with the value that it saw."""
        found.conditions = []
        all_hold = True
        for condition in trigger.conditions:
            value = condition.value(self.event)
            holds = condition.holds(value)
            found.conditions.append(TestedCondition(condition, value, holds))
            all_hold &= holds
        return all_hold

    def _render(self, trigger: Trigger) -> tuple[list[str], dict[str, Any], dict[str, Any]]:
        """Render the job ids, parameters and globals of a trigger.

        Raises:
            UserError: One cannot be rendered; the message names the field.
        """
        return (
            [self._render_field("job_id", document, trigger) for document in trigger.job_ids],
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
        found: JobDecision,
        delay: int,
        parameters: dict[str, Any],
        globals_: dict[str, Any],
    ) -> None:
        try:
            job = self.jobs[found.job_id]
        except UserError as error:
            found.outcome, found.kind, found.reason = "mistake", error.kind, str(error)
            found.errors = error.errors
        except RetryableError as error:
            found.outcome, found.kind, found.reason = "failed", error.kind, str(error)
        else:
            if job.enabled:
                found.dispatch = Dispatch(
                    job_id=found.job_id,
                    worker=job.worker,
                    parameters=parameters,
                    globals=globals_,
                    delay=delay,
                )
            else:
                found.outcome, found.kind = "skipped", "job_disabled"
                found.reason = "the job is disabled"


def _disabled(trigger: Trigger) -> str:
    if trigger.prefix == WHOLE_BUCKET:
        return "the trigger is disabled"
    return f"the trigger is disabled; it hides entries at prefixes above {shown(trigger.prefix)}"


def _unmet(found: TriggerDecision) -> str:
    unmet = [each.condition for each in found.conditions if not each.holds]
    return "not met: " + ", ".join(f"{each.field} {shown(each.argument)}" for each in unmet)
