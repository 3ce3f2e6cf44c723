"""The format of parked messages, written and read. See docs/design.md#parking.

A parked message has one S3 event and names one trigger that could not be carried out because
of a user error. When it is redriven, the function carries out that trigger with the entry as
it is then, except for the jobs that were already dispatched.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from .dispatch import timestamp
from .errors import PayloadError
from .units import shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import datetime

    from .outcomes import Outcome

# A template can make job ids and reasons of any length. DynamoDB's keys end at 2,048
# bytes, so a longer id names no job.
_MAX_TEXT_CHARACTERS: Final = 2048
_MAX_REASONS: Final = 100

REPLAY_MARK: Final = "lava-s3trigger-replay"
"""Marks the envelope of replayed events with the id of the replay: a member of the JSON object
that has ``Records`` or other events, or an attribute of an SQS message. It is not in the events
themselves, so templates see the same as with real events."""


@dataclass(frozen=True, slots=True)
class RedriveTarget:
    """What a parked message asks for: one trigger, without its dispatched jobs."""

    trigger_id: str
    done: tuple[str, ...] = ()
    """Ids of jobs that were dispatched for this event, each as often as it was."""

    def remaining(self, job_ids: Sequence[str]) -> Iterator[tuple[int, str]]:
        """Yield position and id of the jobs that the entry names now, without dispatched ones."""
        done = Counter(self.done)
        for position, job_id in enumerate(job_ids):
            if done[job_id] > 0:
                done[job_id] -= 1
            else:
                yield position, job_id


def parked_message(
    record: dict[str, Any],
    errors: Sequence[Outcome],
    done: Iterable[str],
    now: datetime,
    replay: str | None = None,
) -> str:
    """Return the message to park.

    Args:
        record: The S3 event as it came.
        errors: The user errors of a trigger, or of its jobs.
        done: Ids of its jobs that were dispatched for this event.
        now: The time, with a time zone.
        replay: Id of the replay that the event is from, if it is.
    """
    reasons = []
    for error in errors[:_MAX_REASONS]:
        job = {} if error.job_id is None else {"job_id": _cut(error.job_id)}
        reasons.append({**job, "kind": error.kind, "reason": _cut(error.reason or "")})
    parked = {
        "trigger_id": errors[0].trigger_id,
        "reasons": reasons,
        "done": sorted(done),
        "parked_at": timestamp(now),
    }
    mark = {} if replay is None else {REPLAY_MARK: replay}
    return json.dumps({"parked": parked, **mark, "event": record})


def is_parked_message(value: dict[str, Any]) -> bool:
    """Return whether a JSON object is a parked message."""
    return "parked" in value and "event" in value


def begins_as_parked(text: str) -> bool:
    """Return whether a text begins like a parked message, even if the rest cannot be decoded."""
    return text.startswith('{"parked":')


def read_parked_message(value: dict[str, Any]) -> tuple[RedriveTarget, Any]:
    """Return what a parked message asks for, and its S3 event.

    Raises:
        PayloadError: It is not a parked message.
    """
    match value["parked"]:
        case {"trigger_id": str(trigger_id), "done": list(done)} if all(
            isinstance(job_id, str) for job_id in done
        ):
            target = RedriveTarget(trigger_id, tuple(sorted(done)))
        case parked:
            raise PayloadError(
                f"parked is {shown(parked)}: it must name a trigger_id, and list in done"
                " the ids of the jobs that were dispatched"
            )
    return target, value["event"]


def _cut(text: str) -> str:
    return text[:_MAX_TEXT_CHARACTERS]
