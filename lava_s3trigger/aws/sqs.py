"""Sending to SQS queues, in batches. See docs/design.md#dispatch."""

from __future__ import annotations

import enum
import random
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar

from botocore.exceptions import BotoCoreError, ClientError

from lava_s3trigger.errors import OutOfTimeError, ServiceError, UnexpectedError

from .clients import ATTEMPTS, is_stale_connection
from .threads import map_concurrently

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import SendMessageBatchRequestEntryTypeDef

    from lava_s3trigger.dispatch import PendingMessage

    from .deadline import Deadline

T = TypeVar("T")

# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html
MAX_BYTES: Final = 1024 * 1024
"""Bytes that a message may have, and that all messages of one call may have together."""
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

        The outcome of each message is recorded on it.

        Args:
            messages: What to send.
            deadline: When to stop starting calls.
            reserve: Seconds that must be left to start one.
        """
        batches = list(_batches(messages))

        def has_time() -> bool:
            return deadline.allows(reserve)

        # Look each queue up once, before sending: the time reserved for a call that sends
        # does not include a lookup.
        unknown = sorted({batch[0].queue for batch in batches} - self._urls.keys())
        answers = map_concurrently(lambda queue: self._find(queue, has_time), unknown)
        urls = self._urls | dict(zip(unknown, answers, strict=True))
        map_concurrently(
            lambda batch: self._send_batch(batch, urls[batch[0].queue], has_time), batches
        )

    def _find(self, queue: str, has_time: Callable[[], bool]) -> str | _Failure:
        """Look up a queue and remember its URL; return the URL, or why there is none."""
        url = self._with_retries(
            lambda _: self._client.get_queue_url(QueueName=queue)["QueueUrl"], has_time
        )
        if isinstance(url, str):
            self._urls[queue] = url
        elif url.fault in {_Fault.MISSING, _Fault.CONTENT}:
            return _Failure(f"no queue {ascii(queue)[1:-1]}", refusal="no_queue")
        return url

    def _send_batch(
        self, batch: list[PendingMessage], url: str | _Failure, has_time: Callable[[], bool]
    ) -> None:
        """Send a batch, and record on each message that was not sent the reason."""
        failure = self._send_to(url, batch, has_time)
        for attempt in range(1, ATTEMPTS):
            if not (failure and failure.fault is _Fault.MISSING):
                break
            # It existed, and may have been created again: SQS needs up to a minute.
            self._urls.pop(batch[0].queue, None)
            self._back_off(attempt)
            url = self._find(batch[0].queue, has_time)
            failure = self._send_to(url, batch, has_time)
        left = _unsent(batch)
        if failure and failure.fault is _Fault.CONTENT and len(left) > 1:
            # Halve it, until the message at fault is in a batch of its own.
            middle = len(left) // 2
            self._send_batch(left[:middle], url, has_time)
            self._send_batch(left[middle:], url, has_time)
        elif failure:
            for message in left:
                failure.note(message)

    def _send_to(
        self, url: str | _Failure, batch: list[PendingMessage], has_time: Callable[[], bool]
    ) -> _Failure | None:
        """Send the rest of a batch, with retries; return why the last attempt failed."""
        if isinstance(url, _Failure):
            return url

        def send(attempt: int) -> bool | None:
            left = _unsent(batch)
            if attempt:
                for message in left:
                    message.renew()
            self._call(url, left)
            return not _unsent(left) or None

        sent = self._with_retries(send, has_time)
        return sent if isinstance(sent, _Failure) else None

    def _with_retries(
        self, call: Callable[[int], T | None], has_time: Callable[[], bool]
    ) -> T | _Failure:
        """Return the result of a call, or why there is none.

        Args:
            call: Makes an attempt; its argument is the number of the attempt. It returns
                None to ask for another one.
            has_time: Returns whether there is time to start an attempt.
        """
        failure: _Failure | None = None
        for attempt in range(ATTEMPTS):
            if attempt > 1 or (failure and failure.fault is not _Fault.STALE_CONNECTION):
                self._back_off(attempt)
            if not has_time():
                after = f" to try again after: {failure.reason}" if failure else ""
                return _Failure(f"too little time left{after}", OutOfTimeError.kind)
            try:
                answer = call(attempt)
                if answer is not None:
                    return answer
                failure = _Failure("the answer of SQS does not mention the message")
            except (BotoCoreError, ClientError) as error:
                failure = _Failure(_text(error), fault=_fault(error))
                if failure.fault not in {_Fault.STALE_CONNECTION, _Fault.TRANSIENT}:
                    break
            except Exception as error:  # noqa: BLE001 - not what AWS answers; other calls continue
                return _Failure(str(UnexpectedError.of(error)), UnexpectedError.kind)
        assert failure  # noqa: S101 - of the last attempt
        return failure

    def _back_off(self, attempt: int) -> None:
        """Wait before an attempt: longer each time, with jitter, as AWS advises."""
        # https://docs.aws.amazon.com/sdkref/latest/guide/feature-retry-behavior.html
        self._sleep(random.uniform(0, 2 ** (attempt - 1)))  # noqa: S311 - no secret

    def _call(self, url: str, batch: list[PendingMessage]) -> None:
        """Call SQS with a batch, and record the outcome on each message."""
        entries: list[SendMessageBatchRequestEntryTypeDef] = [
            {"Id": str(number), "MessageBody": message.text, "DelaySeconds": message.delay}
            for number, message in enumerate(batch)
        ]
        answer = self._client.send_message_batch(QueueUrl=url, Entries=entries)
        for success in answer.get("Successful", ()):
            batch[int(success["Id"])].accept()
        # The status is 200; the response lists the entries that failed.
        for failed in answer.get("Failed", ()):
            message = batch[int(failed["Id"])]
            code = failed.get("Code", "")
            said = _cause(code, f"{code}: {failed.get('Message', '')}")
            if failed.get("SenderFault") and not _is_transient(code):
                message.refuse("message_refused", said)
            else:
                message.reason = said


def _batches(messages: Iterable[PendingMessage]) -> Iterator[list[PendingMessage]]:
    """Group messages by queue, within the service's limits; refuse those that are too large."""
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
    """Refuse a message that is too large for SQS; return whether it is."""
    length = len(message.text)  # ASCII
    if length <= MAX_BYTES:
        return False
    message.refuse(
        "message_too_large", f"the message has {length} bytes; SQS takes at most {MAX_BYTES}"
    )
    return True


class _Fault(enum.Enum):
    """The meaning of an error of a call for its messages."""

    MISSING = "the queue does not exist"
    CONTENT = "the service refuses a message, or all of them together"
    STALE_CONNECTION = "the service had closed the connection; another one may do"
    TRANSIENT = "the service may take them later"
    FINAL = "the service refuses them until an operator changes something"


@dataclass(frozen=True, slots=True)
class _Failure:
    """Why a queue was not found, or why messages were not sent to it."""

    reason: str
    kind: str = ServiceError.kind
    fault: _Fault = _Fault.TRANSIENT
    refusal: str = ""
    """Kind of the user error, if a retry does not help."""

    def note(self, message: PendingMessage) -> None:
        """Record on a message why it was not sent."""
        if self.refusal or self.fault is _Fault.CONTENT:
            message.refuse(self.refusal or "message_refused", self.reason)
        else:
            message.kind = self.kind
            message.reason = f"sending to queue {message.queue}: {message.reason or self.reason}"


_CONTENT: Final = frozenset(
    [
        "BatchRequestTooLong",
        "InvalidAddress",
        "InvalidMessageContents",
        "InvalidParameterValue",
        "MissingParameter",  # a FIFO queue returns this: it accepts no message without a group
    ]
)
_MISSING: Final = frozenset(["NonExistentQueue", "QueueDoesNotExist"])
# The code of the older protocol, which SQS still sends in a header, and that of the newer one.
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
    # With the older protocol it was AWS.SimpleQueueService.NonExistentQueue.
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
    """Return whether an error is due to the state of the service, not to the message."""
    return any(mark in code for mark in ("Throttl", "TooManyRequests", "OverLimit", "Kms", "KMS"))


def _code(error: BotoCoreError | ClientError) -> str:
    """Return the error code of the service; empty if the service did not answer."""
    return error.response.get("Error", {}).get("Code", "") if isinstance(error, ClientError) else ""


def _text(error: BotoCoreError | ClientError) -> str:
    return _cause(_code(error), " ".join(str(error).split()))


def _cause(code: str, text: str) -> str:
    """Put the cause before an error if its own text does not say that it concerns the queue."""
    if code in _KEY_DENIED:
        return (
            "the function's role may not use the KMS key of the queue "
            f"(it needs kms:GenerateDataKey and kms:Decrypt); {text}"
        )
    return text
