"""Messages to queues: a dispatch, which makes a worker run a job, and any pending message.

See docs/design.md#dispatch.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from .errors import MAX_REASON_CHARACTERS, ServiceError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from .outcomes import OutcomeName


# Values come from JSON, so none can contain itself.
_ENCODER: Final = json.JSONEncoder(check_circular=False)


def timestamp(now: datetime) -> str:
    """Return a time, with a time zone, as ISO 8601 in whole seconds with its offset."""
    return now.isoformat(timespec="seconds")


@dataclass(slots=True, kw_only=True)
class Dispatch:
    """A job for a worker to run."""

    job_id: str
    worker: str
    parameters: Mapping[str, Any]
    globals: Mapping[str, Any]
    delay: int = 0
    """Seconds."""

    def queue(self, realm: str) -> str:
        """Return the name of the worker's queue."""
        return f"lava-{realm}-{self.worker}"

    def message(self, realm: str, run_id: str, ts_dispatch: str) -> str:
        """Return the message for the worker.

        Args:
            realm: Name of the realm.
            run_id: A new UUID. Workers use it as an identity.
            ts_dispatch: The time, as `timestamp` formats it.
        """
        message: dict[str, Any] = {
            "realm": realm,
            "worker": self.worker,
            "job_id": self.job_id,
            "run_id": run_id,
            "ts_dispatch": ts_dispatch,
        }
        if self.parameters:
            message["parameters"] = self.parameters
        if self.globals:
            message["globals"] = self.globals
        return _ENCODER.encode(message)  # in ASCII: SQS refuses some characters


def _new_run_id() -> str:
    """Return a new UUID4, in less than half the time of `uuid.uuid4`."""
    number = bytearray(os.urandom(16))
    number[6] = number[6] & 0x0F | 0x40  # version 4
    number[8] = number[8] & 0x3F | 0x80  # the variant of RFC 9562
    text = number.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


class PendingMessage:
    """A message to a queue, and its outcome.

    Args:
        queue: Name of the queue.
        make: Makes the text of the message from a new run id.
        delay: Seconds.

    Attributes:
        outcome: ``failed``, then ``dispatched`` if a queue accepts it, or ``user_error`` if no
            queue ever will.
        kind: The kind of user error or failure.
        reason: Why it was refused, or not sent in the last attempt.
    """

    __slots__ = ("delay", "kind", "outcome", "queue", "reason", "run_id", "text")

    def __init__(self, queue: str, make: Callable[[str], str], delay: int = 0) -> None:
        self.queue = queue
        self.delay = delay
        self.outcome: OutcomeName = "failed"
        self.kind = ServiceError.kind
        self.reason: str | None = None
        self.run_id = _new_run_id()
        # Only the text is kept: the values in it may take many times its memory.
        try:
            self.text = make(self.run_id)
        except (
            RecursionError
        ):  # a value that the JSON decoder accepts may be too deep for the encoder
            self.text = ""
            self.refuse("message_refused", "the message is nested too deeply")

    def renew(self) -> None:
        """Give the message another run id: the service may have accepted it with the last one."""
        before, self.run_id = self.run_id, _new_run_id()
        self.text = self.text.replace(before, self.run_id, 1)
        self.reason = None

    def stamp(self, before: str, now: str) -> None:
        """Replace the time in a dispatch, as `timestamp` formats it."""
        # Quotes in the text before it, such as in the job id, are escaped.
        field = '"ts_dispatch": "'
        self.text = self.text.replace(f'{field}{before}"', f'{field}{now}"', 1)

    def accept(self) -> None:
        """Record that a queue accepted it."""
        self.outcome, self.reason = "dispatched", None

    def refuse(self, kind: str, reason: str) -> None:
        """Record that no queue will ever accept it."""
        self.outcome, self.kind, self.reason = "user_error", kind, reason[:MAX_REASON_CHARACTERS]
