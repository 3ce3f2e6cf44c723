"""Sending to SQS queues, in batches. See docs/design.md#dispatch."""

from __future__ import annotations

import enum
import random
import time
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from botocore.exceptions import BotoCoreError, ClientError

from lava_s3trigger.errors import UnexpectedError

from .clients import ATTEMPTS, SLOWEST_CALL
from .threads import map_concurrently

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import SendMessageBatchRequestEntryTypeDef

    from .deadline import Deadline

# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html
LARGEST: Final = 1024 * 1024
"""Bytes that a message may have, and the messages of one call together."""
MOST_ENTRIES: Final = 10


class PendingMessage:
    """A message on its way to a queue, and what becomes of it.

    Args:
        queue: Name of the queue.
        make: Makes the text of the message, given a new run id.
        delay: Seconds.
    """

    __slots__ = ("_make", "delay", "failure", "is_sent", "queue", "refusal", "run_id", "text")

    def __init__(self, queue: str, make: Callable[[str], str], delay: int = 0) -> None:
        self.queue = queue
        self.delay = delay
        self._make = make
        self.is_sent = False
        self.refusal: str | None = None
        """Why it can never be sent as it is."""
        self.renew()

    def renew(self) -> None:
        """Make another message of it: the service may have taken the last one, unheard."""
        self.run_id = str(uuid.uuid4())
        self.failure: str | None = None
        """Why it could not be sent this time."""
        try:
            self.text = self._make(self.run_id)
        except RecursionError:  # what was just read may be too deep to be written
            self.text = ""
            self.refusal = "the message is nested too deeply"


class SqsQueues:
    """The queues of a realm.

    Args:
        client: Client of SQS, that tries each call once.
        sleep: Waits for some seconds.
    """

    def __init__(self, client: SQSClient, sleep: Callable[[float], None] = time.sleep) -> None:
        self._client = client
        self._sleep = sleep
        self._urls: dict[str, str] = {}

    def send(
        self, messages: Iterable[PendingMessage], deadline: Deadline, reserve: float = 0.0
    ) -> None:
        """Send messages, in as few calls as the service allows, side by side.

        What becomes of each is noted on it.

        Args:
            messages: What to send.
            deadline: When to stop starting calls.
            reserve: Seconds to leave for what comes after.
        """
        batches = list(_batches(messages))
        # Each queue once, and before anything is sent: a call that looks one up takes
        # time that the call that sends was not to have.
        unknown = sorted({batch[0].queue for batch in batches} - self._urls.keys())
        found = map_concurrently(lambda queue: self._find(queue, deadline, reserve), unknown)
        out_of_reach = {
            queue: each
            for queue, each in zip(unknown, found, strict=True)
            if isinstance(each, QueueUnavailable)
        }
        map_concurrently(
            lambda batch: self._send_batch(batch, out_of_reach, deadline, reserve), batches
        )

    def _find(self, queue: str, deadline: Deadline, reserve: float) -> str | QueueUnavailable:
        """Look a queue up, and remember it; give its URL, or why there is none to be had."""
        reason = ""
        for attempt in range(ATTEMPTS):
            if attempt:
                self._wait(attempt)
            if not deadline.allows(SLOWEST_CALL + reserve):
                return QueueUnavailable(_late(reason))
            try:
                url = self._client.get_queue_url(QueueName=queue)["QueueUrl"]
            except (BotoCoreError, ClientError) as error:
                fault, reason = _fault(error), _said(error)
                if fault in (_Fault.MISSING, _Fault.CONTENT):
                    return QueueUnavailable(f"there is no queue {queue}", is_missing=True)
                if fault is _Fault.FINAL:
                    break
            except Exception as error:  # noqa: BLE001 - not what AWS answers; other queues go on
                return QueueUnavailable(str(UnexpectedError.of(error)))
            else:
                self._urls[queue] = url
                return url
        return QueueUnavailable(reason)

    def _send_batch(
        self,
        batch: list[PendingMessage],
        out_of_reach: Mapping[str, QueueUnavailable],
        deadline: Deadline,
        reserve: float,
    ) -> None:
        queue = batch[0].queue
        try:
            why = out_of_reach.get(queue)
            reason = (
                why.note(batch) if why else self._send_with_retries(queue, batch, deadline, reserve)
            )
        except Exception as error:  # noqa: BLE001 - not what AWS answers; other batches go on
            reason = str(UnexpectedError.of(error))
        for message in batch:
            if not (message.is_sent or message.refusal):
                message.failure = f"sending to queue {queue}: {message.failure or reason}"

    def _send_with_retries(
        self, queue: str, batch: list[PendingMessage], deadline: Deadline, reserve: float
    ) -> str:
        """Try to send, more than once if need be; give what stood in the way last."""
        left, reason = batch, ""
        for attempt in range(ATTEMPTS):
            if attempt:
                self._wait(attempt)
            url = self._urls.get(queue) or self._find(queue, deadline, reserve)
            if isinstance(url, QueueUnavailable):
                return url.note(left)
            if not deadline.allows(SLOWEST_CALL + reserve):
                return _late(reason)
            if attempt:
                for message in left:
                    message.renew()
            fault, reason = self._attempt(url, left)
            left = [message for message in left if not (message.is_sent or message.refusal)]
            if not left or fault is _Fault.FINAL:
                break
            if fault is _Fault.CONTENT:
                self._send_apart(left, reason, deadline, reserve)
                break
            if fault is _Fault.MISSING:  # it was there once, and may have been made anew
                self._urls.pop(queue, None)
        return reason

    def _attempt(self, url: str, batch: list[PendingMessage]) -> tuple[_Fault, str]:
        """Try to send one batch, and give what stood in the way of all of it."""
        try:
            self._call(url, batch)
        except (BotoCoreError, ClientError) as error:
            return _fault(error), _said(error)
        return _Fault.PASSING, "SQS does not say what became of it"

    def _send_apart(
        self, batch: list[PendingMessage], reason: str, deadline: Deadline, reserve: float
    ) -> None:
        """Split what was refused whole, until what is at fault stands alone."""
        if len(batch) == 1:
            _refuse(batch, reason)
            return
        middle = len(batch) // 2
        for half in (batch[:middle], batch[middle:]):
            reason = self._send_with_retries(half[0].queue, half, deadline, reserve)
            for message in half:
                if not (message.is_sent or message.refusal):
                    message.failure = message.failure or reason

    def _call(self, url: str, batch: list[PendingMessage]) -> None:
        """Send one batch, and note what became of each message."""
        entries: list[SendMessageBatchRequestEntryTypeDef] = [
            {"Id": str(number), "MessageBody": message.text, "DelaySeconds": message.delay}
            for number, message in enumerate(batch)
        ]
        answer = self._client.send_message_batch(QueueUrl=url, Entries=entries)
        for success in answer.get("Successful", ()):
            message = batch[int(success["Id"])]
            message.is_sent, message.failure = True, None
        # The answer is 200 with what failed inside.
        for failed in answer.get("Failed", ()):
            message = batch[int(failed["Id"])]
            code = failed.get("Code", "")
            said = f"{code}: {failed.get('Message', '')}"
            if failed.get("SenderFault") and not _is_passing(code):
                message.refusal, message.failure = said, None
            else:
                message.failure = said

    def _wait(self, attempt: int) -> None:
        """Wait before another attempt: longer each time, and with jitter, as AWS advises."""
        # https://docs.aws.amazon.com/sdkref/latest/guide/feature-retry-behavior.html
        self._sleep(random.uniform(0, 2 ** (attempt - 1)))  # noqa: S311 - no secret


def _batches(messages: Iterable[PendingMessage]) -> Iterator[list[PendingMessage]]:
    """Group messages by queue, within the service's limits; what fits none is refused."""
    by_queue: dict[str, list[PendingMessage]] = {}
    for message in messages:
        by_queue.setdefault(message.queue, []).append(message)
    for group in by_queue.values():
        batch: list[PendingMessage] = []
        total = 0
        for message in group:
            if message.refusal:
                continue
            length = len(message.text)
            if length > LARGEST:
                message.refusal = f"the message has {length} bytes; SQS takes at most {LARGEST}"
                continue
            if len(batch) == MOST_ENTRIES or total + length > LARGEST:
                yield batch
                batch, total = [], 0
            batch.append(message)
            total += length
        if batch:
            yield batch


@dataclass(frozen=True, slots=True)
class QueueUnavailable:
    """Why a queue has no URL."""

    reason: str
    is_missing: bool = False
    """Whether there is none, which trying again does not mend."""

    def note(self, messages: Iterable[PendingMessage]) -> str:
        """Note on messages for it that they are refused, or give why they have failed."""
        if self.is_missing:
            _refuse(messages, self.reason)
        return self.reason


def _late(reason: str) -> str:
    return f"too little time was left; {reason}" if reason else "out of time"


def _refuse(messages: Iterable[PendingMessage], reason: str) -> None:
    for message in messages:
        message.refusal, message.failure = reason, None


class _Fault(enum.Enum):
    """What a refused call means for its messages."""

    MISSING = "there is no such queue"
    CONTENT = "a message, or all together, is not as the service wants it"
    PASSING = "the service may take it later"
    FINAL = "the service will refuse it until an operator changes something"


_CONTENT: Final = frozenset(
    [
        "BatchRequestTooLong",
        "InvalidAddress",
        "InvalidMessageContents",
        "InvalidParameterValue",
        "MissingParameter",  # as a FIFO queue says, which takes no message without a group
    ]
)
_MISSING: Final = frozenset(["NonExistentQueue", "QueueDoesNotExist"])
_SERVER_ERROR: Final = 500
_THROTTLED: Final = 429


def _fault(error: BotoCoreError | ClientError) -> _Fault:
    if not isinstance(error, ClientError):  # such as a connection that was reset
        return _Fault.PASSING
    # As it came with the older protocol, AWS.SimpleQueueService.NonExistentQueue.
    code = error.response.get("Error", {}).get("Code", "").rpartition(".")[2]
    if code in _MISSING:
        return _Fault.MISSING
    if code in _CONTENT:
        return _Fault.CONTENT
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", _SERVER_ERROR)
    if status >= _SERVER_ERROR or status == _THROTTLED or _is_passing(code):
        return _Fault.PASSING
    return _Fault.FINAL


def _is_passing(code: str) -> bool:
    """Tell whether an error is the service's state, and not the message's."""
    return any(mark in code for mark in ("Throttl", "TooManyRequests", "OverLimit", "Kms", "KMS"))


def _said(error: Exception) -> str:
    return " ".join(str(error).split())
