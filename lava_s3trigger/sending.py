"""Carrying out decisions: dispatches are sent, user errors are parked."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Protocol

from .aws.deadline import Reserve
from .dispatch import PendingMessage, timestamp
from .outcomes import Outcome
from .parking import parked_message

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from .aws.deadline import Deadline
    from .decision import TriggerDecision
    from .deliveries import DeliveredEvent

_MAX_DESCRIBED_CHARACTERS: Final = 100_000
"""Dispatches that are longer are logged without what they hold: CloudWatch Logs takes 256 KiB
in a line, and one character of a message may take several in a log line."""

MAX_WAITING_BYTES: Final = 8 * 1024 * 1024
"""Bytes of messages that are made before they are sent, or parked. As many calls of 1 MiB are
under way at once, so with more, nothing would go faster."""
_MESSAGE_BYTES: Final = 1000
"""About the memory that a message takes besides its text."""
_TRACE_BYTES: Final = 4096
"""What is kept of the decision on one job, at most: an id that names no job, and the reason."""


class Target(Protocol):
    """Where messages go; `aws.sqs.SqsQueues` is one."""

    def send(self, messages: Sequence[PendingMessage], deadline: Deadline, reserve: float) -> None:
        """Send messages, and record the outcome on each.

        Args:
            messages: What to send.
            deadline: When to stop starting calls.
            reserve: Seconds that must be left to start one, a row of `Reserve`.
        """


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
        self.target = target
        self.describes = describes
        self.realm = realm
        self.dead_letter_queue = dead_letter_queue
        self.now = now

    def outbox(self, deadline: Deadline) -> Outbox:
        """Return an empty outbox, which starts no calls after the deadline."""
        return Outbox(self, deadline)


class Outbox:
    """What was decided for some events, until it is sent.

    Messages are sent when they come to `MAX_WAITING_BYTES`, so that the memory of a payload
    is bounded. User errors wait until all dispatches were sent, which parked messages list.

    Attributes:
        size: Bytes of the messages, and of what is kept of the decisions, so far.
    """

    def __init__(self, sender: Sender, deadline: Deadline) -> None:
        self._sender = sender
        self._deadline = deadline
        self.size = 0
        self._waiting: list[tuple[DeliveredEvent, Outcome, PendingMessage]] = []
        self._waiting_bytes = 0
        self._user_errors: dict[tuple[DeliveredEvent, str | None], list[Outcome]] = {}

    def put(self, delivered: DeliveredEvent, trigger: TriggerDecision) -> None:
        """Take what was decided for a trigger; the decision loses its dispatches.

        Outcomes that nothing can change are appended to those of the event.
        """
        self.size += _TRACE_BYTES * len(trigger.jobs)
        for outcome in trigger.outcomes:
            if outcome.outcome == "user_error":
                self._put_user_error(delivered, outcome)
            else:
                # What was parked is owed to somebody, so that a skip is worth a warning then.
                is_owed = delivered.redrive and outcome.outcome == "skipped"
                level = logging.WARNING if is_owed and not outcome.is_earlier else None
                delivered.add(outcome, level)
        now = timestamp(self._sender.now())
        for job in trigger.jobs:
            if job.dispatch:
                dispatch, job.dispatch = job.dispatch, None
                make = partial(dispatch.message, self._sender.realm, ts_dispatch=now)
                queue = dispatch.queue(self._sender.realm)
                message = PendingMessage(queue, make, dispatch.delay)
                outcome = Outcome("dispatched", None, None, trigger.trigger_id, job.job_id)
                self._waiting.append((delivered, outcome, message))
                self._waiting_bytes += len(message.text) + _MESSAGE_BYTES
                self.size += len(message.text)
                if self._waiting_bytes >= MAX_WAITING_BYTES:
                    self._send()

    def close(self) -> None:
        """Send the rest, and park the user errors."""
        self._send()
        self._park()

    def _put_user_error(self, delivered: DeliveredEvent, error: Outcome) -> None:
        self._user_errors.setdefault((delivered, error.trigger_id), []).append(error)

    def _send(self) -> None:
        waiting, self._waiting, self._waiting_bytes = self._waiting, [], 0
        self._sender.target.send([message for *_, message in waiting], self._deadline, Reserve.SEND)
        sent_at = self._sender.now()
        for delivered, outcome, message in waiting:
            if message.outcome == "dispatched":
                delivered.add(
                    outcome._replace(
                        run_id=message.run_id,
                        queue=message.queue,
                        lag=(sent_at - delivered.event.event_time).total_seconds(),
                    ),
                    **(_described(delivered, message) if self._sender.describes else {}),
                )
                continue
            unsent = outcome._replace(
                outcome=message.outcome, kind=message.kind, reason=message.reason
            )
            if message.outcome == "user_error":
                self._put_user_error(delivered, unsent)
            else:
                delivered.add(unsent)

    def _park(self) -> None:
        """Park the user errors of triggers; without a queue for them, only log them."""
        parked = self._parked_messages()
        while batch := _batch(parked):
            self._sender.target.send(
                [message for *_, message in batch], self._deadline, Reserve.PARK
            )
            for delivered, errors, message in batch:
                if message.outcome == "dispatched":
                    for error in errors:
                        delivered.add(error._replace(outcome="parked"))
                else:
                    first = errors[0]
                    reason = f"parking ({first.reason}): {message.reason}"
                    delivered.add(
                        first._replace(outcome="failed", kind="parking_failed", reason=reason)
                    )

    def _parked_messages(self) -> Iterator[tuple[DeliveredEvent, list[Outcome], PendingMessage]]:
        queue = self._sender.dead_letter_queue
        for (delivered, trigger_id), errors in self._user_errors.items():
            if any(failure.trigger_id == trigger_id for failure in delivered.failures):
                continue  # its delivery comes again, and then all that was sent is known
            done = delivered.dispatched(trigger_id)
            is_of_queue = delivered.redrive is not None and delivered.delivery.queue == queue
            if queue is None:
                for error in errors:
                    delivered.add(error)
            elif is_of_queue and not done:
                # Another message would say the same, and would be redriven as soon, for as
                # long as the mapping is on.
                reason = f"parked before, and not mended: {errors[0].reason}"
                delivered.add(Outcome("failed", "waiting", reason, trigger_id, errors[0].job_id))
            else:
                yield delivered, errors, self._parked_message(queue, delivered, errors, done)

    def _parked_message(
        self, queue: str, delivered: DeliveredEvent, errors: list[Outcome], done: list[str]
    ) -> PendingMessage:
        done += delivered.redrive.done if delivered.redrive else ()
        event, now = delivered.event, self._sender.now()
        return PendingMessage(
            queue, lambda _: parked_message(event.record, errors, done, now, event.replay)
        )


def _batch(
    messages: Iterator[tuple[DeliveredEvent, list[Outcome], PendingMessage]],
) -> list[tuple[DeliveredEvent, list[Outcome], PendingMessage]]:
    """Return the next messages, until they come to `MAX_WAITING_BYTES`."""
    batch = []
    size = 0
    for each in messages:
        batch.append(each)
        size += len(each[-1].text) + _MESSAGE_BYTES
        if size >= MAX_WAITING_BYTES:
            break
    return batch


def _described(delivered: DeliveredEvent, message: PendingMessage) -> dict[str, Any]:
    """Return what a comparison with another function's dispatches needs."""
    dispatch = json.loads(message.text)
    fields: dict[str, Any] = {
        "worker": dispatch["worker"],
        "event_type": delivered.event.event_type,
        "size": delivered.event.size,
        "route": delivered.delivery.route,
    }
    if len(message.text) <= _MAX_DESCRIBED_CHARACTERS:
        fields["parameters"] = dispatch.get("parameters", {})
        fields["globals"] = dispatch.get("globals", {})
    return fields
