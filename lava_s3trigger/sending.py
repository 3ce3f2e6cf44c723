"""Carries out decisions: sends dispatches, and parks user errors."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Protocol

from .aws.deadline import Reserve
from .dispatch import PendingMessage, timestamp
from .outcomes import Outcome
from .parking import parked_message

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .aws.deadline import Deadline
    from .decision import TriggerDecision
    from .deliveries import DeliveredEvent

    _Note = Callable[[PendingMessage, datetime], None]
    """Appends the outcome of a message to those of its event, with the time."""

_MAX_DESCRIBED_CHARACTERS: Final = 100_000
"""Longer dispatches are logged without their content: CloudWatch Logs accepts 256 KiB in a
line, and one character of a message may take several in the log."""

MAX_WAITING_BYTES: Final = 8 * 1024 * 1024
"""Bytes of messages that wait before they are sent or parked. That many calls of 1 MiB run at
once, so more would not make it faster."""
_MESSAGE_BYTES: Final = 1000
"""The approximate memory that a message takes in addition to its text."""
_TRACE_BYTES: Final = 4096
"""At most what is kept of a decision on one job: an id that names no job, and the reason."""


class Target(Protocol):
    """Where messages go; `aws.sqs.SqsQueues` is one."""

    def send(self, messages: Sequence[PendingMessage], deadline: Deadline, reserve: float) -> None:
        """Send messages, and record the outcome on each.

        Args:
            messages: What to send.
            deadline: When to stop starting calls.
            reserve: Seconds that must be left to start one, a row of `Reserve`.
        """


@dataclass(slots=True)
class Outbox:
    """Decisions on some events, until their messages are sent.

    Messages are sent when they reach `MAX_WAITING_BYTES`, which bounds the memory of a
    payload. User errors wait until all dispatches were sent, since parked messages list them.
    """

    target: Target
    """Where messages go."""
    realm: str
    dead_letter_queue: str | None
    """Name of the queue to park in, if there is one."""
    deadline: Deadline
    """When to stop starting calls."""
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    """Returns the time, with a time zone."""
    describes: bool = False
    """Whether to log the content of each dispatch, and its event."""
    size: int = 0
    """Bytes so far of the messages, and of what is kept of the decisions."""
    _reserve: float = Reserve.SEND
    _waiting: list[tuple[PendingMessage, _Note]] = field(default_factory=list)
    _waiting_bytes: int = 0
    _made_at: str = ""
    """The formatted time of the waiting messages; formatting it takes long."""
    _user_errors: dict[tuple[DeliveredEvent, str | None], list[Outcome]] = field(
        default_factory=dict
    )

    def put(self, delivered: DeliveredEvent, trigger: TriggerDecision) -> None:
        """Take the decision on a trigger; its dispatches are removed from it.

        Final outcomes are appended to those of the event.
        """
        self.size += _TRACE_BYTES * len(trigger.jobs)
        for outcome in trigger.outcomes:
            if outcome.outcome == "user_error":
                self._put_user_error(delivered, outcome)
            else:
                # Somebody waits for what was parked, so a skip is logged as a warning.
                is_owed = delivered.redrive and outcome.outcome == "skipped"
                level = logging.WARNING if is_owed and not outcome.is_earlier else None
                delivered.add(outcome, level)
        for job in trigger.jobs:
            if job.dispatch:
                dispatch, job.dispatch = job.dispatch, None
                self._made_at = self._made_at or timestamp(self.now())
                make = partial(dispatch.message, self.realm, ts_dispatch=self._made_at)
                message = PendingMessage(dispatch.queue(self.realm), make, dispatch.delay)
                self.size += len(message.text)
                note = partial(self._note_dispatch, delivered, trigger.trigger_id, job.job_id)
                self._post(message, note)

    def close(self) -> None:
        """Send the rest and park the user errors; without a queue to park in, only log them."""
        self._flush()
        self._reserve = Reserve.PARK
        for (delivered, trigger_id), errors in self._user_errors.items():
            self._park(delivered, trigger_id, errors)
        self._flush()

    def _put_user_error(self, delivered: DeliveredEvent, error: Outcome) -> None:
        self._user_errors.setdefault((delivered, error.trigger_id), []).append(error)

    def _post(self, message: PendingMessage, note: _Note) -> None:
        """Add a message to those that wait, and send all when they are enough."""
        self._waiting.append((message, note))
        self._waiting_bytes += len(message.text) + _MESSAGE_BYTES
        if self._waiting_bytes >= MAX_WAITING_BYTES:
            self._flush()

    def _flush(self) -> None:
        """Send the waiting messages, and record the outcome of each."""
        waiting, self._waiting, self._waiting_bytes = self._waiting, [], 0
        made_at, self._made_at = self._made_at, ""
        if not waiting:
            return
        messages = [message for message, _ in waiting]
        if made_at and (sent_at := timestamp(self.now())) != made_at:
            for message in messages:  # others were rendered meanwhile
                message.stamp(made_at, sent_at)
        try:
            self.target.send(messages, self.deadline, self._reserve)
        finally:
            # A retry must know what was sent, also after an error.
            now = self.now()
            for message, note in waiting:
                note(message, now)

    def _note_dispatch(
        self,
        delivered: DeliveredEvent,
        trigger_id: str,
        job_id: str,
        message: PendingMessage,
        now: datetime,
    ) -> None:
        if message.outcome == "dispatched":
            lag = (now - delivered.event.event_time).total_seconds()
            run_id, queue = message.run_id, message.queue
            outcome = Outcome("dispatched", None, None, trigger_id, job_id, run_id, queue, lag)
            delivered.add(outcome, **(_described(delivered, message) if self.describes else {}))
            return
        outcome = Outcome(message.outcome, message.kind, message.reason, trigger_id, job_id)
        if message.outcome == "user_error":
            self._put_user_error(delivered, outcome)
        else:
            delivered.add(outcome)

    def _park(
        self, delivered: DeliveredEvent, trigger_id: str | None, errors: list[Outcome]
    ) -> None:
        """Park the user errors of a trigger, unless a parked message would not help."""
        if any(failure.trigger_id == trigger_id for failure in delivered.failures):
            return  # AWS delivers it again, and then all that was sent is known
        queue, redrive = self.dead_letter_queue, delivered.redrive
        done = delivered.dispatched(trigger_id)
        if queue is None:
            for error in errors:
                delivered.add(error)
        elif redrive and delivered.queue == queue and not done:
            # A parked message would say the same as this one, and would be redriven at once while
            # the mapping is on.
            reason = f"parked before, and not corrected: {errors[0].reason}"
            delivered.add(Outcome("failed", "waiting", reason, trigger_id, errors[0].job_id))
        else:
            done += redrive.done if redrive else ()
            event, now = delivered.event, self.now()
            message = PendingMessage(
                queue, lambda _: parked_message(event.record, errors, done, now, event.replay)
            )
            self._post(message, partial(_note_park, delivered, errors))


def _note_park(
    delivered: DeliveredEvent, errors: list[Outcome], message: PendingMessage, _now: datetime
) -> None:
    if message.outcome == "dispatched":
        for error in errors:
            delivered.add(error._replace(outcome="parked"))
    else:
        reason = f"parking ({errors[0].reason}): {message.reason}"
        delivered.add(errors[0]._replace(outcome="failed", kind="parking_failed", reason=reason))


def _described(delivered: DeliveredEvent, message: PendingMessage) -> dict[str, Any]:
    """Return the fields that comparing with another function's dispatches needs."""
    dispatch = json.loads(message.text)
    fields: dict[str, Any] = {
        "worker": dispatch["worker"],
        "event_type": delivered.event.event_type,
        "size": delivered.event.size,
        "route": delivered.route,
    }
    if len(message.text) <= _MAX_DESCRIBED_CHARACTERS:
        fields["parameters"] = dispatch.get("parameters", {})
        fields["globals"] = dispatch.get("globals", {})
    return fields
