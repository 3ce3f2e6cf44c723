"""What the function would do with a payload: the one call of the decider that commands share."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lava_s3trigger.decision import decide
from lava_s3trigger.events import deliveries
from lava_s3trigger.templates.limits import listening

if TYPE_CHECKING:
    from lava_s3trigger.decision import Decision, Jobs, Triggers
    from lava_s3trigger.events import S3Event
    from lava_s3trigger.parking import RedriveTarget


@dataclass(slots=True)
class Decided:
    """What the function would do with a payload."""

    decisions: list[Decision] = field(default_factory=list)
    """One for each S3 event, in the order of the payload."""
    errors: list[str] = field(default_factory=list)
    """What of the payload it would not understand."""


def decide_payload(payload: Any, triggers: Triggers, jobs: Jobs, region: str) -> Decided:
    """Decide what the function would do with a payload, by any route.

    Args:
        payload: What Lambda would hand the function.
        triggers: Where triggers are looked up.
        jobs: Where jobs are looked up.
        region: Region of the function, for events that name none.
    """
    decided = Decided()
    with listening():
        for delivery in deliveries(payload, region):
            decided.errors += [str(error) for error in delivery.errors]
            decided.decisions += [
                decide(event, triggers, jobs, redrive=redrive) for event, redrive in delivery.events
            ]
    return decided


def decide_event(
    event: S3Event, triggers: Triggers, jobs: Jobs, redrive: RedriveTarget | None = None
) -> Decision:
    """Decide what the function would do with an S3 event.

    Args:
        event: The event.
        triggers: Where triggers are looked up.
        jobs: Where jobs are looked up.
        redrive: What a parked message asks for, where the event comes from one.
    """
    with listening():
        return decide(event, triggers, jobs, redrive=redrive)
