"""Which dispatches an S3 event causes, and why it causes no others.

The one decider: the handler sends what it decides, `explain` prints it. It looks
things up and changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol

from .aws.clients import SLOWEST_CALL
from .aws.deadline import UNLIMITED, Deadline
from .dispatch import Dispatch
from .errors import OutOfTimeError, ServiceError, UnexpectedError, UserError
from .templates.confinement import MAX_RUN_SECONDS
from .templates.documents import Document, RenderingError, variables
from .triggers import BrokenTrigger, Trigger
from .units import shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .events import RedriveTarget, S3Event
    from .jobs import Job

    _Rendered = tuple[list[str], dict[str, Any], dict[str, Any]]


_LEAST: Final = MAX_RUN_SECONDS + 2 * SLOWEST_CALL
"""Seconds that must be left to decide on a trigger: to test, to compile, to render, to send,
to park."""


class Triggers(Protocol):
    """Where triggers are looked up."""

    def matching(self, bucket: str, key: str) -> Sequence[Trigger | BrokenTrigger]:
        """Give the entries at the longest prefix of the key that has any."""


class Jobs(Protocol):
    """Where jobs are looked up."""

    def __getitem__(self, job_id: str) -> Job:
        """Give a job."""


@dataclass(frozen=True, slots=True)
class Skip:
    """Something that is not dispatched, as it should be, and why."""

    reason: str
    trigger_id: str | None = None
    job_id: str | None = None


@dataclass(frozen=True, slots=True)
class Mistake:
    """Something that cannot be dispatched before a user mends it."""

    reason: str
    trigger_id: str
    job_id: str | None = None
    position: int | None = None


@dataclass(frozen=True, slots=True)
class Failure:
    """Something that could not be decided this time."""

    error: ServiceError | OutOfTimeError | UnexpectedError
    trigger_id: str | None = None
    job_id: str | None = None


@dataclass(slots=True)
class Decision:
    """What an S3 event causes."""

    event: S3Event
    dispatches: list[Dispatch] = field(default_factory=list)
    skips: list[Skip] = field(default_factory=list)
    mistakes: list[Mistake] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)


def decide(
    event: S3Event, triggers: Triggers, jobs: Jobs, deadline: Deadline = UNLIMITED
) -> Decision:
    """Decide what an S3 event causes.

    Args:
        event: The event.
        triggers: Where triggers are looked up.
        jobs: Where jobs are looked up.
        deadline: When to stop; what was not decided is a failure.
    """
    decision = Decision(event)
    try:
        matching = triggers.matching(event.bucket, event.key)
    except (ServiceError, OutOfTimeError) as error:
        decision.failures.append(Failure(error))
        return decision
    except Exception as error:  # noqa: BLE001 - other events do not suffer from a defect
        decision.failures.append(Failure(UnexpectedError.of(error)))
        return decision
    if event.only:
        matching = [each for each in matching if each.trigger_id == event.only.trigger_id]
    if not matching:
        decision.skips.append(Skip(_nothing_matches(event)))
        return decision
    known = variables(event)
    for trigger in matching:
        if not deadline.allows(_LEAST):
            late = OutOfTimeError("too little time was left to decide")
            decision.failures.append(Failure(late, trigger.trigger_id))
            continue
        try:
            _decide_trigger(decision, trigger, jobs, known)
        except Exception as error:  # noqa: BLE001 - other triggers do not suffer from a defect
            decision.failures.append(Failure(UnexpectedError.of(error), trigger.trigger_id))
    return decision


def _nothing_matches(event: S3Event) -> str:
    if event.only:
        return f"trigger {shown(event.only.trigger_id)} no longer matches"
    return "no trigger matches the bucket and key"


def _decide_trigger(
    decision: Decision,
    trigger: Trigger | BrokenTrigger,
    jobs: Jobs,
    known: dict[str, Any],
) -> None:
    trigger_id = trigger.trigger_id
    if isinstance(trigger, BrokenTrigger):
        decision.mistakes.append(Mistake(str(trigger.mistake), trigger_id))
    elif not trigger.enabled:
        decision.skips.append(Skip("the trigger is disabled", trigger_id))
    else:
        try:
            rendered = trigger.confinement.run(
                lambda: not _unmet(trigger, decision.event), lambda: _render(trigger, known)
            )
        except UserError as error:
            decision.mistakes.append(Mistake(str(error), trigger_id))
        else:
            if rendered is None:
                decision.skips.append(Skip(_unmet(trigger, decision.event), trigger_id))
            else:
                _decide_jobs(decision, trigger, jobs, rendered)


def _unmet(trigger: Trigger, event: S3Event) -> str:
    """Name the conditions that do not hold."""
    unmet = [each for each in trigger.conditions if not each.holds(event)]
    named = ", ".join(f"{each.field} {shown(each.argument)}" for each in unmet)
    return f"not met: {named}" if named else ""


def _decide_jobs(decision: Decision, trigger: Trigger, jobs: Jobs, rendered: _Rendered) -> None:
    trigger_id = trigger.trigger_id
    job_ids, parameters, globals_ = rendered
    try:
        wanted = _wanted(job_ids, decision.event.only)
    except UserError as error:
        decision.mistakes.append(Mistake(str(error), trigger_id))
        return
    for position, job_id in wanted:
        try:
            job = jobs[job_id]
        except UserError as error:
            decision.mistakes.append(Mistake(str(error), trigger_id, job_id, position))
            continue
        except (ServiceError, OutOfTimeError) as error:
            decision.failures.append(Failure(error, trigger_id, job_id))
            continue
        if job.enabled:
            decision.dispatches.append(
                Dispatch(
                    trigger_id=trigger_id,
                    position=position,
                    job_id=job_id,
                    worker=job.worker,
                    parameters=parameters,
                    globals=globals_,
                    delay=trigger.delay,
                )
            )
        else:
            decision.skips.append(Skip("the job is disabled", trigger_id, job_id))


def _render(trigger: Trigger, known: dict[str, Any]) -> _Rendered:
    """Render the job ids, parameters and globals of a trigger.

    Raises:
        UserError: One cannot be rendered; the message names the field.
    """
    return (
        [_rendered("job_id", each, known) for each in trigger.job_ids],
        _rendered("parameters", trigger.parameters, known),
        _rendered("globals", trigger.globals, known),
    )


def _rendered(field: str, document: Document | None, known: dict[str, Any]) -> Any:
    try:
        return document.render(known) if document else {}
    except RenderingError as error:
        raise UserError(f"{field}: {error}") from None


def _wanted(job_ids: list[str], only: RedriveTarget | None) -> Iterator[tuple[int, str]]:
    """Give the positions and ids of the jobs to run: all, or the one that was parked."""
    numbered = list(enumerate(job_ids))
    if only is None or only.job_id is None:
        return iter(numbered)
    # The list may have changed since: by id, wherever it stands now; else, what
    # stands in its place, since a wrong id may be what was mended.
    named = [each for each in numbered if each[1] == only.job_id]
    placed = [each for each in numbered if each[0] == only.position]
    chosen = [each for each in placed if each in named] or named or placed
    if not chosen:
        raise UserError(f"the trigger no longer names job {shown(only.job_id)}")
    return iter(chosen[:1])
