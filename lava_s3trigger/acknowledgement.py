"""What AWS is told of deliveries. See docs/design.md#acknowledgement."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .errors import DeliveriesFailedError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .events import Delivery


def acknowledge(deliveries: Sequence[Delivery]) -> dict[str, Any] | None:
    """Return the answer to AWS: which SQS messages to deliver again, if any.

    Raises:
        DeliveriesFailedError: AWS must deliver the whole invocation again, because
            every SQS message failed, or because what failed is no SQS message. Lambda
            returns all messages then, also where partial responses are not turned on.
    """
    failed = returned(deliveries)
    if not failed:
        return None
    if len(failed) == len(deliveries):
        failures = [failure for delivery in deliveries for failure in delivery.failures]
        raise DeliveriesFailedError(len(failures), failures[0])
    messages = [delivery.message_id for delivery in failed]
    return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in messages]}


def keep_dead_letters(deliveries: Sequence[Delivery], dead_letter_queue: str | None) -> None:
    """Fail the deliveries that hold dead letters, for a function that only observes.

    Nobody else carries them out: done, the last copy of their work would be deleted.
    """
    for delivery in deliveries:
        if _is_dead_letter(delivery, dead_letter_queue) and not delivery.failures:
            reason = "the function only observes: what was parked or dead-lettered stays"
            delivery.fail(reason, kind="waiting")


def acknowledge_observed(
    deliveries: Sequence[Delivery], dead_letter_queue: str | None
) -> dict[str, Any] | None:
    """Return the answer to AWS of a function that only observes.

    Every delivery is done, also a failed one: another function carries it out. Dead letters
    come again, as `acknowledge` says.
    """
    for delivery in deliveries:
        if not _is_dead_letter(delivery, dead_letter_queue):
            delivery.failures.clear()
    return acknowledge(deliveries)


def _is_dead_letter(delivery: Delivery, dead_letter_queue: str | None) -> bool:
    is_of_queue = delivery.queue is not None and delivery.queue == dead_letter_queue
    return is_of_queue or delivery.is_parked


def returned(deliveries: Sequence[Delivery]) -> Sequence[Delivery]:
    """Return the deliveries that come again: those that failed.

    All of them come again where one that failed is no SQS message, since that cannot be
    delivered again by itself.
    """
    failed = [delivery for delivery in deliveries if delivery.failures]
    is_whole = any(delivery.message_id is None for delivery in failed)
    return deliveries if is_whole else failed


def in_order(
    deliveries: Sequence[Delivery], *, stops_at_failures: bool = True
) -> Iterator[list[Delivery]]:
    """Yield the deliveries that may be carried out together.

    These are all of them, except that the messages of a FIFO queue's group follow one
    another.

    Args:
        deliveries: The deliveries of an invocation.
        stops_at_failures: Whether what follows a failed message of its group fails too.
    """
    waiting = list(deliveries)
    broken: set[object] = set()
    while waiting:
        together: list[Delivery] = []
        later: list[Delivery] = []
        taken: set[object] = set()
        for delivery in waiting:
            group = delivery.group
            if group is not None and group in taken:
                later.append(delivery)
            elif group is not None and group in broken:
                delivery.fail("an earlier message of its group failed", kind="group_blocked")
            else:
                taken.add(group)
                together.append(delivery)
        yield together
        if stops_at_failures:
            broken |= {each.group for each in together if each.failures and each.group}
        waiting = later
