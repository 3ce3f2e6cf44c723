"""What can go wrong with a call: refusals, throttling, lost replies, slow answers."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final


@dataclass(frozen=True, slots=True)
class Refusal:
    """The service refuses the whole call: nothing is done."""

    status: int
    code: str
    message: str = "refused by the test"
    more: dict[str, Any] = field(default_factory=dict)
    """Further fields of the answer."""


@dataclass(frozen=True, slots=True)
class Reset:
    """The connection is reset, before the work or after it."""

    is_done: bool


class Held:
    """The work is done, and the reply is held until `release`: forever, to a client that waits.

    Args:
        refusal: The reply, instead of the answer; nothing is done.
    """

    def __init__(self, refusal: Refusal | None = None) -> None:
        self.refusal = refusal
        self.arrived = threading.Event()
        """Set once a call has arrived."""
        self.released = threading.Event()

    def release(self) -> None:
        self.released.set()


@dataclass(frozen=True, slots=True)
class EntryRefusal:
    """Why one entry of a batch is refused."""

    code: str
    is_senders_fault: bool
    message: str = "refused by the test"


@dataclass(frozen=True, slots=True)
class Partial:
    """Some entries of a batch are refused, by their place in it, from 0."""

    refusals: Mapping[int, EntryRefusal]


Fault = Refusal | Reset | Held | Partial

SERVER_ERROR: Final = Refusal(500, "InternalServerError")
DENIED: Final = Refusal(400, "AccessDeniedException")
KEY_DENIED: Final = Refusal(
    400,
    "KmsAccessDenied",
    "User: arn:aws:sts::123456789012:assumed-role/role/lava-demo-s3trigger is not authorized to "
    "perform: kms:GenerateDataKey on resource: arn:aws:kms:ap-southeast-2:123456789012:key/k "
    "because no identity-based policy allows the kms:GenerateDataKey action",
)
"""The answer of SQS about a queue that is encrypted with a key that the caller may not use."""
THROTTLED: Final = Refusal(400, "RequestThrottled")
"""As SQS says it."""
READS_THROTTLED: Final = Refusal(400, "ProvisionedThroughputExceededException")
"""As DynamoDB says it."""
RESET: Final = Reset(is_done=False)
LOST_REPLY: Final = Reset(is_done=True)


@dataclass(frozen=True, slots=True)
class Call:
    operation: str
    number: int
    """Which of the calls of its operation it is, from 1."""
    request: dict[str, Any]


Faults = Callable[[Call], Fault | None]
"""Returns what goes wrong with a call; it is asked about one call at a time."""
FaultTable = Mapping[tuple[str, int | None], Fault]
"""Faults by operation and number of the call; None stands for all calls without their own."""


class RefusedError(Exception):
    """Raised by an operation: the service refuses the call."""

    def __init__(
        self, code: str, message: str, more: dict[str, Any] | None = None, status: int = 400
    ) -> None:
        super().__init__(code, message)
        self.refusal = Refusal(status, code, message, more or {})


class ResetError(Exception):
    """Raised instead of an answer: the connection is reset."""


def invalid(message: str) -> RefusedError:
    """Return the error with which DynamoDB refuses a request that makes no sense."""
    return RefusedError("ValidationException", message)
