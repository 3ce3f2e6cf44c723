"""The answer to AWS: which deliveries are done. See docs/design.md#acknowledgement."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .errors import DeliveriesFailedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from .deliveries import Delivery


def acknowledge(
    deliveries: Sequence[Delivery], failed: Sequence[Delivery]
) -> dict[str, Any] | None:
    """Return the answer to AWS: which SQS messages to deliver again, if any.

    Args:
        deliveries: The deliveries of the invocation.
        failed: The result of `returned`.

    Raises:
        DeliveriesFailedError: AWS must deliver the whole invocation again, because
            every SQS message failed, or because a delivery that failed is not an SQS message.
            Lambda then returns all messages, even where partial responses are not turned on.
    """
    if not failed:
        return None
    if len(failed) == len(deliveries):
        failures = [failure for delivery in deliveries for failure in delivery.failures]
        raise DeliveriesFailedError(len(failures), failures[0].reason or "")
    messages = [delivery.message_id for delivery in failed]
    return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in messages]}


def returned(
    deliveries: Sequence[Delivery], must_return: Callable[[Delivery], bool] = lambda _: True
) -> Sequence[Delivery]:
    """Return the deliveries that AWS must deliver again.

    These are all if a failed one is not an SQS message: AWS cannot return it separately.

    Args:
        deliveries: The deliveries of the invocation.
        must_return: Whether AWS must deliver a failed delivery again.
    """
    failed = [delivery for delivery in deliveries if delivery.failures and must_return(delivery)]
    is_whole = any(delivery.message_id is None for delivery in failed)
    return deliveries if is_whole else failed


def in_order(
    deliveries: Sequence[Delivery], *, stops_at_failures: bool = True
) -> Iterator[list[Delivery]]:
    """Yield the deliveries that may be carried out together.

    Messages of one group of a FIFO queue follow one another.

    Args:
        deliveries: The deliveries of an invocation.
        stops_at_failures: Whether the messages after a failed one of their group fail too.
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
                delivery.fail("group_blocked", "an earlier message of its group failed")
            else:
                taken.add(group)
                together.append(delivery)
        yield together
        if stops_at_failures:
            broken |= {
                delivery.group for delivery in together if delivery.group and delivery.failures
            }
        waiting = later
