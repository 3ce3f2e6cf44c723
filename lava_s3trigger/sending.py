"""Carrying out what was decided: dispatches are sent, mistakes are parked."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from .aws.clients import SLOWEST_CALL
from .aws.sqs import PendingMessage
from .decision import Mistake
from .dispatch import timestamp
from .log import log_event
from .parking import parked_message

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from .acknowledgement import Sent, Task
    from .aws.deadline import Deadline
    from .aws.sqs import SqsQueues
    from .dispatch import Dispatch


@dataclass(frozen=True, slots=True)
class _Errand:
    """A message to send for an S3 event."""

    task: Task
    cause: Dispatch | Mistake
    message: PendingMessage

    @property
    def identity(self) -> tuple[object, ...]:
        """What tells it from all others, also when its delivery comes again."""
        cause = self.cause
        return (
            self.task.decision.event.identity,
            self.task.decision.event.only,
            cause.trigger_id,
            cause.position,
            cause.job_id,
        )

    @property
    def facts(self) -> dict[str, Any]:
        """What the log says of it."""
        event, cause = self.task.decision.event, self.cause
        return {
            "trigger_id": cause.trigger_id,
            "job_id": cause.job_id,
            "bucket": event.bucket,
            "key": event.key,
        }


class Sending:
    """Sends what S3 events cause.

    Args:
        queues: The queues of the realm.
        realm: Name of the realm.
        dead_letter_queue: Name of the queue to park in, if there is one.
        sent: What failed deliveries did send.
        now: Gives the time, with a time zone.
    """

    def __init__(
        self,
        queues: SqsQueues,
        realm: str,
        dead_letter_queue: str | None,
        sent: Sent,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._queues = queues
        self._realm = realm
        self._dead_letter_queue = dead_letter_queue
        self._sent = sent
        self._now = now

    def dispatch(self, tasks: Iterable[Task], deadline: Deadline) -> list[tuple[Task, Mistake]]:
        """Send the dispatches of S3 events.

        Returns:
            The users' mistakes, to be parked: those that were decided, and what
            no queue takes.
        """
        mistakes = [(task, mistake) for task in tasks for mistake in task.decision.mistakes]
        now = timestamp(self._now())
        errands = [
            self._errand(task, dispatch, now)
            for task in tasks
            for dispatch in self._not_parked(task)
        ]
        # Time is left to park what the queues refuse.
        for errand in self._carry(errands, deadline, reserve=SLOWEST_CALL):
            dispatch, message = errand.cause, errand.message
            if message.refusal:
                mistake = Mistake(
                    message.refusal, dispatch.trigger_id, dispatch.job_id, dispatch.position
                )
                mistakes.append((errand.task, mistake))
            else:
                log_event(
                    logging.INFO,
                    "dispatched",
                    queue=message.queue,
                    run_id=message.run_id,
                    **errand.facts,
                )
        return mistakes

    def park(self, mistakes: Sequence[tuple[Task, Mistake]], deadline: Deadline) -> None:
        """Park users' mistakes; without a queue for it, they are in the log."""
        queue = self._dead_letter_queue
        parking = []
        for task, mistake in mistakes:
            errand = self._errand_to_park(task, mistake, queue or "")
            if not queue:
                log_event(logging.ERROR, "mistake", reason=mistake.reason, **errand.facts)
            elif _is_as_parked(task, mistake) and task.outcome.delivery.queue == queue:
                # It stays where it is: parked once more, it would go round and round.
                self._fail(errand, f"parked before, and not mended: {mistake.reason}")
            else:
                parking.append((errand, mistake.reason))
        self._carry([errand for errand, _ in parking], deadline)
        for errand, reason in parking:
            if errand.message.refusal:
                self._fail(errand, f"parking ({reason}): {errand.message.refusal}")
            elif errand.message.is_sent:
                log_event(logging.ERROR, "parked", reason=reason, **errand.facts)

    def _fail(self, errand: _Errand, reason: str) -> None:
        errand.task.fail(reason)
        log_event(logging.ERROR, "failed", reason=reason, **errand.facts)

    def _not_parked(self, task: Task) -> list[Dispatch]:
        """Leave out triggers that were parked whole before their delivery failed.

        They have been mended since: what was parked runs them, when it is given back.
        """
        event, dispatches = task.decision.event, task.decision.dispatches
        if event.only or not self._sent:
            return dispatches
        whole = {
            dispatch.trigger_id: (event.identity, None, dispatch.trigger_id, None, None)
            for dispatch in dispatches
        }
        parked = {trigger_id for trigger_id, each in whole.items() if self._sent.take(each)}
        task.outcome.sent += [whole[trigger_id] for trigger_id in parked]
        return [dispatch for dispatch in dispatches if dispatch.trigger_id not in parked]

    def _errand(self, task: Task, dispatch: Dispatch, now: str) -> _Errand:
        message = PendingMessage(
            dispatch.queue(self._realm),
            lambda run_id: dispatch.message(self._realm, run_id, now),
            dispatch.delay,
        )
        return _Errand(task, dispatch, message)

    def _errand_to_park(self, task: Task, mistake: Mistake, queue: str) -> _Errand:
        event, now = task.decision.event, self._now()
        return _Errand(
            task, mistake, PendingMessage(queue, lambda _: parked_message(event, mistake, now))
        )

    def _carry(
        self, errands: list[_Errand], deadline: Deadline, reserve: float = 0.0
    ) -> list[_Errand]:
        """Send what was not sent for the same delivery before.

        Returns:
            What was sent or refused; what failed is noted on its task.
        """
        fresh = []
        for errand in errands:
            if self._sent and self._sent.take(errand.identity):
                errand.task.outcome.sent.append(errand.identity)
                log_event(
                    logging.INFO,
                    "skipped",
                    reason="sent before its delivery failed",
                    **errand.facts,
                )
            else:
                fresh.append(errand)
        self._queues.send([errand.message for errand in fresh], deadline, reserve)
        for errand in fresh:
            if errand.message.is_sent:
                errand.task.outcome.sent.append(errand.identity)
            elif errand.message.failure:
                self._fail(errand, errand.message.failure)
        return [errand for errand in fresh if not errand.message.failure]


def _is_as_parked(task: Task, mistake: Mistake) -> bool:
    """Tell whether a mistake is one of what was parked, no narrower than it was.

    Of a trigger that was parked whole, a job may be all that is still wrong: parked by
    itself it does not have the others run again.
    """
    only = task.decision.event.only
    return only is not None and (only.job_id is not None or mistake.job_id is None)
