"""The format of parked messages, written and read. See docs/design.md#parking.

A parked message holds one S3 event and names one trigger that could not be carried out,
because of a user's mistake. Given back to the function, it has that trigger carried out
as the entry says then, but for the jobs that were already dispatched.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from .dispatch import timestamp
from .errors import PayloadError
from .units import shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import datetime

# A template can make job ids and reasons of any length. DynamoDB's keys end at 2,048
# bytes, so a longer id names no job.
_MAX_TEXT_CHARACTERS: Final = 2048
_MAX_REASONS: Final = 100

REPLAY_MARK: Final = "lava-s3trigger-replay"
"""Marks the envelope of replayed events, with the id of the replay: a member of a JSON object
beside ``Records``, or beside what else holds events; of an SQS message, an attribute. It is
not in the events themselves, so that templates see what they would see of real ones."""


class Reason(NamedTuple):
    """Why a trigger, or one job of it, could not be carried out."""

    text: str
    kind: str
    """One of a small set, for the log."""
    job_id: str | None = None
    code: str | None = None
    """Code of the error of an entry, for the log."""


@dataclass(frozen=True, slots=True)
class RedriveTarget:
    """What a parked message asks for: one trigger, without the jobs that are done."""

    trigger_id: str
    done: tuple[str, ...] = ()
    """Ids of jobs that were dispatched for this event, each as often as it was."""
    only_job: str | None = None
    """The one job to run: messages that earlier versions parked name it."""

    def remaining(self, job_ids: Sequence[str]) -> Iterator[tuple[int, str]]:
        """Yield position and id of the jobs to run, of those that the entry names now."""
        if self.only_job is not None:
            named = (n for n, job_id in enumerate(job_ids) if _cut(job_id) == self.only_job)
            yield from ((n, job_ids[n]) for n in list(named)[:1])
            return
        done = Counter(self.done)
        for position, job_id in enumerate(job_ids):
            if done[job_id] > 0:
                done[job_id] -= 1
            else:
                yield position, job_id


def parked_message(  # noqa: PLR0913, PLR0917 - each is a part of the message
    record: dict[str, Any],
    trigger_id: str,
    reasons: Sequence[Reason],
    done: Iterable[str],
    now: datetime,
    replay: str | None = None,
) -> str:
    """Return the message to park.

    Args:
        record: The S3 event as it came.
        trigger_id: The trigger that could not be carried out.
        reasons: Why.
        done: Ids of its jobs that were dispatched for this event.
        now: The time, with a time zone.
        replay: Id of the replay that the event is from, if it is.
    """
    told = []
    for reason in reasons[:_MAX_REASONS]:
        job = {} if reason.job_id is None else {"job_id": _cut(reason.job_id)}
        told.append({**job, "kind": reason.kind, "reason": _cut(reason.text)})
    parked = {
        "trigger_id": trigger_id,
        "reasons": told,
        "done": sorted(done),
        "parked_at": timestamp(now),
    }
    mark = {} if replay is None else {REPLAY_MARK: replay}
    return json.dumps({"parked": parked, **mark, "event": record})


def is_parked_message(value: dict[str, Any]) -> bool:
    """Tell whether a JSON object is a parked message."""
    return "parked" in value and "event" in value


def read_parked_message(value: dict[str, Any]) -> tuple[RedriveTarget, Any]:
    """Return what a parked message asks for, and the S3 event that it holds.

    Raises:
        PayloadError: It is no parked message that this version understands.
    """
    match value["parked"]:
        case {"trigger_id": str(trigger_id), "done": list(done)} if all(
            isinstance(job_id, str) for job_id in done
        ):
            target = RedriveTarget(trigger_id, tuple(sorted(done)))
        # As earlier versions parked one job, or a whole trigger.
        case {"trigger_id": str(trigger_id), "job_id": str(job_id)}:
            target = RedriveTarget(trigger_id, only_job=job_id)
        case {"trigger_id": str(trigger_id), **others} if "done" not in others:
            target = RedriveTarget(trigger_id)
        case parked:
            raise PayloadError(
                f"parked is {shown(parked)}: it must name a trigger_id, and list in done"
                " the ids of the jobs that were dispatched"
            )
    return target, value["event"]


def _cut(text: str) -> str:
    return text[:_MAX_TEXT_CHARACTERS]
