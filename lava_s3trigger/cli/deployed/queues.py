"""How many messages wait in a queue of SQS."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from .aws import reaching_aws

_NUMBER: Final = "ApproximateNumberOfMessages"
_NAMES: Final = (_NUMBER, f"{_NUMBER}NotVisible", f"{_NUMBER}Delayed")


@dataclass(frozen=True, slots=True)
class QueueCounts:
    """The messages of a queue, as SQS counts them: approximately, and up to a minute late."""

    visible: int
    hidden: int
    """Received by somebody, and not deleted yet."""
    delayed: int

    @property
    def total(self) -> int:
        """All messages, whether they can be received now or not."""
        return self.visible + self.hidden + self.delayed

    def __str__(self) -> str:
        """Return the numbers as text, such as ``3 visible, 1 hidden``; those that are not 0."""
        numbers = {"visible": self.visible, "hidden": self.hidden, "delayed": self.delayed}
        return ", ".join(f"{number:,} {word}" for word, number in numbers.items() if number)


def count_messages(client: Any, name: str) -> QueueCounts | None:
    """Return how many messages a queue has; None if there is no such queue.

    Args:
        client: Client of SQS.
        name: Name of the queue.

    Raises:
        CommandError: AWS refuses, or cannot be reached.
    """
    with reaching_aws():
        try:
            url = client.get_queue_url(QueueName=name)["QueueUrl"]
            found = client.get_queue_attributes(QueueUrl=url, AttributeNames=[*_NAMES])
        except client.exceptions.QueueDoesNotExist:
            return None
    return QueueCounts(*(int(found["Attributes"].get(each, 0)) for each in _NAMES))
