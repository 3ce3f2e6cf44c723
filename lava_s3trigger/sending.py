"""Carrying out decisions: dispatches are sent, user errors are parked."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Protocol

from .aws.deadline import Reserve
from .dispatch import PendingMessage, timestamp
from .outcomes import Outcome
from .parking import parked_message

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .aws.deadline import Deadline
    from .deliveries import DeliveredEvent
    from .dispatch import Dispatch

_MAX_DESCRIBED_CHARACTERS: Final = 100_000
"""Dispatches that are longer are logged without what they hold: CloudWatch Logs takes 256 KiB
in a line, and one character of a message may take several in a log line."""


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
        self._target = target
        self._describes = describes
        self._realm = realm
        self._dead_letter_queue = dead_letter_queue
        self._now = now

    def carry_out(self, batch: Sequence[DeliveredEvent], deadline: Deadline) -> None:
        """Send the dispatches that were decided for events, and park their user errors."""
        user_errors: dict[tuple[DeliveredEvent, str | None], list[Outcome]] = {}
        for delivered in batch:
            for outcome in delivered.decision.outcomes if delivered.decision else ():
                if outcome.outcome == "user_error":
                    user_errors.setdefault((delivered, outcome.trigger_id), []).append(outcome)
        for delivered, refused in self._dispatch(batch, deadline):
            user_errors.setdefault((delivered, refused.trigger_id), []).append(refused)
        if user_errors:
            self._park(user_errors, deadline)

    def _dispatch(
        self, batch: Sequence[DeliveredEvent], deadline: Deadline
    ) -> list[tuple[DeliveredEvent, Outcome]]:
        """Send dispatches; return those that no queue takes, which are user errors."""
        now = timestamp(self._now())
        pending = [
            (delivered, trigger.trigger_id, job.dispatch, self._message(job.dispatch, now))
            for delivered in batch
            for trigger in (delivered.decision.triggers if delivered.decision else ())
            for job in trigger.jobs
            if job.dispatch
        ]
        self._target.send([message for *_, message in pending], deadline, Reserve.SEND)
        sent_at = self._now()
        refused = []
        for delivered, trigger_id, dispatch, message in pending:
            if message.outcome == "dispatched":
                outcome = Outcome(
                    "dispatched",
                    trigger_id=trigger_id,
                    job_id=dispatch.job_id,
                    run_id=message.run_id,
                    queue=message.queue,
                    lag=(sent_at - delivered.event.event_time).total_seconds(),
                )
                more = _described(delivered, dispatch, message) if self._describes else {}
                delivered.add(outcome, **more)
                continue
            outcome = Outcome(
                message.outcome, message.kind, message.reason, trigger_id, dispatch.job_id
            )
            if message.outcome == "user_error":
                refused.append((delivered, outcome))
            else:
                delivered.add(outcome)
        return refused

    def _message(self, dispatch: Dispatch, now: str) -> PendingMessage:
        return PendingMessage(
            dispatch.queue(self._realm),
            lambda run_id: dispatch.message(self._realm, run_id, now),
            dispatch.delay,
        )

    def _park(
        self,
        user_errors: dict[tuple[DeliveredEvent, str | None], list[Outcome]],
        deadline: Deadline,
    ) -> None:
        """Park the user errors of triggers; without a queue for them, only log them."""
        parking = []
        for (delivered, trigger_id), errors in user_errors.items():
            if any(failure.trigger_id == trigger_id for failure in delivered.failures):
                continue  # its delivery comes again, and then all that was sent is known
            if not self._dead_letter_queue:
                for error in errors:
                    delivered.add(error)
            elif self._stays(delivered, trigger_id):
                reason = f"parked before, and not mended: {errors[0].reason}"
                delivered.add(Outcome("failed", "waiting", reason, trigger_id, errors[0].job_id))
            else:
                parking.append((delivered, errors, self._parked_message(delivered, errors)))
        self._target.send([message for *_, message in parking], deadline, Reserve.PARK)
        for delivered, errors, message in parking:
            if message.outcome == "dispatched":
                for error in errors:
                    delivered.add(error._replace(outcome="parked"))
            else:
                first = errors[0]
                reason = f"parking ({first.reason}): {message.reason}"
                delivered.add(
                    first._replace(outcome="failed", kind="parking_failed", reason=reason)
                )

    def _stays(self, delivered: DeliveredEvent, trigger_id: str | None) -> bool:
        """Return whether a parked message stays as it is.

        Where nothing new was dispatched, another message would say the same, and would
        be redriven as soon, for as long as the mapping is on.
        """
        return (
            delivered.redrive is not None
            and delivered.delivery.queue == self._dead_letter_queue
            and not delivered.dispatched(trigger_id)
        )

    def _parked_message(self, delivered: DeliveredEvent, errors: list[Outcome]) -> PendingMessage:
        trigger_id = errors[0].trigger_id
        # Also what the entry no longer names: it may name it again.
        done = delivered.dispatched(trigger_id)
        if delivered.redrive:
            done += delivered.redrive.done
        now, event = self._now(), delivered.event
        return PendingMessage(
            self._dead_letter_queue or "",
            lambda _: parked_message(event.record, errors, done, now, event.replay),
        )


def _described(
    delivered: DeliveredEvent, dispatch: Dispatch, message: PendingMessage
) -> dict[str, Any]:
    """Return what a comparison with another function's dispatches needs."""
    fields: dict[str, Any] = {
        "worker": dispatch.worker,
        "event_type": delivered.event.event_type,
        "size": delivered.event.size,
        "route": delivered.delivery.route,
    }
    if len(message.text) <= _MAX_DESCRIBED_CHARACTERS:
        fields["parameters"] = dispatch.parameters
        fields["globals"] = dispatch.globals
    return fields
