"""The two modes of the function: it dispatches, or it only observes.

A function that observes runs next to another one that dispatches. It decides and logs
everything, and sends nothing. See docs/migrating.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from .acknowledgement import in_order, returned
from .aws.sqs import SqsQueues

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from mypy_boto3_sqs import SQSClient

    from .deliveries import Delivery
    from .dispatch import PendingMessage
    from .settings import Settings


class DispatchMode:
    """Dispatches are sent, and AWS delivers again what failed."""

    is_observing: ClassVar[bool] = False
    log_fields: ClassVar[Mapping[str, str]] = {}
    """Fields that each line of the log has."""

    def __init__(self, settings: Settings) -> None:
        self._dead_letter_queue = settings.dead_letter_queue

    def queues(self, client: SQSClient, sleep: Callable[[float], None]) -> SqsQueues:
        """Return the queues to send to."""
        return SqsQueues(client, sleep)

    def in_order(self, deliveries: Sequence[Delivery]) -> Iterator[list[Delivery]]:
        """Yield the deliveries that may be carried out together."""
        return in_order(deliveries)

    def returned(self, deliveries: Sequence[Delivery]) -> Sequence[Delivery]:
        """Return the deliveries that AWS must deliver again."""
        return returned(deliveries)


class ObserveMode(DispatchMode):
    """Nothing is sent.

    Even failed deliveries are acknowledged: another function carries them out. Dead letters
    are returned: acknowledging them would delete the last copy.
    """

    is_observing = True
    log_fields: ClassVar[Mapping[str, str]] = {"mode": "observe"}

    def queues(self, client: SQSClient, sleep: Callable[[float], None]) -> SqsQueues:
        """Return queues that are only looked up."""
        return _ObservedQueues(client, sleep)

    def in_order(self, deliveries: Sequence[Delivery]) -> Iterator[list[Delivery]]:
        """Yield the deliveries that may be carried out together, then fail dead letters."""
        yield from in_order(deliveries, stops_at_failures=False)
        for delivery in filter(self._is_dead_letter, deliveries):
            if not delivery.failures:
                delivery.fail(
                    "waiting", "the function only observes: what was parked or dead-lettered stays"
                )

    def returned(self, deliveries: Sequence[Delivery]) -> Sequence[Delivery]:
        """Return the deliveries that AWS must deliver again: only dead letters."""
        return returned(deliveries, must_return=self._is_dead_letter)

    def _is_dead_letter(self, delivery: Delivery) -> bool:
        is_of_queue = delivery.queue is not None and delivery.queue == self._dead_letter_queue
        return is_of_queue or delivery.is_parked


class _ObservedQueues(SqsQueues):
    """Queues to which nothing is sent.

    Each message counts as sent if its queue exists and the message fits.
    """

    def _call(self, url: str, batch: list[PendingMessage]) -> None:  # noqa: ARG002 - as above
        for message in batch:
            message.accept()
