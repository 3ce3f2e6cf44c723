"""Sending to SQS queues, in batches. See docs/design.md#dispatch."""

from __future__ import annotations

import enum
import random
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from botocore.exceptions import BotoCoreError, ClientError

from lava_s3trigger.errors import OutOfTimeError, ServiceError, UnexpectedError

from .clients import ATTEMPTS, is_stale_connection
from .threads import map_concurrently

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import SendMessageBatchRequestEntryTypeDef

    from lava_s3trigger.dispatch import PendingMessage

    from .deadline import Deadline

# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html
MAX_BYTES: Final = 1024 * 1024
"""Bytes that a message may have, and all messages of one call together."""
MAX_ENTRIES: Final = 10


class SqsQueues:
    """The SQS queues of a realm.

    Args:
        client: Client of SQS, that tries each call once.
        sleep: Waits for some seconds.
    """

    def __init__(self, client: SQSClient, sleep: Callable[[float], None] = time.sleep) -> None:
        self._client = client
        self._sleep = sleep
        self._urls: dict[str, str] = {}

    def send(self, messages: Iterable[PendingMessage], deadline: Deadline, reserve: float) -> None:
        """Send messages, in as few calls as the service allows, concurrently.

        What becomes of each is noted on it.

        Args:
            messages: What to send.
            deadline: When to stop starting calls.
            reserve: Seconds that must be left to start one.
        """
        batches = list(_batches(messages))
        # Look up each queue once, and before anything is sent: a lookup takes time that
        # was not reserved for the call that sends.
        unknown = sorted({batch[0].queue for batch in batches} - self._urls.keys())
        found = map_concurrently(lambda queue: self._find(queue, deadline, reserve), unknown)
        unavailable = {
            queue: each
            for queue, each in zip(unknown, found, strict=True)
            if isinstance(each, QueueUnavailable)
        }
        map_concurrently(
            lambda batch: self._send_batch(batch, unavailable, deadline, reserve), batches
        )

    def _find(self, queue: str, deadline: Deadline, reserve: float) -> str | QueueUnavailable:
        """Look up a queue and remember its URL; return that, or why there is none."""
        fault, reason = None, ""
        for attempt in range(ATTEMPTS):
            self._wait(attempt, fault)
            if not deadline.allows(reserve):
                return QueueUnavailable(_late(reason), OutOfTimeError.kind)
            try:
                url = self._client.get_queue_url(QueueName=queue)["QueueUrl"]
            except (BotoCoreError, ClientError) as error:
                fault, reason = _fault(error), _text(error)
                if fault in (_Fault.MISSING, _Fault.CONTENT):
                    return QueueUnavailable(f"no queue {ascii(queue)[1:-1]}", is_missing=True)
                if fault is _Fault.FINAL:
                    break
            except Exception as error:  # noqa: BLE001 - not what AWS answers; other queues go on
                return QueueUnavailable(str(UnexpectedError.of(error)), UnexpectedError.kind)
            else:
                self._urls[queue] = url
                return url
        return QueueUnavailable(reason)

    def _send_batch(
        self,
        batch: list[PendingMessage],
        unavailable: Mapping[str, QueueUnavailable],
        deadline: Deadline,
        reserve: float,
    ) -> None:
        queue = batch[0].queue
        try:
            why = unavailable.get(queue)
            reason = (
                why.note(batch) if why else self._send_with_retries(queue, batch, deadline, reserve)
            )
        except Exception as error:  # noqa: BLE001 - not what AWS answers; other batches go on
            reason = str(UnexpectedError.of(error))
        for message in _unsent(batch):
            message.reason = f"sending to queue {queue}: {message.reason or reason}"

    def _send_with_retries(
        self, queue: str, batch: list[PendingMessage], deadline: Deadline, reserve: float
    ) -> str:
        """Send a batch, with retries; return what prevented the last attempt."""
        left, reason, fault = batch, "", None
        for attempt in range(ATTEMPTS):
            self._wait(attempt, fault)
            url = self._urls.get(queue) or self._find(queue, deadline, reserve)
            if isinstance(url, str) and not deadline.allows(reserve):
                url = QueueUnavailable(_late(reason), OutOfTimeError.kind)
            if isinstance(url, QueueUnavailable):
                return url.note(left)
            if attempt:
                for message in left:
                    message.renew()
            fault, reason = self._attempt(url, left)
            left = _unsent(left)
            if fault is _Fault.CONTENT:
                self._send_apart(left, reason, deadline, reserve)
                break
            if fault is _Fault.MISSING:  # it was there once, and may have been made anew
                self._urls.pop(queue, None)
            if not left or fault is _Fault.FINAL:
                break
        return reason

    def _attempt(self, url: str, batch: list[PendingMessage]) -> tuple[_Fault, str]:
        """Try to send a batch once; return what prevented all of it."""
        try:
            self._call(url, batch)
        except (BotoCoreError, ClientError) as error:
            return _fault(error), _text(error)
        return _Fault.TRANSIENT, "the answer of SQS does not mention the message"

    def _send_apart(
        self, batch: list[PendingMessage], reason: str, deadline: Deadline, reserve: float
    ) -> None:
        """Halve a batch that was refused whole, until the message at fault stands alone."""
        if len(batch) == 1:
            batch[0].refuse("message_refused", reason)
            return
        middle = len(batch) // 2
        for half in (batch[:middle], batch[middle:]):
            reason = self._send_with_retries(half[0].queue, half, deadline, reserve)
            for message in _unsent(half):
                message.reason = message.reason or reason

    def _call(self, url: str, batch: list[PendingMessage]) -> None:
        """Call SQS with a batch, and note what became of each message."""
        entries: list[SendMessageBatchRequestEntryTypeDef] = [
            {"Id": str(number), "MessageBody": message.text, "DelaySeconds": message.delay}
            for number, message in enumerate(batch)
        ]
        answer = self._client.send_message_batch(QueueUrl=url, Entries=entries)
        for success in answer.get("Successful", ()):
            batch[int(success["Id"])].accept()
        # The status is 200, with the entries that failed inside.
        for failed in answer.get("Failed", ()):
            message = batch[int(failed["Id"])]
            code = failed.get("Code", "")
            said = _cause(code, f"{code}: {failed.get('Message', '')}")
            if failed.get("SenderFault") and not _is_transient(code):
                message.refuse("message_refused", said)
            else:
                message.reason = said

    def _wait(self, attempt: int, fault: _Fault | None) -> None:
        """Wait before a retry: longer each time, with jitter, as AWS advises."""
        # https://docs.aws.amazon.com/sdkref/latest/guide/feature-retry-behavior.html
        if attempt and not (attempt == 1 and fault is _Fault.STALE_CONNECTION):
            self._sleep(random.uniform(0, 2 ** (attempt - 1)))  # noqa: S311 - no secret


def _batches(messages: Iterable[PendingMessage]) -> Iterator[list[PendingMessage]]:
    """Group messages by queue, within the service's limits; refuse what fits none."""
    by_queue: dict[str, list[PendingMessage]] = {}
    for message in messages:
        by_queue.setdefault(message.queue, []).append(message)
    for group in by_queue.values():
        batch: list[PendingMessage] = []
        total = 0
        for message in group:
            if message.outcome == "user_error" or refuse_too_large(message):
                continue
            length = len(message.text)
            if len(batch) == MAX_ENTRIES or total + length > MAX_BYTES:
                yield batch
                batch, total = [], 0
            batch.append(message)
            total += length
        if batch:
            yield batch


def _unsent(batch: Iterable[PendingMessage]) -> list[PendingMessage]:
    """Return the messages that were neither sent nor refused."""
    return [message for message in batch if message.outcome == "failed"]


def refuse_too_large(message: PendingMessage) -> bool:
    """Note on a message that no queue takes it, if it is too large for SQS; tell whether."""
    length = len(message.text)  # ASCII
    if length <= MAX_BYTES:
        return False
    message.refuse(
        "message_too_large", f"the message has {length} bytes; SQS takes at most {MAX_BYTES}"
    )
    return True


@dataclass(frozen=True, slots=True)
class QueueUnavailable:
    """Why a queue has no URL."""

    reason: str
    kind: str = ServiceError.kind
    is_missing: bool = False
    """Whether the queue does not exist, which a retry does not mend."""

    def note(self, messages: Iterable[PendingMessage]) -> str:
        """Note on messages to it that they are refused or have failed; return the reason."""
        for message in messages:
            if self.is_missing:
                message.refuse("no_queue", self.reason)
            else:
                message.kind = self.kind
        return self.reason


def _late(reason: str) -> str:
    return (
        f"too little time left to try again after: {reason}" if reason else "too little time left"
    )


class _Fault(enum.Enum):
    """What an error of a call means for its messages."""

    MISSING = "the queue does not exist"
    CONTENT = "the service refuses a message, or all of them together"
    STALE_CONNECTION = "the service had closed the connection; another one may do"
    TRANSIENT = "the service may take them later"
    FINAL = "the service refuses them until an operator changes something"


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
# The older protocol's code, which SQS still sends in a header, and the newer one.
# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessageBatch.html
_KEY_DENIED: Final = frozenset(["KMS.AccessDeniedException", "KmsAccessDenied"])
_SERVER_ERROR: Final = 500
_THROTTLED: Final = 429


def _fault(error: BotoCoreError | ClientError) -> _Fault:
    if not isinstance(error, ClientError):  # such as a connection that was reset
        return _Fault.STALE_CONNECTION if is_stale_connection(error) else _Fault.TRANSIENT
    full_code = _code(error)
    if full_code in _KEY_DENIED:
        return _Fault.FINAL
    # As it came with the older protocol, AWS.SimpleQueueService.NonExistentQueue.
    code = full_code.rpartition(".")[2]
    if code in _MISSING:
        return _Fault.MISSING
    if code in _CONTENT:
        return _Fault.CONTENT
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", _SERVER_ERROR)
    if status >= _SERVER_ERROR or status == _THROTTLED or _is_transient(full_code):
        return _Fault.TRANSIENT
    return _Fault.FINAL


def _is_transient(code: str) -> bool:
    """Tell whether an error is the service's state, and not the message's."""
    return any(mark in code for mark in ("Throttl", "TooManyRequests", "OverLimit", "Kms", "KMS"))


def _code(error: BotoCoreError | ClientError) -> str:
    """Return the error code of the service; empty if the service did not answer."""
    return error.response.get("Error", {}).get("Code", "") if isinstance(error, ClientError) else ""


def _text(error: BotoCoreError | ClientError) -> str:
    return _cause(_code(error), " ".join(str(error).split()))


def _cause(code: str, text: str) -> str:
    """Put the cause before an error whose own text does not say that it concerns the queue."""
    if code in _KEY_DENIED:
        return (
            "the function's role may not use the KMS key of the queue "
            f"(it needs kms:GenerateDataKey and kms:Decrypt); {text}"
        )
    return text
