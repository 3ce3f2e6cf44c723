"""What decisions came to, for tests."""

from typing import Any, NamedTuple

from lava_s3trigger.decision import Decision
from lava_s3trigger.dispatch import Dispatch
from lava_s3trigger.outcomes import OutcomeName


class Ended(NamedTuple):
    """Something in a decision that is not dispatched."""

    trigger_id: str
    job_id: str | None
    position: int | None
    kind: str
    reason: str


def ended(decision: Decision, outcome: OutcomeName) -> list[Ended]:
    """Return what of a decision has an outcome other than a dispatch."""
    found = []
    for each in decision.triggers:
        if each.ended and each.ended.outcome == outcome:
            kind, reason = each.ended.kind or "", each.ended.reason or ""
            found.append(Ended(each.trigger_id, None, None, kind, reason))
        found += [
            Ended(each.trigger_id, job.job_id, job.position, job.kind or "", job.reason or "")
            for job in each.jobs
            if job.outcome == outcome
        ]
    return found


def dispatched(decision: Decision) -> list[tuple[str, int, str]]:
    """Return trigger, position and job of each dispatch."""
    return [
        (each.trigger_id, job.position, job.job_id)
        for each in decision.triggers
        for job in each.jobs
        if job.dispatch and job.outcome == "dispatched"
    ]


def dispatches(decision: Decision) -> list[Any]:
    """Return the dispatches."""
    return [job.dispatch for each in decision.triggers for job in each.jobs if job.dispatch]


def dispatches_by_trigger(decision: Decision) -> list[tuple[str, Dispatch]]:
    """Return the dispatches, each with its trigger's id."""
    return [
        (each.trigger_id, job.dispatch)
        for each in decision.triggers
        for job in each.jobs
        if job.dispatch
    ]
