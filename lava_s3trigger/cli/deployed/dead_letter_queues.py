"""Dead-letter queues: reads their messages, which are then hidden from others; counts them."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator  # noqa: TC003 - of a dataclass
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from lava_s3trigger.cli.errors import CommandError
from lava_s3trigger.deliveries import deliveries
from lava_s3trigger.parking import is_parked_message

from .aws import pieces, reaching_aws

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from lava_s3trigger.deliveries import DeliveredEvent

    from .function import DeployedFunction

OWN: Final = "own"
"""Stands for the dead-letter queue of the function."""
INTAKE: Final = "intake"
"""Stands for the dead-letter queue of the intake queue."""
HOLD_SECONDS: Final = 900
"""For how long read messages are hidden from others, unless they are released."""
_EMPTY_ANSWERS: Final = 2
"""Empty answers in a row after which a queue has been read."""
_WAIT_SECONDS = 1
"""For how long SQS waits for a message. If it waits at all, it queries all of its servers."""
_MAX_BATCH: Final = 10
_UNEXPLAINED: Final = "it was tried too often"
_NUMBER: Final = "ApproximateNumberOfMessages"


@dataclass(frozen=True, slots=True)
class MessageCounts:
    """The number of messages of a queue, as SQS counts them: approximate, up to a minute late."""

    visible: int
    hidden: int
    """Messages that somebody received and did not delete."""
    delayed: int
    visibility_timeout: int
    """The visibility timeout of the queue, in seconds."""

    @property
    def total(self) -> int:
        """All messages, whether they can be received now or not."""
        return self.visible + self.hidden + self.delayed

    @property
    def unseen(self) -> int:
        """Messages that cannot be received now."""
        return self.hidden + self.delayed

    def __str__(self) -> str:
        """Return the numbers that are not 0, such as ``3 visible, 1 hidden``."""
        numbers = {"visible": self.visible, "hidden": self.hidden, "delayed": self.delayed}
        return ", ".join(f"{number:,} {word}" for word, number in numbers.items() if number)

    def hidden_until(self, now: datetime) -> datetime:
        """Return the time by which all messages that are hidden now can be received again.

        The function hides messages for the visibility timeout of the queue, and these commands
        for `HOLD_SECONDS`. Other readers of the queue may choose a longer time.
        """
        return now + timedelta(seconds=max(self.visibility_timeout, HOLD_SECONDS))


def hidden_text(number: int, until: datetime) -> str:
    """Return how many messages are hidden, such as ``8 hidden until 15:02 UTC``."""
    return f"{number:,} hidden until {until.astimezone(UTC):%H:%M} UTC"


@dataclass(slots=True)
class DeadLetter:
    """A message of a dead-letter queue."""

    queue: str
    message_id: str
    body: str
    sent_at: datetime
    receipt: str
    trigger_id: str | None = None
    """The trigger for which it was parked."""
    kind: str = "not_processed"
    """Kind of the first reason."""
    reason: str = ""
    events: list[DeliveredEvent] = field(default_factory=list)
    record: dict[str, Any] = field(default_factory=dict)
    """The record that the function would get, in the form of an invocation by SQS."""

    @property
    def places(self) -> list[str]:
        """S3 URIs of its objects."""
        return [
            f"s3://{named_event.event.bucket}/{named_event.event.key}"
            for named_event in self.events
        ]


class MissingQueueError(CommandError):
    """The dead-letter queue does not exist."""


def dead_letter_queue_names(deployed: DeployedFunction) -> dict[str, str]:
    """Return the names of a function's dead-letter queues, by their owner.

    These are the function's own, if it has one, and that of the intake queue, which may not
    exist.

    Raises:
        CommandError: The function's configuration does not name its own queue.
    """
    own = deployed.dead_letter_queue
    return ({OWN: own} if own else {}) | {INTAKE: f"{deployed.intake_queue}-dlq"}


class DeadLetterQueue:
    """A dead-letter queue.

    Args:
        client: Client of SQS.
        name: Name of the queue.
        region: AWS region, for events that name none.
    """

    def __init__(self, client: Any, name: str, region: str) -> None:
        self._client = client
        self._region = region
        self.name = name
        with reaching_aws():
            try:
                self.url: str = client.get_queue_url(QueueName=name)["QueueUrl"]
            except client.exceptions.QueueDoesNotExist:
                raise MissingQueueError(f"there is no queue {name}") from None
            answer = client.get_queue_attributes(QueueUrl=self.url, AttributeNames=["QueueArn"])
        self.arn: str = answer["Attributes"]["QueueArn"]

    def counts(self) -> MessageCounts:
        """Return the number of messages, as SQS counts them."""
        names = [_NUMBER, f"{_NUMBER}NotVisible", f"{_NUMBER}Delayed", "VisibilityTimeout"]
        with reaching_aws():
            answer = self._client.get_queue_attributes(QueueUrl=self.url, AttributeNames=names)
        return MessageCounts(*(int(answer["Attributes"].get(name, 0)) for name in names))

    def read(self) -> Iterator[DeadLetter]:
        """Read each message once; the messages are hidden until they are released."""
        seen: set[str] = set()
        empty = 0
        while empty < _EMPTY_ANSWERS:
            with reaching_aws():
                answer = self._client.receive_message(
                    QueueUrl=self.url,
                    MaxNumberOfMessages=_MAX_BATCH,
                    VisibilityTimeout=HOLD_SECONDS,
                    WaitTimeSeconds=_WAIT_SECONDS,
                    MessageSystemAttributeNames=["All"],
                    MessageAttributeNames=["All"],
                )
            messages = answer.get("Messages", [])
            empty = 0 if messages else empty + 1
            for message in messages:
                if message["MessageId"] not in seen:
                    seen.add(message["MessageId"])
                    yield self._letter(message)

    def _letter(self, message: dict[str, Any]) -> DeadLetter:
        system = message.get("Attributes", {})
        record = {
            "messageId": message["MessageId"],
            "eventSource": "aws:sqs",
            "eventSourceARN": self.arn,
            "body": message["Body"],
            "attributes": {"SentTimestamp": str(system.get("SentTimestamp", 0))},
            "messageAttributes": {
                name: _attribute(value)
                for name, value in message.get("MessageAttributes", {}).items()
            },
        }
        attributes = record["messageAttributes"]
        letter = DeadLetter(
            queue=self.name,
            message_id=message["MessageId"],
            body=message["Body"],
            sent_at=datetime.fromtimestamp(int(system.get("SentTimestamp", 0)) / 1000, UTC),
            receipt=message["ReceiptHandle"],
            # Lambda adds this to an event that it gave up.
            reason=attributes.get("ErrorMessage", {}).get("stringValue") or _UNEXPLAINED,
            record=record,
        )
        for delivery in deliveries({"Records": [record]}, self._region):
            letter.events += delivery.events
            if delivery.errors:
                letter.kind, letter.reason = "not_understood", str(delivery.errors[0])
        _note_parked(letter)
        return letter

    def release(self, letters: Iterable[DeadLetter]) -> None:
        """Make messages visible to others again."""
        self.hold(letters, 0)

    def hold(self, letters: Iterable[DeadLetter], seconds: int = HOLD_SECONDS) -> None:
        """Hide messages from others for some seconds from now on."""
        for batch in pieces(letters, _MAX_BATCH):
            entries = [
                {"Id": str(number), "ReceiptHandle": letter.receipt, "VisibilityTimeout": seconds}
                for number, letter in enumerate(batch)
            ]
            with reaching_aws():
                self._client.change_message_visibility_batch(QueueUrl=self.url, Entries=entries)

    def delete(self, letters: Sequence[DeadLetter]) -> list[str]:
        """Delete messages; return the ids of those that SQS did not delete."""
        left = []
        for batch in pieces(letters, _MAX_BATCH):
            entries = [
                {"Id": str(number), "ReceiptHandle": letter.receipt}
                for number, letter in enumerate(batch)
            ]
            with reaching_aws():
                answer = self._client.delete_message_batch(QueueUrl=self.url, Entries=entries)
            left += [batch[int(failure["Id"])].message_id for failure in answer.get("Failed", ())]
        return left


def _attribute(value: dict[str, Any]) -> dict[str, str]:
    """Return a message attribute in the form in which Lambda passes it."""
    attribute = {"dataType": str(value["DataType"])}
    if "BinaryValue" in value:
        return attribute | {"binaryValue": base64.b64encode(value["BinaryValue"]).decode()}
    return attribute | {"stringValue": str(value.get("StringValue", ""))}


def _note_parked(letter: DeadLetter) -> None:
    """Record the trigger of a parked message, and why it was parked."""
    try:
        value = json.loads(letter.body)
    except (ValueError, RecursionError):
        return
    if not isinstance(value, dict) or not is_parked_message(value):
        return
    match value["parked"]:
        case {"trigger_id": str(trigger_id), **rest}:
            letter.trigger_id = trigger_id
            reasons = rest.get("reasons")
            first = reasons[0] if isinstance(reasons, list) and reasons else rest
            if isinstance(first, dict):
                letter.kind = str(first.get("kind", "parked"))
                letter.reason = str(first.get("reason", ""))


def chosen_by(trigger: str | None, reason: str | None) -> Callable[[DeadLetter], bool]:
    """Return a filter for messages of a trigger, of a kind, or with a text in their reason."""
    return lambda letter: (
        (trigger is None or letter.trigger_id == trigger)
        and (reason is None or reason == letter.kind or reason in letter.reason)
    )
