"""Queues of SQS, which take messages in batches."""

import hashlib
import itertools
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from .faults import EntryRefusal, RefusedError

_NUMBERS: Final = itertools.count(1)
MAX_MESSAGE_BYTES: Final = 1024 * 1024
# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessageBatch.html
_MAX_ENTRIES: Final = 10
_MAX_BATCH_BYTES: Final = 1024 * 1024
_MAX_DELAY_SECONDS: Final = 900
_ID: Final = re.compile("[A-Za-z0-9_-]{1,80}")
_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,75}(\.fifo)?|[A-Za-z0-9_-]{1,80}")
_NOT_ALLOWED: Final = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise RefusedError("InvalidParameterValue", "1 to 80 letters, digits, hyphens, underscores")


@dataclass(frozen=True, slots=True)
class Message:
    """A message that a queue has accepted."""

    text: str
    delay: int
    """Seconds."""

    @property
    def json(self) -> Any:
        return json.loads(self.text)


@dataclass(slots=True)
class Queue:
    name: str
    largest: int = MAX_MESSAGE_BYTES
    """Its MaximumMessageSize, in bytes."""
    messages: list[Message] = field(default_factory=list)

    def take(self) -> list[Message]:
        taken, self.messages = self.messages, []
        return taken

    def send(
        self, entries: list[dict[str, Any]], refused: Mapping[int, EntryRefusal]
    ) -> dict[str, list[dict[str, Any]]]:
        """Take a batch: the operation ``SendMessageBatch``.

        Args:
            entries: The entries of the batch.
            refused: Those to refuse whatever they hold, by their place.
        """
        _check_batch(entries)
        answer: dict[str, list[dict[str, Any]]] = {}
        for number, entry in enumerate(entries):
            text = entry["MessageBody"]
            if refusal := refused.get(number) or self._refusal(text, entry.get("DelaySeconds", 0)):
                failed = {"Id": entry["Id"], "Code": refusal.code, "Message": refusal.message}
                failed["SenderFault"] = refusal.is_senders_fault
                answer.setdefault("Failed", []).append(failed)
                continue
            self.messages.append(Message(text, entry.get("DelaySeconds", 0)))
            digest = hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
            message_id = f"message-{next(_NUMBERS)}"
            done = {"Id": entry["Id"], "MessageId": message_id, "MD5OfMessageBody": digest}
            answer.setdefault("Successful", []).append(done)
        return answer

    def _refusal(self, text: str, delay: int) -> EntryRefusal | None:
        if len(text.encode()) > self.largest:
            reason = f"Message must be shorter than {self.largest} bytes."
            return EntryRefusal("InvalidParameterValue", is_senders_fault=True, message=reason)
        is_plain = text.isascii() and text.isprintable()  # as mostly, and fast to tell
        if not text or (not is_plain and _NOT_ALLOWED.search(text)):
            return EntryRefusal("InvalidMessageContents", is_senders_fault=True)
        if not 0 <= delay <= _MAX_DELAY_SECONDS:
            return EntryRefusal("InvalidParameterValue", is_senders_fault=True, message="delay")
        return None


def _check_batch(entries: list[dict[str, Any]]) -> None:
    ids = [entry["Id"] for entry in entries]
    if not entries:
        raise RefusedError("EmptyBatchRequest", "There should be at least one entry")
    if len(entries) > _MAX_ENTRIES:
        raise RefusedError("TooManyEntriesInBatchRequest", f"You have sent {len(entries)}.")
    if len(set(ids)) < len(ids):
        raise RefusedError("BatchEntryIdsNotDistinct", "Id is repeated")
    if not all(map(_ID.fullmatch, ids)):
        raise RefusedError("InvalidBatchEntryId", "letters, digits, hyphens, underscores")
    if (total := sum(len(entry["MessageBody"].encode()) for entry in entries)) > _MAX_BATCH_BYTES:
        raise RefusedError("BatchRequestTooLong", f"You have sent {total} bytes.")
